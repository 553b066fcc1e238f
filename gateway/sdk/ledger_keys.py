"""Which keys an agency believes of the ledgers of its gateway, and how a new one comes to be among them.

Decides by pins, by what was published first where there are none, and from then on by the word of the key before
(`ledger/succession.py`). Leaves fetching to `client.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.ledger.note import NoteVerifier
from gateway.ledger.succession import Succession, following
from gateway.sdk.answers import AnswerError


class LedgerKeys:
    """With pins, no other ledger is believed than those, and no key that does not follow from them."""

    def __init__(self, vkeys: Iterable[str]) -> None:
        """Raises LedgerInvalidError for what is no vkey."""
        self._known: dict[str, tuple[NoteVerifier, ...]] = {}
        for key in map(NoteVerifier.parse, vkeys):
            self._known[key.name] = (*self.of(key.name), key)
        self._pinned = bool(self._known)

    def of(self, origin: str) -> tuple[NoteVerifier, ...]:
        """Empty for a ledger that is not believed."""
        return self._known.get(origin, ())

    def learn(self, ledger: Any) -> None:
        """What a gateway publishes of one ledger. Raises AnswerError for a key that nobody vouches for."""
        if not isinstance(ledger, Mapping):
            raise AnswerError("the gateway publishes a ledger without origin and key", code="ledger.invalid")
        try:
            published = NoteVerifier.parse(ledger["vkey"])
            said = [Succession.read(one) for one in ledger.get("succession", ())]
            fits = published.name == ledger["origin"] and published.name.endswith(f"/ledger/{ledger['agreement']}")
        except (GatewayError, TypeError, KeyError, AttributeError) as error:
            raise AnswerError("the gateway publishes a ledger without origin and key", code="ledger.invalid") from error
        known = self.of(published.name)
        # Without pins the first answer is believed, and so are the keys before it: older proofs were signed by them.
        keys = following(known or (published,), said, and_before=not self._pinned)
        # Another key without the word of the one before it is another ledger, which needs another origin.
        if not fits or published not in keys:
            raise AnswerError("the gateway publishes another key for a known ledger", code="ledger.forked")
        if known or not self._pinned:
            self._known[published.name] = keys

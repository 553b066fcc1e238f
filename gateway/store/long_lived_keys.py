"""The ML-DSA-44 keys that sign checkpoints beside Ed25519 over time: which ones sign now, and what they said of each other.

Decides nothing about what the gateway believes of its own ledgers, which is Ed25519's (`checkpoint_keys.py`): these signatures
are for those who hold evidence for longer than that lasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.keyring import LongLivedKey
from gateway.keys.keychain import LONG_LIVED, OwnKey, Ring
from gateway.ledger.cosignature import Cosigner
from gateway.ledger.succession import Succession
from gateway.store.checkpoint_keys import said_of


@dataclass(slots=True)
class LongLivedKeys:
    """Signs as whichever ledger's origin it is asked for. `ring` is None for a gateway that has no such key."""

    ring: Ring[LongLivedKey] | None = None
    said: tuple[Succession, ...] = ()

    def learn(self, known: Sequence[OwnKey]) -> None:
        """As `Ring.learn`, and what the keys said of each other. A row whose statement does not verify says nothing."""
        if self.ring is None:
            return
        self.ring.learn(known)
        self.said = said_of(known, LONG_LIVED)

    def cosigners(self, origin: str) -> tuple[Cosigner, ...]:
        """All that sign now: the key in use first, then the one before it while it still counts, and the next one."""
        if self.ring is None:
            return ()
        return tuple(_named(key.cosigner, origin) for key in self.ring.counting())


def _named(cosigner: Cosigner, origin: str) -> Cosigner:
    return replace(cosigner, verifier=replace(cosigner.verifier, name=origin))

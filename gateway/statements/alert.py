"""Alerts: what the gateway itself has to tell a recipient about messages that it was handed.

Decides what an alert says and how it is read. It is the gateway's own statement, a JWS with `typ` `alert+jwt` under the key of
its receipts, and stands beside the items of a page, never among them: no agency said it, and it has no word of a message. It
names the key that was lost, since when, and the transfers that this key signed from then on. How it is handed out is
`delivery/`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.errors import MalformedError
from gateway.jose import THUMBPRINT, PublicKey, Signer, parse_jws, sign_jws, verify_jws
from gateway.message.envelope import AGENCY_ID, TRANSFER_ID, sd_hash
from gateway.statements.receipt import Acknowledgement, sign_acknowledgement

ALERT_TYP: Final = "alert+jwt"
KEY_COMPROMISED: Final = "key-compromised"
EVENTS: Final = frozenset({KEY_COMPROMISED})
TRANSFERS_LIMIT: Final = 100
_FORMS: Final = {"iss": AGENCY_ID, "aud": AGENCY_ID, "jti": TRANSFER_ID, "agency": AGENCY_ID, "kid": THUMBPRINT}
_MEMBERS: Final = frozenset({*_FORMS, "iat", "event", "since", "transfers"})


@dataclass(frozen=True, slots=True)
class Alert:
    """`event` `key-compromised`: `kid`, a key of `agency`, was in other hands from `since` on (whole seconds, as `iat`), and
    signed `transfers` (1 to 100). `jti` is the alert's own id. `text` is the JWS that was read.
    """

    iss: str
    aud: str
    iat: int
    jti: str
    event: str
    agency: str
    kid: str
    since: int
    transfers: tuple[str, ...]
    text: str = field(default="", compare=False)

    @property
    def transfer(self) -> str:
        """Its id, as acknowledgements name what they are about."""
        return self.jti

    def as_json(self) -> dict[str, Any]:
        return {
            "iss": self.iss,
            "aud": self.aud,
            "iat": self.iat,
            "jti": self.jti,
            "event": self.event,
            "agency": self.agency,
            "kid": self.kid,
            "since": self.since,
            "transfers": list(self.transfers),
        }

    def acknowledgement(
        self, signer: Signer, jti: str, now: datetime, event: str = "delivered", reasons: Iterable[str] = ()
    ) -> str:
        """The signed receipt that the recipient gives for it: until then it comes again."""
        statement = Acknowledgement(
            iss=self.aud,
            aud=self.iss,
            iat=int(now.timestamp()),
            jti=jti,
            transfer=self.jti,
            event=event,
            sd_hash=sd_hash(self.text),
            reasons=tuple(reasons),
        )
        return sign_acknowledgement(statement, signer)


def sign_alert(alert: Alert, signer: Signer) -> str:
    return sign_jws(alert.as_json(), ALERT_TYP, signer)


def read_alert(text: str, key: PublicKey) -> Alert:
    """For an agency: verifies and reads. Raises MalformedError, TooLargeError or SignatureInvalidError."""
    payload = verify_jws(parse_jws(text, ALERT_TYP, 2), key).payload
    if payload.keys() != _MEMBERS or payload["event"] not in EVENTS:
        raise MalformedError("the alert has other members, or another event, than a gateway's alert")
    for name, form in _FORMS.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"the alert's {name} has the wrong form")
    transfers = payload["transfers"]
    if type(payload["iat"]) is not int or type(payload["since"]) is not int or not isinstance(transfers, list):
        raise MalformedError("an alert's iat and since are whole seconds, its transfers an array")
    known = {one for one in transfers if isinstance(one, str) and TRANSFER_ID.fullmatch(one)}
    if not 1 <= len(transfers) <= TRANSFERS_LIMIT or len(known) != len(transfers):
        raise MalformedError(f"an alert names 1 to {TRANSFERS_LIMIT} transfers, each once")
    return Alert(**{**payload, "transfers": tuple(transfers)}, text=text)

"""What the gateway signed with a key that was in other hands by then, said once more under the key in use.

Decides which receipts and releases those are: by a key of its own that was revoked, since the moment from which it is not
trusted. Nothing of what they say changes but their time, where the key in use began after it; so the same bytes sent again get
the same receipt again. A receipt is said again only if the entry at the place that it names says the same, of the same message:
the entry is what proves, and whoever holds the lost key could have signed anything. So with a release: it is of the transfer and
the very bytes that were released. What came before stands as it is. Pure; what waits on its way is `renewal.py`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import GatewayError
from gateway.jose import Signer, b64encode, parse_jws, public_key_from_jwk
from gateway.keys.keychain import REVOKED, SIGN, OwnKey
from gateway.ledger.entry import commitment, decode
from gateway.ledger.merkle import leaf_hash
from gateway.message.envelope import sd_hash
from gateway.statements.receipt import (
    RECEIPT_TYP,
    RELEASE_TYP,
    read_gateway_receipt,
    read_release,
    sign_gateway_receipt,
    sign_release,
)

_LEVELS: Final = 4


def receipt_now(
    text: str, own: Sequence[OwnKey], signer: Signer, *, origin: str, index: int, leaf: bytes, message: str
) -> str:
    """`text` itself; or, where its key was lost, what it says under the key in use.

    `leaf` is the ledger's entry at `index`, `message` what was sent. Raises GatewayError for a receipt that they do not bear out.
    """
    key = _lost(text, RECEIPT_TYP, own)
    if key is None:
        return text
    said = read_gateway_receipt(text, public_key_from_jwk(key.jwk or {}))
    entry = decode(leaf)
    borne_out = (
        (said.origin, said.index, said.leaf_hash) == (origin, index, b64encode(leaf_hash(leaf)))
        and (f"transfer.{said.event}", said.transfer, said.aud) == tuple(map(entry.get, ("kind", "transfer", "sender")))
        and (said.rule, said.clause) == (entry.get("rule"), entry.get("clause"))
        and said.as_json().get("reasons", []) == entry.get("reasons", [])
        and said.sd_hash == sd_hash(message)
        and commitment(bytes.fromhex(said.commitment_key), message.partition("~")[0]) == entry.get("commitment")
    )
    if not borne_out:
        raise GatewayError("a stored receipt is not about the ledger's entry")
    return sign_gateway_receipt(replace(said, iat=max(said.iat, counts_from(own, signer.kid))), signer)


def release_now(text: str, own: Sequence[OwnKey], signer: Signer, *, transfer: str, released: str) -> str:
    """The same of a release; `released` is what the recipient is handed."""
    key = _lost(text, RELEASE_TYP, own)
    if key is None:
        return text
    return release_under(text, key, counts_from(own, signer.kid), signer, transfer=transfer, released=released)


def release_under(text: str, key: OwnKey, begins: int, signer: Signer, *, transfer: str, released: str) -> str:
    """What a release under the lost `key` says, by a key in use since `begins`, whole seconds."""
    said = read_release(text, public_key_from_jwk(key.jwk or {}))
    if (said.transfer, said.sd_hash) != (transfer, sd_hash(released)):
        raise GatewayError("a stored release is not about what was released")
    return sign_release(replace(said, iat=max(said.iat, begins)), signer)


def _lost(text: str, typ: str, own: Sequence[OwnKey]) -> OwnKey | None:
    """The key of the gateway that signed this, if it was in other hands by then."""
    jws = parse_jws(text, typ, _LEVELS)
    issued = jws.payload.get("iat")
    key = next((one for one in own if one.role == SIGN and one.kid == jws.kid and one.status == REVOKED), None)
    if key is None or key.untrusted_since is None or type(issued) is not int:
        return None
    # A key set speaks of whole seconds, and so does `iat`.
    return key if issued >= int(key.untrusted_since.timestamp()) else None


def counts_from(own: Sequence[OwnKey], kid: str) -> int:
    """Since which whole second the key in use counts: whoever reads what it signs asks for the key of that moment."""
    return max((math.ceil(key.not_before.timestamp()) for key in own if key.kid == kid), default=0)

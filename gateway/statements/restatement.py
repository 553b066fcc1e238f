"""What the gateway signed with a key that was in other hands by then, said once more under the key in use.

Decides which receipts and releases those are: by a key of its own that was revoked, since the moment from which it is not
trusted. Nothing of what they say changes but their time, where the key in use began after it; so the same bytes sent again get
the same receipt again. A receipt is said again only if it names the entry that the ledger has at that place: the entry is what
proves, and the receipt only points to it. What came before stands as it is. Pure; what waits on its way is `renewal.py`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import GatewayError
from gateway.jose import Signer, parse_jws, public_key_from_jwk
from gateway.keys.keychain import REVOKED, SIGN, OwnKey
from gateway.statements.receipt import (
    RECEIPT_TYP,
    RELEASE_TYP,
    read_gateway_receipt,
    read_release,
    sign_gateway_receipt,
    sign_release,
)

_LEVELS: Final = 4


def receipt_now(text: str, own: Sequence[OwnKey], signer: Signer, *, origin: str, index: int, leaf_hash: str) -> str:
    """`text` itself; or, where its key was lost, what it says under the key in use. `leaf_hash` of the entry there, base64url."""
    key = _lost(text, RECEIPT_TYP, own)
    if key is None:
        return text
    said = read_gateway_receipt(text, public_key_from_jwk(key.jwk or {}))
    if (said.origin, said.index, said.leaf_hash) != (origin, index, leaf_hash):
        raise GatewayError("a stored receipt is not about the ledger's entry")
    return sign_gateway_receipt(replace(said, iat=max(said.iat, _begins(own, signer))), signer)


def release_now(text: str, own: Sequence[OwnKey], signer: Signer) -> str:
    """The same of a release."""
    key = _lost(text, RELEASE_TYP, own)
    if key is None:
        return text
    said = read_release(text, public_key_from_jwk(key.jwk or {}))
    return sign_release(replace(said, iat=max(said.iat, _begins(own, signer))), signer)


def _lost(text: str, typ: str, own: Sequence[OwnKey]) -> OwnKey | None:
    """The key of the gateway that signed this, if it was in other hands by then."""
    jws = parse_jws(text, typ, _LEVELS)
    issued = jws.payload.get("iat")
    key = next((one for one in own if one.role == SIGN and one.kid == jws.kid and one.status == REVOKED), None)
    if key is None or key.untrusted_since is None or type(issued) is not int:
        return None
    # A key set speaks of whole seconds, and so does `iat`.
    return key if issued >= int(key.untrusted_since.timestamp()) else None


def _begins(own: Sequence[OwnKey], signer: Signer) -> int:
    """Since which whole second the key in use counts: whoever reads what it signs asks for the key of that moment."""
    return max((math.ceil(key.not_before.timestamp()) for key in own if key.kid == signer.kid), default=0)

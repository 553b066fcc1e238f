"""Key services: a signing key that an installed package reaches by its own URI scheme, such as a KMS's.

An entry point of the group `sinergi.keyring`, named like the scheme, is called with the URI and gives a KeyService. It is
asked for one signature at start-up: one that lies or fails is found then, and not at the first receipt.
"""

from importlib.metadata import entry_points
from typing import Final, Protocol
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import KeyAwayError, KeyringError
from gateway.jose import public_key
from gateway.keyring.held import Elsewhere, KeyringSigner, require_signs

SERVICES: Final = "sinergi.keyring"


class KeyService(Protocol):
    """One signing key somewhere else. `sign` gives 64 bytes: Ed25519 (RFC 8032), or ECDSA P-256 as r and s (RFC 7518 §3.4)."""

    def public_key(self) -> Ed25519PublicKey | EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


def signer_from_service(uri: str) -> KeyringSigner:
    """An entry point is called with the URI and gives a KeyService."""
    scheme = urlsplit(uri).scheme
    found = next(iter(entry_points(group=SERVICES, name=scheme)), None)
    if not scheme or found is None:
        raise KeyringError(f"a key URI looks like file:/etc/sinergi/keys/sign.pem; nothing is installed for {scheme!r}")
    try:
        service: KeyService = found.load()(uri)
        signer = KeyringSigner(public_key(service.public_key()), service.sign)
        require_signs(signer)
    except Exception as error:  # noqa: BLE001 - another's program may raise anything
        # `from None`: what another program says may hold its secrets. An OSError is the network's, and passes.
        refused = KeyAwayError if isinstance(error, OSError | KeyAwayError) else KeyringError
        raise refused(f"the {scheme} key does not sign ({type(error).__name__})") from None
    return KeyringSigner(signer.public, Elsewhere(service.sign))

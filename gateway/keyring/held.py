"""What a keyring hands out: a signer, or a secret for one purpose. Neither shows what it holds."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import ECAlgorithm, RSAPSSAlgorithm

from gateway.errors import GatewayError, KeyAwayError, KeyringError, MalformedError
from gateway.jose import PublicKey, b64encode, parse_jws, public_key, rsa_key, sign_jws, thumbprint, verify_jws
from gateway.ledger.cosignature import Cosigner

_es256: Final = ECAlgorithm(ECAlgorithm.SHA256, SECP256R1)
_ps256: Final = RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256)


class Elsewhere:
    """Signing in a token or by a service, after it was seen to work. What fails from then on may work again: whoever asked tries
    again, and `away` says meanwhile that this process cannot sign. What the other side says of its fault is not repeated.
    """

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign
        self.away = False

    def __call__(self, message: bytes) -> bytes:
        try:
            signature = self._sign(message)
        except Exception as error:  # noqa: BLE001 - another's program may raise anything
            self.away = True
            told = (
                error.detail if isinstance(error, KeyringError) else f"the key does not sign ({type(error).__name__})"
            )
            raise KeyAwayError(told, retry_after=5) from None
        self.away = False
        return signature


@dataclass(frozen=True, slots=True, repr=False)
class LongLivedKey:
    """An ML-DSA-44 key that signs checkpoints, and no JWS."""

    cosigner: Cosigner

    @property
    def jwk(self) -> dict[str, str]:
        """Its public half as an Algorithm Key Pair (RFC 9964): all three members are required, so `kid` covers them."""
        return {"alg": "ML-DSA-44", "kty": "AKP", "pub": b64encode(self.public_key)}

    @property
    def kid(self) -> str:
        return thumbprint(self.jwk)

    @property
    def public_key(self) -> bytes:
        return self.cosigner.verifier.public_key

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        return self.cosigner.sign


@dataclass(frozen=True, slots=True, repr=False)
class KeyringSigner:
    """A signing key from a keyring. `public` may be shown to anyone."""

    public: PublicKey
    _sign: Callable[[bytes], bytes]

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def alg(self) -> str:
        return self.public.alg

    def sign(self, message: bytes) -> bytes:
        """Raises KeyAwayError, of a key that lies elsewhere."""
        return self._sign(message)

    def answers(self) -> bool:
        """Whether the key can be had. One whose last signature failed is asked for another."""
        if isinstance(self._sign, Elsewhere) and self._sign.away:
            try:
                require_signs(self)
            except GatewayError:
                return False
        return True

    def __repr__(self) -> str:
        return f"KeyringSigner({self.kid})"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """32 bytes for one purpose, and an id that says which key they came from."""

    id: str
    value: bytes

    @property
    def kid(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Secret({self.id})"


def require_signs(signer: KeyringSigner) -> None:
    """Asks for one signature, under a type that nothing else has. Raises what the key raises, and SignatureInvalidError."""
    probe = sign_jws({"probe": b64encode(os.urandom(16))}, "probe+jwt", signer)
    verify_jws(parse_jws(probe, "probe+jwt", 2), signer.public)


def signer_for(key: PrivateKeyTypes, *, certified: bool = False) -> KeyringSigner:
    """`certified`: the key is an agency's, and the gateway knows its certificate. Then it may be RSA, and signs PS256."""
    if isinstance(key, Ed25519PrivateKey):
        return KeyringSigner(public_key(key.public_key()), key.sign)
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return KeyringSigner(public_key(key.public_key()), lambda message: _es256.sign(message, key))
    if isinstance(key, RSAPrivateKey) and certified:
        try:
            return KeyringSigner(rsa_key(key.public_key()), lambda message: _ps256.sign(message, key))
        except MalformedError as error:
            raise KeyringError(error.detail) from None
    raise KeyringError("a signing key must be Ed25519 or P-256")

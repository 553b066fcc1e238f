"""Keys in a PKCS#11 token (an HSM, a smart card, SoftHSM): they sign there, and never come here.

Decides how a token is opened and kept: a module is loaded once a process, one session a token, used by one thread at a time
(PKCS#11 promises no more to who does not ask for locking). After an error the session is opened anew, then the module is;
a signature is asked for again, which changes nothing. A process that was forked opens its own. A PIN that was refused is
not tried a second time, however the token is named, and none is tried where the next mistake would lock the token. A token
that stays away is another matter than one that refuses: whoever asks later may be answered.

A storage or index secret is an HMAC-SHA256 that the token computes with a generic secret key of its own over the purpose's
name: the root never leaves the token, the derived secret is in memory while the gateway runs.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from gateway.errors import GatewayError, KeyAwayError, KeyringError
from gateway.jose import ED25519, ES256, PS256, PublicKey, b64encode, public_key, rsa_key
from gateway.keyring.files import place, read_private
from gateway.keyring.held import Elsewhere, KeyringSigner, Secret, require_signs
from gateway.keyring.pkcs11_uri import TokenObject, parse_uri, readable

if TYPE_CHECKING:
    from pkcs11 import Session, Token

SECRET_KEY: Final = "HMAC"
ALGORITHMS: Final = (ED25519, ES256, PS256, SECRET_KEY)
_P256: Final = bytes.fromhex("06082a8648ce3d030107")  # the named curve's OID, in DER
_ED25519: Final = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")  # RFC 8410; the name of PKCS#11 v3.0 §2.3.10
_RSA_BITS: Final = 3072
_ATTEMPTS: Final = 3
T = TypeVar("T")
_Named = tuple[tuple[str, str], ...]
# What a token says of a key or of how it is used: it answers, and will say the same again.
_REFUSALS: Final = (
    "AttributeSensitive", "AttributeTypeInvalid", "AttributeValueInvalid", "FunctionNotSupported", "KeyHandleInvalid",
    "KeySizeRange", "KeyTypeInconsistent", "MechanismInvalid", "MechanismParamInvalid", "MultipleTokensReturned",
    "TemplateInconsistent", "TokenWriteProtected", "UserPinNotInitialized", "UserTooManyTypes",
)  # fmt: skip


@dataclass(slots=True)
class _Open:
    """A session, and what was found through it: a handle counts for its session only."""

    session: "Session"
    keys: dict[tuple[str | None, bytes | None, str], Any] = field(default_factory=dict)

    def key(self, held: TokenObject, kind: str) -> Any:
        from pkcs11 import ObjectClass

        place = (held.label, held.id, kind)
        if place not in self.keys:
            self.keys[place] = self.session.get_key(object_class=ObjectClass[kind], label=held.label, id=held.id)
        return self.keys[place]


class _Module:
    """One PKCS#11 library in this process, and its sessions by token."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.forked = False
        # By all that a token shows, its serial among it: two URIs may name one token in different ways.
        self.sessions: dict[_Named, _Open] = {}
        self.refused: set[tuple[_Named, bytes]] = set()
        self.shown: dict[_Named, _Named] = {}

    def use(self, held: TokenObject, act: Callable[[_Open], T]) -> T:
        """Raises KeyringError, and of a token that does not answer KeyAwayError; never saying what the library said."""
        import pkcs11

        with self.lock:
            for attempt in range(_ATTEMPTS):
                last = attempt == _ATTEMPTS - 1
                try:
                    if last or self.forked:
                        self._reload()
                    return act(self._session(held, anew=attempt > 0))
                except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned):
                    if attempt > 0:
                        raise KeyringError(f"the token has no such key, or several: {held}") from None
                except pkcs11.PKCS11Error as error:
                    if last:
                        name = type(error).__name__
                        raised = KeyringError if name in _REFUSALS else KeyAwayError
                        raise raised(f"the token does not answer as it should ({name})") from None
        raise AssertionError

    def _reload(self) -> None:
        import pkcs11

        self.sessions.clear()
        self.shown.clear()
        library = pkcs11.lib(self.path)
        with suppress(pkcs11.PKCS11Error):  # it was not initialised, or this is a child whose parent did it
            library.finalize()
        library.initialize()
        self.forked = False

    def _session(self, held: TokenObject, *, anew: bool) -> _Open:
        import pkcs11
        from pkcs11 import TokenFlag

        shown = self.shown.get(held.token)
        if anew and shown is not None:
            self.sessions.pop(shown, None)
        if shown is None or shown not in self.sessions:
            token = self._token(held)
            shown = self.shown[held.token] = _shown(token)
            if shown in self.sessions:
                return self.sessions[shown]
            pin = self._pin(held, shown)
            if pin is not None and token.flags & (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED):
                # Whoever starts again and again after a refused PIN, as systemd does, would lock the token.
                raise KeyringError(f"the token has one try or none left for its PIN: log in by hand first: {held}")
            try:
                session = token.open(user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # by another session: that counts for the whole process
                session = token.open()
            except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked):
                self.refused.add((shown, _digest(pin)))
                raise KeyringError(f"the token refuses its PIN, and it is not tried again: {held.pin_source}") from None
            self.sessions[shown] = _Open(session)
        return self.sessions[shown]

    def _token(self, held: TokenObject) -> "Token":
        import pkcs11

        found = [token for token in pkcs11.lib(self.path).get_tokens() if set(held.token) <= set(_shown(token))]
        if len(found) != 1:
            raise pkcs11.NoSuchToken
        return found[0]

    def _pin(self, held: TokenObject, shown: _Named) -> str | None:
        if held.pin_source is None:
            return None
        pin = readable(read_private(pin_file(held.pin_source)).rstrip(b"\r\n"), "the PIN")
        if (shown, _digest(pin)) in self.refused:
            raise KeyringError(f"the token refused this PIN before, and it is not tried again: {held.pin_source}")
        return pin


def _digest(pin: str | None) -> bytes:
    return hashlib.sha256((pin or "").encode()).digest()


def pin_file(source: str) -> Path:
    return Path(source) if source.startswith("/") else place(source)


def _shown(token: "Token") -> _Named:
    """What a URI may name a token by."""
    shown = {
        "token": token.label,
        "serial": token.serial.decode("ascii", "replace").rstrip("\x00 "),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
    }
    return tuple((name, str(value).rstrip("\x00 ")) for name, value in shown.items())


_modules: dict[str, _Module] = {}
_loading = threading.Lock()


def _forget_after_fork() -> None:
    """In a child: another's lock may be held for ever, and the parent's sessions are not this process's."""
    global _loading  # noqa: PLW0603 - a lock that was held while forking is never released
    _loading = threading.Lock()
    for module in _modules.values():
        module.lock, module.forked, module.sessions, module.shown = threading.RLock(), True, {}, {}


os.register_at_fork(after_in_child=_forget_after_fork)


def _module(path: str) -> _Module:
    import pkcs11

    with _loading:
        if path not in _modules:
            try:
                pkcs11.lib(path)
            except RuntimeError as error:
                if isinstance(error, pkcs11.PKCS11Error) and type(error) is not pkcs11.PKCS11Error:
                    # A code of PKCS#11: it is a module, and what it reaches is away.
                    raise KeyAwayError(f"{path} does not answer as it should ({type(error).__name__})") from None
                raise KeyringError(f"{path} cannot be loaded as a PKCS#11 module") from None
            _modules[path] = _Module(path)
        return _modules[path]


def load_token_signer(uri: str, *, certified: bool = False) -> KeyringSigner:
    """Asks for one signature. Raises KeyringError, also for a key that may leave its token."""
    held = parse_uri(uri)
    module = _module(held.module)
    public = module.use(held, lambda opened: _public(opened.key(held, "PUBLIC_KEY")))
    if public.alg == PS256 and not certified:
        raise KeyringError("a signing key must be Ed25519 or P-256")
    module.use(held, lambda opened: _require_kept(opened.key(held, "PRIVATE_KEY")))

    def sign(message: bytes) -> bytes:
        return module.use(held, lambda opened: _sign(opened.key(held, "PRIVATE_KEY"), public.alg, message))

    try:
        require_signs(KeyringSigner(public, sign))
    except KeyringError:
        raise
    except GatewayError:
        raise KeyringError("the token signs with another key than the public one beside it") from None
    return KeyringSigner(public, Elsewhere(sign))


def load_token_secret(uri: str, purpose: str) -> Secret:
    """32 bytes that the token derives for `purpose`. Raises KeyringError."""
    held = parse_uri(uri)

    def derive(opened: _Open) -> Secret:
        from pkcs11 import KeyType, Mechanism

        key = opened.key(held, "SECRET_KEY")
        if key.key_type not in (KeyType.GENERIC_SECRET, KeyType.SHA256_HMAC):
            raise KeyringError("a storage or index key in a token is a generic secret key that signs (HMAC)")
        _require_kept(key)

        def mac(text: str) -> bytes:
            return bytes(key.sign(text.encode(), mechanism=Mechanism.SHA256_HMAC))

        return Secret(b64encode(mac(f"sinergi {purpose} id v1")[:9]), mac(f"sinergi {purpose} v1"))

    return _module(held.module).use(held, derive)


def generate_in_token(uri: str, algorithm: str) -> PublicKey | None:
    """Makes a key that stays there, under the URI's label and id. Its public half, or None for a secret.

    Raises KeyringError where there is a key of that label or id already.
    """
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
    from pkcs11.util.ec import encode_named_curve_parameters

    held = parse_uri(uri)
    if algorithm not in ALGORITHMS:
        raise KeyringError(f"in a token the algorithm must be one of {', '.join(ALGORITHMS)}")
    if held.label is None or held.id is None:
        raise KeyringError("name both object= and id= of the new key")
    named: dict[str, Any] = {"label": held.label, "id": held.id, "store": True}
    attributes = {Attribute.LABEL: held.label, Attribute.ID: held.id}
    private = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}

    def make(opened: _Open) -> None:
        session = opened.session
        taken = [list(session.get_objects({name: value})) for name, value in attributes.items()]
        if any(taken):
            raise KeyringError(f"the token has an object of this label or id already: {held}")
        # The session above cannot write; the login it made counts for this one.
        with session.token.open(rw=True) as writer:
            if algorithm == SECRET_KEY:
                writer.generate_key(
                    KeyType.GENERIC_SECRET,
                    256,
                    mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
                    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                    template=private,
                    **named,
                )
                return
            signs = {**named, "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY, "private_template": private}
            if algorithm == PS256:
                writer.generate_keypair(KeyType.RSA, _RSA_BITS, **signs)
                return
            kind, curve = (KeyType.EC, "secp256r1") if algorithm == ES256 else (KeyType.EC_EDWARDS, "1.3.101.112")
            parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            domain = writer.create_domain_parameters(kind, parameters, local=True)
            domain.generate_keypair(
                mechanism=None if algorithm == ES256 else Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **signs
            )

    module = _module(held.module)
    module.use(held, make)
    return None if algorithm == SECRET_KEY else module.use(held, lambda opened: _public(opened.key(held, "PUBLIC_KEY")))


def _require_kept(key: Any) -> None:
    """A key that can be read out of its token is no better than a file, and looks as if it were."""
    from pkcs11 import Attribute

    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        raise KeyringError("the key may leave its token: make one that is sensitive and not extractable")


def _sign(key: Any, alg: str, message: bytes) -> bytes:
    from pkcs11 import MGF, Mechanism

    if alg == ED25519:
        return bytes(key.sign(message, mechanism=Mechanism.EDDSA))
    if alg == ES256:
        return bytes(key.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA))
    pss = (Mechanism.SHA256, MGF.SHA256, 32)  # RFC 7518 §3.5: a salt as long as the digest
    return bytes(key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=pss))


def _public(key: Any) -> PublicKey:
    """From the public half that lies beside the private one, under the same label and id."""
    from pkcs11 import Attribute, KeyType

    try:
        if key.key_type == KeyType.RSA:
            n, e = (int.from_bytes(key[name], "big") for name in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
            return rsa_key(RSAPublicNumbers(e, n).public_key())
        parameters, point = bytes(key[Attribute.EC_PARAMS]), bytes(key[Attribute.EC_POINT])
        if key.key_type == KeyType.EC and parameters == _P256:
            return public_key(EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _octets(point, 65)))
        if key.key_type == KeyType.EC_EDWARDS and parameters in _ED25519:
            return public_key(Ed25519PublicKey.from_public_bytes(_octets(point, 32)))
    except (ValueError, UnsupportedAlgorithm, GatewayError):
        raise KeyringError("the token's public key cannot be read") from None
    raise KeyringError("a signing key in a token is Ed25519, P-256, or, with a certificate, RSA")


def _octets(point: bytes, size: int) -> bytes:
    """Tokens give a point as such, or as a DER OCTET STRING (PKCS#11 v3.0 §2.3.3)."""
    return point[2:] if len(point) == size + 2 and point[0] == 4 and point[1] == size else point  # noqa: PLR2004

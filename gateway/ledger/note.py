"""C2SP signed-note: text with signatures, the keys that made them, and exact parsing.

Decides whether a text was signed by a key the caller trusts. What the text means is `checkpoint.py`'s. The type byte of
a key selects its algorithm from one table, `SIGNATURE_TYPES`, so that a key can never be used with another algorithm.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import LedgerInvalidError
from gateway.ledger.timestamped import verify_cosignature_v1, verify_subtree_v1

NOTE_LIMIT: Final = 1_000_000  # bytes
SIGNATURES_LIMIT: Final = 100  # at least 16 must be accepted
NAME_LIMIT: Final = 255  # bytes, as in a cosigned message of tlog-cosignature
KEY_ID_SIZE: Final = 4
ED25519: Final = 0x01
COSIGNATURE_V1: Final = 0x04
ML_DSA_44: Final = 0x06
_NOT_IN_NAMES: Final = re.compile(r"[+\s\x00-\x1f]")  # \s of a text is `str.isspace`
_NOT_IN_TEXTS: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Signer(Protocol):
    """A key that signs notes, wherever it is kept."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes:
        """The signature of a note's text, without the key id."""
        ...


@dataclass(frozen=True, slots=True)
class SignatureType:
    """An algorithm of the registry in signed-note. `verify(name, public key, text, signature)` returns or raises."""

    title: str
    key_size: int
    signature_size: int
    verify: Callable[[str, bytes, bytes, bytes], None]


def _verify_ed25519(_name: str, public_key: bytes, text: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise LedgerInvalidError("a signature of a known key does not verify") from error


SIGNATURE_TYPES: Final[Mapping[int, SignatureType]] = MappingProxyType(
    {
        ED25519: SignatureType("Ed25519", 32, 64, _verify_ed25519),
        # Both begin with eight bytes of time.
        COSIGNATURE_V1: SignatureType("an Ed25519 cosignature", 32, 72, verify_cosignature_v1),
        ML_DSA_44: SignatureType("ML-DSA-44", 1312, 2428, verify_subtree_v1),
    }
)


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A public key under a name: what a reader of notes is configured with, as a vkey."""

    name: str
    public_key: bytes
    type: int = ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        kind = SIGNATURE_TYPES.get(self.type)
        if kind is None:
            raise LedgerInvalidError(f"no signature type 0x{self.type:02x} is supported")
        if len(self.public_key) != kind.key_size:
            raise LedgerInvalidError(f"a public key of {kind.title} is {kind.key_size} bytes")

    @classmethod
    def parse(cls, vkey: str) -> "NoteVerifier":
        """From `<name>+<key id in hex>+<base64(type || public key)>`, exactly. Raises LedgerInvalidError."""
        name, _, rest = vkey.partition("+")
        key_id_hex, _, encoded = rest.partition("+")  # base64 may hold a + of its own
        material = decode_base64(encoded)
        if not material:
            raise LedgerInvalidError("a vkey without a key")
        verifier = cls(name, material[1:], material[0])
        if verifier.key_id.hex() != key_id_hex:
            raise LedgerInvalidError("the key id of a vkey does not belong to its key")
        return verifier

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.type, self.public_key)

    @property
    def vkey(self) -> str:
        material = encode_base64(bytes([self.type]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def verify(self, text: bytes, signature: bytes) -> None:
        """Returns when `signature` (without key id) is this key's over the note text; else LedgerInvalidError."""
        kind = SIGNATURE_TYPES[self.type]
        if len(signature) != kind.signature_size:
            raise LedgerInvalidError(f"a signature of {kind.title} is {kind.signature_size} bytes")
        kind.verify(self.name, self.public_key, text, signature)


class Ed25519NoteSigner:
    """Signs notes as `name` through `sign`, which may be a file's key, an agent or an HSM."""

    def __init__(self, name: str, sign: Callable[[bytes], bytes], public_key: bytes) -> None:
        self.verifier = NoteVerifier(name, public_key)
        self._sign = sign
        self._key_id = self.verifier.key_id

    @property
    def name(self) -> str:
        return self.verifier.name

    @property
    def key_id(self) -> bytes:
        return self._key_id

    @property
    def vkey(self) -> str:
        return self.verifier.vkey

    def sign(self, message: bytes) -> bytes:
        signature = self._sign(message)
        if len(signature) != SIGNATURE_TYPES[ED25519].signature_size:
            raise LedgerInvalidError("the signer returned something that is not an Ed25519 signature")
        return signature


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. Nothing is known of it until a verifier of that name and key id has looked at it."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != KEY_ID_SIZE or not self.signature:
            raise LedgerInvalidError("a signature line holds a key id of 4 bytes and a signature")

    def line(self) -> str:
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class UnverifiedNote:
    """A well-formed note. Its text must not be acted on."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        check_text(self.text)
        if not 1 <= len(self.signatures) <= SIGNATURES_LIMIT:
            raise LedgerInvalidError(f"a note has between 1 and {SIGNATURES_LIMIT} signatures")

    def to_bytes(self) -> bytes:
        return f"{self.text}\n{''.join(signature.line() for signature in self.signatures)}".encode()


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A note at least one of whose signatures is by a trusted key; `signatures` holds only the verified ones."""

    text: str
    signatures: tuple[NoteSignature, ...]


def sign_note(text: str, signers: Sequence[Signer]) -> bytes:
    """The note of `text`, which ends in a newline, with one signature line a signer."""
    check_text(text)
    message = text.encode()
    signatures = tuple(NoteSignature(signer.name, signer.key_id, signer.sign(message)) for signer in signers)
    return UnverifiedNote(text, signatures).to_bytes()


def parse_note(data: bytes) -> UnverifiedNote:
    """The note of exactly these bytes. Raises LedgerInvalidError for anything `to_bytes` would write differently."""
    if not isinstance(data, bytes) or len(data) > NOTE_LIMIT:
        raise LedgerInvalidError(f"a note is at most {NOTE_LIMIT} bytes")
    try:
        decoded = data.decode()
    except UnicodeDecodeError as error:
        raise LedgerInvalidError("a note is UTF-8") from error
    text, separator, lines = decoded.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise LedgerInvalidError("a note is text, an empty line and signature lines")
    found = lines[:-1].split("\n")
    if len(found) > SIGNATURES_LIMIT:
        raise LedgerInvalidError(f"a note has at most {SIGNATURES_LIMIT} signatures")
    return UnverifiedNote(text + "\n", tuple(map(_parse_line, found)))


def open_note(data: bytes, verifiers: Iterable[NoteVerifier]) -> VerifiedNote:
    """The note, if a key of `verifiers` signed it. Raises LedgerInvalidError otherwise.

    Signatures of other keys are ignored, also under the same name or key id. One bad signature of a known key, or two
    signatures of it, refuse the whole note.
    """
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    note = parse_note(data)
    message = note.text.encode()
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    for signature in note.signatures:
        key = (signature.name, signature.key_id)
        if key not in known:
            continue
        if key in verified:
            raise LedgerInvalidError("a known key signed the note twice")
        known[key].verify(message, signature.signature)
        verified[key] = signature
    if not verified:
        raise LedgerInvalidError("no known key signed the note")
    return VerifiedNote(note.text, tuple(verified.values()))


def key_id(name: str, type_byte: int, public_key: bytes) -> bytes:
    """SHA-256(name || 0x0A || type || public key)[:4]: tells keys apart, authenticates nothing."""
    return sha256(name.encode() + b"\n" + bytes([type_byte]) + public_key).digest()[:KEY_ID_SIZE]


def check_name(name: str) -> None:
    """A key name has no Unicode space and no plus; ours also no control character and at most 255 bytes."""
    if not name or len(_utf8(name)) > NAME_LIMIT or _NOT_IN_NAMES.search(name):
        raise LedgerInvalidError("not the name of a key")


def check_text(text: str) -> None:
    """The text of a note ends in a newline and has no other control character."""
    if not text.endswith("\n") or _NOT_IN_TEXTS.search(text):
        raise LedgerInvalidError("not the text of a note")
    _utf8(text)


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding, RFC 4648 §4, in its one spelling. Raises LedgerInvalidError."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerInvalidError("not base64") from error
    if encode_base64(data) != text:
        raise LedgerInvalidError("not base64 in its one spelling")
    return data


def _parse_line(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—":
        raise LedgerInvalidError("not a signature line")
    decoded = decode_base64(encoded)
    return NoteSignature(name, decoded[:KEY_ID_SIZE], decoded[KEY_ID_SIZE:])


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise LedgerInvalidError("not UTF-8") from error

"""What the tests of messages are made from: fixed keys, claims that fit, and forgeries down to the byte."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st

from gateway.errors import (
    GatewayError,
    MalformedError,
)
from gateway.jose import b64decode, b64encode
from gateway.keyring import KeyringSigner, signer_for
from gateway.message.disclosure import digest_of, escape
from gateway.message.envelope import MESSAGE_TYP, Claims, VerifiedMessage, parse, serialise, verify
from gateway.statements.receipt import (
    GatewayReceipt,
)

# Keys of no one, the same in every run, so that a failure can be repeated.
ED25519_PRIVATE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed25519").digest())
P256_PRIVATE = derive_private_key(int.from_bytes(hashlib.sha256(b"p256").digest(), "big"), SECP256R1())
ED = signer_for(ED25519_PRIVATE)
EC = signer_for(P256_PRIVATE)
OTHER = signer_for(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"other").digest()))
SIGNERS = (ED, EC)

# The key of RFC 8037, appendix A; the order and the field of edwards25519 (RFC 8032 §5.1).
RFC8037_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

ISSUED = 1_773_100_000
TRANSFER = "01960000-0000-7000-8000-000000000001"
DIGEST = digest_of("something")
FULL: Mapping[str, Any] = {
    "iss": "imigrasi-banten",
    "aud": "polda-banten",
    "iat": ISSUED,
    "exp": ISSUED + 3600,
    "jti": "message-0001",
    "type": "early-warning.report/1",
    "agreement": "pks-banten-2025",
    "purpose": "EARLY_WARNING",
    "classification": "T",
    "case": {"type": "LP", "number": "LP/B/17/XI/2026/SPKT"},
    "officer": {"id": "198804122012032001", "role": "ANALYST"},
    "legal_basis": ["UU 6/2011 Art 120"],
    "in_reply_to": TRANSFER,
    "correlation_id": "thread-0001",
    "handling": "AMBER+STRICT",
}
REQUIRED = tuple(FULL)[:9]
OPTIONAL = tuple(FULL)[9:]
RESERVED = {"_sd", "_sd_alg", "..."}
# No deadline: the machine may be busy. Whole messages are signed and verified in each example, so there are fewer of them.
often = settings(deadline=None, max_examples=100)
seldom = settings(deadline=None, max_examples=40)


def claims(**changes: Any) -> Claims:
    """Claims that the parser takes; only what every message must have."""
    return Claims(**({name: FULL[name] for name in REQUIRED} | changes))


def payload(body: Any = None, **changes: Any) -> dict[str, Any]:
    """The payload of an issuer-signed JWT. `_sd_alg` is there unless it is changed to None."""
    members = {name: FULL[name] for name in REQUIRED} | {"_sd_alg": "sha-256"} | changes
    return {name: value for name, value in members.items() if value is not None} | {
        "body": {} if body is None else body
    }


def encode(value: Any) -> str:
    """JSON in base64url; bytes and text go as they are, so that a test can say what no serialiser would."""
    if isinstance(value, str):
        value = value.encode()
    return b64encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def header(signer: KeyringSigner = ED, **changes: Any) -> dict[str, Any]:
    return {"alg": signer.alg, "kid": signer.kid, "typ": MESSAGE_TYP} | changes


def sign(payload: Any, head: Any = None, signer: KeyringSigner = ED) -> str:
    """A compact JWS over anything at all, with a signature that is right."""
    signing_input = f"{encode(header(signer) if head is None else head)}.{encode(payload)}"
    return f"{signing_input}.{b64encode(signer.sign(signing_input.encode()))}"


def forge(payload: Any, disclosures: Iterable[str] = (), head: Any = None, signer: KeyringSigner = ED) -> bytes:
    """A message over anything at all, rightly signed: whatever is refused of it is not refused for its signature."""
    return serialise(sign(payload, head, signer), disclosures).encode()


def salt(number: int = 0) -> str:
    return f"salt-{number:017d}"


def hidden(*content: Any) -> str:
    """An encoded disclosure of this content, right or wrong."""
    return encode(list(content))


def accept(raw: bytes | str, signer: KeyringSigner = ED, *, complete: bool = True) -> VerifiedMessage:
    """Parsed and verified, as the gateway does it; with `complete=False`, as the recipient does."""
    message = parse(raw.encode() if isinstance(raw, str) else raw)
    return verify(message, signer.public, complete=complete)


def refuse(
    raw: bytes | str,
    match: str | None = None,
    error: type[GatewayError] = MalformedError,
    signer: KeyringSigner = ED,
    *,
    complete: bool = True,
) -> GatewayError:
    """The message is refused with exactly this class, and its text matches."""
    with pytest.raises(error, match=match) as caught:
        accept(raw, signer, complete=complete)
    assert type(caught.value) is error
    return caught.value


def said(error: GatewayError) -> str:
    """Everything that could reach the caller or a log."""
    return f"{error} {error.detail} {error.reasons} {error.code}"


def canonical(value: Any) -> str:
    """For comparing JSON: to Python 1, 1.0 and True are equal."""
    return json.dumps(value, sort_keys=True)


def decoded(text: str) -> bytes:
    """Everything a reader of a message can see: header, payload and disclosures, decoded."""
    jwt, *disclosures = text.split("~")[:-1]
    return b"\n".join(b64decode(part, "part") for part in (*jwt.split("."), *disclosures))


def pointers(value: Any, pointer: str = "") -> Iterator[str]:
    """A pointer to everything inside `value`, by its own reading of RFC 6901."""
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        members = ((name.replace("~", "~0").replace("/", "~1"), item) for name, item in value.items())
    elif isinstance(value, list):
        members = enumerate(value)
    for token, item in members:
        yield f"{pointer}/{token}"
        yield from pointers(item, f"{pointer}/{token}")


def without(value: Any, gone: frozenset[str], pointer: str = "") -> Any:
    """A reference for withholding: `value` with everything at the pointers left out."""
    if isinstance(value, dict):
        places = {name: f"{pointer}/{escape(name)}" for name in value}
        return {name: without(value[name], gone, place) for name, place in places.items() if place not in gone}
    if isinstance(value, list):
        elements = [(f"{pointer}/{number}", item) for number, item in enumerate(value)]
        return [without(item, gone, place) for place, item in elements if place not in gone]
    return value


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
# Names that mean something to a pointer or a pattern come up often enough to matter.
names = (st.sampled_from(["", "~", "/", "~1", "~01", "*", "0", "é", "\U0001f6a8", "a b"]) | st.text(max_size=6)).filter(
    lambda name: name not in RESERVED
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
bodies = st.dictionaries(names, values, max_size=5)


@st.composite
def bodies_with_places(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A body and pointers to some of its members and elements."""
    body = draw(bodies)
    places = list(pointers(body))
    return body, draw(st.lists(st.sampled_from(places), unique=True, max_size=8)) if places else []


@st.composite
def marked_bodies(draw: st.DrawFn) -> tuple[dict[str, Any], list[str], list[str]]:
    """A body whose every name and value is a mark of its own, what of it is disclosable, and what of that is withheld."""
    shapes = st.recursive(
        st.none(), lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple), max_leaves=10
    )
    count = 0

    def mark() -> str:
        nonlocal count
        count += 1
        return f"mark{count:05d}"

    def grow(shape: Any) -> Any:
        if shape is None:
            return mark()
        if isinstance(shape, tuple):
            return {mark(): grow(inner) for inner in shape}
        return [grow(inner) for inner in shape]

    body: dict[str, Any] = grow(tuple(draw(st.lists(shapes, min_size=1, max_size=3))))
    disclosable = draw(st.lists(st.sampled_from(list(pointers(body))), unique=True, max_size=8))
    withheld = draw(st.lists(st.sampled_from(disclosable), unique=True)) if disclosable else []
    return body, disclosable, withheld


def marks(value: Any) -> set[str]:
    """The marks inside a value."""
    if isinstance(value, dict):
        return set(value) | {mark for item in value.values() for mark in marks(item)}
    if isinstance(value, list):
        return {mark for item in value for mark in marks(item)}
    return {value}


def look_up(value: Any, pointer: str) -> Any:
    """What a pointer names (RFC 6901 §4)."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, Sequence) else value[name]
    return value


RECEIPT = GatewayReceipt(
    iss="sinergi-banten",
    aud="imigrasi-banten",
    iat=ISSUED,
    jti="receipt-0002",
    transfer=TRANSFER,
    event="accepted",
    sd_hash=DIGEST,
    origin="gateway.example/ledger/pks-banten-2025",
    index=7,
    leaf_hash=DIGEST,
    commitment_key="0f" * 32,
    rule="r1",
    clause="Pasal 5 ayat (1)",
)

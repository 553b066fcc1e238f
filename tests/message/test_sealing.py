"""Encryption at rest: nothing in a row can be put in another's place, and no identifier can be read from its token."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import resources
from gateway.decision.subjects import SUBJECT_KINDS, identifiers, travel_document_value
from gateway.errors import KeyringError
from gateway.keyring import Secret
from gateway.keys.keychain import Ring
from gateway.message.envelope import Case, Officer
from gateway.store.sealing import Sealer, SubjectTokens
from tests.message.making import claims, often, seldom, values

SEALER = Sealer(Ring(Secret("storage-1", hashlib.sha256(b"storage").digest())))
TOKENS = SubjectTokens(Ring(Secret("index-1", hashlib.sha256(b"index").digest())))
ONE, TWO = "01960000-0000-7000-8000-000000000001", "01960000-0000-7000-8000-000000000002"
CONTENT = b"what nobody may read"


@often
@given(st.binary(max_size=200), st.sampled_from(["content", "receipt", ""]))
def test_what_is_closed_opens(content: bytes, part: str) -> None:
    """With the wrapped key from the row and the storage key."""
    seal, wrapped = SEALER.new(ONE)
    sealed = seal.close(part, content)
    assert SEALER.unwrap(ONE, "storage-1", wrapped).open(part, sealed) == content


def test_the_same_content_never_looks_the_same() -> None:
    """A key for each message and a nonce for each part; the content is not in what is stored."""
    seals = [SEALER.new(ONE) for _ in range(20)]
    assert len({seal.key for seal, _ in seals}) == len({wrapped for _, wrapped in seals}) == 20
    sealed = {seal.close("content", CONTENT) for seal, _ in seals} | {
        seals[0][0].close("content", CONTENT) for _ in range(20)
    }
    assert len(sealed) == 40
    assert not any(CONTENT in text or CONTENT[:8] in text for text in sealed)


def test_a_part_cannot_take_another_s_place() -> None:
    """Neither another part of the same row, nor the same part of another row, even under the same key."""
    seal, wrapped = SEALER.new(ONE)
    sealed = seal.close("content", CONTENT)
    for transfer, part in (
        (ONE, "receipt"),
        (ONE, ""),
        (ONE, "content "),
        (TWO, "content"),
        ("", "content"),
        (f"{ONE} content", ""),
    ):
        with pytest.raises(KeyringError, match="altered"):
            SEALER.unwrap(transfer, "storage-1", wrapped).open(part, sealed)


def test_a_row_cannot_take_another_row_s_key() -> None:
    """Exchanging wrapped keys between rows opens neither."""
    (one, wrapped_one), (two, wrapped_two) = SEALER.new(ONE), SEALER.new(TWO)
    for transfer, wrapped, sealed in (
        (ONE, wrapped_two, one.close("c", CONTENT)),
        (TWO, wrapped_one, two.close("c", CONTENT)),
    ):
        with pytest.raises(KeyringError, match="altered"):
            SEALER.unwrap(transfer, "storage-1", wrapped).open("c", sealed)


def test_no_changed_bit_opens() -> None:
    """Every bit of a sealed part and of a wrapped key counts."""
    seal, wrapped = SEALER.new(ONE)
    sealed = seal.close("content", CONTENT)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << position % 8
        with pytest.raises(KeyringError, match="altered"):
            seal.open("content", bytes(changed))
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1 << position % 8
        with pytest.raises(KeyringError, match="altered"):
            SEALER.unwrap(ONE, "storage-1", bytes(changed))


def test_a_row_cut_short_is_an_altered_row() -> None:
    """At any length, down to nothing: KeyringError and no exception of the library."""
    seal, wrapped = SEALER.new(ONE)
    sealed = seal.close("content", CONTENT)
    for length in range(len(sealed)):
        with pytest.raises(KeyringError, match="altered"):
            seal.open("content", sealed[:length])
    for length in range(len(wrapped)):
        with pytest.raises(KeyringError, match="altered"):
            SEALER.unwrap(ONE, "storage-1", wrapped[:length])
    for longer in (sealed + b"\x00", b"\x00" + sealed, sealed * 2):
        with pytest.raises(KeyringError, match="altered"):
            seal.open("content", longer)


def test_another_storage_key_is_named_before_it_is_tried() -> None:
    """A row under another key id is not altered: it needs the other key. The right id with wrong bytes is altered."""
    _, wrapped = SEALER.new(ONE)
    with pytest.raises(KeyringError, match="does not have"):
        SEALER.unwrap(ONE, "storage-2", wrapped)
    with pytest.raises(KeyringError, match="does not have"):
        Sealer(Ring(Secret("storage-2", SEALER.storage.current().value))).unwrap(ONE, "storage-1", wrapped)
    with pytest.raises(KeyringError, match="altered"):
        Sealer(Ring(Secret("storage-1", bytes(32)))).unwrap(ONE, "storage-1", wrapped)


def test_nothing_secret_shows() -> None:
    """The representations of seals, sealers and tokens have no key in them."""
    seal, _ = SEALER.new(ONE)
    for value in (seal, SEALER, TOKENS):
        text = f"{value!r}{value}"
        for secret in (seal.key, SEALER.storage.current().value, TOKENS.index.current().value):
            assert repr(secret)[2:-1] not in text
            assert secret.hex() not in text


# --- Subject tokens


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("nik", ("3603082904880001", " 3603 0829 0488 0001 ", "3603082904880001\n", "3603\u00a00829\u20090488 0001")),
        ("travel-document", ("IDNA1234567", "idna1234567", "IDN A1234567", "idn\ta 123 4567")),
        ("case", ("LP/B/17/XI/2026/SPKT POLDA", "lp/b/17/xi/2026/spktpolda", " LP/B/17/XI/2026/ SPKT POLDA")),
    ],
)
def test_the_spellings_of_an_identifier_have_one_token(kind: str, spellings: tuple[str, ...]) -> None:
    """Blanks of every kind and the case of letters do not hide a person from a search."""
    assert len({TOKENS.token(kind, spelling) for spelling in spellings}) == 1


def test_different_identifiers_have_different_tokens() -> None:
    """Another value, another kind, another key; and kind and value cannot be exchanged for one another."""
    tokens = {
        TOKENS.token("nik", "1"),
        TOKENS.token("nik", "2"),
        TOKENS.token("nip", "1"),
        TOKENS.token("nik1", ""),
        TOKENS.token("ni", "k1"),
        TOKENS.token("nik", "NIK1"),
        TOKENS.token("nik", "1/"),
        TOKENS.token("nik", "1-"),
        SubjectTokens(Ring(Secret("index-1", bytes(32)))).token("nik", "1"),
    }
    assert len(tokens) == 9


def test_a_token_is_keyed_and_stays_what_it_was() -> None:
    """HMAC-SHA256 over kind and normalised value: no plain hash that could be guessed, and the index outlives releases."""
    token = TOKENS.token("nik", " 3603 0829 0488 0001")
    assert token == hmac.new(TOKENS.index.current().value, b"nik\n3603082904880001", hashlib.sha256).hexdigest()
    assert hashlib.sha256(b"nik\n3603082904880001").hexdigest() != token


# --- What is found of a person


def test_every_identifier_of_claims_and_body_is_found() -> None:
    """Case and officer of the claims; numbers, telephones, documents and tokens of persons wherever they stand in the body."""
    body: dict[str, Any] = {
        "subject": {
            "nik": "3603082904880001",
            "travel_documents": [{"type": "P", "issuing_state": "IDN", "number": "A1"}],
        },
        "lists": [[{"phone": "+62811"}, {"officer": {"nip": "198804122012032001"}}]],
        "document": {"issuing_state": "CHN", "number": "E2"},
        "reporter": {"pseudonym": "W-1", "contact": "+62812"},
        "victim_token": "KRB-K7X2-M4QZ-T9WD",
        "guardian": {"person": {"nik": "3602215205850002"}, "phone": "+62813"},
        "case": {"victim_refs": ["KRB-B3NF-R8HC-V6JP"], "child_suspect_refs": ["ANK-D5RK-W2VN-H7LS"]},
        "acknowledged": [{"reference": "KRB-Z2TC-J9PB-N5GX"}, {"reference": "SRG-2026-000117"}],
        "signatory": {"nrp": "85031234"},
        "number": "17",
        "note": "nik 3603082904880009",
    }
    found = identifiers(claims(case=Case("LP", "LP/1"), officer=Officer("OFF1", "ANALYST")), body)
    assert found == {
        ("case", "LP/1"),
        ("typed-case", "LP:LP/1"),
        ("officer", "OFF1"),
        ("nik", "3603082904880001"),
        ("travel-document", travel_document_value("IDN", "A1")),
        ("travel-document", "CHNE2"),
        ("document-number", "A1"),
        ("document-number", "E2"),
        ("phone", "+62811"),
        ("phone", "+62812"),
        ("nip", "198804122012032001"),
        ("nrp", "85031234"),
        ("nik", "3602215205850002"),
        ("phone", "+62813"),
        ("person-token", "KRB-K7X2-M4QZ-T9WD"),
        ("person-token", "KRB-B3NF-R8HC-V6JP"),
        ("person-token", "ANK-D5RK-W2VN-H7LS"),
        ("person-token", "KRB-Z2TC-J9PB-N5GX"),
    }
    assert {kind for kind, _ in found} - {"case", "typed-case", "officer", "document-number"} == SUBJECT_KINDS
    assert identifiers(claims(), {}) == frozenset()


@seldom
@given(st.dictionaries(st.sampled_from(["nik", "nip", "phone", "number", "issuing_state", "a"]), values, max_size=4))
def test_a_body_of_any_shape_is_searched_without_an_accident(body: dict[str, Any]) -> None:
    """Before its schema was looked at, anything can stand under these names; only text is an identifier."""
    found = identifiers(claims(), body)
    assert all(isinstance(value, str) for _, value in found)
    assert {value for kind, value in found if kind == "nik"} >= {
        body[name] for name in ("nik",) if isinstance(body.get(name), str)
    }


IDENTIFYING = ("/Nik", "/Phone", "/Nip")
FORMATS = {"nik", "nip"}


def identifying(schema: Any) -> Iterator[str]:
    """Names of the properties that the published schemas say hold an identifier of a person."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        for name, inner in properties.items() if isinstance(properties, dict) else ():
            if isinstance(inner, dict) and (
                str(inner.get("$ref", "")).endswith(IDENTIFYING) or inner.get("format") in FORMATS
            ):
                yield name
        for inner in schema.values():
            yield from identifying(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from identifying(inner)


def test_no_identifier_of_the_published_schemas_is_overlooked() -> None:
    """Every property that is a NIK, a NIP or a telephone is found under its name: a new one cannot be forgotten."""
    named = {
        name
        for file in resources.schemas_dir().rglob("*.json")
        if "examples" not in file.parts
        for name in identifying(json.loads(file.read_text("utf-8")))
    }
    assert {"nik", "nip", "phone", "contact"} <= named
    for name in named:
        assert len(identifiers(claims(), {"a": [{name: "some value"}]})) == 1, name

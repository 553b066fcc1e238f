"""Entries: what may be written down for ever, and its one spelling."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError, Reason
from gateway.ledger import canonical, entry
from tests.ledger.entries import ACCEPTED, DIGEST, KEY, NIK, NOW, ONE_OF_EACH, REFUSED, TRANSFER


def test_an_accepted_transfer_is_these_bytes() -> None:
    """The golden leaf: RFC 8785 order and spelling, nothing that was not given."""
    assert ACCEPTED.leaf().decode() == (
        '{"agreement":"pks-banten-2025","agreement_version":3,"classification":"T","clause":"Pasal 5 ayat (2) huruf a",'
        f'"commitment":"{DIGEST}","exp":1795000000,"key":"{KEY}","kind":"transfer.accepted","purpose":"public-safety",'
        '"recipient":"polda-banten","retain_until":"2031-11-20","rule":"early-warning","sender":"pemprov-banten",'
        f'"time":"2026-11-20T08:30:15.000042Z","transfer":"{TRANSFER}","type":"early-warning.report/1","v":1,'
        '"withheld":["/body/reporter/name","/body/a~1b"]}'
    )


def test_a_refusal_keeps_every_reason_and_no_words() -> None:
    """Reasons are recorded as code, clause and pointer; their detail, written for the caller, is not evidence."""
    members = REFUSED.as_json()
    assert members["reasons"] == [
        {"code": "rule.case-required", "clause": "Pasal 7", "pointer": "/case"},
        {"code": "schema.violated"},
    ]
    assert members.keys() == {"v", "kind", "time", "transfer", "sender", "key", "commitment", "reasons"}


def test_each_kind_is_shown_here() -> None:
    """The examples of this file cover every kind there is."""
    assert {one.kind for one in ONE_OF_EACH} == set(entry.KINDS)


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=lambda one: str(one.kind))
def test_decoding_undoes_encoding(one: entry.Entry) -> None:
    """A leaf decodes to the members it was made of, and encodes to the same bytes again."""
    leaf = one.leaf()
    assert entry.decode(leaf) == one.as_json()
    assert entry.encode(entry.decode(leaf)) == leaf == rfc8785.dumps(one.as_json())


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=lambda one: str(one.kind))
def test_the_members_of_a_kind_are_closed(one: entry.Entry) -> None:
    """A kind with a member more, or a required one less, is neither written nor read."""
    members = one.as_json()
    with pytest.raises(LedgerInvalidError):
        entry.encode({**members, "note": "x"})
    with pytest.raises(LedgerInvalidError):
        entry.decode(rfc8785.dumps({**members, "note": "x"}))
    for name in entry.KINDS[one.kind].required:
        fewer = {other: value for other, value in members.items() if other != name}
        with pytest.raises(LedgerInvalidError):
            entry.decode(rfc8785.dumps(fewer))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2), ("v", "1"), ("v", True), ("time", "2026-11-20T08:30:15Z"), ("time", "2026-02-30T08:30:15.000000Z"),
        ("time", "2026-11-20T08:30:15.000000+00:00"), ("time", "2026-11-20T24:00:00.000000Z"), ("time", 0),
        ("transfer", "short"), ("transfer", "has space 123"), ("sender", ""), ("sender", "Budi Santoso"),
        ("sender", "x" * 129), ("type", None), ("classification", "T\n"), ("agreement_version", -1),
        ("agreement_version", True), ("clause", ""), ("clause", "x" * 201), ("clause", "Pasal\n5"), ("key", "short"),
        ("key", KEY + "="), ("commitment", DIGEST.upper()), ("commitment", DIGEST[:-1]), ("exp", -1), ("exp", "soon"),
        ("retain_until", "2031-13-01"), ("retain_until", "20311120"), ("withheld", "/body"), ("withheld", ["body"]),
        ("withheld", ["/a~2"]), ("withheld", ["/a b"]), ("withheld", ["/" + "a" * 512]), ("withheld", ["/a"] * 257),
        ("in_reply_to", "short"), ("reply_as", "replies"), ("acknowledge_by", "2026-11-20"), ("flags", []),
        ("flags", [{"code": "rule.quota", "detail": "x"}]), ("approvals", []), ("approvals", [KEY, KEY]),
        ("approvals", ["officer-7"]), ("notice", 1),
        ("kind", "Transfer Accepted"), ("kind", None), ("kind", ["transfer.accepted"]),
    ],
)  # fmt: skip
def test_a_member_of_the_wrong_form_is_refused(name: str, value: object) -> None:
    """Every member is bounded and typed, in what is written and in what is read."""
    members = {**ACCEPTED.as_json(), name: value}
    with pytest.raises(LedgerInvalidError):
        entry.encode(members)
    with pytest.raises(LedgerInvalidError):
        entry.decode(rfc8785.dumps(members))


@pytest.mark.parametrize(
    "reasons",
    [
        (),
        (Reason("not a code"),),
        (Reason("rule.none", pointer="body"),),
        (Reason("rule.none", clause=""),),
        tuple(Reason("rule.none") for _ in range(65)),
    ],
)
def test_a_refusal_without_good_reasons_is_refused(reasons: tuple[Reason, ...]) -> None:
    """A refusal has between 1 and 64 reasons, each a code with at most a clause and a pointer."""
    with pytest.raises(LedgerInvalidError):
        entry.TransferRefused(
            time=NOW, transfer=TRANSFER, sender="pemprov-banten", key=KEY, commitment=DIGEST, reasons=reasons
        )


def test_reasons_hold_nothing_else() -> None:
    """A reason read from a leaf has no member beside code, clause and pointer."""
    for reason in ({"code": "rule.none", "detail": "x"}, {"clause": "Pasal 7"}, "rule.none"):
        with pytest.raises(LedgerInvalidError):
            entry.decode(rfc8785.dumps({**REFUSED.as_json(), "reasons": [reason]}))


CARELESS: list[Callable[[], entry.Entry]] = [
    lambda: entry.OperatorAct(time=NOW, who=NIK, what="agencies.add", why="T-1"),
    lambda: entry.OperatorAct(time=NOW, who="op-3", what="transfers.search", why=f"nik-{NIK}"),
    lambda: entry.OperatorAct(time=NOW, who="budi@example.go.id", what="agencies.add", why="T-1"),
    lambda: entry.OperatorAct(time=NOW, who="op-3", what="agencies.add", why="Budi asked for it"),
    lambda: entry.OperatorAct(time=NOW, who="op-3", what="holds.add", why="T-1", about=NIK),
    lambda: entry.AuditRead(
        time=NOW, auditor="auditor-7", role="x", what="transfers.search", filters={"subject": NIK}, results=0
    ),
    lambda: entry.AuditRead(
        time=NOW, auditor="auditor-7", role="x", what="transfers.search", filters={"name": "Budi Santoso"}, results=0
    ),
]


@pytest.mark.parametrize("careless", CARELESS)
def test_a_person_is_not_written_down(careless: Callable[[], entry.Entry]) -> None:
    """Where a caller's own word could enter, sentences, mail addresses and NIKs are refused, and not repeated."""
    with pytest.raises(LedgerInvalidError) as refused:
        careless()
    assert NIK not in str(refused.value)
    assert "Budi" not in str(refused.value)


def test_an_act_may_be_about_any_proposal() -> None:
    """A proposal is known by its digest, and one digest in a hundred has sixteen digits in a row, as a NIK has."""
    about = "2067200458722783b200dc9592b59f91423670bbf472ec5d8296b56b18e60195"
    act = entry.OperatorAct(time=NOW, who="op-3", what="operators.withdraw", why="T-1", about=about)
    assert entry.decode(act.leaf())["about"] == about
    with pytest.raises(LedgerInvalidError):
        entry.OperatorAct(time=NOW, who="op-3", what="operators.withdraw", why="T-1", about=about + "0")


def test_only_codes_are_recordable() -> None:
    """A filter's value is recorded when it is a code, and otherwise only the filter's name is."""
    assert entry.recordable("early-warning.report/1") == "early-warning.report/1"
    assert [entry.recordable(text) for text in (NIK, "Budi Santoso", "", "x" * 129, "a\n")] == [None] * 5


def test_a_later_kind_passes_when_its_frame_is_right() -> None:
    """An entry of an unknown kind reads back whole, but not with another version, and not without a time."""
    later: dict[str, Any] = {
        "v": 1,
        "kind": "transfer.dreamt",
        "time": entry.timestamp(NOW),
        "what": ["never", "seen", 1, None],
    }
    assert entry.decode(rfc8785.dumps(later)) == later
    with pytest.raises(LedgerInvalidError):
        entry.decode(rfc8785.dumps({**later, "v": 2}))
    with pytest.raises(LedgerInvalidError):
        entry.decode(rfc8785.dumps({**later, "time": None}))


FRAME = {"v": 1, "kind": "test.kind", "time": "2026-11-20T08:30:15.000000Z"}


@pytest.mark.parametrize(
    "leaf",
    [
        b"", b"{}", b"[]", b"null", b"1", b'"x"', b"\xff", b"\xef\xbb\xbf{}", b"{", b"[" * 60_000, b'{"a":' * 10_000,
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1} ',
        b'{"kind":"test.kind", "time":"2026-11-20T08:30:15.000000Z","v":1}',
        b'{"v":1,"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z"}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"v":1}',
        b'{"kind":"test\\u002ekind","time":"2026-11-20T08:30:15.000000Z","v":1}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1.0}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":1e3}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":NaN}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":-0}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":9007199254740992}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":"\\ud800"}',
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":' + b"[" * 8 + b"]" * 8 + b"}",
        '{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"é":1}'.encode(),
        b'{"kind":"test.kind","time":"2026-11-20T08:30:15.000000Z","v":1,"x":"' + b"x" * 65_535 + b'"}',
    ],
    ids=range(25),
)  # fmt: skip
def test_bytes_in_another_spelling_are_no_entry(leaf: bytes) -> None:
    """White space, another order, duplicates, escapes, floats, depth, size: only the one canonical form decodes."""
    with pytest.raises(LedgerInvalidError):
        entry.decode(leaf)


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), 2**53, -(2**53), "\ud800", b"bytes", {1: "x"}, {"é": 1}, {1, 2}, NOW, object()]
)
def test_what_has_no_canonical_form_is_not_written(value: object) -> None:
    """Floats, large integers, lone surrogates and values that are not JSON never reach a leaf."""
    with pytest.raises(LedgerInvalidError):
        entry.encode({**FRAME, "x": value})


def test_the_size_and_depth_of_an_entry_are_bounded() -> None:
    """A leaf of 65,535 bytes is the largest, and eight levels the deepest, in writing and in reading."""
    largest = {**FRAME, "x": ""}
    largest["x"] = "x" * (entry.LEAF_LIMIT - len(entry.encode(largest)))
    assert len(entry.encode(largest)) == entry.LEAF_LIMIT
    assert entry.decode(entry.encode(largest)) == largest
    nested: Any = 1
    for _ in range(7):
        nested = [nested]
    assert entry.decode(entry.encode({**FRAME, "x": nested, "y": "é"}))["x"] == nested
    for over in ({**FRAME, "x": [nested]}, {**largest, "x": str(largest["x"]) + "x"}):
        with pytest.raises(LedgerInvalidError):
            entry.encode(over)


def test_too_many_withheld_fields_for_a_leaf_are_refused() -> None:
    """Members within their own bounds can still be too long together; the leaf is then refused, not cut."""
    pointers = tuple(f"/body/{number:03d}{'x' * 400}" for number in range(256))
    members = {**ACCEPTED.as_json(), "withheld": list(pointers)}
    with pytest.raises(LedgerInvalidError):
        entry.encode(members)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=300, deadline=None)
def test_canonical_form_is_that_of_rfc_8785(value: object) -> None:
    """In the narrowed domain the fast encoder writes the bytes of an independent RFC 8785 implementation."""
    try:
        data = canonical.dumps(value)
    except LedgerInvalidError:
        return
    assert data == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert canonical.loads(data) == value


@given(values, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=200, deadline=None)
def test_reading_accepts_only_what_writing_makes(value: object, ascii_only: bool, indent: int | None) -> None:
    """Whatever another JSON writer makes of a value is either refused or is the canonical form."""
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    try:
        found = canonical.loads(data)
    except LedgerInvalidError:
        return
    assert canonical.dumps(found) == data


@given(st.integers(0, 10**16), st.timezones() | st.just(UTC))
@settings(max_examples=100, deadline=None)
def test_instant_undoes_timestamp(microseconds: int, zone: tzinfo) -> None:
    """Every moment has one spelling, whatever zone it came in, and reads back as the same moment."""
    moment = (datetime(1970, 1, 2, tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(zone)
    text = entry.timestamp(moment)
    assert len(text) == 27
    assert entry.instant(text) == moment.astimezone(UTC)


def test_the_order_of_times_is_the_order_of_strings() -> None:
    """Fixed width and one zone make entries comparable without parsing."""
    west = datetime(2026, 11, 20, 15, 0, tzinfo=timezone(timedelta(hours=7)))
    assert entry.timestamp(west) == "2026-11-20T08:00:00.000000Z" < entry.timestamp(NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    """An entry's time never depends on the machine's time zone."""
    with pytest.raises(LedgerInvalidError):
        entry.timestamp(datetime(2026, 11, 20, 8, 0))  # noqa: DTZ001 - the attack
    with pytest.raises(LedgerInvalidError):
        entry.instant("2026-11-20T08:00:00.000000")


def test_a_commitment_is_an_hmac_of_the_signed_jwt() -> None:
    """The commitment is HMAC-SHA256 in lowercase hex, so that a party with the key can open it with any tool."""
    key = bytes(range(32))
    assert entry.commitment(key, "a.b.c") == hmac.new(key, b"a.b.c", hashlib.sha256).hexdigest()
    assert entry.commitment(key, "a.b.c") != entry.commitment(bytes(32), "a.b.c")


@pytest.mark.parametrize(
    ("key", "jwt"),
    [(b"short", "a.b.c"), (bytes(33), "a.b.c"), (bytes(32), ""), (bytes(32), "a.b.c~"), (bytes(32), "a.é.c")],
)
def test_a_commitment_to_something_else_is_refused(key: bytes, jwt: str) -> None:
    """A guessable key, or a message with its disclosures still attached, is a mistake worth stopping."""
    with pytest.raises(LedgerInvalidError):
        entry.commitment(key, jwt)

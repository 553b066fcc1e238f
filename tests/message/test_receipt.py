"""Receipts and releases: exact members in both directions, and a fault is always said in the same way."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CODES, MalformedError, Reason, ReceiptError, SignatureInvalidError, TooLargeError
from gateway.keyring import KeyringSigner
from gateway.message.envelope import MESSAGE_TYP
from gateway.statements.receipt import (
    RECEIPT_LIMIT,
    RECEIPT_TYP,
    RELEASE_TYP,
    Acknowledgement,
    GatewayReceipt,
    Release,
    parse_acknowledgement,
    read_gateway_receipt,
    read_release,
    sign_acknowledgement,
    sign_gateway_receipt,
    sign_release,
    verify_acknowledgement,
)
from tests.message.making import (
    DIGEST,
    ED,
    ISSUED,
    OTHER,
    RECEIPT,
    SIGNERS,
    TRANSFER,
    header,
    often,
    said,
    sign,
    values,
)

ACKNOWLEDGED: dict[str, Any] = {
    "iss": "polda-banten",
    "aud": "sinergi-banten",
    "iat": ISSUED,
    "jti": "receipt-0001",
    "transfer": TRANSFER,
    "event": "delivered",
    "sd_hash": DIGEST,
}
REFUSAL = GatewayReceipt(
    **{name: getattr(RECEIPT, name) for name in RECEIPT.__slots__ if name not in {"event", "rule", "reasons"}},
    event="refused",
    reasons=(
        Reason("rule.condition", clause="Pasal 5", pointer="/body/region_code", detail="in words, for the log"),
        Reason("rule.case-required"),
        Reason("schema.violated", pointer=""),
    ),
)
RELEASE = Release(
    iss="sinergi-banten",
    aud="polda-banten",
    iat=ISSUED,
    jti="release-0001",
    transfer=TRANSFER,
    sd_hash=DIGEST,
    withheld=("/body/reporter", "/body/a~1b"),
    commitment_key="0f" * 32,
)
MARK = "MARK7f3a"


def receipt(payload: Any, typ: str = RECEIPT_TYP, signer: KeyringSigner = ED) -> str:
    return sign(payload, header(signer, typ=typ), signer)


def refused(payload: Any) -> ReceiptError:
    with pytest.raises(ReceiptError) as caught:
        parse_acknowledgement(receipt(payload))
    assert type(caught.value) is ReceiptError
    assert caught.value.code == "receipt.malformed"
    return caught.value


# --- Acknowledgements


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
@pytest.mark.parametrize("event", ["delivered", "processed", "rejected"])
def test_an_acknowledgement_comes_back(event: str, signer: KeyringSigner) -> None:
    """What a recipient signs is what the gateway reads, under either algorithm; a rejection may have reasons."""
    for reasons in ((), ("not-for-us", "x", "A.b_c~d-" * 8)) if event == "rejected" else ((),):
        said_of_it = Acknowledgement(**{**ACKNOWLEDGED, "event": event}, reasons=reasons)
        unverified = parse_acknowledgement(sign_acknowledgement(said_of_it, signer))
        assert unverified.claims == said_of_it
        assert verify_acknowledgement(unverified, signer.public) == said_of_it


def test_an_acknowledgement_has_exactly_its_members() -> None:
    """The signed members, written out: what a foreign implementation has to send."""
    text = sign_acknowledgement(Acknowledgement(**{**ACKNOWLEDGED, "event": "rejected"}, reasons=("spam",)), ED)
    assert parse_acknowledgement(text).jws.payload == ACKNOWLEDGED | {
        "event": "rejected",
        "reasons": [{"code": "spam"}],
    }


def test_an_acknowledgement_of_another_key_is_refused() -> None:
    """Nobody acknowledges for another agency."""
    text = receipt(ACKNOWLEDGED, signer=KeyringSigner(ED.public, OTHER.sign))
    with pytest.raises(SignatureInvalidError):
        verify_acknowledgement(parse_acknowledgement(text), ED.public)


@pytest.mark.parametrize("name", ACKNOWLEDGED)
def test_every_member_of_an_acknowledgement_is_required(name: str) -> None:
    """Missing, null and doubled."""
    refused({key: value for key, value in ACKNOWLEDGED.items() if key != name})
    refused(ACKNOWLEDGED | {name: None})
    refused(json.dumps(ACKNOWLEDGED)[:-1] + f', "{name}": {json.dumps(ACKNOWLEDGED[name])}}}')


@pytest.mark.parametrize("name", ["exp", "nbf", "index", "origin", "rule", "clause", "note", "", "commitment_key"])
def test_an_acknowledgement_has_no_other_member(name: str) -> None:
    """A recipient adds nothing: not a date, not a place in the ledger, not prose."""
    refused(ACKNOWLEDGED | {name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ACKNOWLEDGED for value in (True, 1.0, [], {}, [ACKNOWLEDGED[name]], "")]
    + [
        ("event", "accepted"),
        ("event", "refused"),
        ("event", "Delivered"),
        ("event", "delivered "),
        ("event", "expired"),
        ("iss", "Polda"),
        ("iss", "polda-banten\n"),
        ("aud", "https://gateway.example"),
        ("jti", "short"),
        ("jti", "a" * 129),
        ("transfer", "1"),
        ("transfer", TRANSFER.replace("-", "")),
        ("transfer", "{" + TRANSFER + "}"),
        ("sd_hash", DIGEST[:-1]),
        ("sd_hash", DIGEST + "="),
        ("sd_hash", "é" * 43),
        ("sd_hash", "3201\n" + "a" * 38),
        ("sd_hash", "+" * 43),
        ("iat", -1),
        ("iat", str(ISSUED)),
        ("iat", 253_402_300_800),
        ("iat", 2**53 - 1),
    ],
    ids=repr,
)
def test_a_member_of_an_acknowledgement_has_its_form(name: str, value: Any) -> None:
    """Types and forms; an `iat` that no date can hold would otherwise fail after it was accepted."""
    refused(ACKNOWLEDGED | {name: value})


@pytest.mark.parametrize("event", ["delivered", "processed"])
def test_only_a_rejection_has_reasons(event: str) -> None:
    """Not even an empty array of them stands elsewhere."""
    for reasons in ([{"code": "spam"}], []):
        refused(ACKNOWLEDGED | {"event": event, "reasons": reasons})


@pytest.mark.parametrize(
    "reasons",
    [
        [],
        None,
        "spam",
        {"code": "spam"},
        ["spam"],
        [None],
        [{}],
        [{"code": "spam", "detail": "prose"}],
        [{"code": "spam", "clause": "1"}],
        [{"code": ""}],
        [{"code": "a" * 65}],
        [{"code": "in prose"}],
        [{"code": "a/b"}],
        [{"code": "é"}],
        [{"code": 1}],
        [{"code": None}],
        [{"code": ["spam"]}],
        [{"code": "spam"}] * 17,
        [{"code": "spam"}, "spam"],
        [[{"code": "spam"}]],
    ],
    ids=lambda reasons: repr(reasons)[:40],
)
def test_a_rejection_has_codes_and_no_prose(reasons: Any) -> None:
    """1 to 16 objects with a code of 1 to 64 plain characters: nothing in which a name or a NIK could stand."""
    refused(ACKNOWLEDGED | {"event": "rejected", "reasons": reasons})


def test_sixteen_reasons_fit() -> None:
    """The limit itself is within."""
    text = receipt(ACKNOWLEDGED | {"event": "rejected", "reasons": [{"code": "a" * 64}] * 16})
    assert len(parse_acknowledgement(text).claims.reasons) == 16


def test_a_receipt_of_8192_bytes_is_the_largest() -> None:
    """The size is counted before anything is decoded."""
    with pytest.raises(ReceiptError, match="8,192"):
        parse_acknowledgement("a" * (RECEIPT_LIMIT + 1))
    with pytest.raises(ReceiptError, match="three parts"):
        parse_acknowledgement("a" * RECEIPT_LIMIT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "a.b.c",
        receipt(ACKNOWLEDGED) + "~",
        receipt(ACKNOWLEDGED) + "\n",
        receipt(ACKNOWLEDGED) + "=",
        receipt(ACKNOWLEDGED, "release+jwt"),
        receipt(ACKNOWLEDGED, MESSAGE_TYP),
        receipt([]),
        sign(ACKNOWLEDGED, header(typ=RECEIPT_TYP, alg="none")),
        sign(ACKNOWLEDGED, header(typ=RECEIPT_TYP) | {"jwk": {}}),
        sign(ACKNOWLEDGED, header(typ=RECEIPT_TYP, kid="k" * 2000)),
        receipt("[" * 2000),
        receipt(ACKNOWLEDGED | {"reasons": [[[[[1]]]]]}),
        "\ud800.a.b",
        "é",
    ],
    ids=lambda text: repr(text[-30:]),
)
def test_whatever_is_wrong_with_a_receipt_is_receipt_malformed(text: str) -> None:
    """One class of error for one batch entry: also where the container, its header or its depth is at fault."""
    with pytest.raises(ReceiptError) as caught:
        parse_acknowledgement(text)
    assert caught.value.code == "receipt.malformed"


@often
@given(st.dictionaries(st.sampled_from([*ACKNOWLEDGED, "reasons", "x"]), values, max_size=3))
def test_arbitrary_members_are_refused_in_one_way_only(changes: dict[str, Any]) -> None:
    """Rightly signed receipts with any JSON in any member: read as they are, or `receipt.malformed`."""
    try:
        read = parse_acknowledgement(receipt(ACKNOWLEDGED | changes)).claims
    except ReceiptError:
        return
    assert read.as_json() == ACKNOWLEDGED | changes


def test_an_error_about_a_receipt_never_repeats_it() -> None:
    """No value of the receipt is in what is answered or logged."""
    faults = [{name: f"{MARK}\n"} for name in ACKNOWLEDGED] + [
        {MARK: MARK},
        {"reasons": MARK},
        {"event": "rejected", "reasons": [{"code": f"{MARK} {MARK}"}]},
        {"event": "rejected", "reasons": [{MARK: MARK}]},
    ]
    for fault in faults:
        assert MARK not in said(refused(ACKNOWLEDGED | fault))


# --- What the gateway signs


@pytest.mark.parametrize("written", [RECEIPT, REFUSAL], ids=["accepted", "refused"])
def test_a_gateway_s_receipt_comes_back_without_its_details(written: GatewayReceipt) -> None:
    """Sender and gateway read the same; what is in words for the log is not signed."""
    read = read_gateway_receipt(sign_gateway_receipt(written, ED), ED.public)
    assert read.as_json() == written.as_json()
    assert all(reason.detail is None for reason in read.reasons)
    assert "in words" not in json.dumps(written.as_json())


def test_a_gateway_s_receipt_has_exactly_its_members() -> None:
    """The signed members, written out: what a sender's own implementation has to read."""
    assert RECEIPT.as_json() == {
        "iss": "sinergi-banten",
        "aud": "imigrasi-banten",
        "iat": ISSUED,
        "jti": "receipt-0002",
        "transfer": TRANSFER,
        "event": "accepted",
        "sd_hash": DIGEST,
        "origin": "gateway.example/ledger/pks-banten-2025",
        "index": 7,
        "leaf_hash": DIGEST,
        "commitment_key": "0f" * 32,
        "rule": "r1",
        "clause": "Pasal 5 ayat (1)",
    }
    assert REFUSAL.as_json()["reasons"] == [
        {"code": "rule.condition", "clause": "Pasal 5", "pointer": "/body/region_code"},
        {"code": "rule.case-required"},
        {"code": "schema.violated", "pointer": ""},
    ]
    assert "rule" not in REFUSAL.as_json()


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_table_can_be_a_reason(code: str) -> None:
    """A sender's library knows every code that its gateway may sign."""
    payload = REFUSAL.as_json() | {"reasons": [{"code": code}]}
    assert read_gateway_receipt(receipt(payload), ED.public).reasons == (Reason(code),)


@pytest.mark.parametrize("name", [name for name in RECEIPT.as_json() if name not in {"rule", "clause"}])
def test_every_member_of_a_gateway_s_receipt_is_required(name: str) -> None:
    """Without it there is no evidence."""
    payload = {key: value for key, value in RECEIPT.as_json().items() if key != name}
    with pytest.raises(MalformedError):
        read_gateway_receipt(receipt(payload), ED.public)


@pytest.mark.parametrize(
    "change",
    [{name: value} for name in RECEIPT.as_json() for value in (None, True, 1.5, [], {}, [1])]
    + [
        {"note": "x"},
        {"exp": ISSUED},
        {"detail": "x"},
        {"event": "delivered"},
        {"event": "ACCEPTED"},
        {"index": -1},
        {"index": "7"},
        {"leaf_hash": "x"},
        {"leaf_hash": "0f" * 32},
        {"commitment_key": "0F" * 32},
        {"commitment_key": DIGEST},
        {"transfer": "x"},
        {"origin": ""},
        {"reasons": []},
        {"reasons": [{"code": "rule.none"}]},
        {"event": "refused", "reasons": "rule.none"},
        {"event": "refused", "reasons": {"code": "rule.none"}},
        {"event": "refused", "reasons": ["rule.none"]},
        {"event": "refused", "reasons": [{"code": "rule.unheard-of"}]},
        {"event": "refused", "reasons": [{"code": ["rule.none"]}]},
        {"event": "refused", "reasons": [{"clause": "1"}]},
        {"event": "refused", "reasons": [{"code": "rule.none", "clause": 1}]},
        {"event": "refused", "reasons": [{"code": "rule.none", "pointer": None}]},
        {"event": "refused", "reasons": [{"code": "rule.none", "detail": "x"}]},
    ],
    ids=str,
)
def test_a_gateway_s_receipt_is_read_exactly(change: dict[str, Any]) -> None:
    """A member of another type, form or name is malformed, never an exception of Python's."""
    with pytest.raises(MalformedError):
        read_gateway_receipt(receipt(RECEIPT.as_json() | change), ED.public)


def test_a_receipt_of_an_erased_message_has_a_date_in_place_of_the_key() -> None:
    """One of the two and never both: whoever reads it knows whether the entry can still be opened."""
    written = replace(RECEIPT, commitment_key="", erased_at=ISSUED + 60, reasons=())
    claims = written.as_json()
    assert ("commitment_key" in claims, claims["erased_at"]) == (False, ISSUED + 60)
    assert read_gateway_receipt(sign_gateway_receipt(written, ED), ED.public) == written
    for wrong in ({"commitment_key": "0f" * 32}, {"erased_at": True}, {"erased_at": -1}):
        with pytest.raises(MalformedError):
            read_gateway_receipt(receipt(claims | wrong), ED.public)


def test_a_release_comes_back() -> None:
    """Gateway and recipient read the same, also where nothing is withheld."""
    for written in (
        RELEASE,
        Release(**{name: getattr(RELEASE, name) for name in RELEASE.__slots__} | {"withheld": ()}),
    ):
        assert read_release(sign_release(written, ED), ED.public) == written
    assert RELEASE.as_json() == {
        "iss": "sinergi-banten",
        "aud": "polda-banten",
        "iat": ISSUED,
        "jti": "release-0001",
        "transfer": TRANSFER,
        "sd_hash": DIGEST,
        "withheld": ["/body/reporter", "/body/a~1b"],
        "commitment_key": "0f" * 32,
    }


@pytest.mark.parametrize(
    "change",
    [{name: value} for name in RELEASE.as_json() for value in (None, True, 1.5, {}, [1], "")]
    + [{"withheld": "/body/reporter"}, {"withheld": [["/body"]]}, {"event": "accepted"}, {"reasons": []}, {"x": 1}],
    ids=str,
)
def test_a_release_is_read_exactly(change: dict[str, Any]) -> None:
    """A string of pointers is not taken for its characters, and nothing is taken for something else."""
    with pytest.raises(MalformedError):
        read_release(receipt(RELEASE.as_json() | change, RELEASE_TYP), ED.public)


@pytest.mark.parametrize("name", RELEASE.as_json())
def test_every_member_of_a_release_is_required(name: str) -> None:
    """`withheld` too: a release that does not say what is missing says that nothing can be relied on."""
    payload = {key: value for key, value in RELEASE.as_json().items() if key != name}
    with pytest.raises(MalformedError):
        read_release(receipt(payload, RELEASE_TYP), ED.public)


def test_one_statement_is_never_taken_for_another() -> None:
    """A receipt is no release, a release no receipt, and what a recipient says is not what the gateway says."""
    with pytest.raises(MalformedError, match="typ"):
        read_release(sign_gateway_receipt(RECEIPT, ED), ED.public)
    with pytest.raises(MalformedError, match="typ"):
        read_gateway_receipt(sign_release(RELEASE, ED), ED.public)
    with pytest.raises(MalformedError, match="members"):
        read_gateway_receipt(receipt(ACKNOWLEDGED), ED.public)
    refused(RECEIPT.as_json())


def test_another_gateway_s_statements_are_refused() -> None:
    """The signature is checked before any member is believed."""
    for read, text in (
        (read_gateway_receipt, sign_gateway_receipt(RECEIPT, OTHER)),
        (read_release, sign_release(RELEASE, OTHER)),
    ):
        with pytest.raises(SignatureInvalidError):
            read(text, ED.public)
        with pytest.raises((MalformedError, TooLargeError)):
            read("a" * 10_000, ED.public)

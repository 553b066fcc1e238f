"""Rows beside their entries: what is compared as bytes says the same as what is taken apart."""

import hashlib
import json
from collections import namedtuple
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import Reason
from gateway.ledger.entry import TransferAccepted, TransferAcknowledged, TransferRefused, decode
from gateway.store.correspondence import _LISTS, _OWN, _SHARED, _as_written, _Message, _Receipt

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
COLUMNS = ["position", *(name for name, _ in _OWN), "expires_at", "decision", *_LISTS, *(name for name, _ in _SHARED)]
Row = namedtuple("Row", COLUMNS)  # type: ignore[misc]  # noqa: PYI024 - as SQLAlchemy's
Receipt = namedtuple("Receipt", ["position", "transfer", "event", "jws"])  # noqa: PYI024
ACCEPTED = TransferAccepted(
    time=NOW, transfer="transfer-1", sender="imigrasi", recipient="polda", type="a.report/1", purpose="PREVENTION",
    classification="T", agreement="pks", agreement_version=1, rule="r-1", clause="1", key="k" * 43,
    commitment="c" * 64, exp=1, retain_until="2030-01-01", withheld=("/body/name", "/body/nik"),
    flags=[Reason(code="rule.quota", clause="2")], approvals=("a" * 43, "b" * 43),
)  # fmt: skip
REFUSED = TransferRefused(
    time=NOW, transfer="transfer-2", sender="imigrasi", recipient="polda", type="a.report/1", key="k" * 43,
    commitment="c" * 64, clause="1", reasons=[Reason(code="rule.condition", clause="2", pointer="/body/x")],
)  # fmt: skip
PLAIN = TransferAccepted(
    time=NOW, transfer="transfer-4", sender="imigrasi", recipient="polda", type="a.report/1", purpose="PREVENTION",
    classification="T", agreement="pks", agreement_version=1, rule="r-1", clause="1", key="k" * 43,
    commitment="c" * 64, exp=1, retain_until="2030-01-01", withheld=("/body/name", "/body/nik"), acknowledge_by=NOW,
)  # fmt: skip
DATED = TransferRefused(
    time=NOW, transfer="transfer-5", sender="imigrasi", recipient="polda", type="a.report/1", key="k" * 43,
    commitment="c" * 64, clause="1", exp=1, reasons=[Reason(code="rule.condition", clause="2", pointer="/body/x")],
)  # fmt: skip
BARE = TransferRefused(
    time=NOW, transfer="transfer-3", sender="imigrasi", key="k" * 43, commitment="c" * 64,
    reasons=[Reason(code="agreement.unknown")],
)  # fmt: skip


def row_of(leaf: bytes, **changed: Any) -> Any:
    entry = decode(leaf)
    values = {column: entry.get(member) for column, member in (*_OWN, *_SHARED)}
    values["expires_at"] = entry.get("exp", 2) * 1_000_000
    values |= {name: json.dumps(entry.get(name, [])) for name in _LISTS}
    return Row(**{"position": 7, "decision": entry["kind"].removeprefix("transfer.")} | values | changed)


@pytest.mark.parametrize(
    "entry", [ACCEPTED, PLAIN, REFUSED, DATED, BARE], ids=["accepted", "plain", "refused", "dated", "bare"]
)
def test_a_row_that_says_what_its_entry_says_passes_and_no_other(entry: Any) -> None:
    """Each column altered, emptied or filled, and each list: neither way of comparing lets it pass."""
    leaf, told = entry.leaf(), _Message()
    row = row_of(leaf)
    assert told.same(row, leaf)
    assert told.differing(row, decode(leaf)) == []
    for column in COLUMNS[1:]:
        for value in ["[]", '["/body/other"]'] if column in _LISTS else ["2", "accepted", "refused"]:
            altered = row_of(leaf, **{column: value})
            if altered != row:
                differs = told.differing(altered, decode(leaf)) != []
                assert told.same(altered, leaf) is not differs, (column, value)
                # A refusal's entry repeats only what is a code of ours.
                assert differs or (
                    row.decision == "refused" and (dict(_SHARED) | {"expires_at": "exp"})[column] not in decode(leaf)
                )
        if column in dict(_SHARED) and getattr(row, column) is not None:
            assert not told.same(row_of(leaf, **{column: None}), leaf), column


@pytest.mark.parametrize("entry", [PLAIN, DATED], ids=["accepted", "refused"])
def test_a_plain_message_is_compared_whole(entry: Any) -> None:
    """Its leaf passes as one text; a member more, less or elsewhere does not, nor does a value with the mark of a hole."""
    leaf = entry.leaf()
    row = row_of(leaf)
    assert _as_written(row, leaf)
    for other in (
        leaf.replace(b'"exp":1', b'"exp":x'),
        leaf.replace(b'"exp":1,', b""),
        leaf.replace(b',"time"', b',"than":1,"time"'),
        leaf.replace(b'"exp":1,', b'"exp":1,"flags":[{"code":"rule.quota"}],'),
        leaf[:-1] + b',"x":1}',
        b'{"a":1,' + leaf[1:],
    ):
        assert other != leaf
        assert not _as_written(row, other), other
    assert not _as_written(row_of(leaf, clause="1?"), leaf)


def test_what_stands_in_a_list_is_not_taken_for_a_member() -> None:
    """The clause of a flag or a reason has the spelling of the entry's own clause, and does not stand for it."""
    for entry in (ACCEPTED, REFUSED):
        altered = row_of(entry.leaf(), clause="2")
        assert not _Message().same(altered, entry.leaf())
        assert _Message().differing(altered, decode(entry.leaf())) == ["clause"]


def test_details_of_reasons_are_no_evidence_and_absent_columns_of_a_refusal_pass() -> None:
    """What the row knows beyond the entry of a refusal, and words for a caller, are no difference."""
    reasons = '[{"code": "rule.condition", "clause": "2", "pointer": "/body/x", "detail": "words"}]'
    assert _Message().same(row_of(REFUSED.leaf(), reasons=reasons, purpose="INVESTIGATION", rule="r-9"), REFUSED.leaf())


def test_a_receipt_is_the_one_that_was_recorded() -> None:
    """Its transfer, event and the digest of its bytes."""
    digest = hashlib.sha256(b"jws").hexdigest()
    leaf = TransferAcknowledged(
        time=NOW, transfer="transfer-1", event="processed", recipient="polda", key="k" * 43, receipt_digest=digest
    ).leaf()
    told, row = _Receipt(), Receipt(9, "transfer-1", "processed", "jws")
    assert told.same(row, leaf)
    for name, value in (("transfer", "transfer-2"), ("event", "delivered"), ("jws", "other")):
        altered = row._replace(**{name: value})
        assert not told.same(altered, leaf)
        assert len(told.differing(altered, decode(leaf))) == 1

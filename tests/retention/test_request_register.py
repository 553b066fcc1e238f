"""The register of persons' requests: what it tells, and what it does not."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from gateway.data_protection import subject_erasure
from gateway.data_protection.data_subjects import WITHIN, Request, Subject, correct, trail
from gateway.data_protection.request_register import listed, shown
from gateway.errors import KeyringError
from gateway.retention import Retention
from gateway.store.tables import SubjectRequestRow
from gateway.wiring import Store, now
from tests.functional.flow import Flow
from tests.retention.test_erasure import NIK


def asked(why: str, ago: timedelta = timedelta(0)) -> Request:
    return Request(Subject("nik", NIK), why, "op-01", now() - ago)


def reads(flow: Flow) -> list[dict[str, str]]:
    """What of the register was recorded as read."""
    return [entry["filters"] for entry in flow.entries("gateway") if entry.get("what") == "subjects.show"]


def test_when_an_answer_was_due(flow: Flow, store: Store) -> None:
    """A request that the gateway was asked about after 3×24 hours is listed as late; another one, the newer, is not."""
    trail(store, asked("DSR-1", WITHIN + timedelta(minutes=1)))
    correct(store, asked("DSR-2"))
    assert [(one["what"], one["why"], one["in_time"]) for one in listed(store)] == [
        ("correct", "DSR-2", True),
        ("trail", "DSR-1", False),
    ]
    assert [one["why"] for one in listed(store, why="DSR-1")] == ["DSR-1"]
    assert [one["why"] for one in listed(store, limit=1)] == ["DSR-2"]


def test_what_came_of_an_erasure(
    flow: Flow, store: Store, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that was cut short has the transfers it was about and no `erased`; one that ended says what is gone."""
    sent = flow.accepted("plain", {"nik": NIK}).transfer

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Retention, "erase", cut)
        with pytest.raises(KeyboardInterrupt):
            subject_erasure.erase(store, retention, asked("DSR-3"))
    (begun,) = listed(store)
    told = shown(store, begun["request"], "op-01")
    assert (told["transfers"], "erased" in told) == ([sent], False)
    subject_erasure.erase(store, retention, asked("DSR-3"))
    ended, _ = listed(store)
    assert shown(store, ended["request"], "op-01")["kept"] == {sent: ["retention-duty", "delivery"]}
    assert reads(flow) == [{"request": begun["request"]}, {"request": ended["request"]}]


def test_what_is_sealed_is_of_one_request(flow: Flow, store: Store) -> None:
    """What was sealed for one request does not open as another's, and then nothing is told."""
    for why in ("DSR-4", "DSR-5"):
        trail(store, asked(why))
    one, other = listed(store)
    columns = (col(SubjectRequestRow.wrapped_key), col(SubjectRequestRow.sealed_detail))
    with store.database.write.begin() as connection:
        taken = connection.execute(select(*columns).where(col(SubjectRequestRow.id) == other["request"])).one()
        connection.execute(
            update(SubjectRequestRow).where(col(SubjectRequestRow.id) == one["request"]).values(**taken._mapping)
        )
    with pytest.raises(KeyringError, match="does not open"):
        shown(store, one["request"], "op-01")
    assert reads(flow) == []

"""What a gateway has to renew, and runs that renew it: one item a commit, or overtaken by another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from gateway.jose import parse_jws
from gateway.key_management import own_compromise, reindexing, renewal, rewrapping
from gateway.record import open_content
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.sealing import Sealer
from gateway.wiring import Store, open_store
from tests.cli.office import FOREIGNER, exchanged
from tests.cli.shell import Shell

SENT = 3
Act = Callable[[Store], Any]


@pytest.fixture(autouse=True)
def item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item is a commit of its own."""
    for module in (own_compromise, renewal, rewrapping, reindexing):
        monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(renewal, "_PAGE", 2)
    monkeypatch.setattr(reindexing, "SETTLED_SECONDS", 0.0)


def sent(shell: Shell) -> list[str]:
    asked = [FOREIGNER | {"document": FOREIGNER["document"] | {"number": f"A{number}"}} for number in range(SENT)]
    outcomes = exchanged(shell, *(("stay-permit.query/1", body, {}) for body in asked), ago=timedelta(minutes=-15))
    assert [outcome.decision for outcome in outcomes] == ["accepted"] * SENT
    return [outcome.transfer for outcome in outcomes]


@contextmanager
def opened(shell: Shell) -> Iterator[Store]:
    with open_store(load_settings(shell.config)) as store:
        yield store


def release(store: Store, transfer: str) -> Any:
    with store.database.reading() as session:
        row = queries.transfer(session, transfer)
    return parse_jws(open_content(Sealer(store.keys.storage), row)["release"], "release+jwt", 4)


def overtaken(shell: Shell, act: Act, before: int, other: Act | None = None) -> Any:
    """What a run gives of which another does everything, or `other`, just before its commit of this number."""
    with opened(shell) as slow, opened(shell) as fast:
        submit, handed = slow.recorder.submit, 0

        def hand_in(job: Any) -> Any:
            nonlocal handed
            handed += 1
            if handed == before:
                (other or act)(fast)
            return submit(job)

        slow.recorder.submit = hand_in  # type: ignore[method-assign]
        done = act(slow)
        assert handed >= before
        return done

"""The walk that writes the index anew: what it meets on its way."""

import os
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import insert, select
from sqlmodel import col

from gateway.key_management.reindexing import _add, _New
from gateway.keyring import KeyringSigner, Secret
from gateway.record import OWN_LEDGER
from gateway.store.append import CheckpointKeys
from gateway.store.jobs.events import RecordEvent
from gateway.store.session import Database
from gateway.store.tables import SubjectIndex
from tests.functional.flow import Clock, Flow, Secrets, found, node

NEXT = "next-key"


@pytest.fixture
def flow(database: Database, checkpoint_keys: CheckpointKeys, signer: KeyringSigner) -> Iterator[Flow]:
    shared = Secrets(checkpoint_keys, signer, Secret("storage", os.urandom(32)), Secret("index", os.urandom(32)))
    with node(database, shared, Clock(), found(database, shared.checkpoint)) as opened:
        yield opened


def test_a_message_from_before_the_keys_first_moment_is_no_obstacle(flow: Flow) -> None:
    """It was written under the announced key as well, though the old one was in use: only what is missing is added."""
    transfer = flow.accepted("plain", {"nik": "3604081503900001"}).transfer
    tokens = {("nik", "a" * 64), ("phone", "b" * 64)}
    there = {"kind": "nik", "token": "a" * 64, "transfer": transfer, "index_key": NEXT}
    with flow.database.write.begin() as connection:
        connection.execute(insert(SubjectIndex), [there])
    new = _New(transfer, "c" * 64, frozenset(tokens))
    flow.recorder.submit(RecordEvent(OWN_LEDGER, (), partial(_add, NEXT, [new]))).result(10)
    row = flow.row(transfer)
    assert (row.index_key, row.identity) == (NEXT, "c" * 64)
    written = select(col(SubjectIndex.kind), col(SubjectIndex.token)).where(
        col(SubjectIndex.transfer) == transfer, col(SubjectIndex.index_key) == NEXT
    )
    with flow.database.reading() as session:
        assert {tuple(one) for one in session.connection().execute(written)} == tokens

"""A node with two agencies, and what an operator needs to act on it; on both databases."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.keyring import KeyringSigner, Secret
from gateway.keys.keychain import Ring
from gateway.retention import Retention
from gateway.settings import Settings
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database
from gateway.wiring import Keys, Store
from tests.functional.flow import Clock, Flow, Secrets, found, node


@pytest.fixture
def shared(checkpoint_keys: CheckpointKeys, signer: KeyringSigner) -> Secrets:
    return Secrets(checkpoint_keys, signer, Secret("storage", os.urandom(32)), Secret("index", os.urandom(32)))


@pytest.fixture
def flow(database: Database, shared: Secrets) -> Iterator[Flow]:
    keys = found(database, shared.checkpoint)
    with node(database, shared, Clock(), keys) as opened:
        yield opened


@pytest.fixture
def store(flow: Flow, shared: Secrets, tmp_path: Path) -> Store:
    """The same node, as an operator's command has it open."""
    keys = Keys(Ring(shared.sign), Ring(shared.sign), shared.checkpoint, Ring(shared.storage), Ring(shared.index))
    return Store(Settings(), keys, flow.database, flow.recorder, CheckpointFiles(tmp_path / "kept", shared.checkpoint))


@pytest.fixture
def retention(flow: Flow) -> Retention:
    """Small commits, so that a few messages are several of them."""
    return Retention(
        database=flow.database,
        recorder=flow.recorder,
        clock=flow.clock,
        own_ledger="gateway",
        refused_days=90,
        batch=2,
        every=timedelta(days=1),
    )

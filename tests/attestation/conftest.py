"""A ledger of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.session import Database
from tests.attestation.house import House


@pytest.fixture
def house(tmp_path: Path, open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys) -> Iterator[House]:
    made = House(open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}"), checkpoint_keys)
    yield made
    made.recorder.stop()

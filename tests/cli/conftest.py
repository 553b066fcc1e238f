"""Gateways in three states: none, founded, in service."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell, founded, new_shell, peopled


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A gateway in service, shared: tests that use it leave it in service."""
    return peopled(founded(tmp_path_factory.mktemp("house")))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell before any gateway."""
    return new_shell(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> Shell:
    """A gateway of this test's own, without agencies."""
    return founded(tmp_path)

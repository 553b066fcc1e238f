"""Gateways in three states: none, founded, in service."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.served import SINERGI, Served
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    shell = new_shell(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shell.ok("init", home / "gw", "--port", port)
    peopled(shell)
    served = Served(home, shell.config, shell.transcript)
    served.url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [SINERGI, "serve", "--config", shell.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for _ in range(200):
        try:
            if httpx.get(f"{served.url}/readyz").is_success:
                break
        except httpx.TransportError:
            assert process.poll() is None
        time.sleep(0.05)
    yield served
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, printed) == (0, b"")

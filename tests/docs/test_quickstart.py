"""The quickstart, run as it stands: every console command in order, in an empty folder, with the output the page shows.

The page signs the agreement that comes with the program, so it is true until that agreement's last day, 18 November 2028, and no
test can make it true for longer: then the program needs its next agreement, and this fails until it has one.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, steps

PAGE = ROOT / "docs/quickstart.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shown(line: str) -> re.Pattern[str]:
    """A line of the page as a pattern: `…` stands for anything."""
    return re.compile(".*".join(map(re.escape, line.split("…"))))


class Terminal:
    """A checkout that a reader has just made: the documents that the page uses, and `sinergi` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("agreements", "schemas"):
            (folder / name).symlink_to(ROOT / name)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SINERGI_")}
        self.environment = clean | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SINERGI_OPERATOR": "reader",
        }
        self.served: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def serve(self, command: str, port: int) -> None:
        with (self.folder / "serve.log").open("wb") as log:
            self.served = subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + 90
        while time.monotonic() < until:
            assert self.served.poll() is None, (self.folder / "serve.log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the gateway is not ready")

    def close(self) -> int | None:
        if self.served is None:
            return None
        if self.served.poll() is None:
            self.served.send_signal(signal.SIGINT)
        return self.served.wait(90)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    if made.served is not None and made.served.poll() is None:
        made.served.kill()
        made.served.wait()


def test_the_quickstart_runs_as_it_stands(terminal: Terminal) -> None:
    """Each command ends as the page says, and prints each line that the page shows."""
    port = free_port()
    served = False
    for command, expected in steps(PAGE):
        line = command.replace("8080", str(port))
        if line == "sinergi serve":
            terminal.serve(line, port)
            served = True
            continue
        ended = terminal.run(line)
        # What the page shows as refused or not verified ends with 1: the answer is no.
        no = any(text.startswith("refused") or text.endswith("NOT verified") for text in expected)
        assert ended.returncode == int(no), f"{line}\n{ended.stdout}"
        for text in expected:
            pattern = shown(text.replace("8080", str(port)))
            assert any(pattern.fullmatch(one) for one in ended.stdout.splitlines()), f"{line}\n{text}\n{ended.stdout}"
    assert served
    assert terminal.close() == 0
    assert "Karangantu" not in (terminal.folder / "serve.log").read_text()

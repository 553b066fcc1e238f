"""The demo's processes: started in clean surroundings, watched, and ended whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from gateway.demo.folder import Folder

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_TAIL_LINES: Final = 12
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})
PYTHON: Final = (sys.executable, "-m")
"""The interpreter that runs the demo runs all of it."""


class ProcessError(Exception):
    """A process ended by itself, or did not become ready."""


class StoppedError(SystemExit):
    """Somebody asked for the end with SIGTERM."""


def surroundings() -> dict[str, str]:
    """The user's environment without settings of a real gateway, and without proxies: all calls stay on this machine."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SINERGI_") and name.lower() not in _PROXIES
    }


@contextmanager
def clean_surroundings() -> Iterator[None]:
    """The same for this process, until the context ends."""
    before = dict(os.environ)
    kept = surroundings()
    for name in before.keys() - kept.keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM becomes an exception, so that every `finally` runs."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise StoppedError(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True, slots=True)
class _Running:
    popen: subprocess.Popen[bytes]
    log: Path


@dataclass(slots=True)
class Processes:
    """Every process by its name. Each writes into a log of its own in `logs`, which later starts extend."""

    folder: Folder
    logs: Path
    http: httpx.Client
    _running: dict[str, _Running] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """`python -m ARGUMENTS` under that name."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as out:
            popen = subprocess.Popen(  # noqa: S603 - this interpreter, our own program
                [*PYTHON, *arguments],
                # A folder without a `gateway` in it, which Python would look into first.
                cwd=self.logs,
                env=surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(self.folder.lock,),
                # Ctrl-C in the terminal is for the demo alone: it then stops these in order.
                start_new_session=True,
            )
        self._running[name] = _Running(popen, log)
        self.folder.note(f"{name}: pid {popen.pid}")

    def wait_ready(self, name: str, url: str) -> None:
        """Until `url` answers 200. Raises ProcessError."""
        running, until = self._running[name], time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if running.popen.poll() is not None:
                raise ProcessError(f"{name} ended with code {running.popen.returncode} instead of starting")
            with suppress(httpx.HTTPError):
                if self.http.get(url, timeout=5).is_success:
                    return
            time.sleep(0.05)
        raise ProcessError(f"{name} is not ready after {READY_SECONDS:.0f} s")

    def stop(self, name: str) -> int:
        """SIGTERM, and the exit code. What does not end in time is killed."""
        popen = self._running.pop(name).popen
        popen.terminate()
        try:
            return popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            return popen.wait()

    def stop_all(self) -> dict[str, int]:
        """The gateway first, so that nothing is pushed to an agency that has gone. The exit code of each."""
        # Whoever is impatient now would leave processes behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return {name: self.stop(name) for name in sorted(self._running, key=lambda name: name != "gateway")}
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pids(self) -> dict[str, int]:
        return {name: running.popen.pid for name, running in self._running.items()}

    def ended(self) -> str | None:
        """The name of a process that is not there any more."""
        return next((name for name, running in self._running.items() if running.popen.poll() is not None), None)

    def tails(self) -> Mapping[str, list[str]]:
        """The last lines of every log."""
        return {
            log.stem: log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            for log in sorted(self.logs.glob("*.log"))
        }

    def run(self, name: str, *arguments: str, log: bool = True) -> tuple[int, str]:
        """`sinergi ARGUMENTS` to its end: exit code and what it printed.

        Its messages go into a log, or with `log` False nowhere: a command may show its user what no log may hold.
        """
        done = subprocess.run(  # noqa: S603 - this interpreter, our own program
            [*PYTHON, "gateway", *arguments],
            cwd=self.logs,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READY_SECONDS,
            check=False,
        )
        if log:
            with (self.logs / f"{name}.log").open("ab") as file:
                file.write(done.stderr)
        return done.returncode, done.stdout.decode()

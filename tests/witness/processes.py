"""Real witness processes, made and started by the commands that an agency would use."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from gateway.ledger.note import NoteVerifier
from tests.province import free_port

# The witness dies when it is about to sign: what it promises is on the disk, and nobody has been told.
DIES = """
import os, signal, sys
from gateway.ledger.cosignature import Cosigner
Cosigner.cosign = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from gateway.cli.main import main
sys.argv = ["sinergi", *sys.argv[1:]]
main()
"""


def sinergi(*words: object) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words)], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout


@dataclass
class WitnessProcess:
    """A witness in `directory`, founded at once."""

    directory: Path
    name: str
    algorithm: str = "EdDSA"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        from gateway.cli.main import run

        words = ["witness", "init", self.directory, "--name", self.name, "--port", self.port]
        with redirect_stdout(io.StringIO()) as made:  # in this process: a start of the program costs half a second
            assert run([*map(str, words), "--algorithm", self.algorithm, "--json"]) == 0
        self.config = self.directory / "witness.toml"
        self.vkey: str = json.loads(made.getvalue())["vkey"]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def verifier(self) -> NoteVerifier:
        return NoteVerifier.parse(self.vkey)

    def add_log(self, *vkeys: str) -> None:
        from gateway.witness.settings import add_log

        for vkey in vkeys:
            add_log(self.config, NoteVerifier.parse(vkey).name, (vkey,))

    def start(self, *, dies: bool = False) -> "WitnessProcess":
        program = ["-c", DIES] if dies else ["-m", "gateway"]
        log = (self.directory / "witness.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *program, "witness", "serve", "--config", str(self.config)],
            stdout=log,
            stderr=log,
            process_group=0,
        )
        log.close()
        until = time.monotonic() + 90
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.directory / "witness.log").read_text()
            try:
                httpx.get(f"{self.url}/healthz", timeout=1)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError("the witness does not answer")

    def post(self, body: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/add-checkpoint", content=body, timeout=10)

    def hang(self) -> None:
        """From now on it takes connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

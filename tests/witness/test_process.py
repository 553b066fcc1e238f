"""A witness as a process of its own, with the commands that an agency uses, and killed at the worst moment."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.ledger.cosignature import read_cosignatures
from gateway.ledger.note import parse_note
from tests.witness.logs import ORIGIN, Log
from tests.witness.processes import WitnessProcess, sinergi


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    made = WitnessProcess(tmp_path / "witness", "witness.example/w1")
    yield made
    made.kill()


def test_a_witness_killed_between_memory_and_answer_keeps_its_promise(witness: WitnessProcess) -> None:
    """Killed with -9 after the commit: it remembers what it never answered, refuses another story, cosigns this one."""
    log = Log()
    witness.start(dies=True)
    assert witness.post(log.body(0, 3)).status_code == 404
    witness.add_log(log.signer.vkey)  # seen by the running process
    with pytest.raises(httpx.TransportError):
        witness.post(log.body(0, 3))
    witness.kill()
    witness.start()
    answer = witness.post(log.body(0, 3))
    assert (answer.status_code, answer.content) == (409, b"3\n")
    assert witness.post(log.other("b").body(3, 3)).status_code == 409
    again = witness.post(log.body(3, 3))
    assert read_cosignatures(again.content, parse_note(log.note(3)).text, witness.verifier)
    witness.kill()
    from gateway.cli.main import run

    assert run(["witness", "status", "--config", str(witness.config)]) == 1, "a fork was shown to it"


def test_the_commands_refuse_what_would_make_a_witness_forget(witness: WitnessProcess) -> None:
    """No second founding over the first, no log twice, no key that only cosigns as a log's key."""
    from gateway.cli.main import run

    config = str(witness.config)
    assert run(["witness", "init", str(witness.directory), "--name", "witness.example/w2"]) == 2
    assert run(["witness", "add-log", Log().signer.vkey, "--config", config]) == 0
    assert run(["witness", "add-log", Log().signer.vkey, "--config", config]) == 2
    assert run(["witness", "add-log", witness.vkey, "--config", config]) == 2
    assert run(["witness", "init", str(witness.directory / "x"), "--name", "a b"]) == 2
    told = json.loads(sinergi("witness", "status", "--json", "--config", config))
    assert [log["origin"] for log in told["logs"]] == [ORIGIN]
    assert told["vkey"] == witness.vkey
    (witness.directory / "witness.db").unlink()
    assert run(["witness", "serve", "--config", config]) == 2

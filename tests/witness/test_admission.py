"""What a witness cosigns and what it refuses, on a real memory and over its real HTTP interface in this process."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import LedgerInvalidError, OperatorError
from gateway.ledger.add_checkpoint import BODY_LIMIT, monitoring_path, parse_add_checkpoint
from gateway.ledger.checkpoint import parse
from gateway.ledger.cosignature import Quorum, Trust, read_cosignatures, witnessed_at
from gateway.ledger.note import NoteVerifier, parse_note
from gateway.witness.admission import NotCosignedError, read_submission
from gateway.witness.memory import Memory, create
from gateway.witness.service import Witness
from tests.witness.logs import ORIGIN, Log, cosigner

NOW = 1_800_000_000


class Asked:
    """A witness of one log, asked over HTTP without a network."""

    def __init__(self, path: Path, log: Log) -> None:
        create(path)
        self.path, self.cosigner, self.log = path, cosigner(), log
        self.memory = Memory(path)
        self.logs = {ORIGIN: (log.signer.verifier,)}
        self.app = Witness(self.cosigner, self.memory, lambda: self.logs, lambda: NOW)

    def __call__(self, body: bytes, path: str = "/add-checkpoint", method: str = "POST") -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
                return await client.request(method, path, content=body)

        return asyncio.run(ask())


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path / "witness.db", Log())
    yield asked
    asked.memory.close()


def test_a_growing_log_is_cosigned_and_the_cosignature_verifies(witness: Asked) -> None:
    """Each step is answered with one line by the witness's key over exactly this checkpoint, with the time."""
    log, quorum = witness.log, Quorum((witness.cosigner.verifier,), 1)
    for old, new in ((0, 3), (3, 300), (300, 300), (300, 70_000)):
        answer = witness(log.body(old, new))
        assert answer.status_code == 200
        text = parse_note(log.note(new)).text
        line = read_cosignatures(answer.content, text, witness.cosigner.verifier, latest=NOW)
        note = log.note(new) + answer.content
        checkpoint = Trust(ORIGIN, (log.signer.verifier,), quorum).open(note)
        assert (checkpoint.size, witnessed_at(checkpoint, quorum.witnesses)) == (new, NOW)
        assert line[0].name == "witness.example/w1"
    shown = witness(b"", monitoring_path(ORIGIN), "GET")
    assert Trust(ORIGIN, (log.signer.verifier,), quorum).open(shown.content).size == 70_000


def test_a_fork_is_refused_and_kept_as_evidence(witness: Asked) -> None:
    """A second root for a size that was cosigned gets no cosignature, and both signed notes are kept: they convict."""
    witness(witness.log.body(0, 5))
    other = witness.log.other("b")
    answer = witness(other.body(5, 5))
    assert (answer.status_code, answer.headers["content-type"]) == (409, "text/plain; charset=utf-8")
    assert witness(other.body(0, 5)).status_code == 409
    [proof] = witness.memory.contradictions()
    assert (proof.cosigned, proof.note) == (witness.log.note(5), other.note(5))
    assert witness(other.body(5, 9)).status_code == 422, "nor is a longer story that does not begin with ours"
    assert witness(witness.log.body(5, 9)).status_code == 200


def test_a_rollback_and_a_replay_are_refused_with_the_size_that_is_held(witness: Asked) -> None:
    """Whoever asks from another size is told the one held, in the form that tlog-witness prescribes."""
    witness(witness.log.body(0, 7))
    for body in (witness.log.body(0, 7), witness.log.body(0, 4), witness.log.body(3, 4), witness.log.body(6, 9)):
        answer = witness(body)
        assert (answer.status_code, answer.content) == (409, b"7\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"
    with pytest.raises(LedgerInvalidError, match="old size"):
        witness.log.body(9, 7, proof=[])
    held = witness.memory.held(ORIGIN)
    assert held is not None
    assert held.size == 7


def test_a_bad_proof_a_strange_key_and_a_strange_log_are_refused(witness: Asked) -> None:
    """422, 403 and 404, and nothing is remembered of any of them."""
    log = witness.log
    assert witness(log.body(0, 4)).status_code == 200
    good = log.proof(4, 9)
    for proof in (good[:-1], [*good, bytes(32)], [bytes(32), *good[1:]], []):
        assert witness(log.body(4, 9, proof=proof)).status_code == 422
    stranger = Log(key=Ed25519PrivateKey.generate())
    assert witness(stranger.body(4, 9)).status_code == 403
    forged = log.body(4, 9).replace(b"log.example", b"LOG.example", 1)
    assert witness(forged).status_code == 404
    tampered = log.body(4, 9).rstrip(b"\n")[:-4] + b"AAAA\n"
    assert witness(tampered).status_code in (400, 403)
    held = witness.memory.held(ORIGIN)
    assert held is not None
    assert held.size == 4
    assert witness(log.body(4, 9)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"old 0", b"old 00"),
        lambda body: body.replace(b"old 0", b"old -1"),
        lambda body: body.replace(b"old 0\n", b"old 0\r\n"),
        lambda body: b"\n" + body,
        lambda body: body.replace(b"\n\n", b"\n", 1),
        lambda body: body + b"x",
        lambda body: b"old 0\n" + b"AAAA\n" * 64 + body[6:],
        lambda body: body[:0],
        lambda body: "old ٣\n".encode() + body[6:],
    ],
)
def test_a_malformed_request_is_refused(witness: Asked, change: object) -> None:
    """Every spelling but the one that a log would write is a 400."""
    assert callable(change)
    assert witness(change(witness.log.body(0, 5))).status_code == 400


def test_an_oversized_request_is_refused_before_it_is_read_whole(witness: Asked) -> None:
    """413, and other calls are 404 or 405."""
    assert witness(b"old 0\n" + b"A" * BODY_LIMIT).status_code == 413
    assert witness(b"", method="GET").status_code == 405
    assert witness(b"", "/").status_code == 404
    assert witness(b"", monitoring_path(ORIGIN), "GET").status_code == 404, "nothing was cosigned yet"


def test_two_stories_at_once_get_one_cosignature(tmp_path: Path) -> None:
    """Sixteen submissions at the same moment, through two openings of the same memory: one root wins."""
    log = Log()
    create(tmp_path / "witness.db")
    memories = [Memory(tmp_path / "witness.db") for _ in range(2)]
    logs = {ORIGIN: (log.signer.verifier,)}
    submissions = [read_submission(log.other(f"story-{n}-").body(0, 8), logs) for n in range(16)]
    won: list[bytes] = []
    told: list[int | None] = []
    start = threading.Barrier(16)

    def submit(number: int) -> None:
        start.wait()
        try:
            won.append(memories[number % 2].cosign(submissions[number], NOW).root)
        except NotCosignedError as error:
            told.append(error.held)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert told == [8] * 15
    held = memories[0].held(ORIGIN)
    assert held is not None
    assert held.root == won[0] == parse(parse_note(held.note).text).root
    for memory in memories:
        memory.close()


def test_a_clock_set_back_does_not_make_a_later_cosignature_older(tmp_path: Path) -> None:
    """The time in cosignatures of one log never runs backwards."""
    log = Log()
    create(tmp_path / "witness.db")
    memory = Memory(tmp_path / "witness.db")
    logs = {ORIGIN: (log.signer.verifier,)}
    assert memory.cosign(read_submission(log.body(0, 1), logs), NOW).time == NOW
    assert memory.cosign(read_submission(log.body(1, 2), logs), NOW - 3600).time == NOW
    memory.close()


def test_a_witness_without_its_memory_does_not_start(tmp_path: Path) -> None:
    """An empty memory would cosign a second story: only `init` makes one."""
    with pytest.raises(OperatorError, match="witness init"):
        Memory(tmp_path / "gone.db")
    create(tmp_path / "witness.db")
    with pytest.raises(OperatorError, match="cannot be created"):
        create(tmp_path / "witness.db")


def test_the_request_has_one_form_both_ways() -> None:
    """What a log writes is what a witness reads."""
    body = Log().body(4, 11)
    assert parse_add_checkpoint(body).to_bytes() == body


def test_a_quorum_counts_witnesses_and_not_lines() -> None:
    """One witness twice, a stranger, or a log's own kind of key do not add up to two."""
    log, one, two = Log(), cosigner(), cosigner("witness.example/w2")
    note, text = log.note(3), parse_note(log.note(3)).text
    lines = [one.cosign(text, NOW).line(), cosigner("witness.example/w3").cosign(text, NOW).line()]
    trust = Trust(ORIGIN, (log.signer.verifier,), Quorum((one.verifier, two.verifier), 2))
    with pytest.raises(LedgerInvalidError, match="1 of the 2"):
        trust.open(note + "".join(lines).encode())
    with pytest.raises(LedgerInvalidError, match="twice"):
        trust.open(note + (lines[0] * 2).encode())
    whole = note + "".join([*lines, two.cosign(text, NOW).line()]).encode()
    assert trust.open(whole).size == 3
    with pytest.raises(LedgerInvalidError, match="2 witnesses are wanted"):
        Quorum((one.verifier,), 2)
    with pytest.raises(LedgerInvalidError, match="type 0x04"):
        Quorum((log.signer.verifier,), 1)
    with pytest.raises(LedgerInvalidError, match="dated in the future"):
        read_cosignatures(one.cosign(text, NOW).line().encode(), text, one.verifier, latest=NOW - 1)


def test_a_log_of_another_implementation_is_cosigned(tmp_path: Path) -> None:
    """The request that FiloSottile/torchwood tests its own witness with, of a log that signs with ML-DSA-44 and no time."""
    others = Path(__file__).parents[1] / "ledger" / "others"
    key = NoteVerifier.parse((others / "mldsa-log.vkeys").read_text().strip())
    note = (others / "mldsa-log.note").read_bytes()
    asked = Asked(tmp_path / "witness.db", Log())
    asked.logs = {key.name: (key,)}
    answer = asked(b"old 0\n\n" + note)
    assert answer.status_code == 200
    read_cosignatures(answer.content, parse_note(note).text, asked.cosigner.verifier, latest=NOW)
    asked.memory.close()

"""The audit: an honest ledger passes, and whatever was done to it is found and said."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import respx

from gateway.errors import LedgerInvalidError
from gateway.ledger import tiles
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from gateway.ledger.entry import TransferExpired
from gateway.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from gateway.ledger.source import DirectorySource, HttpSource
from gateway.ledger.verify import AuditReport, Source, SourceUnavailableError, TileMissingError, audit
from tests.ledger.published import ORIGIN, START, MemorySource, leaves, publish, signer

ENTRIES = list(leaves(600))
VERIFIERS = [signer().verifier]


def head(entries: list[bytes]) -> Checkpoint:
    tree = Frontier()
    tree.extend(map(leaf_hash, entries))
    return Checkpoint(ORIGIN, tree.size, tree.root())


def failed(report: AuditReport) -> set[int]:
    return {check.number for check in report.checks if not check.ok}


def detail(report: AuditReport, number: int) -> str:
    return next(check.detail for check in report.checks if check.number == number)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
def test_an_honest_ledger_passes(size: int) -> None:
    """At every size around a tile's edge, an unaltered ledger passes every check, an empty one too."""
    steps: list[tuple[int, int]] = []
    report = audit(publish(ENTRIES[:size]), ORIGIN, VERIFIERS, progress=lambda done, total: steps.append((done, total)))
    assert report.ok, report.checks
    assert [check.number for check in report.checks] == [1, 2, 3, 4, 5, 6]
    assert not any(check.warning for check in report.checks)
    assert report.checkpoint is not None
    assert report.checkpoint.size == size
    assert steps[-1:] == ([(size, size)] if size else [])


def test_an_honest_ledger_past_65536_entries_passes() -> None:
    """An audit over three levels of tiles recomputes every one of them."""
    source = publish(list(leaves(65_536 + 300)))
    report = audit(source, ORIGIN, VERIFIERS)
    assert report.ok, report.checks
    assert {path for path in source if path.startswith(("tile/1/", "tile/2/"))} == {
        "tile/1/000",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
    }
    assert detail(report, 4) == "261 tiles"


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"])
def test_a_flipped_bit_in_a_stored_tile_is_found(path: str) -> None:
    """A tile that does not follow from the entries is named, with the place of the first wrong hash."""
    source = publish(ENTRIES)
    source[path] = source[path][:40] + bytes([source[path][40] ^ 1]) + source[path][41:]
    report = audit(source, ORIGIN, VERIFIERS)
    assert failed(report) == {4}
    assert path in detail(report, 4)
    assert "hash 1" in detail(report, 4)


def test_a_changed_entry_is_found() -> None:
    """An entry replaced by another well-formed one contradicts its tile and the signed root."""
    source = publish(ENTRIES)
    changed = TransferExpired(time=START, transfer="transfer-changed").leaf()
    source["tile/entries/001"] = tiles.bundle([*ENTRIES[256:300], changed, *ENTRIES[301:512]])
    report = audit(source, ORIGIN, VERIFIERS)
    assert failed(report) == {4, 5}
    assert "tile/0/001 differs in hash 44, over entry 300" in detail(report, 4)


REWRITES: list[Callable[[list[bytes]], list[bytes]]] = [
    lambda entries: [*entries[:100], *entries[101:], entries[-1]],  # deleted
    lambda entries: [*entries[:100], entries[101], entries[100], *entries[102:]],  # reordered
    lambda entries: [*entries[:100], entries[0], *entries[100:-1]],  # inserted
    lambda entries: [*entries[:599], TransferExpired(time=START, transfer="transfer-last").leaf()],
]


@pytest.mark.parametrize("rewrite", REWRITES)
def test_entries_and_tiles_rewritten_together_are_found(rewrite: Callable[[list[bytes]], list[bytes]]) -> None:
    """With every tile recomputed to fit, the signed root still does not."""
    source = publish(rewrite(ENTRIES))
    source["checkpoint"] = publish(ENTRIES)["checkpoint"]
    assert 5 in failed(audit(source, ORIGIN, VERIFIERS))


def test_a_history_rewritten_and_signed_again_contradicts_an_older_checkpoint() -> None:
    """With the ledger's stolen key everything can be made to fit, except what someone has kept."""
    rewritten = publish([ENTRIES[0], *ENTRIES[2:]])
    assert audit(rewritten, ORIGIN, VERIFIERS).ok
    report = audit(rewritten, ORIGIN, VERIFIERS, trusted=head(ENTRIES[:300]))
    assert failed(report) == {7}


@pytest.mark.parametrize("size", [0, 1, 256, 300, 600])
def test_growth_is_consistent_with_an_older_checkpoint(size: int) -> None:
    """A ledger that only grew extends each checkpoint it ever signed."""
    report = audit(publish(ENTRIES), ORIGIN, VERIFIERS, trusted=head(ENTRIES[:size]))
    assert report.ok, report.checks
    assert report.checks[-1].number == 7


def test_a_rolled_back_ledger_is_found() -> None:
    """A smaller ledger than the one that was trusted before fails, though it is consistent in itself."""
    report = audit(publish(ENTRIES[:299]), ORIGIN, VERIFIERS, trusted=head(ENTRIES[:300]))
    assert failed(report) == {7}
    assert "rolled back" in detail(report, 7)


def test_an_older_checkpoint_of_another_ledger_is_no_evidence() -> None:
    """A trusted checkpoint must be of the same origin."""
    report = audit(publish(ENTRIES), ORIGIN, VERIFIERS, trusted=Checkpoint("another", 0, EMPTY_ROOT))
    assert failed(report) == {7}


def test_a_checkpoint_of_a_stranger_ends_the_audit() -> None:
    """Without a checkpoint to believe nothing else is checked, and the report says so."""
    for source in (publish(ENTRIES, signer(ORIGIN, 9)), publish(ENTRIES, signer("another")), MemorySource()):
        report = audit(source, ORIGIN, VERIFIERS)
        assert failed(report) == {1}
        assert len(report.checks) == 1
        assert report.checkpoint is None
        assert not report.ok


@pytest.mark.parametrize(
    "damage",
    [
        lambda source: source.pop("tile/entries/001"),
        lambda source: source.update({"tile/entries/001": source["tile/entries/001"][:-1]}),
        lambda source: source.update({"tile/entries/001": source["tile/entries/001"] + b"\x00"}),
        lambda source: source.pop("tile/entries/002.p/88"),
    ],
)
def test_missing_entries_are_found(damage: Callable[[MemorySource], object]) -> None:
    """A bundle that is gone, short or long is named, and no check that needed it is called passed."""
    source = publish(ENTRIES)
    damage(source)
    report = audit(source, ORIGIN, VERIFIERS, trusted=head(ENTRIES))
    assert failed(report) == {2, 3, 4, 5, 7}
    assert next(check for check in report.checks if check.number == 6).warning
    assert "tile/entries/00" in detail(report, 2)


def test_missing_and_short_tiles_are_found() -> None:
    """A stored tile that is gone, cut or too long is named; the entries and the root still pass."""
    for path, data in (("tile/0/001", None), ("tile/1/000.p/2", None), ("tile/0/000", b""), ("tile/0/002.p/88", b"x")):
        source = publish(ENTRIES)
        source.pop(path)
        if data is not None:
            source[path] = data
        report = audit(source, ORIGIN, VERIFIERS)
        assert failed(report) == {4}
        assert path in detail(report, 4)


def test_a_full_resource_answers_for_a_partial_one() -> None:
    """After the ledger has grown, the partial tiles of the checkpoint may be gone: the full ones begin with them."""
    entries = list(leaves(512))
    source = publish(entries[:300])
    grown = publish(entries)
    del source["tile/0/001.p/44"], source["tile/entries/001.p/44"]
    source |= {path: grown[path] for path in ("tile/0/001", "tile/entries/001")}
    assert audit(source, ORIGIN, VERIFIERS).ok
    source["tile/0/001"] = source["tile/0/001"][:-32]
    assert failed(audit(source, ORIGIN, VERIFIERS)) == {4}


def test_an_entry_that_no_gateway_would_write_is_found() -> None:
    """Bytes that are not an exact entry are reported with their index, the first ten in words, all of them counted."""
    source = publish([*ENTRIES[:5], *[b'{"v": 1}'] * 25])
    report = audit(source, ORIGIN, VERIFIERS)
    assert failed(report) == {3}
    assert detail(report, 3).startswith("entry 5: ")
    assert detail(report, 3).endswith("and 15 more")


def test_a_clock_that_went_back_is_a_warning() -> None:
    """Times running backwards beyond the tolerance are reported, and the ledger is not called invalid for it."""

    def at(seconds: float) -> bytes:
        return TransferExpired(time=START + timedelta(seconds=seconds), transfer="transfer-1").leaf()

    tolerated = audit(publish([at(10), at(6), at(11)]), ORIGIN, VERIFIERS)
    assert not any(check.warning for check in tolerated.checks)
    report = audit(publish([at(10), at(4), at(3), at(11)]), ORIGIN, VERIFIERS)
    assert report.ok
    assert [check.number for check in report.checks if check.warning] == [6]
    assert "entry 1" in detail(report, 6)
    assert "entry 2" in detail(report, 6)
    strict = audit(publish([at(10), at(6)]), ORIGIN, VERIFIERS, tolerance=timedelta(seconds=1))
    assert strict.checks[-1].warning


class Unplugged:
    """A source that fails after so many answers."""

    def __init__(self, source: Source, answers: int) -> None:
        self.source = source
        self.answers = answers

    def fetch(self, path: str) -> bytes:
        if self.answers == 0:
            raise SourceUnavailableError("unplugged")
        self.answers -= 1
        return self.source.fetch(path)


@pytest.mark.parametrize("answers", range(7))
def test_a_source_that_cannot_be_asked_is_no_verdict(answers: int) -> None:
    """A network that fails half-way says nothing about the ledger, so there is no report at all."""
    with pytest.raises(SourceUnavailableError):
        audit(Unplugged(publish(ENTRIES), answers), ORIGIN, VERIFIERS)


def export(source: MemorySource, folder: Path) -> None:
    for path, data in source.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def test_a_directory_is_a_ledger(tmp_path: Path) -> None:
    """An export in a directory is audited as it lies there; a missing file is a missing tile."""
    export(publish(ENTRIES), tmp_path)
    assert audit(DirectorySource(tmp_path), ORIGIN, VERIFIERS).ok
    (tmp_path / "tile/0/000").unlink()
    assert failed(audit(DirectorySource(tmp_path), ORIGIN, VERIFIERS)) == {4}
    assert failed(audit(DirectorySource(tmp_path / "nowhere"), ORIGIN, VERIFIERS)) == {1}
    (tmp_path / "tile/0/000").mkdir()
    with pytest.raises(SourceUnavailableError):
        audit(DirectorySource(tmp_path), ORIGIN, VERIFIERS)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "tile/0/../../x", "checkpoint/", "", "index.html"])
def test_a_source_is_asked_only_for_what_ledgers_publish(path: str, tmp_path: Path) -> None:
    """No path leads out of the directory or of the prefix."""
    with httpx.Client() as client:
        for source in (DirectorySource(tmp_path), HttpSource(client, "http://127.0.0.1:9/")):
            with pytest.raises(LedgerInvalidError):
                source.fetch(path)


@respx.mock
def test_a_web_server_is_a_ledger() -> None:
    """A ledger behind a URL is audited over HTTP, by prefix or by the client's base URL."""
    prefix = "https://gateway.banten.example/ledger/pks-banten-2025/"
    for path, data in publish(ENTRIES).items():
        respx.get(f"{prefix}{path}").respond(content=data)
    with httpx.Client() as client:
        assert audit(HttpSource(client, prefix), ORIGIN, VERIFIERS).ok
    with httpx.Client(base_url=prefix) as client:
        assert audit(HttpSource(client), ORIGIN, VERIFIERS).ok


@respx.mock
def test_answers_of_a_web_server_are_told_apart() -> None:
    """404 and 410 mean missing; redirects, other statuses and broken connections mean that nobody knows."""
    with httpx.Client(base_url="https://gateway.example/") as client:
        source = HttpSource(client)
        for status in (404, 410):
            respx.get("https://gateway.example/checkpoint").respond(status)
            with pytest.raises(TileMissingError):
                source.fetch("checkpoint")
        for status in (204, 302, 403, 500, 503):
            respx.get("https://gateway.example/checkpoint").respond(status)
            with pytest.raises(SourceUnavailableError):
                source.fetch("checkpoint")
        respx.get("https://gateway.example/checkpoint").mock(side_effect=httpx.ConnectError("refused"))
        with pytest.raises(SourceUnavailableError):
            source.fetch("checkpoint")


@respx.mock
def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server or file that is larger than anything a ledger publishes is not read to its end."""
    monkeypatch.setattr("gateway.ledger.source.BUNDLE_LIMIT", 1000)
    respx.get("https://gateway.example/checkpoint").respond(content=bytes(1001))
    (tmp_path / "checkpoint").write_bytes(bytes(1001))
    with httpx.Client(base_url="https://gateway.example/") as client:
        for source in (HttpSource(client), DirectorySource(tmp_path)):
            with pytest.raises(LedgerInvalidError, match="larger"):
                source.fetch("checkpoint")


def test_a_second_root_for_one_size_is_found() -> None:
    """A fork that shows one reader another tree of the same size contradicts what the first reader kept."""
    forked = publish([*ENTRIES[:9], ENTRIES[10]])
    assert failed(audit(forked, ORIGIN, VERIFIERS, trusted=head(ENTRIES[:10]))) == {7}


def test_a_checkpoint_that_counts_more_than_there_is_fails() -> None:
    """A signed size beyond the published entries is an incomplete ledger, not a small one."""
    source = publish(ENTRIES[:10])
    source["checkpoint"] = sign_checkpoint(Checkpoint(ORIGIN, 11, head(ENTRIES[:11]).root), [signer()])
    assert failed(audit(source, ORIGIN, VERIFIERS)) == {2, 3, 4, 5}

"""The static export: whatever happens while it is written, whoever reads it finds a ledger that verifies."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import LedgerForkedError, NotFoundError, OperatorError
from gateway.ledger.entry import OperatorAct
from gateway.ledger.note import parse_note, sign_note
from gateway.ledger.source import DirectorySource
from gateway.ledger.verify import audit
from gateway.store import queries
from gateway.store.append import Memory, open_ledger
from gateway.store.checkpoint_keys import CheckpointKeys, raw
from gateway.store.export import Exported, export_ledger
from gateway.store.session import Database
from tests.ledger.published import signer as note_signer
from tests.store.ledgers import grow

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class KilledError(BaseException):
    """The process ends here: nothing after it runs."""


def export(database: Database, keys: CheckpointKeys, out: Path) -> Exported:
    return export_ledger(database, keys, "pks", out)


def require_verified(keys: CheckpointKeys, out: Path) -> int:
    """The size of the export, which an auditor with nothing but the public key finds sound."""
    key = keys.note_signer("gateway.test/ledger/pks").verifier
    report = audit(DirectorySource(out), key.name, [key])
    assert report.ok, report.checks
    assert report.checkpoint is not None
    return report.checkpoint.size


def files(out: Path) -> dict[str, tuple[int, int]]:
    """(inode, time of the last write) of each published file by its path: another file under a name is another inode."""
    found = (path for path in out.rglob("*") if path.is_file() and ".export" not in path.parts)
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_only_what_is_new_is_written(database: Database, checkpoint_keys: CheckpointKeys, tmp_path: Path) -> None:
    """At every size the export verifies; what stood there stands untouched, but for partial resources that became full."""
    out = tmp_path / "out"
    before: dict[str, tuple[int, int]] = {}
    for size in (0, 5, 9, 256, 511, 600, 1_024):
        grow(database, checkpoint_keys, size)
        done = export(database, checkpoint_keys, out)
        assert require_verified(checkpoint_keys, out) == done.size == size
        now = files(out)
        fresh = {path for path in now if now[path] != before.get(path)}
        assert fresh == {path for path in now if path not in before} | {"checkpoint"}
        assert done.files == len(fresh)
        gone = before.keys() - now.keys()
        assert all(".p/" in path and path.partition(".p/")[0] in now for path in gone)
        assert not [path for path in now if ".p/" in path and path.partition(".p/")[0] in now]
        before = now
    assert export(database, checkpoint_keys, out).files == 0
    assert files(out) == before
    with database.reading() as session:
        assert (out / "tile/1/000.p/4").read_bytes() == queries.tile(session, "pks", 1, 0)


@pytest.fixture
def sqlite(open_empty: Callable[[str], Database], tmp_path: Path) -> Database:
    return open_empty(f"sqlite:///{tmp_path / 'sinergi.db'}")


@pytest.fixture
def exported(sqlite: Database, checkpoint_keys: CheckpointKeys, tmp_path: Path) -> Path:
    """An export of 300 entries, and a database that has gone on to 700."""
    grow(sqlite, checkpoint_keys, 300)
    export(sqlite, checkpoint_keys, tmp_path / "out")
    grow(sqlite, checkpoint_keys, 700)
    return tmp_path / "out"


@pytest.mark.parametrize(("owner", "call"), [(Path, "replace"), (os, "fsync"), (Path, "mkdir"), (shutil, "rmtree")])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_is_an_older_export_and_the_next_goes_on(
    sqlite: Database,
    checkpoint_keys: CheckpointKeys,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    call: str,
    after: bool,
) -> None:
    """Before and after every rename, sync, new folder and removal: 300 or 700 entries verify, and then 700 do."""
    real = getattr(owner, call)
    step, finished, sizes = 0, False, set()
    while not finished:
        step += 1
        out = exported.with_name(f"out-{step}")
        shutil.copytree(exported, out)
        calls = iter(range(1, 1_000))

        def dying(*arguments: object, calls: Iterator[int] = calls, step: int = step, **named: object) -> object:
            last = next(calls) == step
            if last and not after:
                raise KilledError
            answer = real(*arguments, **named)
            if last:
                raise KilledError
            return answer

        monkeypatch.setattr(owner, call, dying)
        try:
            export(sqlite, checkpoint_keys, out)
            finished = True
        except KilledError:
            pass
        monkeypatch.setattr(owner, call, real)
        sizes.add(require_verified(checkpoint_keys, out))
        export(sqlite, checkpoint_keys, out)
        assert require_verified(checkpoint_keys, out) == 700
    assert step > 2
    assert sizes <= {300, 700}


SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from gateway.keys.keychain import Ring
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.export import export_ledger
from gateway.store.session import open_database
public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(sys.argv[3]))
keys = CheckpointKeys(Ring(SimpleNamespace(kid="any", sign=None, public=SimpleNamespace(key=public))))
export_ledger(open_database(sys.argv[1]), keys, "pks", Path(sys.argv[2]))
"""


def test_killed_with_kill_9_it_is_an_older_export_and_the_next_goes_on(
    sqlite: Database, checkpoint_keys: CheckpointKeys, exported: Path
) -> None:
    """A real process, killed three times in the middle of its files, then left alone; nothing is half there."""
    grow(sqlite, checkpoint_keys, 12_000)
    command = [sys.executable, "-c", SCRIPT, str(sqlite.url), str(exported), raw(checkpoint_keys.signer.public).hex()]
    for wanted in (5, 30, 60):
        process = subprocess.Popen(command)
        while len(files(exported)) < wanted and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
        assert require_verified(checkpoint_keys, exported) == 300
    left = files(exported)
    subprocess.run(command, check=True)
    assert require_verified(checkpoint_keys, exported) == 12_000
    full = {path: state for path, state in left.items() if ".p/" not in path and path != "checkpoint"}
    assert full.items() <= files(exported).items(), "a file that was whole was written again"
    assert len(full) > 50


def test_a_database_that_is_not_an_extension_is_not_exported(
    sqlite: Database, checkpoint_keys: CheckpointKeys, exported: Path, tmp_path: Path
) -> None:
    """Rolled back, exchanged, or with a changed row beyond what was exported: `ledger.forked`, and the old copy stands."""
    old = (exported / "checkpoint").read_bytes()
    with sqlite3.connect(tmp_path / "sinergi.db") as connection:
        connection.execute("DROP TRIGGER ledger_entry_fixed")
        connection.execute(
            "UPDATE ledger_entry SET leaf = CAST(replace(leaf, 'act', 'fac') AS BLOB) WHERE position = 650"
        )
    connection.close()
    with pytest.raises(LedgerForkedError, match="do not lead to its signed root"):
        export(sqlite, checkpoint_keys, exported)
    assert (exported / "checkpoint").read_bytes() == old
    assert require_verified(checkpoint_keys, exported) == 300
    with sqlite3.connect(tmp_path / "sinergi.db") as connection:
        connection.execute("UPDATE ledger_entry SET leaf = CAST(leaf AS TEXT) WHERE position = 650")
    connection.close()
    with pytest.raises(LedgerForkedError, match="stored as text"):
        export(sqlite, checkpoint_keys, exported)
    with sqlite3.connect(tmp_path / "sinergi.db") as connection:
        connection.execute(
            "UPDATE ledger_entry SET leaf = CAST(replace(leaf, 'fac', 'act') AS BLOB) WHERE position = 650"
        )
    connection.close()
    export(sqlite, checkpoint_keys, exported)
    assert require_verified(checkpoint_keys, exported) == 700, "a wrong file of the refused export was kept"


def test_a_shorter_or_other_ledger_never_overwrites_an_export(
    open_empty: Callable[[str], Database], checkpoint_keys: CheckpointKeys, exported: Path, tmp_path: Path
) -> None:
    """A database from a backup, one with other entries, and another ledger's folder are refused."""
    before = files(exported)
    other = open_empty(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(LedgerForkedError, match="rolled back or exchanged"):
        export(other, checkpoint_keys, exported)
    with other.write.begin() as connection:
        append = open_ledger(connection, "pks", checkpoint_keys, Memory())
        for number in range(300):
            append.append(OperatorAct(time=NOW, who="op", what=f"other-{number}", why="T-1"))
        append.flush()
    with pytest.raises(LedgerForkedError, match="not those that were exported"):
        export(other, checkpoint_keys, exported)
    with pytest.raises(OperatorError, match="has no export"):
        export_ledger(other, checkpoint_keys, "gateway", exported)
    with pytest.raises(NotFoundError):
        export_ledger(other, checkpoint_keys, "nothing", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    assert files(exported) == before


def test_two_exports_do_not_write_to_one_folder(
    sqlite: Database, checkpoint_keys: CheckpointKeys, exported: Path
) -> None:
    """The second is refused while the first is at work."""
    refused: list[str] = []

    def second(_done: int, _total: int) -> None:
        with pytest.raises(OperatorError) as caught:
            export(sqlite, checkpoint_keys, exported)
        refused.append(caught.value.detail)

    export_ledger(sqlite, checkpoint_keys, "pks", exported, second)
    assert refused
    assert all("another export is writing" in detail for detail in refused)


def test_cosignatures_that_came_later_are_published(
    sqlite: Database, checkpoint_keys: CheckpointKeys, exported: Path
) -> None:
    """The same tree with more signatures under it takes the place of the checkpoint; nothing else is written."""
    export(sqlite, checkpoint_keys, exported)
    note = (exported / "checkpoint").read_bytes()
    cosigned = note + sign_note(parse_note(note).text, [note_signer("witness.example")]).rpartition(b"\n\n")[2]
    grow(sqlite, checkpoint_keys, 900)
    assert export_ledger(sqlite, checkpoint_keys, "pks", exported, note=cosigned).files == 1
    assert (exported / "checkpoint").read_bytes() == cosigned
    assert require_verified(checkpoint_keys, exported) == 700
    assert export(sqlite, checkpoint_keys, exported).size == 900
    assert export_ledger(sqlite, checkpoint_keys, "pks", exported, note=cosigned).files == 0
    assert require_verified(checkpoint_keys, exported) == 900, (
        "an export went back to what witnesses have cosigned so far"
    )

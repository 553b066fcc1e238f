"""The drill of docs/howto/restore.md: back up, lose, restore too old a copy, find the newer one, or begin anew."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.shell import Shell


def test_a_restored_backup_is_refused_until_everything_is_there(fresh: Shell, tmp_path: Path) -> None:
    """An older copy is refused and says why; the newer one is sound; a new gateway beside it has ledgers of its own."""
    live = fresh.config.parent / "sinergi.db"
    backup, newer = tmp_path / "backup.db", tmp_path / "newer.db"

    def copy(source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)

    def replace(source: Path) -> None:
        for file in live.parent.glob("sinergi.db*"):
            file.unlink()
        shutil.copy(source, live)

    copy(live, backup)
    fresh.ok("agencies", "add", "bp3mi-banten", "--name", "BP3MI Banten")
    copy(live, newer)

    replace(backup)
    refused = fresh("ledger", "list")
    assert refused.code != 0
    assert "ledger.forked" in refused.err
    looked = fresh("ledger", "fsck")
    assert looked.code == 1
    assert "gateway 7. extends the earlier checkpoint: FAILED" in looked.out
    assert "find the newer one. Never delete the checkpoint files." in looked.out

    replace(newer)
    assert fresh.ok("ledger", "fsck", "--json").json["ok"] is True
    assert "bp3mi-banten" in fresh.ok("agencies", "list", "--json").out

    second = tmp_path / "second"
    told = fresh.ok("init", second, "--origin", "second.example/2", "--json").json
    assert told["ledger"]["origin"] == "second.example/2/ledger/gateway"
    # The old checkpoint files know nothing of it, nor it of them: both can be verified, neither continues the other.
    assert fresh.ok("ledger", "fsck", "--config", second / "sinergi.toml", "--json").json["ok"] is True

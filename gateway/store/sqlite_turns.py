"""Whose turn it is to write to SQLite, which lets one connection write at a time.

SQLite makes the others ask again, in the end ten times a second only, and hands nothing over: a process that commits again and
again, with little time in between, is always there first, and a command beside a busy gateway fails. So whoever wants to write
stands in line first: the head of the line holds a lock on the database's folder until it has begun, and whoever has just
committed finds that lock taken. The line gives nobody a right: what nobody else may touch is still for SQLite to say.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

_ASK_AGAIN: Final = 0.001


def begin_writing(connection: Connection, patience_ms: int) -> None:
    """Begins a transaction that nobody else writes beside. Raises OperationalError when that takes longer than `patience_ms`."""
    driver: Any = connection.connection.driver_connection
    until = time.monotonic() + patience_ms / 1000
    with _head_of_the_line(Path(connection.engine.url.database or ".").parent, until):
        driver.execute("PRAGMA busy_timeout=0")
        try:
            while _busy(driver) and time.monotonic() < until:
                time.sleep(_ASK_AGAIN)
        finally:
            driver.execute(f"PRAGMA busy_timeout={patience_ms}")
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what the driver does, as everything else


@contextlib.contextmanager
def _head_of_the_line(folder: Path, until: float) -> Iterator[None]:
    """Held while the block runs; after `until` the block runs without it, for whoever holds it may hang."""
    line = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while time.monotonic() < until:
            try:
                fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_ASK_AGAIN)
            else:
                break
        yield
    finally:
        os.close(line)


def _busy(driver: Any) -> bool:
    """Begins, unless somebody else writes."""
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return bool(error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY)
    return False

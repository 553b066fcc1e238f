"""Retention at work: what is past its last day is erased in bounded commits, and what is left on the disk is overwritten.

Decides the order, the size of a commit and when one node does it for all. What may be erased is decided in `erasure.py`,
once more under the recorder's lock. A run that is cut short loses nothing: each commit stands by itself, and the next run
begins with what is left.
"""

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from gateway.erasure import RETENTION, standing_against
from gateway.errors import GatewayError, StoreUnavailableError
from gateway.ledger.entry import TransferErased, decode
from gateway.ledger.merkle import leaf_hash
from gateway.ledger.proof import verify_proof
from gateway.settings import RetentionSettings
from gateway.store import erasures, queries
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.erasures import Erase, EraseAgain, Erased, Erasure, MoveChore, TakeChore
from gateway.store.recorder import Job, Recorder, T_co
from gateway.store.session import Database
from gateway.store.tables import TransferRow, micros

CHORE: Final = "retention"
TIMER: Final = "retention-timer"
LEASE: Final = timedelta(minutes=10)
# Where what is erased was: transfer holds contents and keys, the others digests and codes.
TABLES: Final = ("transfer", "subject_index", "early_warning", "liaison_notice")
_WAIT_SECONDS: Final = 60
_PAGE: Final = 200
# Whoever empties the WAL keeps writers waiting: less than the recorder has patience for.
_PATIENCE_SECONDS: Final = 2
_REWRITES: Final = 4
_log: Final = structlog.get_logger("sinergi.retention")

Progress = Callable[[int, int], None]
"""(transfers done, transfers in all), called after each commit."""


@dataclass(slots=True)
class Report:
    """What a run did, or with `dry_run` would do: how many were erased, and how many each reason kept."""

    erased: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    items: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Of a dry run: each transfer, and what stands against it."""

    def add(self, erased: Sequence[str], kept: Mapping[str, tuple[str, ...]]) -> None:
        self.erased += len(erased)
        for reasons in kept.values():
            self.kept.update(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Made once a process, or once a command. `own_ledger` is the gateway's; `every` is the timer's period, 0 for none."""

    database: Database
    recorder: Recorder
    clock: Callable[[], datetime]
    own_ledger: str
    refused_days: int
    batch: int = 100
    every: timedelta = timedelta(0)

    @classmethod
    def of(
        cls,
        settings: RetentionSettings,
        database: Database,
        recorder: Recorder,
        own_ledger: str,
        clock: Callable[[], datetime],
    ) -> Self:
        """As the settings say."""
        return cls(
            database=database,
            recorder=recorder,
            clock=clock,
            own_ledger=own_ledger,
            refused_days=settings.refused_days,
            batch=settings.batch,
            every=timedelta(hours=settings.every_hours),
        )

    def run(
        self,
        who: str,
        *,
        why: str | None = None,
        limit: int | None = None,
        progress: Progress = lambda _done, _total: None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> Report:
        """Erases everything that is due, `limit` transfers at most. Blocks.

        `why` is an operator's reason; the timer has none, because the last day is one. `go_on` is asked before each commit.
        Raises StoreUnavailableError; what was erased by then stays erased.
        """
        report, now, done = Report(), self.clock(), 0
        with self.database.reading() as session:
            total = erasures.due_count(session, now, self.refused_days)
        total = total if limit is None else min(total, limit)
        progress(0, total)
        for page in self._pages(now):
            room = len(page) if limit is None else limit - report.erased
            if room <= 0 or not go_on():
                break
            by_ledger: dict[str, list[str]] = {}
            for one in page[:room]:
                by_ledger.setdefault(one.ledger, []).append(one.transfer)
            for ledger, transfers in by_ledger.items():
                found = self.erase(ledger, transfers, RETENTION, who, why=why)
                report.add(found.erased, found.kept)
            done += len(page)
            progress(min(done, total), total)
        return report

    def preview(self, *, limit: int | None = None) -> Report:
        """What `run` would do now. Changes nothing."""
        report, now = Report(), self.clock()
        for page in self._pages(now):
            with self.database.reading() as session:
                found = erasures.stored(session.connection(), [one.transfer for one in page])
            for stored in found:
                against = standing_against(stored, now, self.refused_days)
                if not against and limit is not None and report.erased >= limit:
                    return report
                report.add([] if against else [stored.transfer], {stored.transfer: against} if against else {})
                report.items.append((stored.transfer, against))
        return report

    def erase(
        self,
        ledger: str,
        transfers: Sequence[str],
        erased_for: str,
        who: str,
        *,
        why: str | None = None,
        request: str | None = None,
        duty: bool = True,
        approvals: tuple[str, ...] = (),
        judged_at: int | None = None,
    ) -> Erased:
        """One commit. Raises StoreUnavailableError, and DecidedBeforeError where keys were changed since `judged_at`."""
        return self._submit(
            Erase(
                ledger=ledger,
                own_ledger=self.own_ledger,
                transfers=transfers,
                erased_for=erased_for,
                who=who,
                now=self.clock(),
                refused_days=self.refused_days,
                why=why,
                request=request,
                duty=duty,
                approvals=approvals,
                judged_at=judged_at,
            )
        )

    def past_day(self) -> int:
        """How many messages are past their last day and still there, whatever stands against it."""
        return overdue(self.database, self.clock(), self.refused_days)

    def repeat(self, why: str, who: str) -> Erased:
        """Erases again what the ledgers have called erased and a restored table brought back. Blocks."""
        gone: list[str] = []
        kept: dict[str, tuple[str, ...]] = {}
        with self.database.reading() as session:
            names = [head.ledger for head in queries.ledgers(session)]
        for ledger in names:
            with self.database.reading() as session:
                found = [Erasure(*one) for one in erasures.back(session, ledger)]
            for first in range(0, len(found), self.batch):
                page = found[first : first + self.batch]
                done = self._submit(EraseAgain(self.own_ledger, ledger, page, why, who, self.clock()))
                gone += done.erased
                kept |= done.kept
        return Erased(tuple(gone), kept)

    def would_keep(self, transfers: Sequence[str], *, duty: bool = True) -> Erased:
        """What `erase` would do with these now. Changes nothing."""
        now = self.clock()
        with self.database.reading() as session:
            found = erasures.stored(session.connection(), transfers)
        against = {one.transfer: standing_against(one, now, self.refused_days, duty=duty) for one in found}
        going = tuple(transfer for transfer, reasons in against.items() if not reasons)
        return Erased(going, {transfer: reasons for transfer, reasons in against.items() if reasons})

    def run_when_due(self, go_on: Callable[[], bool]) -> Report | None:
        """The timer's question, on every node: one of them runs, and the others hear that it is not due. Blocks."""
        now = self.clock()
        ledgers = (self.own_ledger,)
        if not self._submit(TakeChore(CHORE, micros(now), micros(now + LEASE), ledgers)):
            return None

        def still_mine() -> bool:
            if go_on():
                self._submit(MoveChore(CHORE, micros(self.clock() + LEASE), ledgers))
            return go_on()

        report = self.run(TIMER, go_on=still_mine)
        if not go_on():
            # Cut short by the end of the process: whoever comes next goes on.
            self._submit(MoveChore(CHORE, micros(self.clock()), ledgers))
            return report
        self._submit(MoveChore(CHORE, micros(now + self.every), ledgers))
        clean = scrub(self.database) if report.erased else True
        _log.info("retention_run", erased=report.erased, kept=dict(report.kept), clean=clean)
        return report

    def _pages(self, now: datetime) -> Iterator[Sequence[erasures.Due]]:
        after: erasures.Place | None = None
        while True:
            with self.database.reading() as session:
                page = erasures.due(session, now, self.refused_days, after, self.batch)
            if not page:
                return
            yield page
            after = page[-1].place

    def _submit(self, job: Job[T_co]) -> T_co:
        try:
            return self.recorder.submit(job).result(_WAIT_SECONDS).result
        except TimeoutError as error:
            raise StoreUnavailableError("the recorder did not answer: run it again") from error


def scrub(database: Database, *, rewrite: bool = False) -> bool:
    """Overwrites what an erasure left beside the rows. False where the database would not let us: try again later.

    SQLite overwrites freed bytes at once (`secure_delete`); here the WAL is written back and emptied. PostgreSQL makes dead
    rows free for use (`VACUUM`), and only the owner of the tables may ask for it. With `rewrite` the files are written anew
    (`VACUUM`, `VACUUM FULL`): nobody else can write meanwhile, and no byte of a dead row is left in them.
    """
    if database.is_sqlite:
        return _scrub_sqlite(str(database.write.url.database), rewrite=rewrite)
    try:
        return _scrub_postgresql(database.write, rewrite=rewrite)
    except DBAPIError:
        return False


def _scrub_sqlite(path: str, *, rewrite: bool) -> bool:
    # A connection of its own: the recorder's is guarded and may be busy.
    with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA secure_delete=ON")
            if rewrite:
                connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
    return not busy


def _scrub_postgresql(engine: Engine, *, rewrite: bool) -> bool:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        notices = connection.info.get("notices", [])
        notices.clear()
        connection.execute(text("SET statement_timeout = 0"))
        try:
            for table in TABLES:
                if not rewrite:
                    connection.execute(text(f"VACUUM {table}"))
                elif not _rewritten(connection, table):
                    return False
        finally:
            connection.execute(text("RESET statement_timeout"))
        # Not the owner: PostgreSQL warns and does nothing; its own autovacuum will come.
        refused = bool(notices)
        notices.clear()
    return not refused


def _rewritten(connection: Connection, table: str) -> bool:
    """Whether no dead row is left: while somebody still reads an older state, the server takes them along."""
    raw: Any = connection.connection.driver_connection
    told: list[str] = []
    raw.add_notice_handler(keep := lambda notice: told.append(notice.message_detail or ""))
    try:
        for attempt in range(_REWRITES):
            if attempt:
                time.sleep(1)
            told.clear()
            connection.execute(text(f"VACUUM (FULL, VERBOSE) {table}"))
            # "N dead row versions cannot be removed yet", in whatever language the server speaks.
            if not any(int(found[1]) for detail in told if (found := re.match(r"\D*(\d+)", detail, re.ASCII))):
                return True
    finally:
        raw.remove_notice_handler(keep)
    return False


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that an erasure should have done and did not."""

    transfer: str
    what: str


def check(
    database: Database, keys: CheckpointKeys, progress: Progress = lambda _done, _total: None
) -> tuple[int, tuple[Flaw, ...]]:
    """How many erasures there are, and what is wrong with any of them.

    1. neither content nor key is in the row, and no index finds it
    2. the ledger has the entry of the message still, and its proof verifies
    3. the ledger has the entry of the erasure, and its proof verifies
    4. nothing was destroyed past this: a message without content has such an entry
    """
    flaws: list[Flaw] = []
    done, after = 0, ""
    with database.reading() as session:
        total = erasures.erased_count(session)
        flaws += [Flaw(one, "destroyed without an entry") for one in erasures.emptied(session, _PAGE)]
    while True:
        with database.reading() as session:
            rows = erasures.erased(session, after, _PAGE)
            if not rows:
                return done, tuple(flaws)
            left = erasures.leftovers(session, [row.id for row in rows])
            flaws += [Flaw(transfer, f"rows are left in {table}") for table, transfer in left]
            for row in rows:
                if row.wrapped_key or row.sealed_content or row.sealed_receipt:
                    flaws.append(Flaw(row.id, "content or key is left in the row"))
                for position, kinds in (
                    (row.position, ("transfer.accepted", "transfer.refused")),
                    (row.erased_position, (TransferErased.kind,)),
                ):
                    if (fault := _proved(session, row, position, kinds, keys)) is not None:
                        flaws.append(Flaw(row.id, fault))
        done, after = done + len(rows), rows[-1].id
        progress(done, max(done, total))


def _proved(
    session: Session, row: TransferRow, position: int | None, kinds: Sequence[str], keys: CheckpointKeys
) -> str | None:
    """What is wrong with an entry of this transfer; None if nothing is."""
    if position is None:
        return "the row names no entry of its erasure"
    try:
        leaf = queries.leaf(session, row.ledger, position)
        entry = decode(leaf)
        if entry["kind"] not in kinds or entry.get("transfer") != row.id:
            return f"entry {position} is about something else"
        origin = queries.ledger_head(session, row.ledger).origin
        proof = queries.proof(session, row.ledger, position)
        verify_proof(proof, leaf_hash(leaf), origin, keys.verifiers(origin, lost=True))
    except GatewayError as error:
        return f"entry {position} is not proved: {error.detail}"
    return None


def overdue(database: Database, now: datetime, refused_days: int) -> int:
    """How many transfers are past their last day and still there, whatever stands against it."""
    with database.reading() as session:
        return erasures.due_count(session, now, refused_days)

"""The audit that goes on while a gateway serves: nothing is signed for long over a past that was altered.

Decides what a start reads, and what is read while messages flow (ADR 0012):

- at the start the newest `startup_entries` of each ledger, whole, with every row beside them; a smaller ledger entirely
- from then on, again and again, every ledger from its first entry to its last, at a small share of one core
- every minute the tiles at the edge of each ledger: a recorder builds on those that it has in hand, others read them
- every few seconds the clock

Whatever is found stops the recorder: this process signs nothing more, is not ready, and says what to do. Each node does
all of it for itself, because none has to believe another.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from gateway.errors import (
    ClockError,
    GatewayError,
    LedgerForkedError,
    LedgerInvalidError,
    NotFoundError,
    StoreUnavailableError,
)
from gateway.ledger.checkpoint import Checkpoint, open_checkpoint
from gateway.ledger.merkle import Frontier
from gateway.ledger.tiles import frontier
from gateway.settings import AuditSettings
from gateway.store import attested, queries
from gateway.store.append import Memory, require_extends
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.clocks import require_clock
from gateway.store.fsck import Examination, examine
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.telemetry import Metrics

TICK_SECONDS: Final = 5.0
CHECKPOINTS: Final = 100
"""So many of the newest stored checkpoints are compared in one round; `fsck` compares more."""
EDGE_SECONDS: Final = 60.0
_LONGEST_REST: Final = 1.0
_AGAIN_SECONDS: Final = 60.0
_log: Final = structlog.get_logger("sinergi.patrol")


class _StoppedError(Exception):
    """The process ends in the middle of a round."""


def require_whole(database: Database, keys: CheckpointKeys, memory: Memory, newest: int, now: datetime) -> None:
    """Start-up's audit of the newest entries of each ledger. Raises LedgerForkedError, and StoreUnavailableError."""
    with database.reading() as session:
        names = [head.ledger for head in queries.ledgers(session)]
    for ledger in names:
        begin = _begin(database, keys, ledger, newest)
        known = memory.newest(ledger)
        if known is not None and begin is not None and known.size < begin.size:
            known = None  # `CheckpointFiles.require_sound` has proved that this one is extended
        _require_sound(examine(database, keys, ledger, known, now=now, begin=begin, checkpoints=CHECKPOINTS))


def _begin(database: Database, keys: CheckpointKeys, ledger: str, newest: int) -> Checkpoint | None:
    """A stored checkpoint at least so many entries before the end, or None to begin at the first entry."""
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        note = queries.checkpoint_before(session, ledger, head.size - newest)
        if note is None:
            return None
        try:
            return open_checkpoint(note, head.origin, keys.verifiers(head.origin, lost=True)).checkpoint
        except GatewayError as error:
            raise LedgerForkedError(f"a stored checkpoint of {ledger}: {error.detail}") from error


def _require_sound(found: Examination) -> None:
    if not found.ok:
        faults = "; ".join(f"{check.number}. {check.detail}" for check in found.report.checks if not check.ok)
        raise LedgerForkedError(f"{found.ledger} was altered ({faults}): sinergi ledger fsck says what to do")


def require_edge(database: Database, ledger: str, memory: Memory) -> None:
    """The tiles at the right edge give the root of the head, as its next commit finds it. Raises LedgerForkedError.

    Asks no key: whose head it is, is looked at by every commit. A ledger that grows meanwhile only widens its tiles.
    """
    known = memory.newest(ledger)  # before the head: what is signed in between may be newer
    with database.reading() as session:
        head = queries.ledger_head(session, ledger)
        try:
            root = Frontier.from_bytes(head.size, head.frontier).root()
            given = frontier(head.size, attested.reading_tiles(session, ledger)).root()
        except (LedgerInvalidError, NotFoundError) as error:
            raise LedgerForkedError(f"the edge of {ledger} was altered: {error.detail}") from error
    if given != root:
        raise LedgerForkedError(f"the edge of {ledger} was altered: its tiles do not give the root of its head")
    require_extends(ledger, Checkpoint(head.origin, head.size, root), known)


class Patrol:
    """A thread from `start` to `stop`."""

    def __init__(
        self,
        *,
        database: Database,
        keys: CheckpointKeys,
        recorder: Recorder,
        settings: AuditSettings,
        clock: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="patrol", daemon=True)
        self._ticked = self._rested = 0.0
        self._looked: float | None = None
        self._unseen = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            try:
                self.tick()
                if self._settings.every_hours and time.monotonic() >= due:
                    self.round()
                    due = time.monotonic() + (_AGAIN_SECONDS if self._unseen else self._settings.every_hours * 3600)
            except _StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever happens in it
                _log.warning("patrol_fault", error=type(error).__name__)
                due = time.monotonic() + _AGAIN_SECONDS
            self._stopping.wait(TICK_SECONDS)

    def round(self) -> None:
        """Every ledger once, slowly. What is found stops the recorder."""
        self._unseen = False
        for ledger in self._ledgers():
            self._rested = time.monotonic()
            if self._stood(ledger, self._whole):
                self._metrics.ledger_sound.labels(ledger).set(1)
                self._metrics.ledger_audited.labels(ledger).set(self._clock().timestamp())

    def edges(self) -> None:
        """The edge of every ledger. What is found stops the recorder."""
        for ledger in self._ledgers():
            self._stood(ledger, lambda ledger: require_edge(self._database, ledger, self._recorder.memory))

    def _ledgers(self) -> Sequence[str]:
        with self._database.reading() as session:
            present = {head.ledger for head in queries.ledgers(session)}
        return sorted(present | self._recorder.memory.ledgers())

    def _whole(self, ledger: str) -> None:
        known = self._recorder.memory.newest(ledger)
        now = self._clock()
        _require_sound(
            examine(self._database, self._keys, ledger, known, self._breathe, now=now, checkpoints=CHECKPOINTS)
        )

    def _stood(self, ledger: str, look: Callable[[str], None]) -> bool:
        try:
            look(ledger)
        except NotFoundError:
            self._halt(ledger, LedgerForkedError(f"{ledger} is gone from the database"))
        except LedgerForkedError as error:
            self._halt(ledger, error)
        except (StoreUnavailableError, _StoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - a ledger that cannot be looked at hides no other
            _log.warning("patrol_fault", ledger=ledger, error=type(error).__name__)
            self._unseen = True
        else:
            return True
        return False

    def tick(self) -> None:
        """The clock, and once a minute the edges, while nothing was found."""
        self._ticked = time.monotonic()
        self._look_at_the_clock()
        if self._recorder.fatal is None and (self._looked is None or self._ticked - self._looked > EDGE_SECONDS):
            self._looked = self._ticked
            with suppress(StoreUnavailableError):
                self.edges()

    def _look_at_the_clock(self) -> None:
        """It may be right again later, and then the recorder goes on."""
        try:
            require_clock(self._database, self._clock())
        except ClockError as error:
            if self._recorder.held is None:
                _log.error("clock_wrong", detail=error.detail)
            self._recorder.held = error
        except StoreUnavailableError:
            return
        else:
            if self._recorder.held is not None:
                _log.info("clock_right")
            self._recorder.held = None

    def _halt(self, ledger: str, error: LedgerForkedError) -> None:
        _log.error("ledger_unsound", ledger=ledger, detail=error.detail)
        self._metrics.ledger_sound.labels(ledger).set(0)
        self._recorder.fatal = error

    def _breathe(self, _done: int, _total: int) -> None:
        """After each bundle a rest, so that messages do not wait for the audit."""
        spent = time.monotonic() - self._rested
        rest = min(spent * (1 / self._settings.share - 1), _LONGEST_REST)
        if self._stopping.wait(rest):
            raise _StoppedError
        if time.monotonic() - self._ticked > TICK_SECONDS:
            self.tick()
        self._rested = time.monotonic()

"""The task of a gateway process that has checkpoints attested, every few seconds and only where a ledger grew.

    1 look       how far each ledger is attested; figures, and which ledgers take no more messages
    2 sign       the long-lived signature, off the commit's way
    3 ask        every witness of the ledger at once; each line is verified
    4 keep       as soon as there are enough, and what comes later is added
    5 stamp      a timestamp, each `timestamp.period_seconds`

Every node runs it. Two that ask at the same moment get the same lines or are told to agree on a size; both keep what
they got, and one row comes of it. A loop never dies of an exception: it says so in the log and goes on.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from gateway.attestation.asking import DISAGREES, Asking, NoCosignatureError
from gateway.attestation.policy import Policies, Standing
from gateway.attestation.stamping import NoTimestampError, Stamper
from gateway.attestation.standing import standings
from gateway.delivery import outbound
from gateway.delivery.outbound import Outbound, Resolve
from gateway.errors import GatewayError, LedgerForkedError, LedgerInvalidError
from gateway.ledger.checkpoint import Checkpoint, VerifiedCheckpoint, open_checkpoint
from gateway.ledger.cosignature import Cosigner, with_signatures
from gateway.ledger.note import NoteSignature, parse_note
from gateway.ledger.tiles import frontier
from gateway.store import attested, queries
from gateway.store.append import require_extends
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.attestations import KeepAttested, KeepTimestamp
from gateway.store.recorder import Recorder
from gateway.store.session import Database
from gateway.store.tables import micros
from gateway.telemetry import Metrics
from gateway.transfer import Gate

_GRACE_SECONDS: Final = 2.0
_log: Final = structlog.get_logger("sinergi.attestation")


@dataclass(frozen=True, slots=True)
class _Head:
    """One ledger as it was looked at: its checkpoint, ours by its own signature, and what is kept beside it."""

    ledger: str
    checkpoint: Checkpoint
    note: bytes
    kept: bytes | None
    kept_size: int


@dataclass(slots=True)
class _State:
    """What changes while a collector runs."""

    outbound: Outbound | None = None
    authority: Outbound | None = None
    askings: Mapping[str, Asking] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    late: set[str] = field(default_factory=set)
    lines: dict[str, tuple[int, dict[bytes, NoteSignature]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collector:
    """Belongs to one event loop, from `start` to `stop`. `long_lived` gives the ML-DSA keys that sign now, as an origin."""

    policies: Policies
    database: Database
    recorder: Recorder
    keys: CheckpointKeys
    gate: Gate
    metrics: Metrics
    clock: Callable[[], datetime]
    interval: float
    timeout: float
    long_lived: Callable[[str], Sequence[Cosigner]] = lambda _origin: ()
    stamper: Stamper | None = None
    resolve: Resolve = outbound.resolve
    _state: _State = field(default_factory=_State)

    @property
    def needed(self) -> bool:
        """Whether there is anything to collect."""
        return bool(self.policies.places) or self.stamper is not None or bool(self.long_lived("any"))

    async def start(self) -> None:
        """Looks once before the first request is answered, so that a ledger that must stop is stopped."""
        if not self.needed:
            return
        out = Outbound(timeout=self.timeout, clock=self.clock, resolve=self.resolve)
        state = self._state
        state.outbound = out
        if self.stamper is not None:
            state.authority = Outbound(timeout=self.stamper.timeout, clock=self.clock, resolve=self.resolve)
        state.askings = {
            place.name: Asking(place, out, lambda: self.clock().timestamp(), self.interval)
            for place in self.policies.places
        }
        with contextlib.suppress(GatewayError):
            await asyncio.to_thread(self.look)
        state.task = asyncio.create_task(self._run(), name="attestation")

    async def stop(self) -> None:
        state = self._state
        state.stopping.set()
        state.woken.set()
        if state.task is not None:
            await asyncio.wait([state.task], timeout=_GRACE_SECONDS)
            state.task.cancel()
            await asyncio.gather(state.task, return_exceptions=True)
        for out in (state.outbound, state.authority):
            if out is not None:
                await out.close()

    def wake(self) -> None:
        """A receipt waits for its witnesses: do not wait for the interval."""
        self._state.woken.set()

    async def _run(self) -> None:
        state = self._state
        while not state.stopping.is_set():
            state.woken.clear()
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the loop goes on
                _log.warning("loop_fault", loop="attestation", error=type(error).__name__)
            # Rounds have a distance even where every message wakes them: what comes together is attested together.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(state.stopping.wait(), min(self.interval, 0.1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(state.woken.wait(), max(self.interval - 0.1, 0))

    async def round(self) -> None:
        """Steps 1 to 5 once. Takes one timeout for each ledger at most, all of them at once."""
        standings_ = await asyncio.to_thread(self.look)  # 1 look
        heads = await asyncio.to_thread(self._heads)
        await asyncio.gather(*(self._attest(head) for head in heads))
        if self.stamper is not None:
            await asyncio.gather(*(self._stamp(one) for one in standings_))  # 5 stamp
        await asyncio.to_thread(self.look)

    def look(self) -> Sequence[Standing]:
        """Figures, and which ledgers take no more messages."""
        now = self.clock()
        with self.database.reading() as session:
            found = standings(session, self.policies)
        shut = {one.ledger for one in found if self.policies.stops(one, now)}
        for ledger in shut - self.gate.ledgers:
            _log.error("ledger_stopped", ledger=ledger)
        for ledger in self.gate.ledgers - shut:
            _log.info("ledger_goes_on", ledger=ledger)
        self.gate.shut(shut)
        for one in found:
            self._figures(one, now)
        return found

    def _figures(self, one: Standing, now: datetime) -> None:
        figures = self.metrics
        if self.policies.of(one.ledger).witnessed:
            figures.unwitnessed_entries.labels(one.ledger).set(one.size - one.witnessed)
            figures.unwitnessed_seconds.labels(one.ledger).set(one.waited(now).total_seconds())
            if one.witnessed_at is not None:
                figures.witnessed_age.labels(one.ledger).set((now - one.witnessed_at).total_seconds())
            if (late := self.policies.overdue(one, now)) != (one.ledger in self._state.late):
                (self._state.late.add if late else self._state.late.discard)(one.ledger)
                (_log.error if late else _log.info)(
                    "witnesses_missing" if late else "witnesses_back",
                    ledger=one.ledger,
                    entries=one.size - one.witnessed,
                )
        if self.policies.stamp_period is not None:
            figures.unstamped_seconds.labels(one.ledger).set(one.unstamped(now).total_seconds())

    def _heads(self) -> Sequence[_Head]:
        """The ledgers whose newest checkpoint still lacks something, if their head is one that may be shown at all."""
        wanting, memory = [], self.recorder.memory
        seen = {ledger: memory.newest(ledger) for ledger in memory.ledgers()}  # before the heads: commits go on
        with self.database.reading() as session:
            for head in queries.ledgers(session):
                quorum = self.policies.of(head.ledger).quorum
                row = attested.newest(session, head.ledger, quorum)
                if row is not None and row.size == head.size and not self._lacks(head.origin, row.note, head.ledger):
                    continue
                try:
                    own = self.keys.verifiers(head.origin)
                    checkpoint = open_checkpoint(head.checkpoint, head.origin, own).checkpoint
                    require_extends(head.ledger, checkpoint, seen.get(head.ledger))
                except (LedgerInvalidError, LedgerForkedError) as error:
                    _log.error("not_attested", ledger=head.ledger, code=error.code)
                    continue
                same = row is not None and row.size == head.size
                kept = row.note if row is not None and same else None
                wanting.append(_Head(head.ledger, checkpoint, head.checkpoint, kept, 0 if row is None else row.size))
        return wanting

    def _lacks(self, origin: str, note: bytes, ledger: str) -> bool:
        """Whether a line is missing. After a start every witness is asked once, for it may have seen more than we know."""
        if any(origin not in self._state.askings[place.name].met for place in self.policies.places_of(ledger)):
            return True
        signed = {(line.name, line.key_id) for line in parse_note(note).signatures}
        wanted = [place.verifier for place in self.policies.places_of(ledger)]
        wanted += [own.verifier for own in self.long_lived(origin)]
        return any((verifier.name, verifier.key_id) not in signed for verifier in wanted)

    async def _attest(self, head: _Head) -> None:
        try:
            note = await asyncio.to_thread(self._signed, head)  # 2 sign
            await self._cosigned(head, note)
        except GatewayError as error:
            _log.warning("not_kept", ledger=head.ledger, code=error.code)

    def _signed(self, head: _Head) -> bytes:
        note = head.note if head.kept is None else with_signatures(head.note, parse_note(head.kept).signatures)
        signed = {line.key_id for line in parse_note(note).signatures}
        missing = [own for own in self.long_lived(head.checkpoint.origin) if own.verifier.key_id not in signed]
        if not missing:
            return note
        # Once a size and key: the same lines go to every witness, and into what is kept.
        size, lines = self._state.lines.get(head.ledger, (-1, {}))
        if size != head.checkpoint.size:
            lines = {}
            self._state.lines[head.ledger] = (head.checkpoint.size, lines)
        for own in missing:
            if own.verifier.key_id not in lines:
                lines[own.verifier.key_id] = own.cosign(head.checkpoint.format(), int(self.clock().timestamp()))
        return with_signatures(note, [lines[own.verifier.key_id] for own in missing])

    async def _cosigned(self, head: _Head, note: bytes) -> None:
        quorum = self.policies.of(head.ledger).quorum
        signed = {(line.name, line.key_id) for line in parse_note(note).signatures}
        askings = [
            asking
            for place in self.policies.places_of(head.ledger)
            if not (asking := self._state.askings[place.name]).paused
            and not ((place.name, place.verifier.key_id) in signed and head.checkpoint.origin in asking.met)
        ]
        kept = head.kept
        if note not in (head.note, kept) and quorum.met_by(parse_note(note).signatures):
            kept = await self._keep(head, note)
        asked = [asyncio.create_task(self._ask(asking, head, note)) for asking in askings]  # 3 ask
        try:
            for answer in asyncio.as_completed(asked):
                line = await answer
                if line is None:
                    continue
                note = with_signatures(note, [line])
                if quorum.met_by(parse_note(note).signatures):
                    kept = await self._keep(head, note)  # 4 keep
        finally:
            for task in asked:
                task.cancel()

    async def _keep(self, head: _Head, note: bytes) -> bytes:
        await self.recorder.record(KeepAttested(head.ledger, head.checkpoint.size, note))
        async with self._state.changed:
            self._state.changed.notify_all()
        return note

    async def _ask(self, asking: Asking, head: _Head, note: bytes) -> NoteSignature | None:
        def extension(old: int, size: int) -> list[bytes]:
            with self.database.reading() as session:
                return attested.extension(session, head.ledger, old, size)

        async def prove(old: int, size: int) -> list[bytes]:
            return await asyncio.to_thread(extension, old, size)

        name = asking.place.name
        try:
            line = await asking.cosignature(note, head.kept_size, prove)
        except NoCosignatureError as error:
            self.metrics.witness_failures.labels(name, error.kind).inc()
            _log.warning("not_cosigned", ledger=head.ledger, witness=name, error=error.kind, faults=asking.faults)
            if error.kind in DISAGREES:
                await self._compare(asking, head)
            return None
        self.metrics.witness_cosignatures.labels(name).inc()
        return line

    async def _compare(self, asking: Asking, head: _Head) -> None:
        """A witness saw another ledger than ours. If our own key signed what it shows, ours is not to be signed again."""
        own = self.keys.verifiers(head.checkpoint.origin)
        seen = await asking.held(head.checkpoint.origin, own)
        if seen is not None and not await asyncio.to_thread(self._extends, head.ledger, seen):
            _log.error("ledger_forked", ledger=head.ledger, witness=asking.place.name, size=seen.size)
            self.recorder.fatal = LedgerForkedError(
                f"{head.ledger}: a witness holds a checkpoint of {seen.size} entries that our key signed and that the"
                " database does not extend: it was rolled back or exchanged"
            )

    def _extends(self, ledger: str, seen: VerifiedCheckpoint) -> bool:
        """Whether our ledger, as it is now, begins with that one. Another node may have moved it in the meantime."""
        with self.database.reading() as session:
            if queries.ledger_head(session, ledger).size < seen.size:
                return False
            return frontier(seen.size, attested.reading_tiles(session, ledger)).root() == seen.root

    async def witnessed(self, ledger: str, position: int, seconds: float) -> str | None:
        """The proof of an entry under a witnessed checkpoint, waiting for one at most so long; None when there is none."""

        def look() -> str | None:
            with self.database.reading() as session:
                return attested.witnessed_proof(session, ledger, position, self.policies.of(ledger).quorum)

        try:
            async with asyncio.timeout(seconds):
                while (proof := await asyncio.to_thread(look)) is None:
                    self.wake()
                    # Another node may bring it: look now and then, too.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0), self._state.changed:
                            await self._state.changed.wait()
                return proof
        except TimeoutError:
            return None

    async def _stamp(self, one: Standing) -> None:
        """When the period of a ledger is over and it grew: the newest checkpoint that its witnesses saw.

        While they are missing for longer than their budget, the newest one there is: one absence must not become two.
        """
        now, stamper, period = self.clock(), self.stamper, self.policies.stamp_period
        if stamper is None or period is None or one.stamped >= one.size:
            return
        if (one.stamped_at is not None and now - one.stamped_at < period) or stamper.paused(one.ledger):
            return

        def newest() -> tuple[int, bytes] | None:
            with self.database.reading() as session:
                row = attested.newest(session, one.ledger, self.policies.of(one.ledger).quorum)
                head = queries.ledger_head(session, one.ledger)
            # With whatever signatures it has by now: a timestamp says that they were there.
            if row is not None and row.size > one.stamped:
                return row.size, row.note
            awaited = self.policies.of(one.ledger).witnessed and not self.policies.overdue(one, now)
            return None if awaited else (head.size, head.checkpoint)

        assert self._state.authority is not None
        found = await asyncio.to_thread(newest)
        if found is None:
            return
        size, note = found
        try:
            stamp = await stamper.ask(self._state.authority, one.ledger, note, now)
        except NoTimestampError as error:
            self.metrics.timestamp_failures.labels(error.kind).inc()
            _log.warning("not_stamped", ledger=one.ledger, error=error.kind)
            return
        await self.recorder.record(KeepTimestamp(one.ledger, size, note, stamp.token, micros(stamp.time)))
        _log.info("stamped", ledger=one.ledger, size=size)

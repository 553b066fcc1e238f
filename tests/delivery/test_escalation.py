"""Deadlines: met by a person's answer or receipt, escalated once when they pass, told to both liaisons."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlmodel import select

from gateway.delivery.escalation import Escalations
from gateway.delivery.liaison import NO_ENDPOINT, NOTICE_ATTEMPTS, LiaisonNotices
from gateway.delivery.outbound import Outbound
from gateway.early_warning import WITHDRAWN, Deadline, FollowUp, Warned
from gateway.ledger.entry import timestamp
from gateway.statements.notice import Notice, read_notice
from gateway.statements.request_token import parse_request_token, verify_request_token
from gateway.store import early_warnings
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.jobs.deadlines import Escalate, Follow
from gateway.store.jobs.notices import MOOT
from gateway.store.recorder import Recorder
from gateway.store.session import Database, open_database
from gateway.store.tables import DEAD, DELIVERED, WAITING, DeadlineRow, LiaisonNoticeRow, micros
from gateway.telemetry import Metrics
from tests.delivery.pushing import pushing
from tests.delivery.recipient import Push, Recipient, Reply
from tests.delivery.world import GATEWAY, LEDGER, RECIPIENT, SENDER, START, World, until

pytestmark = pytest.mark.anyio
QUARTER = timedelta(minutes=15)


def warn(world: World, count: int = 1, *, within: timedelta = QUARTER, severity: int = 4) -> list[str]:
    """Early warnings that must be answered `within` so long from now."""
    jobs = []
    for _ in range(count):
        job = world.job()
        transfer, at = job.row["id"], world.clock()
        deadline = Deadline(transfer, LEDGER, SENDER, RECIPIENT, "early-warning.report/1", at + within)
        warned = Warned(transfer, SENDER, RECIPIENT, "36.04.08.2009", severity, "TPPO", at)
        follow = Follow(FollowUp(by=SENDER, at=at, deadline=deadline, warned=warned))
        jobs.append(replace(job, effects=(follow,)))
    return world.send_many(jobs)


def settle(world: World, transfer: str, *, by: str = RECIPIENT, how: str = "answer") -> None:
    """A later message that answers, or withdraws, the transfer."""
    job = world.job("imigrasi")
    world.send_many([replace(job, effects=(Follow(FollowUp(by, world.clock(), settles=transfer, settled_by=how)),))])


def escalations(world: World, metrics: Metrics | None = None) -> Escalations:
    return Escalations(world.database, world.recorder, world.clock, metrics)


def deadline(world: World, transfer: str) -> DeadlineRow:
    with world.database.reading() as session:
        return session.exec(select(DeadlineRow).where(DeadlineRow.transfer == transfer)).one()


def notices(world: World) -> list[tuple[str, str, str, int]]:
    """Agency, state, last error and attempts of every notice."""
    with world.database.reading() as session:
        rows = session.exec(select(LiaisonNoticeRow)).all()
    return sorted((row.agency, row.state, row.last_error or "", row.attempts) for row in rows)


async def receipt(world: World, transfer: str, event: str) -> None:
    page = await world.inbox().take(RECIPIENT, 100, 0)
    (item,) = [item for item in page.items if item["transfer"] == transfer]
    (result,) = await world.acknowledgements.record([world.acknowledge(item, event)], RECIPIENT)
    assert result.status == "recorded"


async def test_a_deadline_that_passes_is_one_entry_one_figure_and_one_line(
    world_on_both: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The entry names transfer, recipient and moment; nothing happens before, and nothing a second time."""
    world, metrics = world_on_both, Metrics()
    (transfer,) = warn(world)
    due = START + QUARTER
    run = escalations(world, metrics).run
    world.clock.moment = due
    assert await run() == 0
    world.clock.advance(seconds=1)
    assert [await run(), await run()] == [1, 0]
    (entry,) = world.entries("transfer.overdue")
    assert entry == {
        "v": 1,
        "kind": "transfer.overdue",
        "time": timestamp(world.clock()),
        "transfer": transfer,
        "recipient": RECIPIENT,
        "due_at": timestamp(due),
    }
    assert b'sinergi_escalations_total{type="early-warning.report/1"} 1.0' in generate_latest(metrics.registry)
    assert capsys.readouterr().out.count("transfer_overdue") == 1
    with world.database.reading() as session:
        assert early_warnings.overdue(session, micros(world.clock())) == 1


@pytest.mark.parametrize("event", ["processed", "rejected"])
async def test_a_receipt_that_a_person_stands_behind_meets_the_deadline(world: World, event: str) -> None:
    """Processed or rejected: somebody looked at it."""
    (transfer,) = warn(world)
    await receipt(world, transfer, event)
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 0
    assert (deadline(world, transfer).met_by, deadline(world, transfer).met_at) == (event, micros(START))


async def test_a_machine_that_says_delivered_does_not_meet_the_deadline(world: World) -> None:
    """A stored warning that nobody read is what escalation is for."""
    (transfer,) = warn(world)
    await receipt(world, transfer, "delivered")
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 1


async def test_only_the_recipients_answer_meets_and_only_the_sender_withdraws(world_on_both: World) -> None:
    """A third agency, or the sender itself, cannot quieten an escalation; a withdrawn warning needs no answer."""
    world = world_on_both
    answered, attacked, withdrawn = warn(world, 3)
    settle(world, answered)
    settle(world, attacked, by=SENDER)
    settle(world, attacked, by="imigrasi")
    settle(world, attacked, by=RECIPIENT, how=WITHDRAWN)
    settle(world, withdrawn, by=SENDER, how=WITHDRAWN)
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 1
    assert [entry["transfer"] for entry in world.entries("transfer.overdue")] == [attacked]
    assert [deadline(world, one).met_by for one in (answered, withdrawn)] == ["answer", WITHDRAWN]


async def test_an_answer_that_comes_between_the_look_and_the_lock_wins(world_on_both: World) -> None:
    """What was seen as overdue is looked at again in the transaction that would escalate it."""
    world = world_on_both
    (transfer,) = warn(world)
    world.clock.advance(hours=1)
    seen_before = Escalate(LEDGER, (transfer,), world.clock())
    settle(world, transfer)
    assert world.recorder.submit(seen_before).result(10).result == ()
    assert world.entries("transfer.overdue") == []


async def test_a_late_answer_is_recorded_as_the_late_answer_that_it_is(world: World) -> None:
    """Escalation ends nothing: the figures need to know when the answer came."""
    (transfer,) = warn(world)
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 1
    world.clock.advance(hours=1)
    await receipt(world, transfer, "processed")
    row = deadline(world, transfer)
    assert (row.met_by, row.met_at, row.escalated_at) == (
        "processed",
        micros(START + timedelta(hours=2)),
        micros(START + timedelta(hours=1)),
    )
    with world.database.reading() as session:
        assert early_warnings.overdue(session, micros(world.clock())) == 0


async def test_a_restart_and_a_clock_that_goes_back_lose_and_repeat_nothing(world: World) -> None:
    """What is open and what was escalated is in the database, not in a process."""
    warn(world, 250)  # more than one batch
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 250
    world.clock.advance(hours=-2)
    assert await escalations(world).run() == 0
    (later,) = warn(world)
    world.clock.advance(hours=4)
    assert await escalations(world).run() == 1
    entries = [entry["transfer"] for entry in world.entries("transfer.overdue")]
    assert (len(entries), len(set(entries)), entries[-1]) == (251, 251, later)


async def test_two_nodes_that_look_at_once_escalate_once(
    open_empty: Callable[[str], Database], postgres_url: str, checkpoint_keys: CheckpointKeys, tmp_path: Any
) -> None:
    """Two recorders on one PostgreSQL, both asked for every deadline by several callers: each has one entry."""
    world = World(open_empty(postgres_url), checkpoint_keys, tmp_path)
    other_database = open_database(postgres_url)
    other = Recorder(other_database, checkpoint_keys)
    other.start()
    world.set_liaison(RECIPIENT, "http://nobody.test/notices")
    transfers = warn(world, 120)
    world.clock.advance(hours=1)
    barrier = threading.Barrier(4)
    escalated: list[str] = []

    def node(recorder: Recorder, order: list[str]) -> None:
        barrier.wait()
        for first in range(0, len(order), 10):
            job = Escalate(LEDGER, order[first : first + 10], world.clock())
            escalated.extend(one.transfer for one in recorder.submit(job).result(30).result)

    orders = [transfers, transfers[::-1]] * 2
    nodes = [
        threading.Thread(target=node, args=(recorder, order))
        for recorder, order in zip((world.recorder, other, other, world.recorder), orders, strict=True)
    ]
    for thread in nodes:
        thread.start()
    for thread in nodes:
        thread.join()
    other.stop()
    other_database.close()
    assert sorted(escalated) == sorted(transfers)
    assert sorted(entry["transfer"] for entry in world.entries("transfer.overdue")) == sorted(transfers)
    assert len(notices(world)) == 120
    world.close()


# Liaisons.


def liaison_notices(world: World, out: Outbound) -> LiaisonNotices:
    return LiaisonNotices(
        GATEWAY,
        world.configuration,
        world.database,
        world.recorder,
        lambda: world.signer,
        lambda: world.signer,
        world.clock,
        timedelta(seconds=60),
        out,
    )


async def told(push: Push) -> Reply:
    return Reply()


async def test_both_liaisons_are_told_and_can_prove_by_whom(world: World) -> None:
    """The notice is the gateway's, for this agency, by a token for these bytes; it names no person and no content."""
    liaisons = {agency: Recipient(told) for agency in (SENDER, RECIPIENT)}
    urls = {}
    for agency, server in liaisons.items():
        urls[agency] = f"http://liaison-{agency}.test:{await server.start()}/notices"
        world.set_liaison(agency, urls[agency])
    (transfer,) = warn(world)
    world.clock.advance(hours=1)
    worker = world.worker(resolve=lambda _host, _port: ["127.0.0.1"])
    await worker.start()
    for agency, server in liaisons.items():
        (push, *_) = await server.got(1)
        body = json.loads(push.body)
        assert body.keys() == {"notice"}
        notice = read_notice(body["notice"], world.signer.public)
        assert notice == Notice(
            iss=GATEWAY,
            aud=agency,
            iat=int(world.clock().timestamp()),
            jti=notice.jti,
            event="overdue",
            transfer=transfer,
            type="early-warning.report/1",
            recipient=RECIPIENT,
            due_at=int((START + QUARTER).timestamp()),
            severity=4,
        )
        claims = verify_request_token(
            parse_request_token(push.headers["authorization"].removeprefix("Bearer ")),
            world.signer.public,
            audience=agency,
            method="POST",
            url=urls[agency],
            now=world.clock(),
            leeway=timedelta(0),
            body=push.body,
        )
        assert claims.iss == GATEWAY
    await until(lambda: {state for _, state, _, _ in notices(world)} == {DELIVERED})
    await worker.stop()
    assert [len(server.pushes) for server in liaisons.values()] == [1, 1]
    for server in liaisons.values():
        await server.stop()


async def test_an_agency_without_a_liaison_endpoint_is_told_nothing(world: World) -> None:
    """The endpoint is optional; the entry is there all the same."""
    warn(world)
    world.clock.advance(hours=1)
    assert await escalations(world).run() == 1
    assert notices(world) == []


async def test_a_liaison_that_is_away_is_tried_again_and_then_given_up(world: World) -> None:
    """Later and later, a bounded number of times; never a ledger entry of its own."""

    async def away(push: Push) -> Reply:
        return Reply(503)

    server = Recipient(away)
    world.set_liaison(RECIPIENT, f"http://liaison.test:{await server.start()}/notices")
    (transfer,) = warn(world)
    world.clock.advance(hours=1)
    await escalations(world).run()
    size = len(world.entries("transfer.overdue"))
    out = Outbound(timeout=5, clock=world.clock, resolve=lambda _host, _port: ["127.0.0.1"])
    sender = liaison_notices(world, out)
    await sender.run()
    assert notices(world) == [(RECIPIENT, WAITING, "status-503", 1)]
    await sender.run()
    assert len(server.pushes) == 1  # not due yet
    for _ in range(NOTICE_ATTEMPTS + 3):
        world.clock.advance(hours=13)
        await sender.run()
    assert notices(world) == [(RECIPIENT, DEAD, "status-503", NOTICE_ATTEMPTS)]
    assert (len(server.pushes), len(world.entries("transfer.overdue"))) == (NOTICE_ATTEMPTS, size)
    assert deadline(world, transfer).met_at is None
    await out.close()
    await server.stop()


async def test_what_was_answered_meanwhile_alarms_nobody(world: World) -> None:
    """A notice that could not be told before the answer came is dropped."""
    world.set_liaison(RECIPIENT, "http://liaison.test:9/notices")
    (transfer,) = warn(world)
    world.clock.advance(hours=1)
    await escalations(world).run()
    settle(world, transfer)
    out = Outbound(timeout=5, clock=world.clock, resolve=lambda _host, _port: ["127.0.0.1"])
    assert await liaison_notices(world, out).run() == 0
    assert notices(world) == [(RECIPIENT, MOOT, "", 0)]
    await out.close()


async def test_a_notice_goes_to_no_address_outside_the_allow_list(world: World) -> None:
    """A liaison endpoint cannot be turned against the gateway's own network either."""
    server = Recipient(told)
    world.set_liaison(RECIPIENT, f"http://liaison.test:{await server.start()}/notices", networks="203.0.113.0/28")
    warn(world)
    world.clock.advance(hours=1)
    await escalations(world).run()
    out = Outbound(timeout=5, clock=world.clock, resolve=lambda _host, _port: ["127.0.0.1"])
    assert await liaison_notices(world, out).run() == 0
    assert (server.connections, notices(world)) == (0, [(RECIPIENT, WAITING, "endpoint.forbidden", 1)])
    world.change_agency(RECIPIENT, liaison_url=None)
    world.configuration.reload()
    world.clock.advance(hours=1)
    await liaison_notices(world, out).run()
    assert notices(world) == [(RECIPIENT, WAITING, NO_ENDPOINT, 2)]
    await out.close()
    await server.stop()


async def test_a_hanging_liaison_delays_no_delivery_and_no_escalation(world: World, recipient: Recipient) -> None:
    """While every liaison request hangs, messages are pushed and deadlines escalated as ever."""
    hanging = Recipient(lambda _push: asyncio.sleep(60, Reply()))
    world.set_liaison(SENDER, f"http://liaison.test:{await hanging.start()}/notices")
    warn(world, 5)
    async with pushing(world, recipient, timeout=30.0) as worker:
        world.clock.advance(hours=1)
        await hanging.got(1)
        sent = world.send()
        worker.wake(RECIPIENT)
        await until(lambda: world.outbox(sent).state == DELIVERED)
        warn(world, 1, within=timedelta(seconds=-1))
        await until(lambda: len(world.entries("transfer.overdue")) == 6)
        assert {state for _, state, _, _ in notices(world)} == {WAITING}
        await worker.stop(grace=0)
    await hanging.stop()

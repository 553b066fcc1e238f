"""Acknowledgements: a recipient may lie about everything; each lie is refused alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.delivery.acknowledge import AckResult
from gateway.errors import StoreUnavailableError, UnconfirmedKeyError
from gateway.jose import PublicKey
from gateway.keyring import signer_for
from gateway.keys.directory import REVOKED, Directory
from gateway.ledger.entry import decode
from gateway.store import queries
from gateway.store.tables import DELIVERED, WAITING
from tests.delivery.world import LEDGER, RECIPIENT, SENDER, World

pytestmark = pytest.mark.anyio
STRANGER = "01890a5d-ac96-774b-bcce-b302099a8057"


async def held(world: World, **options: Any) -> dict[str, Any]:
    """A transfer that the recipient has pulled."""
    transfer = world.send(**options)
    page = await world.inbox().take(options.get("recipient", RECIPIENT), 100, 0)
    return next(dict(item) for item in page.items if item["transfer"] == transfer)


async def record(world: World, *texts: str, agency: str = RECIPIENT) -> tuple[AckResult, ...]:
    return await world.acknowledgements.record(texts, agency)


async def test_a_true_receipt_ends_the_delivery_and_is_an_entry(world: World) -> None:
    """Receipt, entry and the outbox's new state are one commit; the index is where the entry stands."""
    item = await held(world)
    receipt = world.acknowledge(item)
    (result,) = await record(world, receipt)
    (entry,) = world.entries("transfer.acknowledged")
    assert (result.transfer, result.status, result.code) == (item["transfer"], "recorded", None)
    assert result.as_json() == {"transfer": item["transfer"], "status": "recorded", "index": result.index}
    assert (entry["event"], entry["recipient"], entry["key"]) == ("delivered", RECIPIENT, world.keys[RECIPIENT].kid)
    assert result.index is not None
    with world.database.reading() as session:
        assert decode(queries.leaf(session, LEDGER, result.index)) == entry
    assert world.outbox(item["transfer"]).state == DELIVERED


async def test_a_replay_is_a_duplicate_and_changes_nothing(world_on_both: World) -> None:
    """The same event twice, in one call or in two, with the same receipt or another, is one entry."""
    world = world_on_both
    item = await held(world)
    receipt = world.acknowledge(item)
    first = await record(world, receipt, receipt, world.acknowledge(item))
    again = await record(world, receipt)
    assert [result.status for result in first + again] == ["recorded", "duplicate", "duplicate", "duplicate"]
    assert again[0].as_json() == {"transfer": item["transfer"], "status": "duplicate"}
    assert len(world.entries("transfer.acknowledged")) == 1


async def test_delivered_may_arrive_after_processed(world: World) -> None:
    """Receipts travel in any order; each event is evidence of its own."""
    item = await held(world)
    results = await record(world, world.acknowledge(item, "processed"))
    results += await record(world, world.acknowledge(item, "delivered"))
    assert [result.status for result in results] == ["recorded", "recorded"]
    assert [entry["event"] for entry in world.entries("transfer.acknowledged")] == ["processed", "delivered"]


async def test_a_rejection_with_reasons_ends_the_delivery_too(world: World) -> None:
    """A recipient that refuses a message has it."""
    item = await held(world)
    (result,) = await record(world, world.acknowledge(item, "rejected", reasons=("wrong-unit",)))
    assert result.status == "recorded"
    assert world.outbox(item["transfer"]).state == DELIVERED


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ({"transfer": STRANGER}, "receipt.mismatch"),
        ({"sd_hash": "A" * 43}, "receipt.mismatch"),
        ({"iss": SENDER}, "receipt.mismatch"),
        ({"aud": "another-gateway"}, "receipt.mismatch"),
        ({"iat": 1_900_000_000}, "envelope.not-yet-valid"),
        ({"by": signer_for(Ed25519PrivateKey.generate())}, "key.unknown"),
        ({"event": "accepted"}, "receipt.malformed"),
        ({"jti": "short"}, "receipt.malformed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
async def test_a_receipt_that_lies_is_refused(world: World, lie: dict[str, Any], code: str) -> None:
    """One false member, and nothing is recorded: the message stays on its way."""
    item = await held(world)
    (result,) = await record(world, world.acknowledge(item, **lie))
    assert (result.status, result.code, result.index) == ("refused", code, None)
    assert world.outbox(item["transfer"]).state == WAITING
    assert world.entries("transfer.acknowledged") == []


@pytest.mark.parametrize("text", ["", "junk", "a.b.c", "é" * 20, "a" * 9000])
async def test_what_is_no_receipt_is_malformed(world: World, text: str) -> None:
    """A text that cannot be read is about no transfer."""
    assert await record(world, text) == (AckResult(None, "refused", code="receipt.malformed"),)


async def test_somebody_elses_transfer_looks_like_one_that_does_not_exist(world: World) -> None:
    """A recipient that guesses ids, or was told one, learns nothing by signing for it."""
    other = await held(world, recipient="imigrasi")
    foreign, unknown = await record(world, world.acknowledge(other), world.acknowledge(other | {"transfer": STRANGER}))
    assert (foreign.status, foreign.code) == (unknown.status, unknown.code) == ("refused", "receipt.mismatch")
    assert world.outbox(other["transfer"]).state == WAITING


async def test_the_hash_must_be_of_what_was_released(world: World) -> None:
    """A receipt over the message with its withheld field would claim that the gateway let it through."""
    item = await held(world)
    longer = item | {"message": item["message"] + "WyJzYWx0IiwieCIsMV0~"}
    (result,) = await record(world, world.acknowledge(longer))
    assert (result.status, result.code) == ("refused", "receipt.mismatch")


async def test_another_partys_true_signature_does_not_count(world: World) -> None:
    """The sender, whose key is known, cannot acknowledge its own message in the recipient's name."""
    item = await held(world)
    (result,) = await record(world, world.acknowledge(item, by=world.keys[SENDER]))
    assert (result.status, result.code) == ("refused", "key.unknown")


async def test_a_key_revoked_a_moment_ago_signs_nothing_any_more(world: World) -> None:
    """The picture of the keys may be a second old, the judgement may not: the recorder sees that it changed."""
    item = await held(world)
    world.configuration.current()
    world.change_key(world.keys[RECIPIENT].kid, status=REVOKED)
    (result,) = await record(world, world.acknowledge(item))
    assert (result.status, result.code) == ("refused", "key.revoked")
    assert world.outbox(item["transfer"]).state == WAITING


async def test_a_key_past_its_time_is_refused_and_its_successor_counts(world: World) -> None:
    """Rollover: the key that is valid at the moment of receipt, whatever the receipt's own date."""
    item = await held(world)
    new = signer_for(Ed25519PrivateKey.generate())
    world.add_key(RECIPIENT, new)
    world.change_key(world.keys[RECIPIENT].kid, not_after=1)
    results = await record(world, world.acknowledge(item), world.acknowledge(item, by=new))
    assert [(result.status, result.code) for result in results] == [("refused", "key.not-valid"), ("recorded", None)]


async def test_each_receipt_is_judged_alone_and_answers_keep_their_order(world: World) -> None:
    """A lie in the middle takes nothing from its neighbours."""
    items = [await held(world) for _ in range(3)]
    texts = [
        world.acknowledge(items[0]),
        "junk",
        world.acknowledge(items[1], sd_hash="A" * 43),
        world.acknowledge(items[2]),
    ]
    results = await record(world, *texts)
    assert [result.status for result in results] == ["recorded", "refused", "refused", "recorded"]
    assert [result.transfer for result in results] == [
        items[0]["transfer"],
        None,
        items[1]["transfer"],
        items[2]["transfer"],
    ]


async def test_a_clock_a_little_ahead_is_forgiven(world: World) -> None:
    """Within the leeway a receipt may be dated in the future."""
    item = await held(world)
    ahead = int((world.clock() + timedelta(seconds=59)).timestamp())
    (result,) = await record(world, world.acknowledge(item, iat=ahead))
    assert result.status == "recorded"


async def test_nothing_is_half_answered_when_the_ledger_cannot_be_written(world: World) -> None:
    """The whole call fails, and the same receipts are taken later."""
    item = await held(world)
    receipt = world.acknowledge(item)
    world.recorder.stop()
    with pytest.raises(StoreUnavailableError):
        await record(world, receipt)
    assert world.outbox(item["transfer"]).state == WAITING


async def test_a_late_receipt_is_evidence_all_the_same(world: World) -> None:
    """A recipient that had the message before `exp` may sign for it afterwards."""
    item = await held(world, valid=timedelta(minutes=5))
    world.clock.advance(minutes=10)
    assert await world.worker().sweep() == 1
    (result,) = await record(world, world.acknowledge(item))
    assert result.status == "recorded"


async def test_a_key_whose_authority_is_silent_harms_no_other_receipt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered so for its own receipt alone, which may be handed in again; those beside it are recorded."""
    good, bad = await held(world), await held(world)
    silent = signer_for(Ed25519PrivateKey.generate())
    texts = world.acknowledge(good), world.acknowledge(bad, by=silent)
    known = Directory.key_for

    def ask(directory: Directory, agency: str, kid: str, now: datetime) -> PublicKey:
        if kid == silent.kid:
            raise UnconfirmedKeyError("silence", retry_after=60)
        return known(directory, agency, kid, now)

    monkeypatch.setattr(Directory, "key_for", ask)
    results = await record(world, *texts)
    assert [(result.status, result.code) for result in results] == [("recorded", None), ("refused", "key.unconfirmed")]

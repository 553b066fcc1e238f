"""An agency's key was in other hands for a while: what it signed since is in doubt, what it signed before stands."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.delivery.redeliver import redeliver
from gateway.errors import KeyRefusedError, OperatorError
from gateway.evidence.bundle import unpack
from gateway.evidence.checks import check
from gateway.founding import RefusedError
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.key_management.compromise import compromise, doubtful
from gateway.keys.directory import parse_endpoint
from gateway.ledger.entry import decode, instant
from gateway.operations.agencies import change_agency
from gateway.sdk.reception import KeySet, Recipient
from gateway.statements.notice import read_notice
from gateway.store import queries
from gateway.wiring import now, open_store
from tests.evidence.cases import failed
from tests.functional.servers import serving
from tests.province import AGREEMENT, GATEWAY, IMIGRASI, POLDA, Province
from tests.published import trusted


@dataclass
class Theft:
    """Three transfers: `before` was received before the key was lost, `taken` and `waiting` after; only `taken` is delivered."""

    province: Province
    since: datetime
    before: str
    taken: str
    waiting: str
    told: list[dict[str, Any]]


@pytest.fixture(scope="module")
def theft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theft]:
    told: list[dict[str, Any]] = []

    def take(_path: str, got: bytes, _headers: Mapping[str, str]) -> tuple[int, bytes]:
        told.append(json.loads(got))
        return 204, b""

    with serving(take) as port:
        yield from _stolen(Province(tmp_path_factory.mktemp("theft") / "gateway").found().start(), port, told)


def _stolen(province: Province, port: int, told: list[dict[str, Any]]) -> Iterator[Theft]:
    imigrasi, polda = province.imigrasi, province.polda

    def sent() -> str:
        return str(imigrasi.post(imigrasi.message()).json()["transfer"])

    before = sent()
    time.sleep(1.1)  # seconds are what key sets speak of
    since = datetime.now(UTC).replace(microsecond=0)
    taken = sent()
    items = {item["transfer"]: item for item in polda.inbox()}
    polda.acknowledge(polda.acknowledgement(items[taken]))
    waiting = sent()
    with open_store(province.settings) as store:
        liaison = parse_endpoint(f"http://127.0.0.1:{port}/", ["127.0.0.1/32"])
        change_agency(store, POLDA, liaison=liaison, why="T-1", who="tester")
        assert [one.transfer for one in doubtful(store, IMIGRASI, imigrasi.signer.kid, since)] == [taken, waiting]
        found = compromise(store, IMIGRASI, imigrasi.signer.kid, since, why="INC-1", who="tester")
        assert [one.transfer for one in found] == [taken, waiting]
    yield Theft(province, since, before, taken, waiting, told)
    province.kill()


def audited(theft: Theft, transfer: str) -> dict[str, Any]:
    found: dict[str, Any] = theft.province.audit(f"/v1/transfers/{transfer}").json()
    return found


def test_the_key_is_refused_from_the_commit_on(theft: Theft) -> None:
    """On the next message, with the reason."""
    answer = theft.province.imigrasi.post(theft.province.imigrasi.message())
    assert (answer.status_code, answer.json()["code"]) == (401, "key.revoked")


def test_what_waits_is_stopped_and_what_was_delivered_is_marked(theft: Theft) -> None:
    """The auditor sees both in doubt since then, and nothing of the kind on what came before."""
    assert audited(theft, theft.waiting)["status"] == "dead"
    for transfer in (theft.taken, theft.waiting):
        assert datetime.fromisoformat(audited(theft, transfer)["in_doubt"]["since"]) == theft.since
    before = audited(theft, theft.before)
    assert "in_doubt" not in before
    assert before["status"] != "dead"


def test_the_ledger_says_since_when_and_what_was_stopped(theft: Theft) -> None:
    """`key.revoked` with that moment, the operator's act, and one `transfer.dead`."""
    with open_store(theft.province.settings) as store, store.database.reading() as session:

        def entries(ledger: str) -> list[dict[str, Any]]:
            size = queries.ledger_head(session, ledger).size
            return [decode(queries.leaf(session, ledger, index)) for index in range(size)]

        revoked = [entry for entry in entries("gateway") if entry["kind"] == "key.revoked"]
        dead = [entry for entry in entries(AGREEMENT) if entry["kind"] == "transfer.dead"]
    assert [instant(entry["not_after"]) for entry in revoked] == [theft.since]
    assert [entry["transfer"] for entry in dead] == [theft.waiting]


def test_evidence_of_a_doubtful_transfer_fails_its_check_of_the_key(theft: Theft) -> None:
    """Check 4 names the moment; the evidence of the transfer before passes whole, though its key is revoked by now."""
    for transfer, expected in ((theft.taken, {4}), (theft.before, set())):
        answer = theft.province.audit(f"/v1/transfers/{transfer}/evidence", dpo=True)
        report = check(unpack(answer.content), trusted(theft.province))
        assert set(failed(report)) == expected
        if expected:
            assert "was revoked on" in failed(report)[4]


def test_the_recipient_finds_an_alert_in_its_inbox_until_it_signs_for_it(theft: Theft) -> None:
    """The gateway's own word, under its own key: which key, since when, which transfers. The ledger has both ends."""
    polda = theft.province.polda
    (item,) = polda.get("/v1/inbox").json()["alerts"]
    jwks = KeySet.read(httpx.get(f"{theft.province.base}/.well-known/jwks.json", timeout=10).json())

    async def find(_agency: str, kid: str, at: int, purpose: Any = "sign") -> PublicKey:
        return jwks.require(kid, at, purpose)

    (alert,), faults = asyncio.run(Recipient(POLDA, GATEWAY, find).open_alerts({"alerts": [item]}))
    assert faults == ()
    assert (alert.event, alert.agency, alert.kid) == (
        "key-compromised", IMIGRASI, theft.province.imigrasi.signer.kid
    )  # fmt: skip
    assert alert.transfers == (theft.taken, theft.waiting)
    assert alert.since == int(theft.since.timestamp())
    # Leased like a message; and nobody signs for the alert of another, nor for other bytes.
    assert "alerts" not in polda.get("/v1/inbox").json()
    now_ = now()
    for wrong in (
        replace(alert, aud=IMIGRASI).acknowledgement(theft.province.imigrasi.signer, "wrong-0001", now_),
        replace(alert, text=f"{alert.text}x").acknowledgement(polda.signer, "wrong-0002", now_),
    ):
        assert polda.acknowledge(wrong)[0]["status"] == "refused"
    (told,) = polda.acknowledge(alert.acknowledgement(polda.signer, "alert-0001", now_))
    assert told["status"] == "recorded"
    (told,) = polda.acknowledge(alert.acknowledgement(polda.signer, "alert-0002", now_))
    assert told["status"] == "duplicate"
    with open_store(theft.province.settings) as store, store.database.reading() as session:
        size = queries.ledger_head(session, AGREEMENT).size
        found = [decode(queries.leaf(session, AGREEMENT, index)) for index in range(size)]
    kinds = [entry["kind"] for entry in found if entry.get("alert") == alert.jti]
    assert kinds == ["alert.issued", "alert.acknowledged"]


def test_a_recipient_still_opens_what_came_before_and_nothing_since(theft: Theft) -> None:
    """A message on its way when its key was revoked is not lost; one from the doubtful time would be refused."""
    base = theft.province.base
    own = KeySet.read(httpx.get(f"{base}/.well-known/jwks.json", timeout=10).json())
    until = time.monotonic() + 10  # a key set may be a second old
    while "revoked" not in (shown := httpx.get(f"{base}/v1/agencies/{IMIGRASI}/jwks.json", timeout=10)).text:
        assert time.monotonic() < until
        time.sleep(0.05)
    senders = KeySet.read(shown.json())

    async def find(agency: str, kid: str, at: int) -> PublicKey:
        return (own if agency == GATEWAY else senders).require(kid, at)

    with open_store(theft.province.settings) as store:
        # Its lease must have ended for it to be handed out again.
        redeliver(store.recorder, store.database, theft.before, "tester")
    (item,) = theft.province.polda.inbox()
    assert item["transfer"] == theft.before
    received, faults = asyncio.run(Recipient(POLDA, GATEWAY, find).open_page({"items": [item]}, now()))
    assert (len(received), faults) == (1, ())
    kid = theft.province.imigrasi.signer.kid
    with pytest.raises(KeyRefusedError, match="revoked"):
        senders.require(kid, int(theft.since.timestamp()))


def test_the_recipient_s_liaison_is_told_of_each(theft: Theft) -> None:
    """A notice signed by the gateway, with ids and no word of the message; told twice only if it was not taken."""
    until = time.monotonic() + 90
    while len(theft.told) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    keys = httpx.get(f"{theft.province.base}/.well-known/jwks.json", timeout=10).json()["keys"]
    (jwk,) = [key for key in keys if key["purpose"] == "sign"]
    key = public_key_from_jwk(jwk)
    notices = [read_notice(one["notice"], key) for one in theft.told]
    assert {(one.event, one.transfer, one.aud, one.due_at) for one in notices} == {
        ("key-compromised", transfer, POLDA, None) for transfer in (theft.taken, theft.waiting)
    }


def test_a_second_run_changes_nothing_and_a_later_moment_is_refused(theft: Theft) -> None:
    """What was interrupted is continued; a key may turn out to have been lost earlier, never later, nor in the future."""
    kid = theft.province.imigrasi.signer.kid
    with open_store(theft.province.settings) as store:
        sizes = theft.province.sizes()
        again = compromise(store, IMIGRASI, kid, theft.since, why="INC-1", who="tester")
        assert [one.transfer for one in again] == [theft.taken, theft.waiting]
        assert theft.province.sizes() == sizes
        with pytest.raises(RefusedError):
            compromise(store, IMIGRASI, kid, theft.since + timedelta(seconds=1), why="INC-1", who="tester")
        with pytest.raises(OperatorError):
            compromise(store, IMIGRASI, kid, now() + timedelta(hours=1), why="INC-1", who="tester")
        earlier = compromise(store, IMIGRASI, kid, theft.since - timedelta(hours=1), why="INC-2", who="tester")
        assert [one.transfer for one in earlier] == [theft.before, theft.taken, theft.waiting]

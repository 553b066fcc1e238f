"""The gateway's own keys are replaced while messages flow, on two nodes and one PostgreSQL: nothing is refused or lost."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway import rotation
from gateway.errors import GatewayError
from gateway.jose import parse_jws, verify_jws
from gateway.ledger.entry import decode
from gateway.reception import KeySet
from gateway.store import queries
from gateway.store.tables import TransferRow
from gateway.wiring import Store, now, open_store
from tests.province import Province

SENDERS = 4


@contextmanager
def load(province: Province) -> Iterator[list[httpx.Response]]:
    """Messages sent to all nodes without a pause; the answers, complete at the end."""
    answers: list[httpx.Response] = []
    done = threading.Event()

    def send(number: int) -> None:
        with httpx.Client(timeout=30) as client:
            while not done.is_set():
                base = province.bases[number % len(province.bases)]
                headers = {"content-type": "application/sd-jwt"}
                answers.append(client.post(f"{base}/v1/messages", content=province.imigrasi.message(), headers=headers))

    with ThreadPoolExecutor(SENDERS) as pool:
        running = [pool.submit(send, number) for number in range(SENDERS)]
        try:
            yield answers
        finally:
            done.set()
            for one in running:
                one.result()


def published(province: Province) -> KeySet:
    return KeySet.read(httpx.get(f"{province.base}/.well-known/jwks.json", timeout=10).json())


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def acts(store: Store) -> list[str]:
    """What operators did, from the gateway's own ledger."""
    with store.database.reading() as session:
        size = queries.ledger_head(session, "gateway").size
        entries = [decode(queries.leaf(session, "gateway", index)) for index in range(size)]
    return [entry["what"] for entry in entries if entry["kind"] == "operator.act"]


def test_rotation_under_load_refuses_and_loses_nothing(
    new_province: Callable[..., Province], postgres_url: str
) -> None:
    """Signing and storage key are replaced on two nodes under load: every message is accepted, every receipt and release
    verifies with the published keys, the old keys sign and wrap nothing more, and all that was stored still opens.
    """
    province = new_province(postgres_url).start(nodes=2)
    with open_store(province.settings) as store, load(province) as answers:
        wait_for(lambda: len(answers) > SENDERS)
        signed = rotation.rotate(store, "sign", lead=timedelta(seconds=2), why="T-1", who="tester")
        stored = rotation.rotate(store, "storage", lead=timedelta(seconds=2), why="T-2", who="tester")
        assert signed.new is not None
        # Known to everybody before anything is signed with it.
        published(province).require(signed.new, int(signed.begins.timestamp()))
        wait_for(lambda: now() > stored.begins + timedelta(seconds=1))
        before = len(answers)
        wait_for(lambda: len(answers) > before + 4 * SENDERS)
        # The picture of this process is from before: a command's own store learns as it opens.
        with open_store(province.settings) as later:
            assert rotation.rewrap(later, who="tester") > 0
            assert rotation.to_rewrap(later) == 0
        before = len(answers)
        wait_for(lambda: len(answers) > before + 2 * SENDERS)

    assert {answer.status_code for answer in answers} == {202}
    keys, used = published(province), set()
    for answer in answers:
        receipt = parse_jws(answer.json()["receipt"], "receipt+jwt")
        payload = verify_jws(receipt, keys.require(receipt.kid, int(receipt.payload["iat"]))).payload
        used.add(receipt.kid)
        # Signed inside the commit, which may come a moment after the message.
        if payload["iat"] >= signed.begins.timestamp():
            assert receipt.kid == signed.new
    assert used == {signed.old, signed.new}

    taken: dict[str, str] = {}
    while page := province.polda.inbox():
        for item in page:
            release = parse_jws(item["release"], "release+jwt")
            verify_jws(release, keys.require(release.kid, int(release.payload["iat"])))
            taken[item["transfer"]] = release.kid
        province.polda.acknowledge(*(province.polda.acknowledgement(item) for item in page))
    assert taken.keys() == {answer.json()["transfer"] for answer in answers}

    with open_store(province.settings) as store:
        with store.database.reading() as session:
            wrapped_by = set(session.connection().execute(select(col(TransferRow.storage_key))).scalars())
        assert wrapped_by == {stored.new}
        assert acts(store)[-3:] == ["keys.rotate/sign", "keys.rotate/storage", "keys.retire/storage"]
        # The file of the old storage key may go: nothing needs it.
        Path(urlsplit(province.settings.keys.storage).path).rename(province.directory / "gone.pem")
    assert province.stop() == [0, 0]


def test_a_node_that_cannot_read_the_next_key_says_so_before_it_begins(
    new_province: Callable[..., Province],
) -> None:
    """`/readyz` fails while the old key still signs; when the file is there the node is ready, and no receipt was missed."""
    province = new_province().start()
    with open_store(province.settings) as store:
        done = rotation.rotate(store, "sign", lead=timedelta(seconds=6), why="T-1", who="tester")
        place = Path(urlsplit(done.uri).path)
        # As on another node, to which nobody has copied it yet; this one had no second to read it.
        hidden = place.rename(place.with_suffix(".hidden"))
        with pytest.raises(GatewayError), open_store(province.settings):
            pass

    def checks() -> dict[str, bool]:
        found: dict[str, bool] = httpx.get(f"{province.base}/readyz", timeout=10).json()["checks"]
        return found

    hidden.rename(place)
    wait_for(lambda: checks()["keys_open"])
    wait_for(lambda: now() > done.begins + timedelta(seconds=1))
    answer = province.imigrasi.post(province.imigrasi.message())
    assert answer.status_code == 202
    assert parse_jws(answer.json()["receipt"], "receipt+jwt").kid == done.new

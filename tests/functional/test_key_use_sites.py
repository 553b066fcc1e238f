"""Every place at which a key is used: its key is replaced under load, on two nodes, and nobody is refused or loses anything.

One province for all, with one witness, an agency that pulls and one that is pushed to. Each row of the table replaces a
key and says what must be true afterwards; the last tests look at what all of them sent meanwhile.
"""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select
from sqlmodel import col

from gateway.cli.main import run
from gateway.jose import parse_jws, verify_jws
from gateway.key_management.reindexing import reindex, to_reindex
from gateway.key_management.rewrapping import rewrap, to_rewrap
from gateway.key_management.rotation import rotate
from gateway.key_management.standing import history
from gateway.keyring import signer_for
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.note import NoteVerifier, parse_note
from gateway.ledger.proof import parse_proof
from gateway.operations.agency_keys import import_key, retire_key, revoke_key
from gateway.store.tables import SubjectIndex, TransferRow
from gateway.wiring import now, open_store
from tests.conftest import empty_postgres
from tests.functional.stage import Stage, staged
from tests.province import AGREEMENT, QUERY, AgencyUser, example

LEAD = timedelta(seconds=1)
TOGETHER = ("sign", "request", "storage")
PASSPORT = "Z7654321"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Stage]:
    with empty_postgres(postgres_server) as url:
        yield from staged(tmp_path_factory.mktemp("use-sites"), url)


# The table: each row replaces one key and says what must be true then.


def agency_key(stage: Stage, agency: AgencyUser) -> Callable[[], None]:
    """The next key is imported, used, and the one before it retired."""
    old = agency.signer
    new = signer_for(Ed25519PrivateKey.generate())
    with open_store(stage.province.settings) as store:
        import_key(store, agency.id, new.public.jwk, why="T-1", who="tester")
    agency.signer = new
    stage.settle()
    with open_store(stage.province.settings) as store:
        retire_key(store, agency.id, old.kid, why="T-1", who="tester")

    def retired() -> None:
        former = AgencyUser(agency.id, old, stage.province.base)
        for base in stage.province.bases:
            answer = httpx.post(
                f"{base}/v1/messages",
                content=former.message(),
                headers={"content-type": "application/sd-jwt"},
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "key.not-valid")

    return retired


def inbound_message(stage: Stage) -> Callable[[], None]:
    return agency_key(stage, stage.province.imigrasi)


def request_token_and_acknowledgement(stage: Stage) -> Callable[[], None]:
    """The puller's tokens and acknowledgements; one that was signed just before with the old key still counts."""
    polda = stage.province.polda
    old = AgencyUser(polda.id, polda.signer, stage.province.base)
    retired = agency_key(stage, polda)

    def both() -> None:
        retired()
        answer = old.get("/v1/inbox")
        assert (answer.status_code, answer.json()["code"]) == (401, "key.not-valid")

    return both


def own(stage: Stage, role: str, overlap: timedelta | None = None) -> Callable[[], tuple[str, str]]:
    """Of the gateway's own keys several may change at one time: they wait for their first moment together."""
    if role not in stage.rotated:
        with open_store(stage.province.settings) as store:
            for one in TOGETHER if role in TOGETHER else (role,):
                stage.rotated[one] = rotate(store, one, lead=LEAD, overlap=overlap, why="T-1", who="tester")
    done = stage.rotated[role]
    assert done.new is not None
    stage.wait(lambda: now() > done.begins + LEAD)
    return lambda: (done.old, str(done.new))


def receipts_and_releases(stage: Stage) -> Callable[[], None]:
    keys = own(stage, "sign")
    before = len(stage.answers)

    def signed() -> None:
        _, new = keys()
        later = [parse_jws(answer.json()["receipt"], "receipt+jwt").kid for answer in stage.answers[before + 2 :]]
        assert set(later) == {new}

    return signed


def push_tokens(stage: Stage) -> Callable[[], None]:
    keys = own(stage, "request")

    def signed() -> None:
        old, new = keys()
        assert {old, new} <= set(stage.tokens)
        assert stage.tokens[-1] == new

    return signed


def checkpoints_and_witness(stage: Stage) -> Callable[[], None]:
    """First both sign and the witness knows the old key alone; then the witness learns the new one and the old one ends."""
    own(stage, "checkpoint", overlap=timedelta(seconds=10))
    origin = stage.province.settings.gateway.ledger_origin(AGREEMENT)
    about = next(one for one in stage.get("/.well-known/sinergi-gateway")["ledgers"] if one["agreement"] == AGREEMENT)
    assert len(about["vkeys"]) == 2
    old = NoteVerifier.parse(stage.vkeys[AGREEMENT])
    new = next(key for key in map(NoteVerifier.parse, about["vkeys"]) if key != old)
    stage.more(4)
    for one in (old, new):
        open_checkpoint(checkpoint(stage), origin, [one])
    # As an auditor who has the old key alone.
    found = audited(stage, old)
    assert found["later_vkeys"] == [new.vkey]
    text = stage.witness.config.read_text()
    for name, vkey in stage.vkeys.items():
        named = NoteVerifier(stage.province.settings.gateway.ledger_origin(name), new.public_key).vkey
        text = text.replace(f'vkeys = ["{vkey}"]', f'vkeys = ["{vkey}", "{named}"]')
    stage.witness.config.write_text(text)

    def signed() -> None:
        def names() -> set[bytes]:
            return {one.key_id for one in parse_note(checkpoint(stage)).signatures if one.name == origin}

        stage.wait(lambda: names() == {new.key_id})
        stage.more(2)
        assert audited(stage, old)["later_vkeys"] == [new.vkey]
        assert audited(stage, new)["later_vkeys"] == []
        with open_store(stage.province.settings):  # a start of a process that trusts the old key's file
            pass

    stage.later.append(signed)
    return lambda: None


def checkpoint(stage: Stage) -> bytes:
    return httpx.get(f"{stage.province.base}/ledger/{AGREEMENT}/checkpoint", timeout=10).content


def audited(stage: Stage, key: NoteVerifier) -> dict[str, Any]:
    url = f"{stage.province.base}/ledger/{AGREEMENT}"
    told = io.StringIO()
    with redirect_stdout(told):
        assert run(["ledger", "verify", url, "--vkey", key.vkey, "--json"]) == 0
    found: dict[str, Any] = json.loads(told.getvalue())
    return found


def wrapping(stage: Stage) -> Callable[[], None]:
    keys = own(stage, "storage")
    with open_store(stage.province.settings) as store:
        assert rewrap(store, why="T-1", who="tester") > 0
        assert to_rewrap(store) == 0

    def opened() -> None:
        assert again(stage, stage.messages[0]) == 200
        with open_store(stage.province.settings) as store, store.database.reading() as session:
            wrapped_by = set(session.connection().execute(select(col(TransferRow.storage_key))).scalars())
        assert wrapped_by == {keys()[1]}

    return opened


def index(stage: Stage) -> Callable[[], None]:
    """Searches and retries find the same before, while both keys are in use, and when only the new one is."""
    first, body = stage.messages[0], example(QUERY, "valid-by-passport")
    body["subject"]["travel_documents"][0]["number"] = PASSPORT
    assert stage.province.polda.post(stage.province.polda.query(body=body)).status_code == 202
    assert found(stage) == 1
    keys = own(stage, "index")
    assert again(stage, first) == 200
    assert found(stage) == 1
    stop = threading.Event()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        while not stop.is_set():
            seen.append((again(stage, first), found(stage)))

    with ThreadPoolExecutor(1) as pool, open_store(stage.province.settings) as store:
        looking = pool.submit(look)
        try:
            assert reindex(store, why="T-1", who="tester") > 0
        finally:
            stop.set()
        looking.result()
        assert to_reindex(store) == 0
    assert set(seen) == {(200, 1)}

    def only_new() -> None:
        _, new = keys()
        assert again(stage, first) == 200
        assert found(stage) == 1
        with open_store(stage.province.settings) as store, store.database.reading() as session:
            for table in (TransferRow, SubjectIndex):
                others = select(func.count()).where(col(table.index_key) != new)
                assert session.connection().execute(others).scalar_one() == 0

    return only_new


def found(stage: Stage) -> int:
    """How many messages an auditor finds about one person, on the second node."""
    state = example(QUERY, "valid-by-passport")["subject"]["travel_documents"][0]["issuing_state"]
    answer = httpx.post(
        f"{stage.province.bases[1]}/v1/transfers/search",
        json={"subject": {"kind": "travel-document", "value": f"{state}{PASSPORT}"}},
        headers={"authorization": f"Bearer {stage.province.dpo_token}"},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    return len(answer.json()["items"])


def again(stage: Stage, text: str) -> int:
    """The same bytes once more: 200 and the first receipt."""
    answer = stage.province.imigrasi.post(text)
    same = next(one for one, sent in zip(stage.answers, stage.messages, strict=False) if sent == text)
    assert answer.json()["receipt"] == same.json()["receipt"]
    return answer.status_code


SITES: tuple[Callable[[Stage], Callable[[], None]], ...] = (
    checkpoints_and_witness,
    inbound_message,
    request_token_and_acknowledgement,
    receipts_and_releases,
    push_tokens,
    wrapping,
    index,
)


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_a_key_is_replaced_under_load(stage: Stage, site: Callable[[Stage], Callable[[], None]]) -> None:
    """Its key changes while messages flow; then the new one does the work, and the old one does none."""
    stage.more(2)
    afterwards = site(stage)
    stage.more(6)
    afterwards()


def test_what_takes_its_time_has_come_to_its_end(stage: Stage) -> None:
    """The checkpoint key's overlap is over: the new one signs alone, and whoever has the old one is led to it."""
    assert stage.later
    for look in stage.later:
        look()


def test_nobody_was_refused_and_nothing_was_lost(stage: Stage) -> None:
    """Over all rotations: every message 202, every receipt and release verifies, everything pulled, pushed and signed for."""
    stage.done.set()
    time.sleep(0.5)
    stage.wait(lambda: len(stage.answers) == len(stage.messages))
    assert [answer.json() for answer in (*stage.answers, *stage.other) if answer.status_code != 202] == []
    keys = stage.published()
    for answer in stage.answers:
        receipt = parse_jws(answer.json()["receipt"], "receipt+jwt")
        verify_jws(receipt, keys.require(receipt.kid, int(receipt.payload["iat"])))
    while page := stage.user(stage.province.polda).inbox():
        stage.pulled |= {item["transfer"]: item for item in page}
        signed = [stage.province.polda.acknowledgement(item) for item in page]
        stage.acknowledged += stage.province.polda.acknowledge(*signed)
    releases = [parse_jws(item["release"], "release+jwt") for item in stage.pulled.values()]
    for release in releases:
        verify_jws(release, keys.require(release.kid, int(release.payload["iat"])))
    assert len({release.kid for release in releases}) == 2
    assert stage.pulled.keys() == {answer.json()["transfer"] for answer in stage.answers}
    assert {one["status"] for one in stage.acknowledged} == {"recorded"}
    wanted = {answer.json()["transfer"] for answer in stage.other}
    stage.wait(lambda: {one.transfer for one in stage.pushed} >= wanted)
    assert stage.faults == []
    proofs = {parse_proof(answer.json()["ledger"]["proof"]).checkpoint for answer in stage.answers}
    assert len(proofs) > 1
    with open_store(stage.province.settings) as store:
        _, wrong = history(store)
    assert wrong == []


def test_a_revoked_key_is_refused_at_once_on_every_node(stage: Stage) -> None:
    """Each node's very first answer after the commit is no, to a message, a token and an acknowledgement."""
    imigrasi, polda = stage.province.imigrasi, stage.province.polda
    with open_store(stage.province.settings) as store:
        for agency in (imigrasi, polda):
            revoke_key(store, agency.id, agency.signer.kid, why="INC-1", who="tester")
    for base in stage.province.bases:
        answer = httpx.post(
            f"{base}/v1/messages", content=imigrasi.message(), headers={"content-type": "application/sd-jwt"}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "key.revoked")
        pulled = httpx.get(f"{base}/v1/inbox", headers=polda.token("GET", "/v1/inbox"))
        assert (pulled.status_code, pulled.json()["code"]) == (401, "key.revoked")
        item = next(iter(stage.pulled.values()))
        told = httpx.post(
            f"{base}/v1/acknowledgements",
            json={"acknowledgements": [polda.acknowledgement(item, "processed")]},
            headers=polda.token("POST", "/v1/acknowledgements"),
        )
        assert (told.status_code, told.json()["code"]) == (401, "key.revoked")

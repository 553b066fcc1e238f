"""Two gateway processes on one PostgreSQL: one ledger, one truth."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from gateway.ledger.source import HttpSource
from gateway.ledger.verify import audit
from gateway.operations.agency_keys import revoke_key
from gateway.store.nodes import live
from gateway.wiring import open_store
from tests.province import AGREEMENT, Province
from tests.published import ledger_verifier

MESSAGES = 240


def test_two_nodes_under_load_keep_one_gapless_ledger(new_province: Callable[..., Province], postgres_url: str) -> None:
    """Under concurrent load on both nodes every index is given once, every message delivered once, the ledger verifies."""
    province = new_province(postgres_url).start(nodes=2)
    messages = [province.imigrasi.message() for _ in range(MESSAGES)]

    def post(numbered: tuple[int, str]) -> httpx.Response:
        number, message = numbered
        return httpx.post(
            f"{province.bases[number % 2]}/v1/messages",
            content=message,
            headers={"content-type": "application/sd-jwt"},
            timeout=30,
        )

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(post, enumerate(messages)))
    assert {response.status_code for response in responses} == {202}
    indices = [response.json()["ledger"]["index"] for response in responses]
    assert sorted(indices) == list(range(min(indices), min(indices) + MESSAGES))

    # A retry at the other node gets the first node's answer.
    crossed = post((1, messages[0]))
    assert (crossed.status_code, crossed.json()) == (200, responses[0].json())

    def pull(number: int) -> list[str]:
        # Both nodes are asked at once, each under its own address; the public URL in the token is the same.
        taken = []
        for _ in range(4):
            token = province.polda.token("GET", "/v1/inbox")
            got = httpx.get(f"{province.bases[number % 2]}/v1/inbox?limit=40", headers=token, timeout=30).json()
            taken += [item["transfer"] for item in got["items"]]
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [transfer for page in pool.map(pull, range(4)) for transfer in page]
    assert len(taken) == len(set(taken))
    assert set(taken) == {response.json()["transfer"] for response in responses}

    origin, verifier = ledger_verifier(province)
    for base in province.bases:
        with httpx.Client(base_url=f"{base}/ledger/{AGREEMENT}/") as client:
            assert audit(HttpSource(client), origin, [verifier]).ok
    assert province.stop() == [0, 0]


def test_a_revoked_key_is_refused_on_every_node_at_once(
    new_province: Callable[..., Province], postgres_url: str
) -> None:
    """From the commit of the revocation on, no node accepts a message, though its own picture may be a second old."""
    province = new_province(postgres_url).start(nodes=2)
    assert province.imigrasi.post(province.imigrasi.message()).status_code == 202
    with open_store(province.settings) as store:
        with store.database.reading() as session:
            assert [node.unopened for node in live(session)] == [0, 0]  # each says that it is there
        kid = province.imigrasi.signer.kid
        revoke_key(store, province.imigrasi.id, kid, why="LOST", who="tester")
        for base in province.bases:
            token = province.imigrasi.token("GET", "/v1/inbox")
            refused = httpx.get(f"{base}/v1/inbox", headers=token, timeout=30)
            assert (refused.status_code, refused.json()["code"]) == (401, "key.revoked")
            response = httpx.post(
                f"{base}/v1/messages",
                content=province.imigrasi.message(),
                headers={"content-type": "application/sd-jwt"},
                timeout=30,
            )
            assert (response.status_code, response.json()["code"]) == (401, "key.revoked")

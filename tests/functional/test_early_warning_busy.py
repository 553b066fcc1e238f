"""Early warnings at a busy gateway: ahead of a backlog, pulled or pushed; escalated once by two nodes."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

from gateway.keys.directory import parse_endpoint
from gateway.operations.agencies import change_agency
from gateway.wiring import open_store
from tests.functional.early_warnings import ANOMALY, body, hasty, overdue_entries, send
from tests.functional.servers import eventually, serving
from tests.province import POLDA, Province, example

BACKLOG = 300


def test_two_nodes_escalate_a_warning_once(new_province: Callable[..., Province], postgres_url: str) -> None:
    """Every node looks; one entry a warning comes of it, and the figures of both nodes together count it once."""
    province = new_province(postgres_url)
    hasty(province, 2)
    province.start(nodes=2)
    sent = [
        send(province.imigrasi, province.imigrasi.message(body=body()), province.bases[number % 2])
        for number in range(24)
    ]
    eventually(lambda: len(overdue_entries(province)) >= len(sent))
    time.sleep(2.5)  # both nodes look at least twice more
    assert sorted(entry["transfer"] for entry in overdue_entries(province)) == sorted(sent)
    counted = 0.0
    for base in province.bases:
        lines = httpx.get(f"{base}/metrics", timeout=10).text.splitlines()
        counted += sum(float(line.split()[-1]) for line in lines if line.startswith("sinergi_escalations_total{"))
    assert counted == len(sent)
    assert province.stop() == [0, 0]


def backlog(province: Province) -> set[str]:
    messages = [
        province.imigrasi.message(
            ANOMALY, example(ANOMALY, "valid-age-band-only"), disclosable=(), purpose="PREVENTION"
        )
        for _ in range(BACKLOG)
    ]
    headers = {"content-type": "application/sd-jwt"}
    with httpx.Client(base_url=province.base, headers=headers, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda message: client.post("/v1/messages", content=message), messages))
    assert {response.status_code for response in responses} == {202}
    return {response.json()["transfer"] for response in responses}


def test_a_warning_is_pulled_before_everything_that_waits(new_province: Callable[..., Province]) -> None:
    """The recipient's next page begins with the warning, whatever was queued before it."""
    province = new_province().start()
    queued = backlog(province)
    first_page = {item["transfer"] for item in province.polda.inbox(limit=20)}
    warning = send(province.imigrasi, province.imigrasi.message())
    page = [item["transfer"] for item in province.polda.inbox(limit=20)]
    assert page[0] == warning
    assert first_page | set(page[1:]) <= queued
    assert not first_page & set(page)


def test_a_warning_is_pushed_past_a_backlog_to_a_slow_recipient(new_province: Callable[..., Province]) -> None:
    """While the recipient chews on one page of a backlog, the warning is delivered, and the rest is still waiting."""
    province = new_province(SINERGI_DELIVERY__PAGE="20")
    arrived: list[list[str]] = []
    go_on = threading.Event()
    warning = ""

    def chew(_path: str, got: bytes, _headers: Mapping[str, str]) -> tuple[int, bytes]:
        items = json.loads(got)["items"]
        arrived.append([item["transfer"] for item in items])
        if warning not in arrived[-1]:
            go_on.wait(10)
        receipts = [province.polda.acknowledgement(item) for item in items]
        return 200, json.dumps({"acknowledgements": receipts}).encode()

    with serving(chew) as port:
        province.start()
        queued = backlog(province)
        with open_store(province.settings) as store:
            endpoint = parse_endpoint(f"http://127.0.0.1:{port}/inbox", ["127.0.0.1/32"])
            change_agency(store, POLDA, endpoint=endpoint, why="T-1", who="tester")
        eventually(lambda: arrived)
        message = province.imigrasi.message()
        warning = send(province.imigrasi, message)
        eventually(lambda: [warning] in arrived)
        assert sum(map(len, arrived)) <= 21, "the warning came after more than the page that was under way"
        eventually(lambda: province.imigrasi.get(f"/v1/transfers/{warning}").json()["status"] == "delivered")
        assert not go_on.is_set()
        go_on.set()
        eventually(lambda: queued <= {transfer for page in arrived for transfer in page}, 60)
        province.kill()

"""A node that has not the file of the next key. What flows meanwhile: test_key_use_sites.py."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from gateway.jose import parse_jws
from gateway.key_management import rotation
from gateway.wiring import now, open_store
from tests.functional.servers import eventually
from tests.province import Province

SENDERS = 4


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
        with open_store(province.settings) as other:
            assert [done.new in fault for fault in other.keys.faults] == [True]

    def checks() -> dict[str, bool]:
        found: dict[str, bool] = httpx.get(f"{province.base}/readyz", timeout=10).json()["checks"]
        return found

    hidden.rename(place)
    eventually(lambda: checks()["keys_open"])
    eventually(lambda: now() > done.begins + timedelta(seconds=1))
    answer = province.imigrasi.post(province.imigrasi.message())
    assert answer.status_code == 202
    assert parse_jws(answer.json()["receipt"], "receipt+jwt").kid == done.new

"""The recipient is away while 10,000 messages come, and then it is back: how fast they go, and an early warning among them.

The backlog is passport anomalies, which are not urgent. The drain is measured from the first page that arrives to the
one that completes DRAINED of the backlog: the few messages that were tried while the recipient was away wait for their next
attempt, minutes later, and say nothing about speed. Warnings are sent while the backlog drains; a latency runs from before
the post to the moment that the recipient has the request with the warning in it.
"""

import time
from typing import Final

import httpx

from benchmarks.gateways import PATIENCE, Bench, Meter, accepted, bulk
from benchmarks.measure import Round, generate_load

DRAINED: Final = 0.95
_WARNINGS: Final = 40
_HEADERS: Final = {"content-type": "application/sd-jwt"}


def drain(bench: Bench, count: int) -> tuple[Round, Round]:
    """The backlog's drain, and the warnings sent into it."""
    bench.stop_recipient()
    texts = bulk(bench, count)
    transfers = accepted(generate_load(bench.province.bases, texts, connections=64, seconds=PATIENCE))
    if transfers != count:
        raise RuntimeError(f"{transfers} of {count} messages were accepted")
    bench.start_recipient()
    back = time.time()
    while not (arrived := bench.arrivals()):
        if time.time() > back + PATIENCE:
            raise TimeoutError("nothing was pushed to the recipient that is back")
        time.sleep(0.05)
    meter, first = Meter(bench), min(arrived.values())
    already = len(arrived)
    posted = _warn(bench)
    while len(arrived.keys() - posted.keys()) < DRAINED * count or posted.keys() - arrived.keys():
        if time.time() > back + PATIENCE:
            raise TimeoutError(f"{len(arrived)} of {count} arrived")
        time.sleep(0.2)
        arrived = bench.arrivals()
    moments = sorted(at for transfer, at in arrived.items() if transfer not in posted)
    done = moments[: int(DRAINED * count)]
    elapsed = done[-1] - first
    measured = meter.round(len(moments) - already, elapsed, (), 0.0)
    figures = {name: value for name, value in measured.figures.items() if name != "generator_cpu_ms"}
    figures["first_after_s"] = first - back
    latencies = [arrived[transfer] - at for transfer, at in posted.items()]
    left = sum(at > max(arrived[transfer] for transfer in posted) for at in moments) + count - len(moments)
    drained = Round(len(done), elapsed, measured.cpu, (), measured.rss, figures)
    return drained, Round(
        len(latencies),
        max(arrived[transfer] for transfer in posted) - min(posted.values()),
        0.0,
        latencies,
        figures={"backlog_left": float(left), "slowest_ms": max(latencies) * 1000},
    )


def _warn(bench: Bench) -> dict[str, float]:
    posted = {}
    with httpx.Client(base_url=bench.province.base, headers=_HEADERS, timeout=60) as client:
        for text in bench.messages.take(_WARNINGS):
            began = time.time()
            response = client.post("/v1/messages", content=text)
            if response.status_code != 202:
                raise RuntimeError(f"a warning was answered with {response.status_code}")
            posted[response.json()["transfer"]] = began
            time.sleep(0.05)
    return posted

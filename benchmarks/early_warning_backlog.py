"""How long an early warning takes to a recipient that has 10,000 other messages waiting: `make bench-early-warning`.

A real gateway process, real HTTP on both sides, the real agreement. Two recipients:

    slow       up, but takes its time for every page; the backlog waits behind the page under way
    just back  went away in the middle of it, and warnings came meanwhile: attempts failed, breakers are open

A latency runs from before the warning is posted (just back: from the moment that the recipient listens again, for those
that were posted before) to the moment that the recipient has the request with the warning in it. The target is under a
minute. `--json FILE` writes the figures, `-` to standard output.
"""

import argparse
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.keys.directory import parse_endpoint
from gateway.operations.agencies import change_agency
from gateway.wiring import open_store
from tests.province import POLDA, WARNING, Province, example, free_port

BULK: Final = "passport-application.anomaly/1"
TARGET_SECONDS: Final = 60.0
HEADERS: Final = {"content-type": "application/sd-jwt"}


@dataclass
class Recipient:
    """An agency's endpoint: signs for every message of a page, `page_seconds` after it came, until it goes away."""

    province: Province
    port: int
    page_seconds: float
    arrived: dict[str, float] = field(default_factory=dict)
    away: bool = False
    server: ThreadingHTTPServer | None = None

    def start(self) -> float:
        """The moment from which it listens."""
        recipient = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                page = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if recipient.away:
                    # A connection from before: closing the listener alone leaves it open.
                    self.close_connection = True
                    return
                body = recipient.take(page["items"])
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.away = False
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return time.monotonic()

    def take(self, items: Sequence[Mapping[str, Any]]) -> bytes:
        now = time.monotonic()
        for item in items:
            self.arrived.setdefault(item["transfer"], now)
        # Whatever is in a page, it takes as long.
        time.sleep(self.page_seconds)
        receipts = [self.province.polda.acknowledgement(item, "processed") for item in items]
        return json.dumps({"acknowledgements": receipts}).encode()

    def stop(self) -> None:
        self.away = True
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


def anomaly(province: Province) -> str:
    body = example(BULK, "valid-age-band-only") | {"application_ref": f"SRG-{secrets.token_hex(4).upper()}"}
    return province.imigrasi.message(BULK, body, disclosable=(), purpose="PREVENTION")


def post(client: httpx.Client, message: str) -> str:
    response = client.post("/v1/messages", content=message)
    if response.status_code != 202:
        raise SystemExit(f"the gateway refused a message of the workload: {response.text}")
    transfer: str = response.json()["transfer"]
    return transfer


def queue(client: httpx.Client, province: Province, count: int) -> float:
    """Posts the backlog; seconds taken."""
    messages = [anomaly(province) for _ in range(count)]
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda message: post(client, message), messages):
            pass
    return time.monotonic() - began


def warn(client: httpx.Client, province: Province, count: int, pause: float) -> dict[str, float]:
    """Posts warnings one after the other: transfer id to the moment before its post."""
    body = example(WARNING, "valid-pulo-panjang") | {"severity": 4}
    posted = {}
    for _ in range(count):
        message = province.imigrasi.message(WARNING, body)
        began = time.monotonic()
        posted[post(client, message)] = began
        time.sleep(pause)
    return posted


def waited(recipient: Recipient, posted: Mapping[str, float], patience: float = 2 * TARGET_SECONDS) -> list[float]:
    """Seconds from post to arrival of each; a warning that does not arrive ends the benchmark."""
    until = time.monotonic() + patience
    while posted.keys() - recipient.arrived.keys():
        if time.monotonic() > until:
            raise SystemExit(f"{len(posted.keys() - recipient.arrived.keys())} warnings did not arrive in {patience} s")
        time.sleep(0.01)
    return [recipient.arrived[transfer] - began for transfer, began in posted.items()]


def set_endpoint(province: Province, port: int) -> None:
    with open_store(province.settings) as store:
        endpoint = parse_endpoint(f"http://127.0.0.1:{port}/inbox", ["127.0.0.1/32"])
        change_agency(store, POLDA, endpoint=endpoint, why="bench", who="bench")


def figures(latencies: Sequence[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95)]
    return {
        "count": len(ordered),
        "min_s": round(ordered[0], 3),
        "mean_s": round(statistics.fmean(ordered), 3),
        "p50_s": round(at[0], 3),
        "p95_s": round(at[1], 3),
        "max_s": round(ordered[-1], 3),
    }


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both scenarios against one gateway and one backlog: the recipient is slow, goes away, and comes back."""
    port = free_port()
    province = Province(folder, None, {"SINERGI_LOG__LEVEL": "error"}).found()
    recipient = Recipient(province, port, options.page_seconds)
    province.start()
    try:
        with httpx.Client(base_url=province.base, headers=HEADERS, timeout=60) as client:
            seconds = queue(client, province, options.messages)
            recipient.start()
            set_endpoint(province, port)
            while not recipient.arrived:  # the first page of the backlog is under way
                time.sleep(0.01)
            posted = warn(client, province, options.warnings, 0.2)
            slow = waited(recipient, posted)
            left_slow = options.messages - len(recipient.arrived.keys() - posted)
            recipient.stop()
            missed = warn(client, province, options.warnings, 0.1)
            time.sleep(options.away_seconds)
            back = recipient.start()
            returned = waited(recipient, dict.fromkeys(missed, back))
            left_returned = options.messages - len(recipient.arrived.keys() - posted.keys() - missed.keys())
        return {
            "queued": options.messages,
            "queued_per_second": round(options.messages / seconds, 1),
            "page_seconds": options.page_seconds,
            "away_seconds": options.away_seconds,
            "scenarios": [
                {"recipient": "slow", "backlog_left": left_slow} | figures(slow),
                {"recipient": "just back", "backlog_left": left_returned} | figures(returned),
            ],
        }
    finally:
        recipient.stop()
        province.kill()


def table(result: Mapping[str, Any]) -> str:
    columns = ("recipient", "count", "min_s", "mean_s", "p50_s", "p95_s", "max_s", "backlog_left")
    rows = [[str(one[name]) for name in columns] for one in result["scenarios"]]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(columns), *rows]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="How long an early warning takes past a backlog.")
    parser.add_argument("--messages", type=int, default=10_000, help="the backlog")
    parser.add_argument("--warnings", type=int, default=50, help="warnings a scenario")
    parser.add_argument("--page-seconds", type=float, default=2.0, help="how long the recipient takes for a page")
    parser.add_argument(
        "--away-seconds", type=float, default=30.0, help="how long it stays away after the last warning"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON; - is standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sinergi-bench-") as folder:
        result = run(Path(folder) / "gateway", options)
    result |= {
        "machine": {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}
    }
    worst = max(one["max_s"] for one in result["scenarios"])
    result["target_met"] = worst < TARGET_SECONDS
    shown = sys.stderr if options.json == Path("-") else sys.stdout
    print(
        f"{result['queued']} messages queued ({result['queued_per_second']}/s), {result['page_seconds']} s a page\n"
        f"{table(result)}\n"
        f"target, under {TARGET_SECONDS:.0f} s: {'met' if result['target_met'] else 'MISSED'}",
        file=shown,
    )
    if options.json is not None:
        text = json.dumps(result, indent=2) + "\n"
        sys.stdout.write(text) if options.json == Path("-") else options.json.write_text(text)
    return 0 if result["target_met"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Load that must be survived: `make soak`, five minutes by default, MINUTES says otherwise.

    capacity     closed loop, what the gateway can take (a tenth of the time)
    senders      1,000 concurrent senders, each as fast as it is answered
    slow         half of the capacity offered, and 300 clients that are slow on purpose
    large        256 messages of 1 MiB, 64 at a time; whoever is refused for want of room comes back
    overload     three times the capacity offered, for a minute
    recovery     half of the capacity offered; from which second on is everything answered well again?

All the while a recipient takes pushes, and the gateway's memory and /readyz are looked at twice a second. At the end every
202 of every phase must be in the ledger once, and delivered or waiting; whatever was not 202 must have been 503 with a
`Retry-After`. Exit 1 if one promise is not kept.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table
from sqlmodel import func, select

from benchmarks.gateways import PUSH, Bench
from benchmarks.measure import ROOT, generate_load, machine, resident, revision
from benchmarks.pool import Pool
from benchmarks.postgres import PostgresServer
from benchmarks.tables import SOAK, soak_lines
from benchmarks.workload import large_messages
from gateway.store.session import open_database
from gateway.store.tables import DELIVERED, WAITING, LedgerEntry, OutboxRow, TransferRow

SENDERS: Final = 1_000
SLOW: Final = 300
LARGE: Final = 256
TIMES: Final = 3
RECOVERED_SECONDS: Final = 5.0
RSS_MIB: Final = 512
FIRST_WORD_MS: Final = 2_000.0
_LARGE_SECONDS: Final = 40.0
# What each phase has of the whole.
SHARES: Final = {"capacity": 0.08, "senders": 0.2, "slow": 0.16, "large": 0.12, "overload": 0.2, "recovery": 0.14}


@dataclass
class Watch:
    """Memory and readiness, twice a second, in a thread; the phase under way is what a look is filed under."""

    bench: Bench
    phase: str = ""
    largest: dict[str, int] = field(default_factory=dict)
    probes: dict[str, list[float]] = field(default_factory=dict)
    unanswered: Counter[str] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.bench.province.base, timeout=10) as client:
            while not self._ended.wait(0.5):
                phase = self.phase
                self.largest[phase] = max(self.largest.get(phase, 0), resident(self.bench.pids))
                began = time.perf_counter()
                try:
                    alive = client.get("/healthz").status_code == 200
                except httpx.HTTPError:
                    alive = False
                if alive:
                    self.probes.setdefault(phase, []).append(time.perf_counter() - began)
                else:
                    self.unanswered[phase] += 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(15)


@dataclass
class Soak:
    bench: Bench
    watch: Watch
    seconds: float
    phases: list[dict[str, Any]] = field(default_factory=list)
    answered: list[tuple[str, str]] = field(default_factory=list)

    def phase(self, name: str, messages: Sequence[str], **orders: Any) -> dict[str, Any]:
        self.watch.phase = name
        result = generate_load(self.bench.province.bases, messages, detailed=True, **orders)
        self.answered += [(transfer, status) for status, some in result["transfers"].items() for transfer in some]
        told: dict[str, Any] = {
            "phase": name,
            "seconds": round(result["elapsed"], 1),
            "sent": len(result["latencies"]),
            "statuses": result["statuses"],
            "per_second": round(result["statuses"].get("202", 0) / result["elapsed"], 1),
            "offered_per_second": round(len(result["latencies"]) / result["elapsed"], 1),
            "accepted_ms": _spread(result, "202"),
            "busy_ms": _spread(result, "503"),
            "without_retry_after": result["without_retry_after"],
            "largest_rss_mib": round(self.watch.largest.get(name, 0) / 2**20, 1),
            "probe_ms": round(max(self.watch.probes.get(name, [0.0])) * 1000, 1),
            "probes_unanswered": self.watch.unanswered[name],
        }
        if name == "recovery":
            told["recovered_after_s"] = _recovered(result)
        self.phases.append(told)
        return told

    def run(self, say: Any) -> None:
        bench = self.bench
        lasts = {name: share * self.seconds for name, share in SHARES.items()}
        taken = 0

        def some(count: int) -> list[str]:
            nonlocal taken
            taken += count
            return bench.messages.take(count)

        say("capacity …")
        measured = self.phase(
            "capacity", some(int(3_000 * lasts["capacity"])), connections=64, seconds=lasts["capacity"]
        )
        capacity = measured["per_second"]
        say(f"{capacity:.0f} messages a second; {SENDERS} senders …")
        count = int(capacity * 4 * lasts["senders"]) + SENDERS
        self.phase("senders", some(count), connections=SENDERS, seconds=lasts["senders"], patient=True)
        say(f"{SLOW} slow clients …")
        with _slow_clients(bench) as slow:
            self.phase("slow", some(int(capacity * lasts["slow"])), rate=capacity / 2, seconds=lasts["slow"])
        self.phases[-1]["slow_clients"] = slow
        say("1 MiB messages …")
        large = large_messages(bench.province.imigrasi.signer, LARGE)
        # It ends with its last answer; a short soak has no fewer of them.
        self.phase("large", large, connections=64, seconds=max(lasts["large"], _LARGE_SECONDS), patient=True)
        rate = TIMES * capacity
        say(f"overload: {rate:.0f} a second …")
        self.phase("overload", some(int(rate * lasts["overload"]) + 1), rate=rate, seconds=lasts["overload"])
        say("recovery …")
        self.phase("recovery", some(int(capacity * lasts["recovery"])), rate=capacity / 2, seconds=lasts["recovery"])
        self.watch.phase = "after"


def _spread(result: Mapping[str, Any], status: str) -> dict[str, float] | None:
    """Milliseconds from due to answered, of the requests with this status."""
    taken = sorted(
        seconds for seconds, one in zip(result["latencies"], result["outcomes"], strict=True) if one == status
    )
    if not taken:
        return None
    at = {share: taken[min(len(taken) - 1, int(len(taken) * share))] for share in (0.5, 0.95, 0.99)}
    return {f"p{share * 100:.0f}": round(seconds * 1000, 1) for share, seconds in at.items()} | {
        "max": round(taken[-1] * 1000, 1)
    }


def _recovered(result: Mapping[str, Any]) -> float:
    """From which second on each request was answered with 202 within a second."""
    last = 0.0
    for due, seconds, status in zip(result["due"], result["latencies"], result["outcomes"], strict=True):
        if status != "202" or seconds > 1:
            last = max(last, due + seconds)
    return round(last, 2)


@contextlib.contextmanager
def _slow_clients(bench: Bench) -> Iterator[dict[str, Any]]:
    arguments = ["127.0.0.1", str(bench.province.port), str(SLOW)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.slow", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, Any] = {}
    time.sleep(2)
    try:
        yield told
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=30)
        told |= json.loads(out or "{}")


def kept(bench: Bench, answered: Sequence[tuple[str, str]]) -> dict[str, int]:
    """What became of every message whose sender was told that it is recorded: accepted with 202, refused with 422."""
    told = Counter(transfer for transfer, _ in answered)
    decisions = {transfer: "accepted" if status == "202" else "refused" for transfer, status in answered}
    database = open_database(bench.province.settings.database.url)
    try:
        with database.reading() as session:
            rows = {
                transfer: (ledger, position)
                for transfer, ledger, position, decision in session.exec(
                    select(TransferRow.id, TransferRow.ledger, TransferRow.position, TransferRow.decision)
                )
                if decisions.get(transfer, decision) == decision
            }
            states = dict(session.exec(select(OutboxRow.transfer, OutboxRow.state)).all())
            positions = [place for transfer, place in rows.items() if transfer in told]
            entries = session.exec(select(func.count()).select_from(LedgerEntry)).one()
    finally:
        database.close()
    return {
        "accepted": sum(decision == "accepted" for decision in decisions.values()),
        "refused": sum(decision == "refused" for decision in decisions.values()),
        "answered_twice": sum(count - 1 for count in told.values()),
        "lost": len(told.keys() - rows.keys()),
        "entries_shared": len(positions) - len(set(positions)),
        "delivered": sum(states.get(transfer) == DELIVERED for transfer in told),
        "waiting": sum(states.get(transfer) == WAITING for transfer in told),
        "neither": sum(
            states.get(transfer) not in (DELIVERED, WAITING)
            for transfer, decision in decisions.items()
            if decision == "accepted"
        ),
        "ledger_entries": entries,
    }


def promises(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    phases = {one["phase"]: one for one in result["phases"]}
    store, overload = result["kept"], phases["overload"]
    others = sorted(
        {
            f"{status} in {one['phase']}"
            for one in phases.values()
            for status in one["statuses"]
            if status not in ("202", "503") and (one["phase"], status) != ("large", "422")
        }
    )
    largest = max(one["largest_rss_mib"] for one in phases.values())
    return [
        _promise("every answer is in the ledger once", f"{store['lost']} lost, {store['entries_shared']} shared an entry",
                 not (store["lost"] or store["entries_shared"] or store["answered_twice"])),
        _promise("every 202 is delivered or waiting", f"{store['delivered']} delivered, {store['waiting']} waiting,"
                 f" {store['neither']} neither", not store["neither"]),
        _promise("whatever is not recorded is 503", ", ".join(others) or "nothing else", not others),
        _promise("every 503 has Retry-After", f"{sum(one['without_retry_after'] for one in phases.values())} without",
                 not any(one["without_retry_after"] for one in phases.values())),
        _promise("overload is refused early", f"p95 {(overload['busy_ms'] or {}).get('p95', 0):.0f} ms",
                 bool(overload["busy_ms"]) and overload["busy_ms"]["p95"] <= FIRST_WORD_MS),
        _promise("every message of 1 MiB has its answer", f"{phases['large']['statuses'].get('422', 0)} of {LARGE}",
                 phases["large"]["statuses"].get("422") == LARGE),
        _promise("memory is bounded", f"{largest:.0f} MiB at most", largest < RSS_MIB),
        _promise("probes are answered all the while", f"{sum(one['probes_unanswered'] for one in phases.values())} were not",
                 not any(one["probes_unanswered"] for one in phases.values())),
        _promise("recovery within seconds", f"{phases['recovery']['recovered_after_s']:.1f} s",
                 phases["recovery"]["recovered_after_s"] <= RECOVERED_SECONDS),
    ]  # fmt: skip


def _promise(what: str, measured: str, kept_: bool) -> dict[str, Any]:
    return {"promise": what, "measured": measured, "kept": bool(kept_)}


def run(folder: Path, options: argparse.Namespace, say: Any) -> dict[str, Any]:
    described, code = machine(), revision()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(PostgresServer()) if options.database == "postgresql" else None
        bench = stack.enter_context(Bench(folder / "gateway", Pool(), server=server, delivery=PUSH))
        watch = Watch(bench)
        soak = Soak(bench, watch, options.minutes * 60)
        with watch.running():
            soak.run(say)
            time.sleep(min(5.0, options.minutes * 3))
        result: dict[str, Any] = {
            "benchmark": "sinergi soak",
            "revision": code,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": described,
            "database": options.database,
            "minutes": options.minutes,
            "phases": soak.phases,
            "kept": kept(bench, soak.answered),
        }
    result["promises"] = promises(result)
    return result


def show(console: Console, result: Mapping[str, Any]) -> None:
    table = Table(*SOAK, title=f"{result['minutes']:g} minutes on {result['database']}", title_justify="left")
    for line in soak_lines(result):
        table.add_row(*line)
    judged = Table("promise", "measured", "")
    for one in result["promises"]:
        judged.add_row(one["promise"], one["measured"], "[green]kept" if one["kept"] else "[bold red]BROKEN")
    console.print(table)
    console.print(judged)


def main() -> int:
    parser = argparse.ArgumentParser(description="Load that the gateway must survive.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="sinergi-soak-") as folder:
        result = run(Path(folder), options, lambda text: progress.print(text, style="dim", highlight=False))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(Console(width=None if sys.stdout.isatty() else 160), result)
    return 0 if all(one["kept"] for one in result["promises"]) else 1


if __name__ == "__main__":
    sys.exit(main())

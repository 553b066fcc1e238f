"""How figures are taken: processor time of processes from /proc, latencies, rounds that interleave the arms."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """One arm in one round. Times in seconds; `figures` are the arm's own (batch sizes, commits a second, …)."""

    messages: int
    elapsed: float
    cpu: float
    latencies: Sequence[float] = ()
    rss: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.messages / self.elapsed

    @property
    def cpu_ms(self) -> float:
        return self.cpu / max(1, self.messages) * 1000

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "messages": self.messages,
            "per_second": round(self.rate, 1),
            "cpu_ms": round(self.cpu_ms, 4),
            "p50_ms": round(self.percentile(0.50), 3),
            "p95_ms": round(self.percentile(0.95), 3),
            "p99_ms": round(self.percentile(0.99), 3),
            "rss_mib": round(self.rss / 1_048_576, 1),
            **{name: round(value, 3) for name, value in self.figures.items()},
        }


@dataclass(frozen=True)
class Spread:
    """A median with what the rounds were between."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        held = list(values)
        return cls(statistics.median(held), min(held), max(held))

    def text(self, digits: int = 0) -> str:
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, all their threads included."""
    total = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(after_name[11]) + int(after_name[12])
    return total / TICKS


def resident(pids: Iterable[int]) -> int:
    """Bytes of the largest of these processes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in pids)
    return max(pages) * os.sysconf("SC_PAGE_SIZE")


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


@dataclass(frozen=True)
class Clock:
    """Seconds that all cores together have been busy, and have been there."""

    busy: float
    total: float

    @classmethod
    def now(cls) -> "Clock":
        user, nice, system, idle, waiting, *others = map(
            int, Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]
        )
        busy = user + nice + system + sum(others)
        return cls(busy / TICKS, (busy + idle + waiting) / TICKS)

    def figures(self, ours: float) -> dict[str, float]:
        """Since this clock: how many cores were busy, and how many of those with what is none of ours."""
        now = Clock.now()
        elapsed = max(0.001, (now.total - self.total) / (os.cpu_count() or 1))
        busy = (now.busy - self.busy) / elapsed
        return {"busy_cores": busy, "others_cores": max(0.0, busy - ours / elapsed)}


def revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def generate_load(bases: Sequence[str], messages: Sequence[str], **orders: Any) -> dict[str, Any]:
    """Runs the generator of `benchmarks.load` in a process of its own and returns what it measured."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".messages") as file:
        file.write("\n".join(messages))
        file.flush()
        asked = {
            "bases": list(bases),
            "path": "/v1/messages",
            "media_type": "application/sd-jwt",
            "messages": file.name,
            **orders,
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            check=True,
        )
    result: dict[str, Any] = json.loads(done.stdout)
    return result

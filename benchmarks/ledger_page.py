"""The table of docs/explanation/ledger-at-scale.md, from the figures of a run: `python -m benchmarks.ledger_page`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"


def lines(results: Path = RESULTS) -> Iterator[str]:
    """Markdown: a row a figure, SQLite at ten million entries beside PostgreSQL at a million."""
    big, small = (json.loads((results / f"{name}.json").read_text()) for name in ("ledger", "ledger-postgresql"))
    yield f"| | wanted | SQLite, {big['generated']['entries']:,} entries | PostgreSQL, {small['entries']:,} entries |"
    yield "|---|---|---|---|"
    yield f"| inclusion proof, as the receipt had it, p99 | < 5 ms | {_proof(big, 'as given')} | {_proof(small, 'as given')} |"
    yield f"| inclusion proof, newest checkpoint, p99 | < 5 ms | {_proof(big, 'newest')} | {_proof(small, 'newest')} |"
    yield f"| append of 64, against 10,000 entries | × 0.9 to 1.1 | {_append(big)} | {_append(small)} |"
    yield f"| `fsck`, entries a second a core | ≥ 50,000 | {_fsck(big)} | {_fsck(small)} |"
    yield f"| `fsck`, memory at the end against 5 % of the way | flat | {_memory(big)} | {_memory(small)} |"
    yield f"| search by one filter, the slowest, p95 | < 100 ms | {_search(big)} | {_search(small)} |"
    yield f"| bytes a message, with its two receipts | | {_bytes(big['storage'])} | {_bytes(small)} |"


def _proof(found: dict[str, Any], kind: str) -> str:
    one = found["prove"][f"{kind}, warm"]
    return f"{one['p99_ms']:.1f} ms ({one['cpu_p99_ms']:.1f} ms of processor)"


def _append(found: dict[str, Any]) -> str:
    return f"× {found['append']['cpu_ratio']:.2f} processor, × {found['append']['p50_ratio']:.2f} elapsed"


def _fsck(found: dict[str, Any]) -> str:
    return f"{found['read']['fsck of the database']['per_cpu_second']:,.0f}"


def _memory(found: dict[str, Any]) -> str:
    one = found["read"]["fsck of the database"]
    return f"× {one['growth']:.2f}, {one['peak_mib']:.0f} MiB at most"


def _search(found: dict[str, Any]) -> str:
    from benchmarks.ledger import TOGETHER

    worst, name = max((one["p95_ms"], name) for name, one in found["search"].items() if name not in TOGETHER)
    return f"{worst:.1f} ms ({name})"


def _bytes(found: dict[str, Any]) -> str:
    return f"{found['bytes_a_message_generated']:,.0f}"


if __name__ == "__main__":
    print("\n".join(lines()))

"""Writes the figures of docs/explanation/performance.md out of benchmarks/results.

    python scripts/make_performance.py            rewrite what stands between the marks
    python scripts/make_performance.py --check    change nothing; exit 1 if the page says something else than the results

What no run has left a file for stays empty.
"""  # noqa: INP001 - a program, not a package

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import tables  # noqa: E402
from scripts.docs.markdown import table  # noqa: E402

PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"
RESULTS: Final = ROOT / "benchmarks" / "results"
_AIMS: Final = ("aim", "measured", "wanted", "")


def bench(result: Mapping[str, Any]) -> Iterator[str]:
    yield tables.about(result)
    yield ""
    yield from table(tables.HEADINGS, [tables.cells(row) for row in result["rows"]])
    yield ""
    yield from table(
        _AIMS, [[aim["aim"], aim["measured"], aim["wanted"], tables.verdict(aim)] for aim in result["aims"]]
    )


def growth(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"{tables.place(result)} {result['options']['rounds']} rounds of {result['options']['each']} messages."
    yield ""
    yield from table(tables.GROWTH, tables.growth_lines(result))
    yield ""
    yield "![Cost against size, and memory against messages](../../benchmarks/results/growth.svg)"
    yield ""
    yield from table(
        _AIMS, [[aim["aim"], aim["measured"], aim["wanted"], tables.verdict(aim)] for aim in result["aims"]]
    )


def soak(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"{tables.place(result)} {result['minutes']:g} minutes."
    yield ""
    yield from table(tables.SOAK, tables.soak_lines(result))
    yield ""
    rows = [[one["promise"], one["measured"], "kept" if one["kept"] else "BROKEN"] for one in result["promises"]]
    yield from table(("promise", "measured", ""), rows)


MADE: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "bench": bench,
    "growth": growth,
    "soak": soak,
}


def written(page: str) -> str:
    for name, make in MADE.items():
        file = RESULTS / f"{name}.json"
        lines = list(make(json.loads(file.read_text(encoding="utf-8")))) if file.exists() else []
        text = "\n".join(["", *lines, ""]) if lines else ""
        pattern = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(page):
            raise SystemExit(f"{PAGE.name} has no place for {name}")
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", page)
    return page


def main() -> int:
    before = PAGE.read_text(encoding="utf-8")
    after = written(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

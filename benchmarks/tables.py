"""Runs as rows of JSON, and as lines of tables for the terminal and the documentation."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.arms import Label
from benchmarks.measure import Round, Spread

# Column, key of the figure, digits.
_COLUMNS: Final = (
    ("msg/s", "per_second", 0),
    ("p50 ms", "p50_ms", 1),
    ("p95 ms", "p95_ms", 1),
    ("p99 ms", "p99_ms", 1),
    ("CPU ms", "cpu_ms", 2),
    ("PG CPU ms", "postgres_cpu_ms", 2),
    ("commits/s", "commits_per_second", 0),
    ("batch", "batch", 1),
    ("RSS MiB", "rss_mib", 0),
    ("load CPU ms", "generator_cpu_ms", 2),
    ("busy cores", "busy_cores", 1),
)
_SPREAD: Final = frozenset({"per_second", "p99_ms", "cpu_ms"})
HEADINGS: Final = ("arm", "load", *(heading for heading, _, _ in _COLUMNS))


def rows(found: Mapping[Label, Sequence[Round]]) -> list[dict[str, Any]]:
    """One row a label: its rounds, and the median, the least and the most of each figure."""
    made = []
    for label, rounds in found.items():
        told = [one.as_json() for one in rounds]
        names = dict.fromkeys(name for one in told for name in one)
        summary = {}
        for name in names:
            spread = Spread.of(one[name] for one in told if name in one)
            summary[name] = {"median": spread.median, "least": spread.least, "most": spread.most}
        made.append(asdict(label) | {"summary": summary, "rounds": told})
    return made


def name(row: Mapping[str, Any]) -> str:
    words = [row["arm"], row["delivery"], row["database"], "2 processes" if row["processes"] == 2 else ""]
    return ", ".join(word for word in words if word)


def cells(row: Mapping[str, Any]) -> list[str]:
    return [name(row), row["load"], *(_cell(row["summary"], key, digits) for _, key, digits in _COLUMNS)]


def _cell(summary: Mapping[str, Mapping[str, float]], key: str, digits: int) -> str:
    figure = summary.get(key)
    if figure is None or not figure["most"]:
        return ""
    if key not in _SPREAD or figure["least"] == figure["most"]:
        return f"{figure['median']:.{digits}f}"
    return Spread(figure["median"], figure["least"], figure["most"]).text(digits)


def verdict(aim: Mapping[str, Any]) -> str:
    if aim["met"] is None:
        return f"not judged: {aim['note']}"
    return "met" if aim["met"] else "NOT MET"


def about(result: Mapping[str, Any]) -> str:
    machine, options = result["machine"], result["options"]
    return (
        f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB; {machine['system']};"
        f" Python {machine['python']}, PostgreSQL {machine['postgresql']}; load before the run {machine['load_before']}."
        f" {options['rounds']} rounds of {options['seconds']:g} s a load; {result['minutes']} minutes;"
        f" other programs and the benchmark's own bookkeeping kept {foreign(result):.1f} cores busy (median of the loads);"
        f" revision {result['revision']}, {result['finished']}."
    )


def foreign(result: Mapping[str, Any]) -> float:
    found = [row["summary"]["others_cores"]["median"] for row in result["rows"] if "others_cores" in row["summary"]]
    return statistics.median(found) if found else 0.0


def show(console: Console, result: Mapping[str, Any]) -> None:
    table = Table(*HEADINGS[:2], title="2 KB early warning; median (least-most of the rounds)", title_justify="left")
    for heading in HEADINGS[2:]:
        table.add_column(heading, justify="right")
    before = ""
    for row in result["rows"]:
        first, *others = cells(row)
        if before and first != before and not row["load"].startswith("open"):
            table.add_section()
        table.add_row("" if first == before else first, *others)
        before = first
    aims = Table("aim", "measured", "wanted", "", title="The aims, by this run alone", title_justify="left")
    for aim in result["aims"]:
        style = {True: "green", False: "bold red", None: "yellow"}[aim["met"]]
        aims.add_row(aim["aim"], aim["measured"], aim["wanted"], f"[{style}]{verdict(aim)}[/]")
    console.print(table)
    console.print(aims)
    console.print(about(result), highlight=False)


def place(result: Mapping[str, Any]) -> str:
    """Where and when, in one sentence."""
    machine = result["machine"]
    return (
        f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB; {machine['system']};"
        f" Python {machine['python']}; load before the run {machine['load_before']};"
        f" revision {result['revision']}, {result['finished']}."
    )


COSTS: Final = (
    ("accept", "accept_cpu_ms", "CPU ms"),
    ("delivery", "delivery_cpu_ms", "CPU ms"),
    ("proof", "proof_ms", "ms"),
    ("slowest search page", "search_ms", "ms"),
)
"""Kind of cost, key of its figure, unit."""
GROWTH: Final = (
    "entries",
    "at the end of a round",
    *(f"{kind}, {unit}" for kind, _, unit in COSTS),
    "accept/s",
    "RSS MiB",
)


def grown(result: Mapping[str, Any], entries: str, key: str) -> Spread:
    return Spread.of(one[key] for one in result["sizes"][entries])


def growth_lines(result: Mapping[str, Any]) -> list[list[str]]:
    """One line a size."""
    return [
        [
            f"{int(entries):,}",
            f"{int(grown(result, entries, 'entries').median):,}",
            *(grown(result, entries, key).text(2) for _, key, _ in COSTS),
            grown(result, entries, "accept_per_second").text(),
            grown(result, entries, "rss_mib").text(),
        ]
        for entries in result["sizes"]
    ]


SOAK: Final = (
    "phase", "s", "offered/s", "202/s", "202: p50, p99 ms", "503", "503: p50, p99 ms", "RSS MiB", "slowest probe ms",
)  # fmt: skip


def soak_lines(result: Mapping[str, Any]) -> list[list[str]]:
    """One line a phase."""
    return [
        [
            one["phase"],
            f"{one['seconds']:.0f}",
            f"{one['offered_per_second']:.0f}",
            f"{one['per_second']:.0f}",
            _pair(one["accepted_ms"]),
            str(one["statuses"].get("503", 0)),
            _pair(one["busy_ms"]),
            f"{one['largest_rss_mib']:.0f}",
            f"{one['probe_ms']:.0f}",
        ]
        for one in result["phases"]
    ]


def _pair(spread: Mapping[str, float] | None) -> str:
    return "" if spread is None else f"{spread['p50']:.0f}, {spread['p99']:.0f}"

"""What a ledger's entries add up to in a period: volumes, refusals, deliveries, releases, erasures, acts, readings.

Decides what is counted, and leaves it to `ledger.verify` whether the entries are the ledger's. Needs nothing but the public
entries, so whoever counts need not believe the gateway, and no figure names a person. Memory does not grow with the ledger but
for what is listed one by one: changes, and releases that officers approved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from gateway.errors import LedgerInvalidError
from gateway.ledger.entry import decode

Entry = Mapping[str, Any]
Row = tuple[str | int, ...]

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "months": ("month", "accepted", "refused", "overdue"),
        "volumes": ("clause", "type", "sender", "recipient", "accepted", "withheld", "flagged", "approved"),
        "refusals": ("code", "sender", "messages"),
        "flags": ("code", "sender", "messages"),
        "deliveries": ("event", "recipient", "transfers"),
        "releases": ("time", "transfer", "type", "sender", "recipient", "officers", "notice"),
        "erasures": ("ground", "transfers", "by_officers"),
        "holds": ("event", "scope", "holds"),
        "requests": ("what", "requests", "transfers", "erased"),
        "changes": ("time", "event", "about", "detail"),
        "acts": ("what", "who", "acts", "by_two"),
        "readings": ("auditor", "role", "what", "readings", "results"),
        "alerts": ("event", "recipient", "alerts"),
        "entries": ("kind", "entries"),
    }
)
"""The tables, in the order of a report. A row is told apart by its leading words; what follows them is counted."""
_COUNTED: Final = {
    "months": 3, "volumes": 4, "refusals": 1, "flags": 1, "deliveries": 1, "erasures": 2, "holds": 1,
    "requests": 3, "acts": 2, "readings": 2, "alerts": 1, "entries": 1,
}  # fmt: skip
_MONTH: Final = len("2026-11")


@dataclass(slots=True)
class Figures:
    """Of the entries whose time is in `[since, until)`; both as in an entry, and each may be open.

    `first` and `last` are the times of the first and last entry that was counted.
    """

    since: str | None = None
    until: str | None = None
    first: str | None = None
    last: str | None = None
    _counted: dict[str, dict[tuple[str, ...], list[int]]] = field(default_factory=dict)
    _listed: dict[str, list[Row]] = field(default_factory=dict)
    _requests: set[str] = field(default_factory=set)

    def read(self, leaves: Sequence[bytes]) -> None:
        """Counts what is in the period. A leaf that is no entry is left out: an audit says so."""
        for leaf in leaves:
            try:
                entry = decode(leaf)
            except LedgerInvalidError:
                continue
            if (self.since is None or self.since <= entry["time"]) and (
                self.until is None or entry["time"] < self.until
            ):
                self._count(entry)

    def tables(self) -> Iterator[tuple[str, list[dict[str, str | int]]]]:
        """The name and the rows of each table that has any; those that are counted in the order of their words."""
        for name, columns in COLUMNS.items():
            counted = self._counted.get(name, {})
            rows: list[Row] = [(*words, *numbers) for words, numbers in sorted(counted.items())] or self._listed.get(
                name, []
            )
            if rows:
                yield name, [dict(zip(columns, row, strict=True)) for row in rows]

    def _count(self, entry: Entry) -> None:
        self.first = self.first or entry["time"]
        self.last = entry["time"]
        self._add("entries", (entry["kind"],), 1)
        if (reckon := _RECKONED.get(entry["kind"])) is not None:
            reckon(self, entry)

    def _add(self, table: str, words: tuple[str, ...], *numbers: int) -> None:
        row = self._counted.setdefault(table, {}).setdefault(words, [0] * _COUNTED[table])
        for column, number in enumerate(numbers):
            row[column] += number

    def _list(self, table: str, *row: str | int) -> None:
        self._listed.setdefault(table, []).append(row)

    def accepted(self, entry: Entry) -> None:
        flags, officers = entry.get("flags", ()), entry.get("approvals", ())
        route = (entry["clause"], entry["type"], entry["sender"], entry["recipient"])
        self._add("months", (entry["time"][:_MONTH],), 1)
        self._add("volumes", route, 1, bool(entry.get("withheld")), bool(flags), bool(officers))
        for code in {flag["code"] for flag in flags}:
            self._add("flags", (code, entry["sender"]), 1)
        if officers:
            release = (entry["transfer"], entry["type"], entry["sender"], entry["recipient"], " ".join(officers))
            self._list("releases", entry["time"], *release, entry.get("notice", ""))

    def refused(self, entry: Entry) -> None:
        self._add("months", (entry["time"][:_MONTH],), 0, 1)
        for code in {reason["code"] for reason in entry["reasons"]}:
            self._add("refusals", (code, entry["sender"]), 1)

    def delivered(self, entry: Entry) -> None:
        event = entry.get("event") or entry["kind"].partition(".")[2]
        self._add("deliveries", (event, entry.get("recipient", "")), 1)
        if event == "overdue":
            self._add("months", (entry["time"][:_MONTH],), 0, 0, 1)

    def erased(self, entry: Entry) -> None:
        self._add("erasures", (entry["erased_for"],), 1, bool(entry.get("approvals")))

    def held(self, entry: Entry) -> None:
        self._add("holds", (entry["kind"].partition(".")[2], entry.get("scope", "")), 1)

    def requested(self, entry: Entry) -> None:
        # An erasure has two entries of one number: before it begins, and with what was erased.
        new = entry["request"] not in self._requests
        self._requests.add(entry["request"])
        self._add("requests", (entry["what"],), new, entry["results"] if new else 0, entry.get("erased", 0))

    def acted(self, entry: Entry) -> None:
        self._add("acts", (entry["what"], entry["who"]), 1, len(entry.get("approvals", ())) > 1)

    def read_by(self, entry: Entry) -> None:
        self._add("readings", (entry["auditor"], entry["role"], entry["what"]), 1, entry["results"])

    def alerted(self, entry: Entry) -> None:
        self._add("alerts", (entry.get("event", "issued"), entry["recipient"]), 1)

    def changed(self, entry: Entry) -> None:
        about, *more = (str(entry[name]) for name in _CHANGED[entry["kind"]] if name in entry)
        signers = entry.get("signers", ())
        self._list("changes", entry["time"], entry["kind"], about, " ".join([*more, *signers]))


# What a change is about, and what else is told of it.
_CHANGED: Final = {
    "agreement.activated": ("agreement", "version"),
    "schema.published": ("type",),
    "agency.added": ("agency", "status"),
    "agency.changed": ("agency", "status"),
    "key.added": ("agency", "use", "key"),
    "key.revoked": ("agency", "use", "key", "why"),
    "key.retired": ("agency", "use", "key"),
    "officer.added": ("agency", "role", "key"),
    "officer.revoked": ("agency", "key", "why"),
    "operator.added": ("operator", "key"),
    "operator.revoked": ("operator", "key", "why"),
    "checkpoint.key": ("vkey",),
}
_DELIVERIES: Final = ("acknowledged", "expired", "dead", "withdrawn", "overdue", "redelivered")
_RECKONED: Final[Mapping[str, Callable[[Figures, Entry], None]]] = MappingProxyType(
    {
        "transfer.accepted": Figures.accepted,
        "transfer.refused": Figures.refused,
        "transfer.erased": Figures.erased,
        "hold.added": Figures.held,
        "hold.released": Figures.held,
        "subject.request": Figures.requested,
        "operator.act": Figures.acted,
        "audit.read": Figures.read_by,
        "alert.issued": Figures.alerted,
        "alert.acknowledged": Figures.alerted,
    }
    | {f"transfer.{event}": Figures.delivered for event in _DELIVERIES}
    | dict.fromkeys(_CHANGED, Figures.changed)
)

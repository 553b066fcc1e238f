"""Who may send what to whom: one row a message type, one column a pair of agencies, and the rules in each cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.agreement.document import Agreement


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule's part of an exchange: its purposes, in the order of the rule."""

    rule: str
    clause: str
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """`cells` by type and (sender, recipient); what has no cell is never permitted."""

    types: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]
    cells: Mapping[tuple[str, tuple[str, str]], tuple[Cell, ...]]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "type": type_,
                "sender": sender,
                "recipient": recipient,
                "rules": [
                    {"rule": cell.rule, "clause": cell.clause, "purposes": list(cell.purposes)}
                    for cell in self.cells[type_, (sender, recipient)]
                ],
            }
            for type_ in self.types
            for sender, recipient in self.routes
            if (type_, (sender, recipient)) in self.cells
        ]


def matrix(agreement: Agreement) -> Matrix:
    """Every type that a rule names, by name; every pair between which a rule permits something."""
    cells: dict[tuple[str, tuple[str, str]], tuple[Cell, ...]] = {}
    for rule in agreement.rules:
        for route in rule.routes():
            key = (rule.type, route)
            cells[key] = (*cells.get(key, ()), Cell(rule.id, rule.clause, rule.purposes))
    return Matrix(
        tuple(sorted({type_ for type_, _ in cells})),
        tuple((one, other) for one in agreement.parties for other in agreement.parties if _used(cells, (one, other))),
        cells,
    )


def _used(cells: Mapping[tuple[str, tuple[str, str]], object], route: tuple[str, str]) -> bool:
    return any(way == route for _, way in cells)

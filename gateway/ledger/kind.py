"""What a kind of ledger entry is: its members, which of them must be there, and the bytes of its leaf.

The kinds themselves stand in the `*_entries` modules beside this one; `entry.py` lists them all and reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cache
from typing import Any, ClassVar, Final

from gateway.errors import LedgerInvalidError, Reason
from gateway.ledger import canonical
from gateway.ledger.member import FORMS, Form, timestamp

LEAF_LIMIT: Final = 65_535  # C2SP tlog-tiles: an entry's length is a uint16
_ABSENT_WHEN_EMPTY: Final = frozenset({"withheld", "flags", "approvals"})
_COMMON: Final = ("v", "kind", "time")


@dataclass(frozen=True, slots=True)
class Kind:
    names: tuple[str, ...]
    required: frozenset[str]
    forms: Mapping[str, Form]
    open: bool = False


# An entry of a later release: `v`, `kind` and `time`, and members that are not known here.
ANY: Final = Kind(("time",), frozenset(_COMMON), {name: FORMS[name] for name in _COMMON}, open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every kind shares. A member that is None, or a list that may be absent and is empty, is left out."""

    kind: ClassVar[str]
    time: datetime
    _members: dict[str, Any] = field(init=False, repr=False, compare=False)

    # mypy takes the instances' __hash__ for that of their class.
    def __post_init__(self) -> None:
        members = self._as_json()
        check_members(members, kind_of(type(self)))  # type: ignore[arg-type]
        object.__setattr__(self, "_members", members)

    def as_json(self) -> dict[str, Any]:
        """The members as JSON values."""
        return dict(self._members)

    def _as_json(self) -> dict[str, Any]:
        members: dict[str, Any] = {"v": 1, "kind": self.kind}
        for name in kind_of(type(self)).names:  # type: ignore[arg-type]
            value = getattr(self, name)
            if value is not None and (value or name not in _ABSENT_WHEN_EMPTY):
                members[name] = value if isinstance(value, str | int) else _json(value)
        return members

    def leaf(self) -> bytes:
        """The bytes that are hashed into the tree. Raises LedgerInvalidError when they would be too long."""
        return bounded(canonical.dumps(self._members))


@cache
def kind_of(entry: type[Entry]) -> Kind:
    """The members of a kind are the fields of its class, so the two cannot drift apart."""
    members = [member for member in fields(entry) if member.init]
    names = tuple(member.name for member in members)
    optional = {member.name for member in members if member.default is None or member.default == ()}
    allowed = ("v", "kind", *names)
    return Kind(names, frozenset(allowed) - optional, {name: FORMS[name] for name in allowed})


def bounded(leaf: bytes) -> bytes:
    """The leaf as it is. Raises LedgerInvalidError over LEAF_LIMIT bytes."""
    if len(leaf) > LEAF_LIMIT:
        raise LedgerInvalidError(f"a leaf of {len(leaf)} bytes; {LEAF_LIMIT} is the limit")
    return leaf


def check_members(entry: Mapping[str, Any], known: Kind) -> None:
    """Raises LedgerInvalidError for a member that is missing, unknown, or has the wrong form."""
    if not known.required <= entry.keys():
        raise LedgerInvalidError(f"an entry without {', '.join(sorted(known.required - entry.keys()))}")
    for name, value in entry.items():
        form = known.forms.get(name)
        if form is None:
            if known.open:
                continue
            raise LedgerInvalidError(f"{entry['kind']} has no member {name!r}")
        if not form(value):  # and what it holds is not repeated: it may be what must not be written down
            raise LedgerInvalidError(f"the member {name!r} of an entry has the wrong form")


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Reason):  # without its detail, which is words for a caller and not evidence
        members = {"code": value.code, "clause": value.clause, "pointer": value.pointer}
        return {name: held for name, held in members.items() if held is not None}
    if isinstance(value, Mapping):
        return dict(value)
    return [_json(element) for element in value] if isinstance(value, tuple | list) else value

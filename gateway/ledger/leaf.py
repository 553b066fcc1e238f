"""The time of a leaf that is exactly an entry: what an audit asks of each of millions.

A leaf has one spelling, and the forms of nearly all members are regular. So each kind is one regular expression over
the bytes, made of the same patterns that `entry.decode` checks value by value, and four times as fast. It only ever
says yes. Whatever it does not match is taken apart by `decode`, which alone decides that a leaf is wrong.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.ledger.entry import KINDS, LEAF_LIMIT, decode
from gateway.ledger.member import spelling

_KIND: Final = b'"kind":"'
_BEHIND: Final = len(_KIND)


def recorded_at(leaf: bytes) -> str:
    """The `time` of the entry of a leaf. Raises LedgerInvalidError for whatever `decode` refuses, and for nothing else."""
    return recognised(leaf) or str(decode(leaf)["time"])


def recognised(leaf: bytes) -> str | None:
    """The `time` of what is surely an entry; None says nothing: ask `recorded_at`."""
    start = leaf.find(_KIND) + _BEHIND
    kind = _KINDS.get(leaf[start : leaf.find(b'"', start)])
    found = None if kind is None or len(leaf) > LEAF_LIMIT else kind(leaf)
    return None if found is None else found[1].decode()


def _expression(kind: str) -> re.Pattern[bytes] | None:
    """All members in the order of canonical JSON; without those that have no regular form, None where one is required.

    Its one group is the time.
    """
    required, names = KINDS[kind].required, sorted(KINDS[kind].forms)
    parts: list[str] = []
    first = True  # until a member has come that is always there, a comma stands behind, and from then on before
    for name in names:
        value = f'"{re.escape(kind)}"' if name == "kind" else spelling(name)
        if value is None:
            if name in required:
                return None
            continue
        member = f'"{name}":' + (f'"({value[1:-1]})"' if name == "time" else value)
        if name in required:
            parts.append(member if first else f",{member}")
            first = False
        else:
            parts.append(f"(?:{member},)?" if first else f"(?:,{member})?")
    return re.compile(rf"\{{{''.join(parts)}\}}".encode())


_KINDS: Final[Mapping[bytes, Callable[[bytes], re.Match[bytes] | None]]] = {
    kind.encode(): expression.fullmatch for kind in KINDS if (expression := _expression(kind)) is not None
}

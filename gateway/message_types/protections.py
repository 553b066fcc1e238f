"""What a message type protects, and what a new version protects less, though it may take the very same bodies.

Decides it field by field, where both versions may have the field: what may be withheld (`x-sensitive`), who is protected there
(`x-protects`), whether anybody's age is compared (`x-minor-on`). More protection is no loss. What is asked of a body beside
its schema (`x-valid-on`, `x-minor-on`, `x-mrz-of`) is told in words, because a set of bodies cannot say it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.message_types.schema import chain
from gateway.message_types.validity import MINOR_ON, MRZ_OF, VALID_ON, mrz_places

SENSITIVE: Final = "x-sensitive"
PROTECTS: Final = "x-protects"


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the schemas of one field say of it, whichever of them holds."""

    sensitive: bool = False
    protects: frozenset[str] = frozenset()

    def __or__(self, other: "_Marks") -> "_Marks":
        return _Marks(self.sensitive or other.sensitive, self.protects | other.protects)


def protected(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Who is protected in which field (`/body/victims/*/name`), in a self-contained schema."""
    return {place: marks.protects for place, marks in _marks(schema).items() if marks.protects}


def weakened(old: Mapping[str, Any], new: Mapping[str, Any], *, all_taken: bool) -> tuple[str, ...]:
    """Every loss, in words: `x-sensitive at /body/name`. Two self-contained schemas of one type.

    `all_taken`: whether the new one takes every body that the old one took. Then a field that it declares no more may still
    be sent, in an object that is open, and is protected no more.
    """
    before, after = _marks(old), _marks(new)
    found = []
    for place in sorted(before.keys() if all_taken else before.keys() & after.keys()):
        now = after.get(place, _Marks())
        if before[place].sensitive and not now.sensitive:
            found.append(f"{SENSITIVE} at {place}")
        if gone := sorted(before[place].protects - now.protects):
            found.append(f"{PROTECTS} ({', '.join(gone)}) at {place}")
    return (*found, *([MINOR_ON] if MINOR_ON in old and MINOR_ON not in new else []))


def asked_more(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Checks beside the schema that are in the new version and perhaps not in the old one, in words."""
    changed = [keyword for keyword in (VALID_ON, MINOR_ON) if keyword in new and new[keyword] != old.get(keyword)]
    return (*changed, *_mrz(new, old))


def asked_less(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The other way round, but for what is a loss of protection."""
    return (*([VALID_ON] if VALID_ON in old and VALID_ON not in new else []), *_mrz(old, new))


def _mrz(these: Mapping[str, Any], those: Mapping[str, Any]) -> tuple[str, ...]:
    more = mrz_places(these) - mrz_places(those)
    return tuple(sorted(f"{MRZ_OF} at {'/'.join(('', 'body', *same.holder, same.mrz))}" for same in more))


def _marks(schema: Mapping[str, Any]) -> dict[str, _Marks]:
    """Of every field that is declared somewhere, by pointer pattern."""
    found: dict[str, _Marks] = {}
    for place, field in _fields(schema, schema.get("$defs", {}), "/body"):
        here = _Marks(field.get(SENSITIVE) is True, frozenset(field.get(PROTECTS, ())))
        found[place] = found.get(place, _Marks()) | here
    return found


def _fields(schema: Any, definitions: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for part in chain(schema, definitions):
        yield at, part
        for name, entry in part.get("properties", {}).items():
            yield from _fields(entry, definitions, f"{at}/{name}")
        if "items" in part:
            yield from _fields(part["items"], definitions, f"{at}/*")
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in part.get(keyword, ()):
                yield from _fields(branch, definitions, at)

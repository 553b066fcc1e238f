"""The language in which an agreement's rules speak of a message: pointers, JSON Schema fragments, dates and periods.

Decides what such an expression may be and whether a value meets it. Leaves to `terms.py` where expressions stand in a
rule, and to `decide.py` what follows. Each kind is closed: what JSON Schema would silently ignore (an unknown keyword,
a pattern on a number) is refused here, because a condition that never fails is a hole in the agreement.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple

import jsonschema_rs

from gateway.message.disclosure import unescape


class ExpressionError(ValueError):
    """Not an expression of this language; the text says what is expected."""


CLAIMS: Final = frozenset(
    {
        "iss", "aud", "iat", "exp", "jti", "type", "agreement", "purpose", "classification", "case", "officer",
        "legal_basis", "in_reply_to", "correlation_id", "handling",
    }
)  # fmt: skip
_POINTER: Final = re.compile(r"(?:/(?:[A-Za-z0-9_.*-]|~[01])+){1,16}")
_POINTER_LENGTH: Final = 256


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place in the message: a claim (`/purpose`, `/case/type`) or a field (`/body/severity`), as RFC 6901 writes it.

    `*` stands for every element of an array and is the only way into one: an index would look at one element and
    leave the others unseen.
    """

    text: str
    steps: tuple[str, ...]
    is_pattern: bool

    @classmethod
    def parse(cls, text: object) -> "Pointer":
        """Raises ExpressionError for anything that cannot be a place in a message."""
        if not isinstance(text, str) or len(text) > _POINTER_LENGTH or not _POINTER.fullmatch(text):
            raise ExpressionError("a JSON Pointer such as /body/severity or /case/type is expected")
        steps = tuple(unescape(step) for step in text.split("/")[1:])
        if any(step.isdigit() for step in steps):
            raise ExpressionError("array elements are named by *, not by an index")
        if any("*" in step and step != "*" for step in steps):
            raise ExpressionError("* stands alone, for every element of an array")
        if steps[0] != "body" and steps[0] not in CLAIMS:
            raise ExpressionError("a pointer starts at /body or at a claim of the message")
        return cls(text, steps, "*" in steps)

    def read(self, view: dict[str, Any]) -> Any:
        """The value in `view`, or MISSING. Only for a pointer without `*`."""
        value: Any = view
        try:
            for step in self.steps:
                value = value[step]  # no step is an index: only an object has a member of this name
        except (KeyError, TypeError):
            return MISSING
        return value

    def places(self, view: dict[str, Any]) -> list[str]:
        """Every concrete pointer that this one names in `view`."""
        if self.is_pattern:
            return [pointer for pointer, _ in self.find(view)]
        return [] if self.read(view) is MISSING else [self.text]

    def find(self, view: dict[str, Any]) -> list[tuple[str, Any]]:
        """Every concrete pointer that this one names in `view`, with its value."""
        if not self.is_pattern:
            value = self.read(view)
            return [] if value is MISSING else [(self.text, value)]
        found: list[tuple[str, Any]] = [("", view)]
        for step, name in zip(self.text.split("/")[1:], self.steps, strict=True):
            found = [pair for pointer, value in found for pair in _below(pointer, value, step, name)]
        return found


def _below(pointer: str, value: Any, step: str, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if name in value:
            yield f"{pointer}/{step}", value[name]
    elif isinstance(value, list) and name == "*":
        yield from ((f"{pointer}/{index}", item) for index, item in enumerate(value))


def identical(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same value: to Python `true` equals 1, to an agreement it does not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other)


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

_VALUES: Final = frozenset({"const", "enum"})
_COMBINATORS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_ANY: Final = _VALUES | _COMBINATORS | {"not"}
_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "boolean": frozenset(),
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "array": frozenset({"items", "contains", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties", "required", "minProperties", "maxProperties", "additionalProperties"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A JSON Schema (draft 2020-12) for one value, compiled; `schema` is as the agreement states it."""

    schema: Mapping[str, Any]
    is_met_by: Callable[[Any], bool]

    @classmethod
    def parse(cls, schema: object) -> "Fragment":
        """Raises ExpressionError, naming the place, unless the schema is valid, self-contained and cannot pass unawares."""
        _check(schema, "")
        assert isinstance(schema, dict)
        try:
            compiled = jsonschema_rs.Draft202012Validator(
                schema, validate_formats=True, ignore_unknown_formats=False, offline=True
            )
        except ValueError as error:
            raise ExpressionError(f"not a JSON Schema: {str(error).splitlines()[0]}") from error
        return cls(schema, compiled.is_valid)


def _check(schema: object, place: str) -> None:
    here = place or "the condition"
    if not isinstance(schema, dict):
        raise ExpressionError(f"{here} must be a JSON Schema object")
    kind = schema.get("type")
    if "type" in schema and (not isinstance(kind, str) or kind not in _KEYWORDS):
        raise ExpressionError(f"{here}: type must be one of {', '.join(_KEYWORDS)}")
    if not _pins_a_type(schema):
        # `minimum` says nothing of a string: without a type a value of another kind would pass.
        raise ExpressionError(f"{here} must say type, const or enum")
    if unknown := sorted(schema.keys() - _ANY - {"type"} - _KEYWORDS.get(str(kind), frozenset())):
        # JSON Schema ignores what it does not know and what does not apply: a slip would permit everything.
        raise ExpressionError(f"{here}: {unknown[0]} is not a keyword of conditions on type {kind or 'none'}")
    _check_emptiness(schema, here)
    for keyword in sorted(schema.keys() & {"items", "contains", "not"}):
        _check(schema[keyword], f"{place}/{keyword}")
    for keyword in sorted(schema.keys() & _COMBINATORS):
        if not isinstance(schema[keyword], list):
            raise ExpressionError(f"{place}/{keyword} must be a list of schemas")
        for number, branch in enumerate(schema[keyword]):
            _check(branch, f"{place}/{keyword}/{number}")
    for name, member in schema.get("properties", {}).items():
        _check(member, f"{place}/properties/{name}")


def _check_emptiness(schema: Mapping[str, Any], here: str) -> None:
    """What JSON Schema lets pass because there is nothing to look at must be said, not implied."""
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        raise ExpressionError(f"{here}: a pattern must be anchored with ^ and $, or it matches anywhere in the text")
    if "items" in schema and "minItems" not in schema:
        raise ExpressionError(f"{here}: items accepts an empty array: add minItems")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise ExpressionError(f"{here}: properties must be an object and required a list")
    if absent := sorted(name for name in properties if name not in required):
        raise ExpressionError(f"{here}: properties accepts a message without {absent[0]}: add it to required")
    if schema.get("additionalProperties", False) is not False:
        raise ExpressionError(f"{here}: additionalProperties can only be false")


def _pins_a_type(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    if not schema.keys().isdisjoint({"type", *_VALUES}):
        return True
    branches = schema.get("allOf")
    if isinstance(branches, list) and any(map(_pins_a_type, branches)):
        return True
    alternatives = [schema[keyword] for keyword in ("anyOf", "oneOf") if isinstance(schema.get(keyword), list)]
    return any(alternative and all(map(_pins_a_type, alternative)) for alternative in alternatives)


_DURATION: Final = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})W)?(?:([0-9]{1,5})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,5})H)?(?:([0-9]{1,5})M)?(?:([0-9]{1,5})S)?)?"
)


@lru_cache(maxsize=256)
def _length(days: int, seconds: int) -> timedelta:
    return timedelta(days=days, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Duration:
    """An ISO 8601 duration in whole units. Months are calendar months: 31 January and P1M is the last of February."""

    text: str
    months: int
    days: int
    seconds: int

    @classmethod
    def parse(cls, text: object) -> "Duration":
        """Raises ExpressionError for anything but a positive duration such as `P12M`, `P2Y` or `PT15M`."""
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            raise ExpressionError("an ISO 8601 duration such as P12M or PT15M is expected")
        years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        duration = cls(text, 12 * years + months, 7 * weeks + days, 3600 * hours + 60 * minutes + seconds)
        if not (duration.months or duration.days or duration.seconds):
            raise ExpressionError("a duration must be longer than zero")
        return duration

    def after(self, moment: datetime) -> datetime:
        """`moment` plus this, months first, on the calendar of `moment`'s own time zone. OverflowError past year 9999."""
        if self.months:
            year, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
            if year > MAXYEAR:
                raise OverflowError("the end is past year 9999")
            day = min(moment.day, monthrange(year, month + 1)[1])
            moment = moment.replace(year=year, month=month + 1, day=day)
        return moment + _length(self.days, self.seconds)

    def before(self, moment: datetime) -> datetime:
        """`moment` minus this, months first; the first moment of year 1 where it would be earlier still."""
        try:
            if self.months:
                year, month = divmod(moment.year * 12 + moment.month - 1 - self.months, 12)
                day = min(moment.day, monthrange(year, month + 1)[1]) if year >= MINYEAR else 1
                moment = moment.replace(year=year, month=month + 1, day=day)
            return (moment - _length(self.days, self.seconds)).astimezone(UTC).astimezone(moment.tzinfo)
        except (ValueError, OverflowError):
            return datetime.min.replace(tzinfo=UTC)


_DAY: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH: Final = frozenset({"/iat", "/exp"})


class Span(NamedTuple):
    """What a date, a partial date or a date-time covers; `end` is exclusive, and equals `start` for an instant."""

    start: datetime
    end: datetime

    @property
    def last(self) -> datetime:
        """The start of the last day, or the instant: what a period that ends here is measured to."""
        return self.end - timedelta(days=1) if self.end > self.start else self.start

    @classmethod
    def read(cls, pointer: Pointer, view: dict[str, Any], zone: tzinfo) -> "Span | None":
        """The time at `pointer`, a day being a day of `zone`; None if it is missing or is not a time.

        Read are `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, an RFC 3339 date-time with its offset, and the seconds of `iat` and `exp`.
        """
        value = pointer.read(view)
        try:
            if pointer.text in _EPOCH and type(value) is int:
                instant = datetime.fromtimestamp(value, UTC).astimezone(zone)
                return cls(instant, instant)
            if not isinstance(value, str):
                return None
            if _MOMENT.fullmatch(value):
                instant = datetime.fromisoformat(value).astimezone(zone)
                return cls(instant, instant)
            if match := _DAY.fullmatch(value):
                return cls._of_days(*(int(part) if part else 0 for part in match.groups()), zone=zone)
        except (ValueError, OverflowError):
            pass
        return None

    @classmethod
    def _of_days(cls, year: int, month: int, day: int, *, zone: tzinfo) -> "Span":
        start = datetime(year, month or 1, day or 1, tzinfo=zone)
        length = Duration("", 0, 1, 0) if day else Duration("", 1 if month else 12, 0, 0)
        return cls(start, length.after(start))


def in_order(first: Span, last: Span) -> bool:
    """Whether `first` is not later than `last`, as far as both are precise: two times on one stated day are in order."""
    return first.start <= last.start or first.start < last.end


def lasts_at_most(first: Span, last: Span, limit: Duration) -> bool:
    """Whether from the earliest `first` to the latest `last` is no more than `limit`: 1 January to 1 January is P12M.

    A period that ends before it begins has no length, and is not within any.
    """
    return in_order(first, last) and last.last <= limit.after(first.start)


def lasts_at_least(first: Span, last: Span, limit: Duration) -> bool:
    """Whether from the latest `first` to the earliest `last` is no less than `limit`."""
    return limit.after(first.last) <= last.start

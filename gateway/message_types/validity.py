"""What a body must show that no JSON Schema can say: provisions in force, who was a minor when, a number told twice.

Decides whether an offence code was in force at the time of the offence (`x-valid-on`), whether a date of birth fits what
the message says about minority (`x-minor-on`), and whether both forms of a document's number are one (`x-mrz-of`). Pure: it
looks at the body and at the days that a code list gives. Leaves the form of dates and numbers to `formats` and everything
else about a body to `schema`, which is asked first.

The first two keywords stand at the root of a type. Paths are names joined by `/`, from the root of the body.

`"x-valid-on": {"codes": "offence_codes", "from": "offence_period/from", "to": "offence_period/to"}`
    A code passes if it was in force on some day of the period. `to` may be left out, of the keyword or of the body: then
    the period is the date at `from`. A partial date is every day that it can be. Without a date nothing is checked.

`"x-minor-on": {"born": "identity/person/birth_date", "on": "assessed_on", "flag": "is_minor"}`
    `flag` must be true if the person may be under 18 on that day: in doubt a child. Without `flag`, whoever may be a
    minor must not stand there at all. `born` may go through arrays with `*`; a `flag` that goes through the same ones
    (`persons/*/is_minor` beside `persons/*/identity/birth_date`) is each person's own, and nobody else's answers for
    it. Without a date nothing is checked: that there is one, or that the sender says that it is no minor, is for the
    schema (`Adult` in `common/person.json`).

    `band`, a code of the list `age-band` that goes through the same arrays, must not make anybody older than the date
    lets them be. A younger band may stand: the papers of a child that is trafficked often say that it is an adult.

`"x-mrz-of": "number"` stands at a member, wherever that is: it is the MRZ form (ICAO 9303-3) of the member beside it.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from gateway.errors import Reason, SchemaInvalidError
from gateway.message_types.formats import mrz_form, nik_birth_dates

VALID_ON: Final = "x-valid-on"
MINOR_ON: Final = "x-minor-on"
MRZ_OF: Final = "x-mrz-of"
# Written by the catalogue, not by hand: the days of the codes, so that they are part of what is published.
CODE_DAYS: Final = "x-code-days"
NIK: Final = "nik"
_DAY_LENGTH: Final = len("2026-11-02")
_WIB: Final = timezone(timedelta(hours=7))
_MAJORITY: Final = 18  # years: UU 35/2014 Art 1, UU 11/2012 Art 1
_DATES: Final = frozenset({"date", "date-time", "partial-date"})
_LAST_MONTH: Final = 12
AGE_BANDS: Final = "age-band"
_BAND: Final = re.compile(r"AGE_([0-9]{2})_(?:[0-9]{2}|UP)")  # the first number is the youngest of the band

Path = tuple[str, ...]
Days = tuple[date, date]


@dataclass(frozen=True, slots=True)
class InForce:
    """The codes at `codes` and the period of the offence; `days`: first and last day of each code that is limited."""

    codes: Path
    first: Path
    last: Path | None
    days: Mapping[str, Days]


@dataclass(frozen=True, slots=True)
class Minority:
    """Dates of birth at `born`, or in a NIK beside it; the day that counts, the member that must say so, the band.

    `person` is what `born`, `flag` and `band` have in common up to their last `*`: they are read from there.
    """

    person: Path
    born: Path
    on: Path
    flag: Path | None
    band: Path | None


@dataclass(frozen=True, slots=True)
class SameNumber:
    """At `holder` the member `mrz` repeats the member `number` as the machine readable zone has it."""

    holder: Path
    mrz: str
    number: str


Check = InForce | Minority | SameNumber


def checks(schema: Mapping[str, Any], days: Mapping[str, Mapping[str, Days]]) -> tuple[Check, ...]:
    """What a self-contained schema asks for; `days` by code list. SchemaInvalidError if a path leads nowhere."""
    found: list[Check] = []
    if VALID_ON in schema:
        names = _members(schema[VALID_ON], {"codes", "from"}, {"to"})
        codes = _path(schema, names["codes"])
        list_ = _declared(schema, (*codes, "*")).get("x-code-list")
        if not isinstance(list_, str) or list_ not in days:
            raise SchemaInvalidError(f"{VALID_ON}: {names['codes']} holds no codes of a list")
        last = _dated(schema, names["to"]) if "to" in names else None
        found.append(InForce(codes, _dated(schema, names["from"]), last, days[list_]))
    if MINOR_ON in schema:
        found.append(_minority_asked(schema))
    return (*found, *sorted(mrz_places(schema), key=lambda same: same.holder))


def _minority_asked(schema: Mapping[str, Any]) -> Minority:
    names = _members(schema[MINOR_ON], {"born", "on"}, {"flag", "band"})
    born, on = _dated(schema, names["born"]), _dated(schema, names["on"])
    flag, band = (_path(schema, names[name]) if name in names else None for name in ("flag", "band"))
    if band is not None and _declared(schema, band).get("x-code-list") != AGE_BANDS:
        raise SchemaInvalidError(f"{MINOR_ON}: {names['band']} is no code of the list {AGE_BANDS}")
    # What goes through no array is said once for everybody: it is read from the root, whoever the person is.
    person = max((_array(path) for path in (flag, band) if path is not None), key=len, default=())
    for path in (flag, band):
        if path is not None and _array(path) not in ((), person):
            raise SchemaInvalidError(f"{MINOR_ON}: its paths go through different arrays")
    if born[: len(person)] != person:
        raise SchemaInvalidError(f"{MINOR_ON}: its paths go through different arrays")
    return Minority(person, born[len(person) :], on, flag, band)


def _array(path: Path) -> Path:
    """Up to the last `*`."""
    return path[: len(path) - path[::-1].index("*")] if "*" in path else ()


def mrz_places(schema: Mapping[str, Any]) -> frozenset[SameNumber]:
    """Where a self-contained schema has `x-mrz-of`, in whatever definition or branch. SchemaInvalidError if it names nothing."""
    return frozenset(_mrz_places(schema, schema.get("$defs", {}), ()))


def _mrz_places(part: Any, definitions: Mapping[str, Any], path: Path) -> Iterator[SameNumber]:
    if not isinstance(part, Mapping):
        return
    properties = part.get("properties", {})
    for name, entry in properties.items():
        if isinstance(entry, Mapping) and MRZ_OF in entry:
            number = entry[MRZ_OF]
            if number not in properties:
                raise SchemaInvalidError(f"{MRZ_OF}: {'/'.join((*path, name))} has no {number} beside it")
            yield SameNumber(path, name, number)
        yield from _mrz_places(entry, definitions, (*path, name))
    if "items" in part:
        yield from _mrz_places(part["items"], definitions, (*path, "*"))
    if "$ref" in part:
        yield from _mrz_places(definitions[part["$ref"].removeprefix("#/$defs/")], definitions, path)
    branches = [part[name] for name in ("then", "else") if name in part]
    for branch in (*branches, *(entry for name in ("allOf", "anyOf", "oneOf") for entry in part.get(name, ()))):
        yield from _mrz_places(branch, definitions, path)


def list_of(schema: Mapping[str, Any]) -> str | None:
    """The code list whose days a self-contained schema asks about, if it asks about any."""
    if VALID_ON not in schema:
        return None
    names = _members(schema[VALID_ON], {"codes", "from"}, {"to"})
    name = _declared(schema, (*_path(schema, names["codes"]), "*")).get("x-code-list")
    return name if isinstance(name, str) else None


def require_listed(schema: Mapping[str, Any], days: Mapping[str, Mapping[str, Days]]) -> None:
    """SchemaInvalidError if a code may stand at `codes` of which its list has no days: nobody could say whether it holds."""
    name = list_of(schema)
    if name is None or name not in days:
        return
    known = days[name]
    codes = _declared(schema, (*_path(schema, schema[VALID_ON]["codes"]), "*")).get("enum", ("any text",))
    strange = [code for code in codes if not isinstance(code, str) or code not in known]
    if strange:
        raise SchemaInvalidError(f"/{VALID_ON}: permits {strange[0]}, which the list {name} has not")


class _Published(dict[str, Days]):
    """The days of `x-code-days`; a code without any is always in force."""

    def __missing__(self, code: str) -> Days:
        return date.min, date.max


def published_days(schema: Mapping[str, Any]) -> Mapping[str, Days]:
    """By code, from what was published; every other code is always in force."""
    return _Published({code: limits(entry) for code, entry in schema.get(CODE_DAYS, {}).items()})


def violations(asked: tuple[Check, ...], body: Any) -> tuple[Reason, ...]:
    """Everything that does not fit, in the order of the checks. The body conforms to its schema."""
    faults: list[Reason] = []
    for check in asked:
        match check:
            case InForce():
                faults.extend(_in_force(check, body))
            case Minority():
                faults.extend(_minority(check, body))
            case SameNumber():
                faults.extend(_same_number(check, body))
    return tuple(dict.fromkeys(faults))


def limits(entry: Mapping[str, str]) -> Days:
    """First and last day of a code, both included, from the members that its list adds."""
    return (
        date.fromisoformat(entry.get("valid_from", date.min.isoformat())),
        date.fromisoformat(entry.get("valid_to", date.max.isoformat())),
    )


def days_of(partial: str) -> Days:
    """The first and the last day that `YYYY`, `YYYY-MM` or `YYYY-MM-DD` can be; of a date-time, its day where it was."""
    year, month, day = (int(part) for part in (*partial[:10].split("-"), "0", "0")[:3])
    last_month = month or _LAST_MONTH
    return date(year, month or 1, day or 1), date(year, last_month, day or monthrange(year, last_month)[1])


def _in_force(check: InForce, body: Any) -> Iterator[Reason]:
    begun = _text(body, check.first)
    if begun is None:
        return
    ended = _text(body, check.last) if check.last is not None else None
    first, last = days_of(begun)[0], days_of(ended or begun)[1]
    if last < first:
        yield Reason(
            "schema.violated", pointer=_pointer(check.last or check.first), detail="expected not before its start"
        )
        return
    for pointer, code in _find(body, (*check.codes, "*")):
        since, until = check.days[code]
        if last < since or until < first:
            yield Reason("schema.violated", pointer=pointer, detail="expected a provision in force at that time")


def _minority(check: Minority, body: Any) -> Iterator[Reason]:
    counted = _text(body, check.on)
    if counted is None:
        return
    on = _earliest_day(counted)
    for place, person in _find(body, check.person):
        for holder, dated in _find(person, check.born[:-1], place):
            for name, (earliest, latest) in _births(dated, check.born[-1], on):
                if _age(latest, on) < _MAJORITY:
                    yield from _undeclared(check, body, (place, person), f"{holder}/{name}")
                yield from _too_old(check, body, (place, person), _age(earliest, on))


def _undeclared(check: Minority, body: Any, person: tuple[str, Any], told: str) -> Iterator[Reason]:
    if check.flag is None:
        yield Reason("schema.violated", pointer=told, detail="expected nobody here who may be under 18")
        return
    pointer, value = _said(check, check.flag, body, person)
    if value is not True:
        yield Reason("schema.violated", pointer=pointer, detail="expected true: may be under 18")


def _too_old(check: Minority, body: Any, person: tuple[str, Any], oldest: int) -> Iterator[Reason]:
    if check.band is None:
        return
    pointer, value = _said(check, check.band, body, person)
    band = _BAND.fullmatch(value) if isinstance(value, str) else None
    if band is not None and int(band.group(1)) > max(oldest, 0):
        yield Reason("schema.violated", pointer=pointer, detail="expected no older than by the date of birth")


def _said(check: Minority, path: Path, body: Any, person: tuple[str, Any]) -> tuple[str, Any]:
    """Where a person's own word stands and what it is; one that is not within the person, for everybody."""
    if path[: len(check.person)] != check.person:
        return _pointer(path), _value(body, path)
    place, holder = person
    own = path[len(check.person) :]
    return "/".join((place, *own)), _value(holder, own)


def _same_number(check: SameNumber, body: Any) -> Iterator[Reason]:
    for holder, document in _find(body, check.holder):
        mrz = _text(document, (check.mrz,))
        if mrz is not None and mrz != mrz_form(_text(document, (check.number,)) or ""):
            expected = f"expected what {check.number} is in the machine readable zone"
            yield Reason("schema.violated", pointer=f"{holder}/{check.mrz}", detail=expected)


def _earliest_day(partial: str) -> date:
    """Of a date-time the earlier of its own day and the day in Banten then: an offset makes nobody a day older."""
    day = days_of(partial)[0]
    if len(partial) <= _DAY_LENGTH:
        return day
    return min(day, datetime.fromisoformat(partial.replace("z", "Z")).astimezone(_WIB).date())


def _births(person: Any, member: str, on: date) -> Iterator[tuple[str, Days]]:
    """The first and the last day of birth that each of a person's members allows: the date itself, and a NIK's.

    A NIK does not tell the century: it is the later one, unless that is after the day that counts and the earlier one is not.
    """
    if not isinstance(person, Mapping):
        return
    if member in person:
        yield member, days_of(person[member])
    candidates = nik_birth_dates(str(person.get(NIK, "")))
    told = days_of(person[member]) if member in person else None
    if told is not None and any(told[0] <= born <= told[1] for born in candidates):
        return  # both say the same
    if candidates:
        past = [born for born in candidates if born <= on]
        born = past[-1] if past else candidates[0]
        yield NIK, (born, born)


def _age(born: date, on: date) -> int:
    """Completed years."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _find(value: Any, path: Path, at: str = "/body") -> Iterator[tuple[str, Any]]:
    if not path:
        yield at, value
    elif path[0] == "*":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _find(item, path[1:], f"{at}/{index}")
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _find(value[path[0]], path[1:], f"{at}/{path[0]}")


def _value(body: Any, path: Path) -> Any:
    return next((value for _, value in _find(body, path)), None)


def _text(body: Any, path: Path) -> str | None:
    value = _value(body, path)
    return value if isinstance(value, str) else None


def _pointer(path: Path) -> str:
    return "/".join(("/body", *path))


def _members(keyword: Any, required: set[str], optional: set[str]) -> Mapping[str, str]:
    if not isinstance(keyword, dict) or not required <= keyword.keys() <= required | optional:
        raise SchemaInvalidError(f"{VALID_ON} and {MINOR_ON} have members of their own, and no others")
    return keyword


def _path(schema: Mapping[str, Any], text: str) -> Path:
    path = tuple(text.split("/"))
    _declared(schema, path)
    return path


def _dated(schema: Mapping[str, Any], text: str) -> Path:
    path = _path(schema, text)
    if _declared(schema, path).get("format") not in _DATES:
        raise SchemaInvalidError(f"{text} is no date")
    return path


def _declared(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """What the schema declares at a path, references followed; the nearest word of each keyword counts."""
    here: dict[str, Any] = {}
    part: Any = schema
    while isinstance(part, dict):
        here = {**part, **here, "properties": {**part.get("properties", {}), **here.get("properties", {})}}
        reference = part.get("$ref")
        part = schema["$defs"][reference.removeprefix("#/$defs/")] if reference else None
    if not path:
        return here
    below = here.get("items") if path[0] == "*" else here["properties"].get(path[0])
    if not isinstance(below, dict):
        raise SchemaInvalidError(f"nothing is declared at {'/'.join(path)}")
    return _declared({**below, "$defs": schema["$defs"]}, path[1:])

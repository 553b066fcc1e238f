"""The words of an agreement: what a single value may be, a day, a place in the message, a code, a period, a situation.

Decides the form of each value and says what is expected where it is not met. Leaves to `terms.py` which keys take which
words, and to `conditions.py` the expressions behind `Place`, `Schema` and `Period`.
"""

import re
from collections.abc import Mapping, Sized
from datetime import date, timedelta, timezone
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, PlainValidator, StringConstraints

from gateway.agreement.conditions import Duration, ExpressionError, Fragment, Pointer
from gateway.message.envelope import AGENCY_ID, AGREEMENT_ID, MESSAGE_TYPE

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C", bound=Sized)

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET: Final = re.compile(r"([+-])((?:0[0-9]|1[0-4])):([0-5][0-9])")
_REGION: Final = re.compile(r"[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def _day(text: object) -> date:
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ExpressionError("a date as YYYY-MM-DD is expected")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ExpressionError("there is no such day") from error


def _day_of_year(text: object) -> str:
    """Of any year, so 29 February as well."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{2}-[0-9]{2}", text):
        raise ExpressionError('a day of every year as "MM-DD" is expected')
    _day(f"2000-{text}")
    return text


def _zone(text: object) -> timezone:
    match = _OFFSET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ExpressionError('an offset from UTC such as "+07:00" is expected')
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def _place(text: object) -> Pointer:
    pointer = Pointer.parse(text)
    if pointer.is_pattern:
        raise ExpressionError("one place is expected: use items or contains to look into an array")
    return pointer


def _field(text: object) -> Pointer:
    pointer = Pointer.parse(text)
    if pointer.steps[0] != "body" or pointer.steps[1:2] in ((), ("*",)):
        raise ExpressionError("a field of the payload such as /body/reporter is expected")
    return pointer


def _body_place(text: object) -> Pointer:
    if _field(text).is_pattern:
        raise ExpressionError("one field of the payload is expected, without *")
    return _field(text)


def _matching(pattern: re.Pattern[str], what: str) -> PlainValidator:
    def check(text: object) -> str:
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise ExpressionError(f"{what} is expected")
        return text

    return PlainValidator(check)


# pydantic's own min_length counts what is left after faulty elements are dropped, and so reports them twice.
def some(items: C) -> C:
    if not items:
        raise ExpressionError("at least one is expected")
    return items


def several(items: C) -> C:
    if len(items) < 2:  # noqa: PLR2004 - an agreement of one is none
        raise ExpressionError("at least two are expected")
    return items


def distinct(items: tuple[V, ...]) -> tuple[V, ...]:
    if len(set(items)) != len(items):
        raise ExpressionError("an element is there twice")
    return items


def sealed(members: Mapping[K, V]) -> Mapping[K, V]:
    return MappingProxyType(dict(members))


Day = Annotated[date, PlainValidator(_day)]
WEEKDAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
Weekday = Annotated[str, _matching(re.compile("|".join(WEEKDAYS)), "a day of the week such as SATURDAY")]
DayOfYear = Annotated[str, PlainValidator(_day_of_year)]
Zone = Annotated[timezone, PlainValidator(_zone)]
Place = Annotated[Pointer, PlainValidator(_place)]
PayloadField = Annotated[Pointer, PlainValidator(_field)]
BodyPlace = Annotated[Pointer, PlainValidator(_body_place)]
Schema = Annotated[Fragment, PlainValidator(Fragment.parse)]
Period = Annotated[Duration, PlainValidator(Duration.parse)]
AgreementId = Annotated[str, _matching(AGREEMENT_ID, "an agreement id such as pks-banten-2025")]
AgencyId = Annotated[str, _matching(AGENCY_ID, "an agency id such as polda-banten")]
MessageType = Annotated[str, _matching(MESSAGE_TYPE, "a message type with its version, such as overstay.notice/1,")]
Code = Annotated[str, _matching(_CODE, "a code in capitals")]
MessageTypes = Annotated[tuple[MessageType, ...], AfterValidator(some), AfterValidator(distinct)]
Codes = Annotated[tuple[Code, ...], AfterValidator(some), AfterValidator(distinct)]
Name = Annotated[str, _matching(re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"), "a name in small letters and -")]
ClauseNumber = Annotated[
    str, _matching(re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 .()/-]{0,98}[A-Za-z0-9.)])?"), "a clause number in quotes")
]
RegionCode = Annotated[str, _matching(_REGION, 'a region code in quotes, such as "36.04.08",')]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Provenance = Literal["public", "to-be-confirmed"]
Handling = Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]
Priority = Literal["urgent", "normal", "bulk"]
# What a failure does: it refuses the message, or it is written down beside the acceptance.
Otherwise = Literal["refuse", "flag"]

# All of these hold at once; each pointer's value must be there.
Situation = Annotated[Mapping[Place, Schema], AfterValidator(some), AfterValidator(sealed)]

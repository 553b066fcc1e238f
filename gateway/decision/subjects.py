"""Whom and what a message is about: the identifiers by which an auditor, or the person concerned, can find it.

Pure. The values leave this module only to become keyed tokens (`store/sealing.py`); they are never stored or logged.
UU 27/2022 Art 32: access includes the trail of processing, so every identifier of a person is found, wherever it stands.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from gateway.message.envelope import Case, Claims

CASE: Final = "case"
# The same number may stand under another type: what has to be the very same case is compared by both.
TYPED_CASE: Final = "typed-case"
OFFICER: Final = "officer"
NIK: Final = "nik"
TRAVEL_DOCUMENT: Final = "travel-document"
# The number without the state that issued it, which is the sender's word.
DOCUMENT_NUMBER: Final = "document-number"
PHONE: Final = "phone"
NIP: Final = "nip"
NRP: Final = "nrp"
PERSON_TOKEN: Final = "person-token"
SUBJECT_KINDS: Final = frozenset({NIK, TRAVEL_DOCUMENT, PHONE, NIP, NRP, PERSON_TOKEN})
# By a number alone the holders of two states' documents are found together: enough to look for a question under a wrong state,
# and too much to answer, correct or erase anything by.
SEARCHED_KINDS: Final = SUBJECT_KINDS | {DOCUMENT_NUMBER, CASE, OFFICER}
_BY_NAME: Final = {
    "nik": NIK,
    "nip": NIP,
    "nrp": NRP,
    "phone": PHONE,
    "contact": PHONE,
    "victim_token": PERSON_TOKEN,
    "victim_refs": PERSON_TOKEN,
    "child_suspect_refs": PERSON_TOKEN,
    "reference": PERSON_TOKEN,
}
_TOKEN: Final = re.compile(r"(?:KRB|ANK)(?:-[0-9A-Z]{4}){3}")

# Kind and value.
Identifier = tuple[str, str]


class Person(NamedTuple):
    """One identifier of a person, as a paper names the person by it, and as questions about the person are counted.

    The two differ for a travel document. What an asker writes beside the number must not make another person of the holder,
    nor may a paper about the holder of one state's document cover that of another's.
    """

    named: Identifier
    counted: Identifier


def travel_document_value(issuing_state: str, number: str) -> str:
    """How a travel document is named in a search: issuing state (alpha-3) and number."""
    return f"{issuing_state}{number}"


def typed_case(case: Case) -> Identifier:
    """Kind and value by which one case is told from any other."""
    return TYPED_CASE, f"{case.type}:{case.number}"


def identifiers(claims: Claims, body: dict[str, Any]) -> frozenset[Identifier]:
    """The case (by its number, and typed), the officer, and every identifier of a person in the body.

    These are NIK, NIP, NRP, telephone, travel document, also by its number alone, and the token of a victim or a child.
    """
    found = {identifier for person in _walk(body) for identifier in person}
    if claims.case is not None:
        found |= {(CASE, claims.case.number), typed_case(claims.case)}
    if claims.officer is not None:
        found.add((OFFICER, claims.officer.id))
    return frozenset(found)


def persons_at(found: Iterable[tuple[str, Any]]) -> frozenset[Person]:
    """The persons in what stands at these JSON Pointers; the last step of each is a member's name."""
    return frozenset(person for pointer, value in found for person in _walk({pointer.rpartition("/")[2]: value}))


def _walk(value: Any) -> Iterator[Person]:
    if isinstance(value, dict):
        state, number = value.get("issuing_state"), value.get("number")
        if isinstance(state, str) and isinstance(number, str):
            yield Person((TRAVEL_DOCUMENT, travel_document_value(state, number)), (DOCUMENT_NUMBER, number))
        for name, member in value.items():
            if name in _BY_NAME:
                yield from _named(_BY_NAME[name], member)
            else:
                yield from _walk(member)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


def _named(kind: str, member: Any) -> Iterator[Person]:
    """What stands under an identifier's name: one, or a list of them; a reference may also name an application."""
    for item in member if isinstance(member, list) else (member,):
        if not isinstance(item, str):
            yield from _walk(item)
        elif kind != PERSON_TOKEN or _TOKEN.fullmatch(item):
            yield Person((kind, item), (kind, item))

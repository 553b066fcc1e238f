"""Whom and what a message is about: the identifiers by which an auditor, or the person concerned, can find it.

Pure. The values leave this module only to become keyed tokens (`store/sealing.py`); they are never stored or logged.
UU 27/2022 Art 32: access includes the trail of processing, so every identifier of a person is found, wherever it stands.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from gateway.envelope import Claims

CASE: Final = "case"
OFFICER: Final = "officer"
NIK: Final = "nik"
TRAVEL_DOCUMENT: Final = "travel-document"
PHONE: Final = "phone"
NIP: Final = "nip"
NRP: Final = "nrp"
PERSON_TOKEN: Final = "person-token"
SUBJECT_KINDS: Final = frozenset({NIK, TRAVEL_DOCUMENT, PHONE, NIP, NRP, PERSON_TOKEN})
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


def travel_document_value(issuing_state: str, number: str) -> str:
    """How a travel document is named in a search: issuing state (alpha-3) and number."""
    return f"{issuing_state}{number}"


def identifiers(claims: Claims, body: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Pairs of kind and value: case and officer of the claims, and every identifier of a person in the body.

    These are NIK, NIP, NRP, telephone, travel document, and the token that stands for a victim or a child.
    """
    found = set(_walk(body))
    if claims.case is not None:
        found.add((CASE, claims.case.number))
    if claims.officer is not None:
        found.add((OFFICER, claims.officer.id))
    return frozenset(found)


def persons_at(found: Iterable[tuple[str, Any]]) -> frozenset[tuple[str, str]]:
    """The same pairs, of persons alone, in what stands at these JSON Pointers; the last step of each is a member's name."""
    return frozenset(pair for pointer, value in found for pair in _walk({pointer.rpartition("/")[2]: value}))


def _walk(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        state, number = value.get("issuing_state"), value.get("number")
        if isinstance(state, str) and isinstance(number, str):
            yield TRAVEL_DOCUMENT, travel_document_value(state, number)
        for name, member in value.items():
            if name in _BY_NAME:
                yield from _named(_BY_NAME[name], member)
            else:
                yield from _walk(member)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


def _named(kind: str, member: Any) -> Iterator[tuple[str, str]]:
    """What stands under an identifier's name: one, or a list of them; a reference may also name an application."""
    for item in member if isinstance(member, list) else (member,):
        if not isinstance(item, str):
            yield from _walk(item)
        elif kind != PERSON_TOKEN or _TOKEN.fullmatch(item):
            yield kind, item

"""Whom and what a message is about: the identifiers by which an auditor, or the person concerned, can find it.

Pure. The values leave this module only to become keyed tokens (`store/sealing.py`); they are never stored or logged.
UU 27/2022 Art 32: access includes the trail of processing, so every identifier of a person is found, wherever it stands.
"""

from collections.abc import Iterator
from typing import Any, Final

from gateway.envelope import Claims

CASE: Final = "case"
OFFICER: Final = "officer"
NIK: Final = "nik"
TRAVEL_DOCUMENT: Final = "travel-document"
PHONE: Final = "phone"
NIP: Final = "nip"
SUBJECT_KINDS: Final = frozenset({NIK, TRAVEL_DOCUMENT, PHONE, NIP})
_BY_NAME: Final = {"nik": NIK, "nip": NIP, "phone": PHONE, "contact": PHONE}


def travel_document_value(issuing_state: str, number: str) -> str:
    """How a travel document is named in a search: issuing state (alpha-3) and number."""
    return f"{issuing_state}{number}"


def identifiers(claims: Claims, body: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Pairs of kind and value: case and officer of the claims, and every NIK, NIP, phone and travel document of the body."""
    found = set(_walk(body))
    if claims.case is not None:
        found.add((CASE, claims.case.number))
    if claims.officer is not None:
        found.add((OFFICER, claims.officer.id))
    return frozenset(found)


def _walk(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        state, number = value.get("issuing_state"), value.get("number")
        if isinstance(state, str) and isinstance(number, str):
            yield TRAVEL_DOCUMENT, travel_document_value(state, number)
        for name, member in value.items():
            if name in _BY_NAME and isinstance(member, str):
                yield _BY_NAME[name], member
            else:
                yield from _walk(member)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)

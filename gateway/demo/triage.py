"""What the two invented agencies answer. A real one asks its officers and its registers here.

Pure: a received message in, a reply or none out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.demo import story
from gateway.demo.story import capacity, investigation
from gateway.endpoint import Received

_GRAVE: Final = 2  # of the four severities


@dataclass(frozen=True, slots=True)
class Reply:
    type: str
    body: Mapping[str, Any]
    purpose: str
    disclosable: tuple[str, ...] = ()


def answer_to(agency: str, item: Received) -> Reply | None:
    """Polda Banten triages warnings, helps investigators and lends rooms, Imigrasi Banten answers queries; the rest is kept."""
    if item.claims.aud != agency:
        return None
    if item.claims.type == story.WARNING:
        return Reply(story.TRIAGE, _triage(item.body), item.claims.purpose)
    if item.claims.type == story.QUERY:
        return Reply(story.RESPONSE, _crossings(item.body), item.claims.purpose, story.DISCLOSABLE[story.RESPONSE])
    if item.claims.type == investigation.REQUEST:
        body, disclosable = investigation.decision(item.body), investigation.DISCLOSABLE[investigation.DECISION]
        return Reply(investigation.DECISION, body, item.claims.purpose, disclosable)
    if item.claims.type == capacity.FACILITY_REQUEST:
        body, disclosable = capacity.facility_response(item.body), capacity.DISCLOSABLE[capacity.FACILITY_RESPONSE]
        return Reply(capacity.FACILITY_RESPONSE, body, item.claims.purpose, disclosable)
    return None


def _triage(warning: Mapping[str, Any]) -> dict[str, Any]:
    """`penilaian awal`: from severity 2 a unit takes it, below that the sender is asked for more."""
    if warning["severity"] < _GRAVE:
        return {"triage": "NEED_INFO", "next_action": "Mohon keterangan tambahan dari petugas desa binaan."}
    return {
        "triage": "ACCEPTED",
        "assigned_unit": "RENAKTA_POLDA_BANTEN",
        "next_action": "Pengecekan lapangan bersama petugas imigrasi sebelum keberangkatan.",
        "case_reference": {"type": "LI", "number": story.number("LI", 31, "Ditreskrimum")},
    }


def _crossings(query: Mapping[str, Any]) -> dict[str, Any]:
    """A register of one traveller, who does not exist."""
    numbers = {document["number"] for document in query["subject"].get("travel_documents", ())}
    if story.PASSPORT not in numbers:
        return {"match_status": "NOT_FOUND"}
    return {
        "match_status": "MATCHED",
        "as_of": story.moment(),
        "is_minor": False,
        "crossings": story.crossings(),
        "truncated": False,
    }

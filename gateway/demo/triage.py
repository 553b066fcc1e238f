"""What the two invented agencies answer. A real one asks its officers and its registers here.

Pure: a received message in, a reply or none out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.demo import story
from gateway.endpoint import Received

_GRAVE: Final = 2  # of the four severities


@dataclass(frozen=True, slots=True)
class Reply:
    type: str
    body: Mapping[str, Any]
    purpose: str
    disclosable: tuple[str, ...] = ()


def answer_to(agency: str, item: Received) -> Reply | None:
    """Polda Banten triages early warnings, Imigrasi Banten answers queries about crossings; the rest is only kept."""
    if item.claims.aud != agency:
        return None
    if item.claims.type == story.WARNING:
        return Reply(story.TRIAGE, _triage(item.body), item.claims.purpose)
    if item.claims.type == story.QUERY:
        return Reply(story.RESPONSE, _crossings(item.body), item.claims.purpose, story.DISCLOSABLE[story.RESPONSE])
    return None


def _triage(warning: Mapping[str, Any]) -> dict[str, Any]:
    """`penilaian awal`: from severity 2 a unit takes it, below that the sender is asked for more."""
    if warning["severity"] < _GRAVE:
        return {"triage": "NEED_INFO", "next_action": "Mohon keterangan tambahan dari petugas desa binaan."}
    return {
        "triage": "ACCEPTED",
        "assigned_unit": "Ditreskrimum Polda Banten, Subdit IV Renakta",
        "next_action": "Pengecekan lapangan bersama petugas imigrasi sebelum keberangkatan.",
        "case_reference": {"type": "LI", "number": story.number("LI", 31, "Ditreskrimum")},
    }


def _crossings(query: Mapping[str, Any]) -> dict[str, Any]:
    """A register of one traveller, who does not exist."""
    numbers = {document["number"] for document in query["subject"].get("travel_documents", ())}
    if story.PASSPORT not in numbers:
        return {"match_status": "NOT_FOUND"}
    return {"match_status": "MATCHED", "as_of": story.moment(), "crossings": story.crossings(), "truncated": False}

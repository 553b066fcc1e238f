"""Clause 3: immigration's own investigators (PPNS) report to their coordinator at the police, and ask for help."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.demo import story

SPDP: Final = "investigation-start.notice/1"
REQUEST: Final = "investigation-assistance.request/1"
DECISION: Final = "investigation-assistance.decision/1"
DISCLOSABLE: Final = {
    SPDP: ("/body/suspects", "/body/investigators/*/nip", "/body/signatory/nip"),
    REQUEST: ("/body/suspects", "/body/explanation", "/body/contact_officer/nip"),
    DECISION: ("/body/contact_officer/nrp",),
}
SECRETS: Final = ("198804122012032001", "199105172014021002", "197609032001121001")
_WARRANT_DAYS: Final = -10
_NOTICE_DAYS: Final = -1
_SUSPECTS: Final = [
    {
        "full_name": "Zhang Rekaan",
        "sex": "M",
        "birth_date": "1990-02-11",
        "nationality": "CHN",
        "travel_documents": [{"type": "ORDINARY_PASSPORT", "issuing_state": "CHN", "number": "EA0000001"}],
    }
]


def warrant() -> dict[str, str]:
    """The letter that orders the investigation (Surat Perintah Penyidikan)."""
    return {"type": "SPRINDIK", "number": story.number("SPRINDIK", 9, "INTELDAKIM", _WARRANT_DAYS)}


def spdp() -> dict[str, Any]:
    """Nine days after the warrant; seven are what the rule says."""
    return {
        "spdp_no": story.number("SPDP", 12, "INTELDAKIM", _NOTICE_DAYS),
        "spdp_date": story.date(_NOTICE_DAYS),
        "sprindik_no": warrant()["number"],
        "sprindik_date": story.date(_WARRANT_DAYS),
        "started_on": story.date(_WARRANT_DAYS),
        "office": "CILEGON",
        "basis": [{"type": "LK", "number": story.number("LK", 4, "INTELDAKIM", _WARRANT_DAYS)}],
        "offences": ["UU1-2023-457"],
        "offence_date": story.date(_WARRANT_DAYS - 5),
        "suspects": _SUSPECTS,
        "investigators": [
            {"name": "Rina Rekaan, S.H.", "nip": "198804122012032001", "rank": "Penata Muda Tk. I"},
            {"name": "Bayu Rekaan", "nip": "199105172014021002", "rank": "Pengatur Tk. I"},
        ],
        "signatory": {"name": "Surya Rekaan", "unit": "Kantor Imigrasi Cilegon", "nip": "197609032001121001"},
    }


def request() -> dict[str, Any]:
    """A house is to be searched; six policemen would help."""
    return {
        "request_no": f"W12.IMI.2/88/{story.date(0)[:4]}",
        "requested_on": story.date(0),
        "sprindik_ref": warrant()["number"],
        "measures": ["SEARCH", "SECURITY"],
        "legal_order_no": story.number("SP.Geledah", 3, "INTELDAKIM"),
        "place": {"region_code": "36.72.01", "address": "Ruko Rekaan Blok B no. 4"},
        "starts_at": story.moment(days=3),
        "ends_at": story.moment(days=3.25),
        "urgent": False,
        "officers_requested": 6,
        "suspects": _SUSPECTS,
        "explanation": "Penggeledahan tempat penampungan; tersangka diduga menyimpan paspor orang lain.",
        "contact_officer": story.contact(
            "Rina Rekaan, S.H.", "Seksi Inteldakim Kantor Imigrasi Cilegon", "+622540000002", nip="198804122012032001"
        ),
    }


def decision(request: Mapping[str, Any]) -> dict[str, Any]:
    """The coordinator of civil-servant investigators (Korwas PPNS) grants what was asked."""
    return {
        "decision": "APPROVED",
        "decision_no": story.number("B", 117, "Ditreskrimsus"),
        "decided_at": story.moment(),
        "measures_granted": request["measures"],
        "resources": [
            {"kind": "VEHICLE", "count": 1},
            {"kind": "UNIFORMED_OFFICER", "count": request["officers_requested"], "unit": "POLRES_CILEGON"},
        ],
        "contact_officer": story.contact(
            "Dedi Rekaan", "Korwas PPNS Ditreskrimsus Polda Banten", "+622540000003", nrp="85031234"
        ),
    }

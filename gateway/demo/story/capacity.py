"""Clause 4: rooms and courses. Nobody's case belongs here."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.demo import story

FACILITY_REQUEST: Final = "facility-use.request/1"
FACILITY_RESPONSE: Final = "facility-use.response/1"
ANNOUNCEMENT: Final = "training.announcement/1"
ENROLMENT: Final = "training.enrolment/1"
_NUMBERS: Final = ("/body/contact_officer/nip", "/body/contact_officer/nrp")
DISCLOSABLE: Final = {
    FACILITY_REQUEST: _NUMBERS,
    FACILITY_RESPONSE: _NUMBERS,
    ANNOUNCEMENT: _NUMBERS,
    ENROLMENT: ("/body/nominees", "/body/nominees/*/nip", *_NUMBERS),
}
SECRETS: Final = ("199105172014021002", "198804122012032001")
_COURSE: Final = "PPNS-DASAR-01"


def _immigration() -> dict[str, str]:
    return story.contact(
        "Rina Rekaan, S.H.", "Seksi Inteldakim Kantor Imigrasi Cilegon", "+622540000002", nip="198804122012032001"
    )


def _police() -> dict[str, str]:
    return story.contact("Dedi Rekaan", "SPN Mandalawangi Polda Banten", "+622540000003", nrp="85031234")


def facility_request() -> dict[str, Any]:
    """A classroom of the police school (SPN Mandalawangi) for a week."""
    return {
        "facility_id": "SPN-MANDALAWANGI-KELAS-2",
        "facility_kind": "CLASSROOM",
        "use": "TRAINING",
        "from": story.moment(days=60),
        "to": story.moment(days=64.3),
        "headcount": 30,
        "contact_officer": _immigration(),
    }


def facility_response(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"facility_id": request["facility_id"], "decision": "APPROVED", "contact_officer": _police()}


def announcement() -> dict[str, Any]:
    """A course for immigration's investigators, held by the police."""
    return {
        "course_code": _COURSE,
        "course_title": "Penyidikan TPPO dan TPPM bagi PPNS",
        "syllabus": [{"subject": "Unsur TPPO dan TPPM dalam KUHP", "hours": 12}],
        "hours": 12,
        "quota": 15,
        "audience": ["PPNS", "PIMPASA"],
        "starts_on": story.date(60),
        "ends_on": story.date(64),
        "enrol_until": story.date(30),
        "venue_name": "SPN Mandalawangi",
        "contact_officer": _police(),
    }


def enrolment() -> dict[str, Any]:
    """Two colleagues; the police school needs their names, and their civil-service numbers it does not."""
    return {
        "course_code": _COURSE,
        "nominee_count": 2,
        "nominees": [
            {
                "name": "Bayu Rekaan",
                "audience": "PPNS",
                "unit": "Kantor Imigrasi Cilegon",
                "nip": "199105172014021002",
            },
            {"name": "Tuti Rekaan", "audience": "PIMPASA", "unit": "Kantor Imigrasi Serang"},
        ],
        "contact_officer": _immigration(),
    }

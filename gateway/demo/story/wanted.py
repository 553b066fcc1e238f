"""Clause 2: somebody on the list of wanted persons (Daftar Pencarian Orang), until the list says otherwise."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.demo import story

NOTICE: Final = "wanted-person.notice/1"
HIT: Final = "wanted-person.hit/1"
CANCELLATION: Final = "wanted-person.cancellation/1"
DISCLOSABLE: Final = {
    NOTICE: ("/body/subject", "/body/contact_officer/nrp"),
    HIT: ("/body/notice_ref", "/body/crossing"),
    CANCELLATION: ("/body/reason",),
}


def notice(subject: Mapping[str, Any], report: Mapping[str, str]) -> dict[str, Any]:
    """The police look for this person, under this police report, for three months."""
    return {
        "dpo_no": story.number("DPO", 37, "Ditreskrimum"),
        "issued_on": story.date(0),
        "valid_until": story.date(90),
        "police_report_no": report["number"],
        "offences": ["UU1-2023-455"],
        "offence_date": story.date(-20),
        "danger_level": "MEDIUM",
        "subject": subject,
        "contact_officer": story.contact("Dedi Rekaan", "Ditreskrimum Polda Banten", "+622540000003", nrp="85031234"),
    }


def hit(notice: Mapping[str, Any]) -> dict[str, Any]:
    """The person stands at the ferry, and an officer has looked twice."""
    return {
        "listing": "WANTED_PERSON",
        "notice_ref": notice["dpo_no"],
        "crossing": {
            "direction": "EXIT",
            "at": story.moment(),
            "checkpoint": "MERAK",
            "document": notice["subject"]["travel_documents"][0],
        },
        "match_score": 97,
        "officer_confirmed": True,
    }


def cancellation(notice: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dpo_no": notice["dpo_no"],
        "cancelled_on": story.date(0),
        "police_report_no": notice["police_report_no"],
        "reason": "ARRESTED",
    }

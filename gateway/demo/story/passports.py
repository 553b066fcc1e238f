"""Clause 1: an application for a passport that looks like a journey into exploitation, and the man who brings them all."""

from typing import Any, Final

from gateway.demo import story

ANOMALY: Final = "passport-application.anomaly/1"
DISCLOSABLE: Final = ("/body/applicant", "/body/sponsor")
HANDLER: Final = {
    "full_name": "Joko Rekaan",
    "sex": "M",
    "birth_date": "1979",
    "nationality": "IDN",
    "travel_documents": [{"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "X0000099"}],
}
SECRETS: Final = ("Siti Rekaan", "3604134107040003", "PT Rekaan Jaya Abadi", "+622540000001")


def information() -> dict[str, str]:
    """A police intelligence report (Laporan Informasi): grounds to look at one application."""
    return {"type": "LI", "number": story.number("LI", 32, "Ditreskrimum")}


def report() -> dict[str, str]:
    """A police report (Laporan Polisi) about recruiting, in which so far no person is named to the gateway."""
    return {"type": "LP", "number": story.number("LP/B", 214, "SPKT/POLDA BANTEN")}


def anomaly() -> dict[str, Any]:
    """Serious enough to tell the police, not serious enough to name the applicant without a case."""
    return {
        "application_ref": f"SRG-{story.date(-1)[:7]}-00417",
        "office": "SERANG",
        "applied_on": story.date(-1),
        "anomaly_codes": ["TOURIST_PRETEXT", "INCONSISTENT_INTERVIEW", "THIRD_PARTY_HANDLER"],
        "severity": 2,
        "stated_purpose": "TOURISM",
        "destination_country": "MYS",
        "decision": "DEFERRED",
        "sponsor": {
            "kind": "PLACEMENT_AGENCY",
            "name": "PT Rekaan Jaya Abadi",
            "registration_no": "9120000000001",
            "phone": "+622540000001",
        },
        "applicant_age_band": "AGE_18_24",
        "applicant_district": "36.04.13",
        "applicant": {
            "full_name": "Siti Rekaan",
            "sex": "F",
            "birth_date": "2004-07-01",
            "birth_place": "Serang",
            "nationality": "IDN",
            "nik": "3604134107040003",
        },
    }


def query() -> dict[str, Any]:
    """Where did the handler travel, and with whom?"""
    return {
        "subject": HANDLER,
        "is_minor": False,
        "period_from": story.date(-180),
        "period_to": story.date(-1),
        "reason": "Penyelidikan perekrutan; perlu diketahui perjalanan pengantar para pemohon paspor.",
        "urgent": False,
    }

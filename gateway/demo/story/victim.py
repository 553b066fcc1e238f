"""Clause 2: a victim of trafficking is handed over to the police unit for women and children."""

from typing import Any, Final

from gateway.demo import story

REFERRAL: Final = "victim.referral/1"
NOTED: Final = "confidentiality.acknowledgement/1"
UNIT: Final = "RENAKTA_POLDA_BANTEN"
CONFIDENTIAL: Final = ("/body/identity", "/body/service_provider", "/body/health_summary")
DISCLOSABLE: Final = (
    *CONFIDENTIAL,
    "/body/age_band",
    "/body/trafficking_status",
    "/body/consent_basis",
    "/body/needs",
    "/body/risk_level",
    "/body/assessed_on",
    "/body/services_end_on",
)
# Who takes note, at the police. A NRP, as the claim wants it; no person.
PPA_OFFICER: Final = {"id": "78010203", "role": "PPA_OFFICER"}
SECRETS: Final = (
    "Wati Rekaan",
    "3604084107990001",
    "X0000021",
    "+6281200000021",
    "Kampung Rekaan",
    "UPTD PPA Rekaan",
    "Luka bakar",
    "Sari Rekaan",
    "Budi Rekaan",
)


def referral() -> dict[str, Any]:
    """A grown woman who came home; the token stands for her wherever her name may not."""
    return {
        "victim_token": "KRB-K7X2-M4QZ-T9WD",
        "is_minor": False,
        "receiving_unit": UNIT,
        "notice": "VICTIM_1",
        "identity": {
            "person": {
                "full_name": "Wati Rekaan",
                "sex": "F",
                "birth_date": "1999-07-01",
                "birth_place": "Serang",
                "nationality": "IDN",
                "nik": "3604084107990001",
                "travel_documents": [{"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "X0000021"}],
            },
            "phone": "+6281200000021",
            "address": {"region_code": story.PULO_PANJANG, "address": "Kampung Rekaan RT 02/01"},
        },
        "assessed_on": story.date(-1),
        "age_band": "AGE_25_34",
        "trafficking_status": "IDENTIFIED",
        "consent_basis": "CONSENT",
        "needs": ["SHELTER", "MEDICAL"],
        "health_summary": "Luka bakar ringan pada tangan kiri; perlu rawat jalan.",
        "risk_level": "HIGH",
        "service_provider": {"kind": "UPTD_PPA", "name": "UPTD PPA Rekaan", "phone": "+622540000031"},
        "services_end_on": story.date(180),
    }


def noted(referral: dict[str, Any]) -> dict[str, Any]:
    """What the unit's officer says to have read: the duty of secrecy about just this victim (UU 21/2007 Art 24)."""
    return {
        "notice": referral["notice"],
        "reference": referral["victim_token"],
        "unit": referral["receiving_unit"],
        "acknowledged_at": story.moment(),
        "officer_role": PPA_OFFICER["role"],
    }

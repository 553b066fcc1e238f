"""Who and what the demo is about. Every person, number and event is invented; villages and offices are real.

Dates count back from now, because a warning is about these days and a query about the last months. Here stand the first
scenes and what all share; a scene of one clause has its own module.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

WARNING: Final = "early-warning.report/1"
TRIAGE: Final = "early-warning.acknowledgement/1"
QUERY: Final = "border-crossing.query/1"
RESPONSE: Final = "border-crossing.response/1"
DISCLOSABLE: Final = {
    WARNING: ("/body/reporter", "/body/recruiter", "/body/narrative"),
    QUERY: ("/body/subject",),
    RESPONSE: ("/body/crossings",),
}
WIB: Final = timezone(timedelta(hours=7))
PASSPORT: Final = "X0000017"
PULO_PANJANG: Final = "36.04.08.2009"
TELUKNAGA: Final = "36.03.13.2001"
VILLAGES: Final = {
    PULO_PANJANG: "Pulo Panjang",
    "36.02.21.2005": "Muara",
    "36.01.01.2006": "Tamanjaya",
    "36.04.13.2007": "Lontar",
    "36.03.08.2001": "Mauk Barat",
    "36.04.30.2001": "Anyar",
}
_MONTHS: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


def moment(*, days: float = 0) -> str:
    """RFC 3339 in western Indonesian time, that many days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).astimezone(WIB).isoformat(timespec="seconds")


def date(days: int) -> str:
    return moment(days=days)[:10]


def number(kind: str, serial: int, office: str, days: int = 0) -> str:
    """A reference as the police write them, that many days from now: `LP/B/17/XI/2026/SPKT/POLDA BANTEN`."""
    day = datetime.now(WIB) + timedelta(days=days)
    return f"{kind}/{serial}/{_MONTHS[day.month - 1]}/{day.year}/{office}"


def contact(name: str, unit: str, phone: str, **numbers: str) -> dict[str, str]:
    """The officer who can be asked; `nip` or `nrp` is disclosable wherever it stands."""
    return {"name": name, "unit": unit, "phone": phone, **numbers}


def case() -> dict[str, str]:
    """A police report (Laporan Polisi) that names the subject of the query."""
    return {"type": "LP", "number": number("LP/B", 17, "SPKT/POLDA BANTEN")}


def warning(region_code: str = PULO_PANJANG, severity: int = 3) -> dict[str, Any]:
    """An early warning (peringatan dini) from a fostered village."""
    return {
        "reported_at": moment(),
        "observed_from": moment(days=-3),
        "observed_to": moment(days=-1),
        "region_code": region_code,
        "source_type": "PIMPASA",
        "suspected_offence": "TPPO",
        "indicators": ["SOCIAL_MEDIA_AD", "UNREALISTIC_SALARY", "SCAM_COMPOUND_DESTINATION"],
        "severity": severity,
        "persons_at_risk_count": 6,
        "minors_present": True,
        "destination_country": "KHM",
        "departure_at": moment(days=3),
        "checkpoint": "CGK",
        "transport": "AIR",
        "recruiter": {
            "alias": "Bang Ucok",
            "phone": "+6281200000117",
            "social_handle": "facebook:loker.kamboja.banten",
        },
        "narrative": "Perekrut menawarkan gaji 15 juta rupiah; enam pemuda diminta berkumpul di Karangantu.",
        "reporter": {"pseudonym": "WARGA-PP-07", "source_role": "FAMILY_MEMBER", "contact": "+6281200000042"},
    }


# What the recipient must not find anywhere in what it got, nor anyone in the ledger.
SECRETS: Final = ("WARGA-PP-07", "+6281200000042", "Bang Ucok", "+6281200000117", "loker.kamboja", "Karangantu")


def query() -> dict[str, Any]:
    """Which borders did a suspect cross (perlintasan)?"""
    return {
        "subject": {
            "full_name": "Andi Rekaan",
            "sex": "M",
            "birth_date": "1987-03",
            "nationality": "IDN",
            "travel_documents": [{"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": PASSPORT}],
        },
        "is_minor": False,
        "period_from": date(-330),
        "period_to": date(-1),
        "checkpoints": ["CGK", "MERAK"],
        "reason": "Penyidikan perekrutan pekerja migran; perlu diketahui keberangkatan tersangka bersama korban.",
        "urgent": True,
    }


def crossings() -> list[dict[str, Any]]:
    document = {"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": PASSPORT}
    return [
        {
            "direction": "EXIT",
            "at": moment(days=-250),
            "checkpoint": "CGK",
            "document": document,
            "carrier": "Maskapai Rekaan",
            "voyage": "RK 201",
        },
        {
            "direction": "ENTRY",
            "at": moment(days=-231),
            "checkpoint": "MERAK",
            "document": document,
            "carrier": "Feri Rekaan",
            "voyage": "FR-12",
        },
    ]

"""Early warnings: sent, answered, with a deadline of seconds, and what the ledger says of late ones."""

from typing import Any

import httpx

from gateway.ledger.entry import decode
from gateway.store import queries
from gateway.wiring import open_store
from tests.province import AGREEMENT, WARNING, AgencyUser, Province, example
from tests.standing import standing, version

ACKNOWLEDGEMENT = "early-warning.acknowledgement/1"


ANOMALY = "passport-application.anomaly/1"


def body(severity: int = 4, **changes: Any) -> dict[str, Any]:
    return example(WARNING, "valid-pulo-panjang") | {"severity": severity} | changes


def send(agency: AgencyUser, message: str, base: str | None = None) -> str:
    response = httpx.post(
        f"{base or agency.base}/v1/messages",
        content=message,
        headers={"content-type": "application/sd-jwt"},
        timeout=30,
    )
    assert response.status_code == 202, response.text
    transfer: str = response.json()["transfer"]
    return transfer


def answer(agency: AgencyUser, transfer: str, **content: str) -> httpx.Response:
    triage = {"triage": "UNFOUNDED"} | content
    return agency.post(agency.message(ACKNOWLEDGEMENT, triage, in_reply_to=transfer))


def hasty(province: Province, seconds: int = 1) -> None:
    """The next version of the agreement: a warning of severity 4 wants an answer within seconds."""
    text = version(2, standing().read_text(encoding="utf-8"))
    before, rule, after = text.partition("- id: early-warning-report\n")
    assert "within: PT15M" in after
    with open_store(province.settings) as store:
        province.activate(store, before + rule + after.replace("within: PT15M", f"within: PT{seconds}S", 1))


def overdue_entries(province: Province) -> list[dict[str, Any]]:
    with open_store(province.settings) as store, store.database.reading() as session:
        size = queries.ledger_head(session, AGREEMENT).size
        found = [decode(queries.leaf(session, AGREEMENT, position)) for position in range(size)]
    return [entry for entry in found if entry["kind"] == "transfer.overdue"]

"""A gateway in service at an operator's shell: messages of an earlier day, and what its ledgers say."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.keyring import load_signer, read_passphrase
from gateway.ledger.entry import decode
from gateway.message.envelope import Claims, issue
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.jobs.deadlines import Escalate
from gateway.store.jobs.deliveries import Expire
from gateway.transfer import Outcome
from gateway.wiring import open_gateway, open_store
from tests.cli.shell import AGENCIES, DOCUMENT, Shell, founded

IMIGRASI, POLDA = AGENCIES
PKS = "pks-banten-2025"
SUBJECT = json.dumps({"kind": "travel-document", "value": "BGDA00000123"})
FOREIGNER = {
    "document": {"type": "ORDINARY_PASSPORT", "issuing_state": "BGD", "number": "A00000123"},
    "is_minor": False,
    "reason": "Pemeriksaan bersama tenaga kerja asing di kawasan industri.",
}
LAST_SPRING = timedelta(days=-200)


def in_service(home: Path, database_url: str | None = None) -> Shell:
    """A gateway whose agencies have had their keys for a year."""
    shell = founded(home, database_url=database_url)
    for agency in AGENCIES:
        shell.ok("agencies", "add", "--why", "T-1", agency, "--name", agency.title())
        shell.ok(
            "keys",
            "import",
            "--why",
            "T-1",
            agency,
            shell.key(agency),
            "--not-before",
            "2025-12-01",
            "--not-after",
            "2099-01-01",
        )
    signatures = [shell.signed(DOCUMENT, agency) for agency in AGENCIES]
    assert shell.activate(DOCUMENT, signatures).code == 0
    return shell


def exchanged(
    shell: Shell, *messages: tuple[str, Mapping[str, Any], Mapping[str, Any]], ago: timedelta
) -> list[Outcome]:
    """Posts (type, body, claims) at the gateway in this process, as it was then; what `serve` did since is done as well."""

    def then() -> datetime:
        return datetime.now(UTC) + ago

    outcomes: list[Outcome] = []
    with open_gateway(load_settings(shell.config), then) as gateway:
        for number, (type_, body, more) in enumerate(messages):
            sender = str(more.get("iss", POLDA))
            signer = load_signer(f"file:{shell.home / sender}.pem", read_passphrase(shell.home / f"{sender}.pass"))
            issued = int(then().timestamp())
            members: dict[str, Any] = {
                "iss": sender,
                "aud": IMIGRASI if sender == POLDA else POLDA,
                "iat": issued,
                "exp": issued + 3600,
                "jti": f"office-{issued}-{number}",
                "type": type_,
                "agreement": PKS,
                "purpose": "PREVENTION",
                "classification": "T",
                "legal_basis": ("UU 6/2011 Pasal 89 ayat (2) huruf a",),
            }
            hidden = ["/body/document"] if "document" in body else []
            message = issue(Claims(**(members | more)), body, hidden, signer)
            outcomes.append(asyncio.run(gateway.exchange.transfer(message.encode())))
        late, ids = datetime.now(UTC), [one.transfer for one in outcomes]
        gateway.store.recorder.submit(Expire(PKS, ids, late)).result(10)
        gateway.store.recorder.submit(Escalate(PKS, ids, late)).result(10)
    return outcomes


def query(**claims: Any) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    return ("stay-permit.query/1", FOREIGNER, claims)


def entries(shell: Shell, ledger: str = "gateway") -> list[dict[str, Any]]:
    with open_store(load_settings(shell.config)) as store, store.database.reading() as session:
        return [decode(leaf) for leaf in queries.leaves(session, ledger, 0, 256)]


NIP = "198001152005011002"


NAME = "Ipda Sari Dewi"


def enrol(shell: Shell, name: str, *, agency: str = "polda-banten", gateway: str = "gw-test", **changes: str) -> Path:
    """A key pair and its signed statement."""
    if not (shell.home / f"{name}.pem").exists():
        shell.key(name)
    given = {"id": NIP, "name": NAME, "role": "PPA_OFFICER", "unit": "Unit PPA"} | changes
    out = shell.home / f"{name}-{len(list(shell.home.glob('*.enrolment')))}.enrolment"
    shell.ok(
        "agencies", "officers", "enrol", "--as", agency, "--gateway-id", gateway,
        *[word for option, value in given.items() for word in (f"--{option}", value)],
        "--key", f"file:{shell.home / name}.pem", "--passphrase-file", shell.home / f"{name}.pass", "--out", out,
    )  # fmt: skip
    return out

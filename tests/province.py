"""A province for tests: a real gateway process, two agencies with their keys, the real agreement in force."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import resources
from gateway.agreement.document import parse_agreement, signing_payload
from gateway.founding.beginning import initialise
from gateway.founding.charter import Charter
from gateway.jose import Signer, sign_jws
from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import Case, Claims, issue, sd_hash
from gateway.operations.activation import activate_agreement
from gateway.operations.agencies import add_agency
from gateway.operations.agency_keys import import_key
from gateway.operations.auditors import issue_auditor
from gateway.settings import Settings, load_settings
from gateway.statements.receipt import Acknowledgement, sign_acknowledgement
from gateway.statements.request_token import sign_request_token
from gateway.wiring import open_store
from tests.standing import AGREEMENT, standing

IMIGRASI, POLDA, GATEWAY = "imigrasi-banten", "polda-banten", "sinergi-banten"
WARNING, QUERY = "early-warning.report/1", "border-crossing.query/1"
DISCLOSABLE: Mapping[str, tuple[str, ...]] = {
    WARNING: ("/body/reporter", "/body/recruiter", "/body/narrative"),
    QUERY: ("/body/subject",),
    "early-warning.acknowledgement/1": (),
}


def example(message_type: str, name: str) -> dict[str, Any]:
    """A body from the published examples."""
    kind, _, version = message_type.partition("/")
    file = resources.schemas_dir() / kind / version / "examples" / f"{name}.json"
    body: dict[str, Any] = json.loads(file.read_text())
    return body


def now() -> datetime:
    return datetime.now(UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class AgencyUser:
    """An agency's backend in a test: it signs, and it calls."""

    id: str
    signer: KeyringSigner
    base: str

    def claims(self, message_type: str = WARNING, **changes: Any) -> Claims:
        seconds = int(time.time())
        members: dict[str, Any] = {
            "iss": self.id,
            "aud": POLDA if self.id == IMIGRASI else IMIGRASI,
            "iat": seconds,
            "exp": seconds + 3600,
            "jti": secrets.token_urlsafe(12),
            "type": message_type,
            "agreement": AGREEMENT,
            "purpose": "INVESTIGATION" if message_type == QUERY else "EARLY_WARNING",
            "classification": "T",
        }
        return Claims(**(members | changes))

    def message(
        self,
        message_type: str = WARNING,
        body: dict[str, Any] | None = None,
        *,
        disclosable: Iterable[str] | None = None,
        signer: Signer | None = None,
        **changes: Any,
    ) -> str:
        default = {WARNING: "valid-pulo-panjang", QUERY: "valid-by-passport"}.get(message_type, "valid-accepted")
        content = example(message_type, default) if body is None else body
        fields = DISCLOSABLE[message_type] if disclosable is None else disclosable
        return issue(self.claims(message_type, **changes), content, fields, signer or self.signer)

    def query(self, **changes: Any) -> str:
        """About somebody whom nobody asked about before, else the fishing guard counts what other tests sent."""
        body = example(QUERY, "valid-by-passport")
        body["subject"]["travel_documents"][0]["number"] = f"X{secrets.randbelow(10**7):07}"
        case = Case("LP", "LP/B/17/XI/2026/SPKT/POLDA BANTEN")
        return self.message(QUERY, **({"body": body, "case": case} | changes))

    def post(self, message: str | bytes, **headers: str) -> httpx.Response:
        return httpx.post(
            f"{self.base}/v1/messages",
            content=message if isinstance(message, bytes) else message.encode(),
            headers={"content-type": "application/sd-jwt"} | headers,
            timeout=30,
        )

    def token(self, method: str, path: str, *, signer: Signer | None = None, **changes: Any) -> dict[str, str]:
        token = sign_request_token(
            signer or self.signer,
            changes.get("iss", self.id),
            changes.get("aud", GATEWAY),
            method,
            self.base + path,
            changes.get("now", now()),
        )
        return {"authorization": f"Bearer {token}"}

    def get(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(self.base + path, params=params, headers=self.token("GET", path), timeout=60)

    def inbox(self, limit: int = 100, wait: int = 0) -> list[dict[str, Any]]:
        response = self.get("/v1/inbox", limit=limit, wait=wait)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    def acknowledgement(self, item: Mapping[str, Any], event: str = "delivered", **changes: Any) -> str:
        members: dict[str, Any] = {
            "iss": self.id,
            "aud": GATEWAY,
            "iat": int(time.time()),
            "jti": secrets.token_urlsafe(12),
            "transfer": item["transfer"],
            "event": event,
            "sd_hash": sd_hash(item["message"]),
        }
        return sign_acknowledgement(Acknowledgement(**(members | changes)), self.signer)

    def acknowledge(self, *receipts: str) -> list[dict[str, Any]]:
        path = "/v1/acknowledgements"
        response = httpx.post(
            self.base + path, json={"acknowledgements": receipts}, headers=self.token("POST", path), timeout=30
        )
        assert response.status_code == 200, response.text
        results: list[dict[str, Any]] = response.json()["results"]
        return results


@dataclass
class Province:
    """Everything of one province under `directory`; `nodes` gateway processes share one database.

    `given` are URIs of the gateway's keys that exist already.
    """

    directory: Path
    database_url: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.base = f"http://127.0.0.1:{self.port}"
        self.imigrasi = AgencyUser(IMIGRASI, signer_for(Ed25519PrivateKey.generate()), self.base)
        # One agency signs with Ed25519, the other with P-256: both algorithms live in every functional test.
        self.polda = AgencyUser(POLDA, signer_for(generate_private_key(SECP256R1())), self.base)

    @property
    def settings(self) -> Settings:
        return load_settings(self.directory / "sinergi.toml")

    def found(self) -> "Province":
        """Keys, database, agencies, agreement and auditors, as an operator would make them."""
        charter = Charter(public_url=self.base, port=self.port, database_url=self.database_url, given=self.given)
        initialise(self.directory, charter, who="tester")
        with open_store(self.settings) as store:
            for agency in (self.imigrasi, self.polda):
                add_agency(store, agency.id, agency.id, why="T-1", who="tester")
                import_key(store, agency.id, agency.signer.public.jwk, why="T-1", who="tester")
            self.activate(store, standing().read_text(encoding="utf-8"))
            self.auditor_token = issue_auditor(store, "bpk", "BPK", "auditor", 30, why="T-1", who="tester")
            self.dpo_token = issue_auditor(store, "dpo", "DPO", "dpo", 30, why="T-1", who="tester")
        return self

    def activate(self, store: Any, text: str) -> None:
        agreement = parse_agreement(text)
        signatures = [
            sign_jws(signing_payload(agreement, agency.id, now()), "agreement+jwt", agency.signer)
            for agency in (self.imigrasi, self.polda)
        ]
        activate_agreement(store, agreement, signatures, why="T-1", who="tester")

    def start(self, *, nodes: int = 1, ready: bool = True, under: Sequence[str] = ()) -> "Province":
        """`under` is a command that runs the gateway, such as a tracer."""
        ports = [self.port, *(free_port() for _ in range(nodes - 1))]
        self.bases = [f"http://127.0.0.1:{port}" for port in ports]
        for number, port in enumerate(ports):
            log = (self.directory / f"node-{number}.log").open("ab")
            self.processes.append(
                subprocess.Popen(
                    [
                        *under,
                        sys.executable,
                        "-m",
                        "gateway",
                        "--config",
                        str(self.directory / "sinergi.toml"),
                        "serve",
                    ],
                    env=os.environ | {"SINERGI_SERVER__PORT": str(port)} | dict(self.extra),
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )
            )
            log.close()
        if ready:
            for base, process in zip(self.bases, self.processes[-nodes:], strict=True):
                self.wait_ready(base, process)
        return self

    def wait_ready(self, base: str, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert process.poll() is None, f"the gateway ended: {self.log()[-3000:]}"
            try:
                if httpx.get(f"{base}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the gateway is not ready: {self.log()[-3000:]}")

    def log(self) -> str:
        return "".join(file.read_text(errors="replace") for file in sorted(self.directory.glob("node-*.log")))

    def kill(self) -> None:
        for process in self.processes:
            # The group: what runs a gateway must not outlive it, nor the other way round.
            os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def stop(self) -> list[int]:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(90) for process in self.processes]
        self.processes.clear()
        return codes

    def audit(self, path: str, *, dpo: bool = False, json_body: Any = None, **params: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.dpo_token if dpo else self.auditor_token}"}
        if json_body is not None:
            return httpx.post(self.base + path, json=json_body, headers=headers, timeout=30)
        return httpx.get(self.base + path, params=params, headers=headers, timeout=30)

    def drain(self) -> None:
        """Signs for whatever earlier tests left waiting."""
        for agency in (self.imigrasi, self.polda):
            while items := agency.inbox():
                agency.acknowledge(*(agency.acknowledgement(item) for item in items))

    def sizes(self) -> dict[str, int]:
        """Entries of each ledger, as its published checkpoint says."""
        well_known = httpx.get(f"{self.base}/.well-known/sinergi-gateway", timeout=10).json()
        found = {}
        for ledger in well_known["ledgers"]:
            text = httpx.get(f"{self.base}/ledger/{ledger['agreement']}/checkpoint", timeout=10).text
            found[ledger["agreement"]] = int(text.split("\n")[1])
        return found

"""A small province: one gateway, two agencies with their keys, one signed agreement, one auditor.

Does in one process what operators and agencies do with `sinergi init`, `agencies`, `keys`, `agreement` and `auditors`,
and starts the three programs. From then on this side holds public values only: private keys stay in their folders.
"""

import json
import secrets
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
import structlog

from gateway import keyring, resources
from gateway.agreement.document import AGREEMENT_TYP, parse_agreement, signing_payload
from gateway.demo.desk import Desk
from gateway.demo.officers import Approver, appoint
from gateway.demo.processes import Processes
from gateway.demo.renewal import in_force
from gateway.founding.beginning import initialise
from gateway.founding.charter import Charter
from gateway.jose import PublicKey, sign_jws
from gateway.keys.directory import parse_endpoint
from gateway.ledger.note import NoteVerifier
from gateway.operations.activation import activate_agreement
from gateway.operations.agencies import add_agency
from gateway.operations.agency_keys import import_key
from gateway.operations.auditors import issue_auditor
from gateway.settings import load_settings
from gateway.wiring import now, open_store

IMIGRASI: Final = "imigrasi-banten"
POLDA: Final = "polda-banten"
AGREEMENT: Final = "pks-banten-2025"
OWN_LEDGER: Final = "gateway"
NAMES: Final = {IMIGRASI: "Imigrasi Banten", POLDA: "Polda Banten"}
# One agency signs with Ed25519 and the other with P-256: the gateway takes both.
_ALGORITHMS: Final = {IMIGRASI: "EdDSA", POLDA: "ES256"}
_OPERATOR: Final = "demo"
_REASON: Final = "demo"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What an auditor is handed once, and needs to check a ledger for ever."""

    url: str
    origin: str
    vkey: str

    @property
    def verifier(self) -> NoteVerifier:
        return NoteVerifier.parse(self.vkey)


@dataclass(frozen=True, slots=True)
class Province:
    """Where everything is, every public key, and the agreement's last day where it is not the written one."""

    home: Path
    base: str
    gateway_id: str
    gateway_key: PublicKey
    request_key: PublicKey
    agency_keys: Mapping[str, PublicKey]
    ledgers: Mapping[str, Ledger]
    desks: Mapping[str, Desk]
    officers: Mapping[str, Approver]
    token_file: Path
    renewed_until: date | None

    @property
    def config(self) -> Path:
        return self.home / "sinergi.toml"

    @property
    def database(self) -> Path:
        return self.home / "sinergi.db"


def found(path: Path, http: httpx.Client) -> Province:
    """Makes keys, database, agencies, agreement and auditor under `path`; starts nothing."""
    # What libraries would log stands in no scene; the processes have logs of their own.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    ports = _free_ports(1 + len(NAMES))
    base, home = f"http://127.0.0.1:{ports[0]}", path / "gateway"
    initialise(home, Charter(public_url=base, port=ports[0]), who=_OPERATOR)
    settings = load_settings(home / "sinergi.toml")
    text, renewed_until = in_force((resources.agreements_dir() / f"{AGREEMENT}.yaml").read_text(), now().date())
    agreement = parse_agreement(text)
    sites = {agency: _Site.make(path / agency, agency, port) for agency, port in zip(NAMES, ports[1:], strict=True)}
    with open_store(settings) as store:
        for site in sites.values():
            # The agency's name may resolve to this one address only: the gateway calls nothing else.
            endpoint = parse_endpoint(site.endpoint, ["127.0.0.1/32"])
            add_agency(store, site.agency, NAMES[site.agency], endpoint=endpoint, why=_REASON, who=_OPERATOR)
            import_key(store, site.agency, site.signer.public.jwk, why=_REASON, who=_OPERATOR)
        signatures = [
            sign_jws(signing_payload(agreement, site.agency, now()), AGREEMENT_TYP, site.signer)
            for site in sites.values()
        ]
        activate_agreement(store, agreement, signatures, why=_REASON, who=_OPERATOR)
        officers = appoint(store, path / IMIGRASI / "officers", IMIGRASI, who=_OPERATOR)
        token = issue_auditor(store, "bpk-banten", "Auditor BPK", "auditor", 7, why=_REASON, who=_OPERATOR)
        gateway_key, request_key = store.keys.sign.public, store.keys.request.public
        checkpoint = store.keys.checkpoint
        origins = {ledger: settings.gateway.ledger_origin(ledger) for ledger in (AGREEMENT, OWN_LEDGER)}
    token_file = path / "auditor.token"
    keyring.write_private(token_file, token.encode() + b"\n")
    province = Province(
        home=home,
        base=base,
        gateway_id=settings.gateway.id,
        gateway_key=gateway_key,
        request_key=request_key,
        agency_keys={agency: site.signer.public for agency, site in sites.items()},
        ledgers={
            ledger: Ledger(f"{base}/ledger/{ledger}/", origin, checkpoint.note_signer(origin).vkey)
            for ledger, origin in origins.items()
        },
        desks={agency: Desk(site.base, site.desk_token, http) for agency, site in sites.items()},
        officers=officers,
        token_file=token_file,
        renewed_until=renewed_until,
    )
    for site in sites.values():
        site.write_configuration(province)
    return province


def start_gateway(processes: Processes, province: Province) -> None:
    processes.start("gateway", "gateway", "serve", "--config", str(province.config))


def start(processes: Processes, province: Province) -> None:
    """All three at once; returns when each is ready. Raises ProcessError."""
    start_gateway(processes, province)
    for agency in NAMES:
        configuration = str(_Site.configuration_of(processes.folder.path / agency))
        processes.start(agency, "gateway.demo.backend", configuration)
    processes.wait_ready("gateway", f"{province.base}/readyz")
    for agency, desk in province.desks.items():
        processes.wait_ready(agency, f"{desk.base}/healthz")


@dataclass(frozen=True, slots=True)
class _Site:
    """One agency's folder: its key, the key's passphrase and what its backend needs to know."""

    folder: Path
    agency: str
    port: int
    signer: keyring.KeyringSigner
    desk_token: str

    @classmethod
    def make(cls, folder: Path, agency: str, port: int) -> "_Site":
        folder.mkdir(mode=0o700)
        passphrase = secrets.token_urlsafe(32).encode()
        keyring.write_private(folder / "passphrase", passphrase + b"\n")
        keyring.generate(folder / "key.pem", _ALGORITHMS[agency], passphrase)
        token = secrets.token_urlsafe(32)
        keyring.write_private(folder / "desk.token", token.encode() + b"\n")
        return cls(folder, agency, port, keyring.load_signer((folder / "key.pem").as_uri(), passphrase), token)

    @staticmethod
    def configuration_of(folder: Path) -> Path:
        return folder / "backend.json"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.base}/sinergi"

    def write_configuration(self, province: Province) -> None:
        """What is handed over when an agency joins: every key is pinned, none is fetched."""
        others = {agency: key for agency, key in province.agency_keys.items() if agency != self.agency}
        configuration: dict[str, Any] = {
            "agency": self.agency,
            "port": self.port,
            "endpoint": self.endpoint,
            "agreement": AGREEMENT,
            "gateway_url": province.base,
            "gateway_id": province.gateway_id,
            "gateway_keys": _key_set(sign=province.gateway_key, request=province.request_key),
            "ledger_vkeys": [ledger.vkey for ledger in province.ledgers.values()],
            "sender_keys": {agency: _key_set(sign=key) for agency, key in others.items()},
            "key": (self.folder / "key.pem").as_uri(),
            "passphrase_file": str(self.folder / "passphrase"),
            "desk_token_file": str(self.folder / "desk.token"),
        }
        keyring.write_private(self.configuration_of(self.folder), json.dumps(configuration, indent=2).encode())


def _key_set(**keys: PublicKey) -> dict[str, Any]:
    return {"keys": [{**key.jwk, "purpose": purpose} for purpose, key in keys.items()]}


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on; all are held at once, so that they differ."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]

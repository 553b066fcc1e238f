"""Evidence as agencies fetch it, as a node makes it, and what fails of it."""

from dataclasses import dataclass

import httpx

from gateway.attestation.wiring import read_policies
from gateway.evidence.bundle import Bundle, unpack
from gateway.evidence.checks import Report
from gateway.evidence.collect import Collector
from gateway.evidence.court import Trust
from gateway.jose import public_key_from_jwk
from gateway.keys.keychain import SIGN
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.note import NoteVerifier
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.sealing import Sealer
from gateway.wiring import now, open_store
from tests.cli.shell import Shell
from tests.province import Province


@dataclass(frozen=True)
class Case:
    """Two transfers of one gateway: one that was delivered and signed for, and one that was refused."""

    province: Province
    trust: Trust
    accepted: bytes
    refused: bytes


def fetched(province: Province, transfer: str, *, police: bool = False) -> httpx.Response:
    return (province.polda if police else province.imigrasi).get(f"/v1/transfers/{transfer}/evidence")


def failed(report: Report) -> dict[int, str]:
    return {one.number: one.detail.en for one in report.checks if one.ok is False}


def evidence(shell: Shell, transfer: str) -> tuple[Bundle, Trust]:
    """The bundle as the gateway makes it today, and what a verifier was handed over by today."""
    with open_store(load_settings(shell.config)) as store, store.database.reading() as session:
        sealer, policies = Sealer(store.keys.storage), read_policies(store.settings)

        def vkeys(origin: str) -> list[str]:
            return [key.vkey for key in store.keys.checkpoint.verifiers(origin)]

        collector = Collector(session, sealer, policies, store.settings.gateway.id, store.keys.sign, vkeys)
        bundle = unpack(collector.bundle(transfer, now()))
        signing = [
            public_key_from_jwk(key.jwk)
            for key in queries.own_keys(session)
            if key.jwk is not None and key.role == SIGN
        ]
        origins = [head.origin for head in queries.ledgers(session)]
        ledgers = {origin: LedgerTrust(origin, tuple(map(NoteVerifier.parse, vkeys(origin)))) for origin in origins}
    return bundle, Trust({key.kid: key for key in signing}, ledgers)

"""Evidence of a message after its type, its agreement and the gateway's keys have changed: judged by what was in force then."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from gateway import catalogue, resources
from gateway.attestation.wiring import read_policies
from gateway.evidence.bundle import Bundle, unpack
from gateway.evidence.checks import AGREEMENT, SCHEMA, Report, Trust, check
from gateway.evidence.collect import Collector
from gateway.jose import public_key_from_jwk
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.note import NoteVerifier
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.sealing import Sealer
from gateway.wiring import now, open_store
from tests.cli.shell import AGENCIES, DOCUMENT, Shell, founded, peopled
from tests.cli.test_retention import exchanged, query
from tests.cli.test_schemas import change, optional_member


def evidence(shell: Shell, transfer: str) -> tuple[Bundle, Trust]:
    """The bundle as the gateway makes it today, and what a verifier was handed over by today."""
    with open_store(load_settings(shell.config)) as store, store.database.reading() as session:
        sealer, policies = Sealer(store.keys.storage), read_policies(store.settings)

        def vkey(origin: str) -> str:
            return store.keys.checkpoint.note_signer(origin).vkey

        collector = Collector(session, sealer, policies, store.settings.gateway.id, store.keys.sign, vkey)
        bundle = unpack(collector.bundle(transfer, now()))
        signing = [public_key_from_jwk(key.jwk) for key in queries.own_keys(session) if key.jwk is not None]
        origins = [head.origin for head in queries.ledgers(session)]
        ledgers = {origin: LedgerTrust(origin, (NoteVerifier.parse(vkey(origin)),)) for origin in origins}
    return bundle, Trust({key.kid: key for key in signing}, ledgers)


def failed(report: Report) -> dict[int, str]:
    return {one.number: one.detail for one in report.checks if one.ok is False}


def test_an_old_message_is_judged_by_what_was_in_force_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schema was replaced, a second version of the agreement activated, the signing and storage keys rotated: its evidence
    passes whole with the documents of its day, a new message's with today's, and neither with the other's.
    """
    shell = peopled(founded(tmp_path))
    (old,) = exchanged(shell, query(), ago=timedelta(0))
    before, _ = evidence(shell, old.transfer)

    folder = Path(shutil.copytree(resources.schemas_dir(), tmp_path / "schemas"))
    monkeypatch.setattr(resources, "schemas_dir", lambda: folder)
    change(folder, optional_member, "stay-permit.query")
    shell.ok("schemas", "publish")
    second = tmp_path / "second.yaml"
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count("\nversion: 1\n") == 1
    second.write_text(text.replace("\nversion: 1\n", "\nversion: 2\n"), encoding="utf-8")
    activated = shell.activate(second, [shell.signed(second, agency) for agency in AGENCIES])
    assert activated.code == 0, activated.err
    shell.ok("keys", "rotate", "--role", "sign", "--why", "T-1", "--lead", "0")
    shell.ok("keys", "rotate", "--role", "storage", "--why", "T-2", "--lead", "0")
    shell.ok("keys", "rewrap")
    (new,) = exchanged(shell, query(jti="another-letter"), ago=timedelta(0))
    assert (old.decision, new.decision) == ("accepted", "accepted")

    then, trust = evidence(shell, old.transfer)
    today, _ = evidence(shell, new.transfer)
    for bundle in (then, today):
        assert failed(check(bundle, trust)) == {}
    assert then.files[SCHEMA] == before.files[SCHEMA] != today.files[SCHEMA]
    assert then.files[AGREEMENT] == before.files[AGREEMENT] != today.files[AGREEMENT]
    assert catalogue.load(folder).get("stay-permit.query/1") is not None
    for name, number in ((SCHEMA, 7), (AGREEMENT, 8)):
        for bundle, other in ((then, today), (today, then)):
            swapped = Bundle({**bundle.files, name: other.files[name]})
            assert number in failed(check(swapped, trust))

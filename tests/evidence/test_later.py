"""Evidence of a message after its type, its agreement and the gateway's keys have changed: judged by what was in force then."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, event
from sqlmodel import Session

from gateway import resources
from gateway.cli.verifier import gateway_keys
from gateway.errors import OperatorError
from gateway.evidence.bundle import Bundle
from gateway.evidence.checks import check
from gateway.evidence.court import AGREEMENT, ENTRIES, RECEIPT, RELEASE, SCHEMA
from gateway.jose import parse_jws
from gateway.key_management.rotation import rotate
from gateway.keyring import signer_for
from gateway.keys.keychain import CHECKPOINT, LONG_LIVED
from gateway.ledger.cosignature import with_signatures
from gateway.ledger.entry import OperatorAct
from gateway.ledger.note import NoteSignature, parse_note
from gateway.ledger.proof import format_proof, parse_proof
from gateway.message_types import catalogue
from gateway.settings import load_settings
from gateway.store import queries
from gateway.store.jobs.events import RecordEvent
from gateway.wiring import now, open_store
from tests.cli.office import exchanged, query
from tests.cli.schema_folder import change, optional_member
from tests.cli.shell import AGENCIES, DOCUMENT, founded, new_shell, peopled
from tests.evidence.cases import evidence, failed
from tests.standing import version


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
    shell.ok("schemas", "publish", "--why", "T-1")
    second = tmp_path / "second.yaml"
    second.write_text(version(2, DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    activated = shell.activate(second, [shell.signed(second, agency) for agency in AGENCIES])
    assert activated.code == 0, activated.err
    shell.ok("keys", "rotate", "--role", "sign", "--why", "T-1", "--lead", "0")
    shell.ok("keys", "rotate", "--role", "storage", "--why", "T-2", "--lead", "0")
    shell.ok("keys", "rewrap", "--why", "T-1")
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


def test_evidence_of_a_time_when_the_signing_key_was_lost_does_without_it(tmp_path: Path) -> None:
    """Receipt and release are said again under the key in use: who has thrown the lost key away misses nothing."""
    shell = peopled(founded(tmp_path))
    (sent,) = exchanged(shell, query(), ago=timedelta(0))
    before, _ = evidence(shell, sent.transfer)
    lost = parse_jws(before.text(RECEIPT), "receipt+jwt", 4).kid
    shell.ok("keys", "rotate", "--role", "sign", "--why", "T-1", "--lead", "0")
    since = (now() - timedelta(hours=1)).isoformat()
    shell.ok("keys", "compromised", "gw-test", lost, "--since", since, "--why", "INC-1")
    after, trust = evidence(shell, sent.transfer)
    without = replace(trust, gateway={kid: key for kid, key in trust.gateway.items() if kid != lost})
    assert failed(check(after, without)) == {}
    assert {1, 6, 9} <= set(failed(check(before, without)))
    for name, typ in ((RECEIPT, "receipt+jwt"), (RELEASE, "release+jwt")):
        assert parse_jws(after.text(name), typ, 4).kid in without.gateway
    assert evidence(shell, sent.transfer)[0].files[RECEIPT] == after.files[RECEIPT]


def test_a_bundle_reads_what_concerns_it_and_not_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand entries later, and under another gateway's keys, the same bundle costs the same statements and rows."""
    shell = peopled(founded(tmp_path))
    (sent,) = exchanged(shell, query(), ago=timedelta(0))
    asked: list[str] = []
    read: list[int] = []
    leaf = queries.leaf

    def counted(session: Session, ledger: str, position: int) -> bytes:
        read.append(position)
        return leaf(session, ledger, position)

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    def cost() -> tuple[int, int, Bundle]:
        asked.clear()
        read.clear()
        bundle, _ = evidence(shell, sent.transfer)
        return len(read), len([one for one in asked if "ledger_entry" in one]), bundle

    monkeypatch.setattr(queries, "leaf", counted)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        before = cost()
        with open_store(load_settings(shell.config)) as store:
            acts = [OperatorAct(time=now(), who="tester", what="x", why="T-1") for _ in range(500)]
            for _ in range(4):
                store.recorder.submit(RecordEvent("gateway", acts)).result(30)
        after = cost()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert after[:2] == before[:2]
    entries = {name for name in before[2].files if name.endswith(".json") and name.startswith("entries/")}
    assert {name for name in after[2].files if name.endswith(".json") and name.startswith("entries/")} == entries
    assert before[0] <= 2 * len(entries)


def test_a_verifier_that_knows_the_first_checkpoint_key_alone_follows_its_successors(tmp_path: Path) -> None:
    """Messages from before the key changed, from after it, and from a month in which two later keys sign: each bundle encloses
    the statements of the keys before, and without them nothing is believed.
    """
    shell = peopled(founded(tmp_path))
    (old,) = exchanged(shell, query(), ago=timedelta(0))
    _, first = evidence(shell, old.transfer)
    with open_store(load_settings(shell.config)) as store:
        rotate(store, CHECKPOINT, why="T-1", who="tester", lead=timedelta(0), overlap=timedelta(0))
    (after,) = exchanged(shell, query(jti="under-the-second-key"), ago=timedelta(0))
    shell.ok("keys", "rotate", "--role", "checkpoint", "--why", "T-2", "--lead", "0")
    (during,) = exchanged(shell, query(jti="under-two-keys"), ago=timedelta(0))
    signers = set()
    for sent in (old, after, during):
        bundle, today = evidence(shell, sent.transfer)
        assert failed(check(bundle, replace(first, gateway=today.gateway))) == {}, sent
        note = parse_note(parse_proof(bundle.text(f"{ENTRIES}/decision.tlog-proof")).checkpoint)
        signers.add(frozenset(one.key_id for one in note.signatures))
    assert sorted(map(len, signers)) == [1, 1, 2]
    last = {one.key_id for trust in first.ledgers.values() for one in trust.keys}
    assert last.isdisjoint(one.key_id for one in note.signatures)
    unsaid = {name: held for name, held in bundle.files.items() if b'"kind":"checkpoint.key"' not in held}
    assert 2 in failed(check(Bundle(unsaid), replace(first, gateway=today.gateway)))


def test_evidence_outlives_the_long_lived_key_as_well(tmp_path: Path) -> None:
    """A verifier that was handed the first ML-DSA-44 key follows its successor through the bundle, and reads every line that is
    there: one that was altered fails, even though the Ed25519 line beside it is good.
    """
    shell = new_shell(tmp_path)
    shell.ok("init", tmp_path / "gw", "--id", "gw-test", "--public-url", "http://gw.test", "--ml-dsa")
    shell = peopled(shell)
    (old,) = exchanged(shell, query(), ago=timedelta(0))
    _, first = evidence(shell, old.transfer)
    with open_store(load_settings(shell.config)) as store:
        pinned = {origin: store.keys.long_lived(origin) for origin in first.ledgers}
        rotate(store, LONG_LIVED, why="T-1", who="tester", lead=timedelta(0), overlap=timedelta(0))
    (after,) = exchanged(shell, query(jti="under-the-next-key"), ago=timedelta(0))
    ledgers = {
        origin: replace(trust, keys=(*trust.keys, pinned[origin].verifier))  # type: ignore[union-attr]
        for origin, trust in first.ledgers.items()
    }
    trusted = replace(first, ledgers=ledgers)
    with open_store(load_settings(shell.config)) as store:
        coming = {origin: store.keys.long_lived(origin) for origin in first.ledgers}
    assert all(coming[origin].verifier != pinned[origin].verifier for origin in coming)  # type: ignore[union-attr]

    lines: dict[str, NoteSignature] = {}

    def lined(bundle: Bundle, altered: bytes) -> Bundle:
        """As with a ledger whose collector has signed every checkpoint."""
        files = dict(bundle.files)
        for name in [name for name in files if name.endswith(".tlog-proof")]:
            proof = parse_proof(bundle.text(name))
            text = proof.checkpoint.partition(b"\n\n")[0].decode() + "\n"
            line = lines.get(text) or coming[text.split("\n")[0]].cosign(text, 1_800_000_000)  # type: ignore[union-attr]
            lines[text] = line
            line = replace(line, signature=line.signature[: -len(altered) or None] + altered)
            noted = with_signatures(proof.checkpoint, [line])
            files[name] = format_proof(proof.index, proof.hashes, noted).encode()
        return Bundle(files)

    for sent in (old, after):
        bundle, _ = evidence(shell, sent.transfer)
        # The first check is of the bundle as the gateway packed it; what it proves begins with the second.
        assert failed(check(lined(bundle, b""), trusted)).keys() == {1}
    assert 2 in failed(check(lined(bundle, b"\0\0"), trusted))
    assert 2 in failed(check(bundle, trusted))
    unsaid = {name: held for name, held in bundle.files.items() if b'"kind":"checkpoint.key"' not in held}
    assert 2 in failed(check(lined(Bundle(unsaid), b""), trusted))
    shell.ok("ledger", "fsck")
    for exported in shell.ok("ledger", "export", tmp_path / "export", "--json").json:
        out = tmp_path / "export" / exported["ledger"]
        assert shell.ok("ledger", "verify", out, "--vkey", exported["vkey"], "--json").json["ok"]


def test_the_gateways_own_key_set_is_taken_as_it_is_published(tmp_path: Path) -> None:
    """It has ML-DSA-44 checkpoint keys too, which sign no receipt; a set of nothing else holds no key for a receipt."""
    signing = dict(signer_for(Ed25519PrivateKey.generate()).public.jwk)
    checkpoint = {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "k"}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [checkpoint, signing | {"use": "sig"}]}))
    assert [dict(key.jwk) for key in gateway_keys(file)] == [signing]
    for held in (checkpoint, {"keys": [checkpoint, {"kty": "oct"}]}, {"keys": 7}, {"keys": ["x"]}):
        file.write_text(json.dumps(held))
        with pytest.raises(OperatorError, match="no public key"):
            gateway_keys(file)

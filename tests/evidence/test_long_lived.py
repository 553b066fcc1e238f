"""Evidence, exports and audits of ledgers that ML-DSA-44 signs as well: before, during and after its key was replaced."""

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.attestation.standing import published
from gateway.attestation.wiring import collector, read_policies
from gateway.evidence.bundle import Bundle
from gateway.evidence.checks import check
from gateway.evidence.court import ENTRIES, Trust
from gateway.key_management.own_compromise import compromise_own
from gateway.key_management.rotation import rotate
from gateway.keys.keychain import CHECKPOINT, LONG_LIVED
from gateway.ledger.cosignature import Trust as LedgerTrust
from gateway.ledger.note import ML_DSA_44, NoteVerifier, decode_base64, encode_base64
from gateway.ledger.source import DirectorySource
from gateway.ledger.verify import audit
from gateway.record import OWN_LEDGER
from gateway.settings import load_settings
from gateway.store.export import export_ledger
from gateway.telemetry import Metrics
from gateway.wiring import open_gateway, open_store
from tests.cli.office import exchanged, query
from tests.cli.shell import Shell, new_shell, peopled
from tests.evidence.cases import evidence, failed

AT_ONCE = timedelta()
PROOF = f"{ENTRIES}/decision.tlog-proof"


def sent(shell: Shell, jti: str) -> str:
    """A message that was taken, and what the collector then put to the checkpoints; its transfer."""
    (outcome,) = exchanged(shell, query(jti=jti), ago=AT_ONCE)
    attest(shell)
    return outcome.transfer


def attest(shell: Shell) -> None:
    with open_gateway(load_settings(shell.config), lambda: datetime.now(UTC)) as gateway:
        asyncio.run(collector(gateway, Metrics()).round())


def replaced(shell: Shell, overlap: timedelta) -> None:
    with open_store(load_settings(shell.config)) as store:
        rotate(store, LONG_LIVED, lead=AT_ONCE, overlap=overlap, why="T-1", who="tester")


def known(shell: Shell, trust: Trust) -> Trust:
    """With the ML-DSA-44 key that is in use now."""
    with open_store(load_settings(shell.config)) as store:
        keys = {origin: store.keys.long_lived(origin) for origin in trust.ledgers}
    ledgers = {
        origin: replace(one, keys=(*one.keys, key.verifier))
        for origin, one in trust.ledgers.items()
        if (key := keys[origin]) is not None
    }
    return replace(trust, ledgers=ledgers)


@dataclass(frozen=True)
class Past:
    """`trust` knows the first ML-DSA-44 key alone, `newest` the last one alone; a bundle of each time, and the exports."""

    trust: Trust
    newest: Trust
    bundles: dict[str, Bundle]
    exports: dict[str, Path]


def exported(shell: Shell, folder: Path) -> Path:
    settings = load_settings(shell.config)
    with open_store(settings) as store:
        with store.database.reading() as session:
            note = published(session, OWN_LEDGER, read_policies(settings), datetime.now(UTC))
        export_ledger(store.database, store.keys.checkpoint, OWN_LEDGER, folder, note=note)
    return folder


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    home = tmp_path_factory.mktemp("long-lived")
    shell = new_shell(home)
    shell.ok("init", home / "gw", "--id", "gw-test", "--public-url", "http://gw.test", "--ml-dsa")
    peopled(shell)
    bundles, exports = {}, {}

    def keep(when: str) -> Trust:
        bundles[when], trust = evidence(shell, sent(shell, f"sent-{when}"))
        exports[when] = exported(shell, home / when)
        return trust

    first = known(shell, keep("before"))
    replaced(shell, AT_ONCE)
    keep("after")  # the second key signs alone
    replaced(shell, timedelta(days=1))
    newest = known(shell, keep("during"))  # the second and the third
    return Past(first, newest, bundles, exports)


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_bundle_is_proved_by_the_first_long_lived_key_whenever_it_was_made(past: Past, when: str) -> None:
    """Each of its proofs has an ML-DSA-44 line, and the ledger's own statements lead from the key that was pinned to it."""
    assert failed(check(past.bundles[when], past.trust)) == {}


def test_without_the_statement_a_new_long_lived_key_is_not_believed(past: Past) -> None:
    """Nor is an old line by whoever knows the newest key alone."""
    files = past.bundles["after"].files
    unsaid = {name: held for name, held in files.items() if b'"kind":"checkpoint.key"' not in held}
    assert unsaid != files
    assert 2 in failed(check(Bundle(unsaid), past.trust))
    assert failed(check(past.bundles["during"], past.newest)) == {}
    assert 2 in failed(check(past.bundles["after"], past.newest))


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_an_altered_long_lived_signature_proves_nothing(past: Past, when: str) -> None:
    """One bit of each line that is longer than Ed25519's: the other signature does not stand in for it."""
    bundle = past.bundles[when]

    def bent(line: re.Match[str]) -> str:
        signature = bytearray(decode_base64(line[2]))
        signature[-1] ^= 1
        return f"{line[1]}{encode_base64(bytes(signature))}"

    text, changed = re.subn(r"(?m)^(— \S+ )(\S{2000,})$", bent, bundle.text(PROOF))
    assert changed in (1, 2)
    told = failed(check(Bundle({**bundle.files, PROOF: text.encode()}), past.trust))
    assert "ML-DSA-44 signature" in told[2]


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_an_exported_ledger_is_audited_by_the_first_long_lived_key(past: Past, when: str) -> None:
    """What `ledger export` wrote and `ledger verify` reads; a newer key of nobody's is not taken for its own."""
    (trust,) = [one for origin, one in past.trust.ledgers.items() if origin.endswith(f"/{OWN_LEDGER}")]
    source = DirectorySource(past.exports[when])
    assert audited(source, trust)
    stranger = NoteVerifier(trust.origin, bytes(1312), ML_DSA_44)
    assert not audited(source, replace(trust, keys=(trust.keys[0], stranger)))


def audited(source: DirectorySource, trust: LedgerTrust) -> bool:
    return audit(source, trust.origin, trust.keys, asked=trust).ok


def test_evidence_after_a_lost_checkpoint_key_leans_on_no_line_of_it(tmp_path: Path) -> None:
    """Once the collector has been round: who knows the next Ed25519 key alone believes what was sent before it."""
    shell = new_shell(tmp_path)
    shell.ok("init", tmp_path / "gw", "--id", "gw-test", "--public-url", "http://gw.test", "--ml-dsa")
    transfer = sent(peopled(shell), "sent-before")
    with open_store(load_settings(shell.config)) as store:
        lost = rotate(store, CHECKPOINT, lead=AT_ONCE, overlap=AT_ONCE, why="T-1", who="tester").old
        compromise_own(store, lost, datetime.now(UTC) - timedelta(hours=1), why="INC-1", who="tester")
    attest(shell)
    bundle, trust = evidence(shell, transfer)
    assert {len(one.keys) for one in trust.ledgers.values()} == {1}
    assert failed(check(bundle, known(shell, trust))) == {}

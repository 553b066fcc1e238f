"""A certified key where two operators admit keys: the agency's statement carries its chain, and the authorities have a say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.keys.certificate import read_certificates
from gateway.settings import load_settings
from gateway.store import queries
from gateway.wiring import open_store
from tests.certificates.authority import POLDA_ID, Authority, pem, polda
from tests.cli.operated import POLDA, admitted, by, operated, stated
from tests.cli.shell import Shell

SETTINGS = """
[certificates]
roots_file = "{home}/roots.pem"
lists = [{{ file = "{home}/root.crl" }}]
subjects = {{ polda-banten = "{subject}" }}
"""


@pytest.fixture(scope="module")
def root() -> Authority:
    now = datetime.now(UTC)
    return Authority("Root CA", begins=now - timedelta(days=9), ends=now + timedelta(days=900))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, root: Authority) -> Shell:
    """Two operators, an authority and its list, and the agency's first key, which they have admitted."""
    shell = operated(tmp_path_factory.mktemp("certified"), "sari", "budi")
    (shell.home / "roots.pem").write_bytes(pem(root.certificate))
    with shell.config.open("a") as file:
        file.write(SETTINGS.format(home=shell.home, subject=POLDA_ID))
    listed(shell, root)
    chain = certified(shell, root, "first")
    done = admitted(shell, stated(shell, "first", certificate=str(chain), not_after=until(60)))
    assert done.code == 0, done.err
    return shell


def listed(shell: Shell, root: Authority, *revoked: object) -> None:
    now = datetime.now(UTC)
    crl = root.crl(*revoked, at=now - timedelta(minutes=1), until=now + timedelta(hours=1))  # type: ignore[arg-type]
    (shell.home / "root.crl").write_bytes(crl)


def certified(shell: Shell, root: Authority, name: str, **changes: object) -> Path:
    """A key with a certificate: the chain's file."""
    shell.key(name, algorithm="ES256")
    private = load_pem_private_key(
        (shell.home / f"{name}.pem").read_bytes(), (shell.home / f"{name}.pass").read_bytes().strip()
    )
    now = datetime.now(UTC)
    window = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=90)}
    leaf = root.certify(private.public_key(), **(window | changes))  # type: ignore[arg-type]
    chain = shell.home / f"{name}-chain.pem"
    chain.write_bytes(pem(leaf))
    return chain


def until(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_two_operators_admit_a_certified_key(gate: Shell) -> None:
    """The chain is in the statement that both sign for; the key is published with it, and confirmed."""
    with open_store(load_settings(gate.config)) as store, store.database.reading() as session:
        key = next(iter(queries.load_directory(session, 0).keys_of(POLDA)))
    assert len(key.public.x5c) == 1
    assert key.confirmed_at is not None


@pytest.mark.parametrize(
    ("changes", "days", "told"),
    [
        ({"subject": polda("NTRID-OTHER")}, 60, "not the one that the settings name"),
        ({}, 120, "as long as every certificate"),
        ({"ends": datetime(2026, 1, 2, tzinfo=UTC), "begins": datetime(2026, 1, 1, tzinfo=UTC)}, 60, "does not lead"),
    ],
    ids=["another's", "longer than the certificate", "out of date"],
)
def test_a_chain_that_certifies_nothing_is_not_even_proposed(
    changes: dict[str, object], days: int, told: str, gate: Shell, root: Authority
) -> None:
    """No second operator is asked about it."""
    name = f"bad-{len(list(gate.home.glob('bad-*.pem')))}"
    statement = stated(
        gate, name, endorser="first", certificate=str(certified(gate, root, name, **changes)), not_after=until(days)
    )
    refused = by(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-1")
    assert refused.code != 0
    assert told in refused.err


def test_what_was_taken_back_meanwhile_is_not_admitted(gate: Shell, root: Authority) -> None:
    """Between the first operator's signature and the second's the authority has revoked it."""
    chain = certified(gate, root, "late")
    statement = stated(gate, "late", endorser="first", certificate=str(chain), not_after=until(60))
    made = by(gate, "sari", "agencies", "keys", "propose", POLDA, statement, "--why", "T-2")
    assert made.code == 0, made.err
    listed(gate, root, read_certificates(chain.read_bytes(), "x")[0])
    try:
        refused = by(gate, "budi", "agencies", "keys", "approve", made.out.strip())
        assert refused.code != 0
        assert "revoked the certificate" in refused.err
    finally:
        listed(gate, root)


def test_a_statement_names_the_key_of_its_certificate(gate: Shell, root: Authority) -> None:
    """Another key's chain is refused at the agency already; so is a recovery key's, which nobody would ask about."""
    chain = certified(gate, root, "mine")
    common = ("--as", POLDA, "--gateway-id", "gw-test", "--certificate", chain, "--out", gate.home / "x.statement")
    gate.key("other", algorithm="ES256")
    wrong = ("--key", f"file:{gate.home}/other.pem", "--passphrase-file", gate.home / "other.pass")
    assert "is for another key" in gate("keys", "statement", *wrong, *common).err
    mine = ("--key", f"file:{gate.home}/mine.pem", "--passphrase-file", gate.home / "mine.pass")
    assert "no certificate" in gate("keys", "statement", *mine, "--use", "recovery", *common).err
    assert not (gate.home / "x.statement").exists()

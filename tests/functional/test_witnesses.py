"""A real gateway and two real witnesses over real HTTP: both there, and one away under each policy."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.main import run
from gateway.errors import LedgerInvalidError
from gateway.evidence import court as evidence
from gateway.evidence.bundle import unpack
from gateway.evidence.checks import check
from gateway.jose import b64decode
from gateway.keyring import generate, load_cosigner, read_passphrase
from gateway.ledger.cosignature import Quorum, Trust
from gateway.ledger.note import NoteVerifier
from gateway.ledger.proof import parse_proof, verify_proof
from gateway.ledger.timestamp import read_roots, stamped_under
from gateway.statements.receipt import GatewayReceipt, read_gateway_receipt
from gateway.wiring import load_keys
from tests.attestation.authority import OPENSSL, Authority
from tests.province import AGREEMENT, Province
from tests.witness.logs import cosigner
from tests.witness.processes import WitnessProcess

BUDGET = 1.5


class Court:
    """A province whose ledgers need two witnesses of two, and what a stranger with the right keys makes of it."""

    def __init__(self, directory: Path) -> None:
        self.http = httpx.Client(timeout=10)
        self.province = Province(directory / "gateway").found()
        keys = load_keys(self.province.settings)
        # The long-lived key comes later than the gateway, as it would in service.
        secret = read_passphrase(self.province.settings.keys.passphrase_file)
        generate(directory / "mldsa.pem", "ML-DSA-44", secret)
        self.mldsa = directory / "mldsa.pem"
        origin = self.province.settings.gateway.ledger_origin(AGREEMENT)
        self.long_lived = load_cosigner(f"file:{self.mldsa}", secret, origin).verifier
        self.receipts = keys.sign.public
        self.vkeys = {
            name: keys.checkpoint.note_signer(self.province.settings.gateway.ledger_origin(name)).verifier
            for name in ("gateway", AGREEMENT)
        }
        self.witnesses = [WitnessProcess(directory / f"w{n}", f"witness.example/w{n}") for n in (1, 2)]
        for witness in self.witnesses:
            witness.add_log(*(key.vkey for key in self.vkeys.values()))
            witness.start()
        tables = [
            f'[[witness.witnesses]]\nvkey = "{one.vkey}"\nurl = "{one.url}"\nnetworks = ["127.0.0.1/32"]\n'
            for one in self.witnesses
        ]
        settings = f"[witness]\nquorum = 2\ninterval_seconds = 0.2\ntimeout = 0.5\nbudget_seconds = {BUDGET}\n"
        self.authority = Authority(directory / "tsa").__enter__() if OPENSSL else None
        if self.authority is not None:
            roots, url = self.authority.roots, self.authority.url
            tables.append(
                f'[timestamp]\nurl = "{url}"\nnetworks = ["127.0.0.1/32"]\nroots_file = "{roots}"\nperiod_seconds = 1\n'
            )
        quorum = Quorum(tuple(one.verifier for one in self.witnesses), 2)
        with (self.province.directory / "sinergi.toml").open("a") as file:
            file.write("\n" + settings + "\n".join(tables))
        self.trust = {name: Trust(key.name, (key,), quorum) for name, key in self.vkeys.items()}

    def start(self, mode: str) -> Province:
        self.province.extra = {
            "SINERGI_WITNESS__WHEN_MISSING": mode,
            "SINERGI_KEYS__CHECKPOINT_MLDSA": f"file:{self.mldsa}",
        }
        return self.province.start()

    def checkpoint(self) -> bytes:
        return self.http.get(f"{self.province.base}/ledger/{AGREEMENT}/checkpoint").content

    def witnessed(self, index: int) -> Any:
        """The published checkpoint, once two witnesses cosigned one that has this entry."""

        def look() -> Any:
            try:
                found = self.trust[AGREEMENT].open(self.checkpoint())
            except Exception:  # noqa: BLE001 - not yet
                return None
            return found if found.size > index else None

        return until(look)

    def metric(self, name: str) -> float:
        text = self.http.get(f"{self.province.base}/metrics").text
        found = re.search(rf'^{name}\{{[^}}]*ledger="{AGREEMENT}"[^}}]*\}} (\S+)$', text, re.MULTILINE)
        assert found, name
        return float(found.group(1))


def until(look: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def check_timestamps(court: Court, keys: list[str], folder: Path) -> None:
    """A checkpoint is stamped once the gateway runs; the command believes the right roots and no others."""
    assert court.authority is not None
    url = f"{court.province.base}/ledger/{AGREEMENT}/timestamp"
    until(lambda: court.http.get(url, params={"index": 0}).status_code == 200)
    assert court.http.get(url, params={"index": 10**6}).json()["code"] == "request.not-found"
    stamp, other = folder / "stamp.json", Authority(folder / "other")
    stamp.write_bytes(court.http.get(url).content)
    words = ["ledger", "check-timestamp", str(stamp), *keys]
    assert run([*words, "--roots", str(court.authority.roots)]) == 0
    assert run([*words, "--roots", str(other.roots)]) == 1
    stamp.write_text(stamp.read_text().replace('"token":"M', '"token":"N'))
    assert run([*words, "--roots", str(court.authority.roots)]) == 1


def check_evidence(court: Court, transfer: str) -> None:
    """Its bundle passes every check for who demands both witnesses and the authority, and the gateway's own report says so."""
    assert court.authority is not None
    key = court.receipts
    trust = evidence.Trust({key.kid: key}, {one.origin: one for one in court.trust.values()}, None)
    stamped = replace(trust, stamped=stamped_under(read_roots(court.authority.roots.read_bytes())))

    def fetched() -> Any:
        bundle = unpack(court.province.imigrasi.get(f"/v1/transfers/{transfer}/evidence").content)
        seen = all(check(bundle, stamped).checks[number].ok for number in (1, 10))
        return bundle if seen else None

    bundle = until(fetched)
    results = {one.number: one for one in check(bundle, stamped).checks}
    assert {number for number, one in results.items() if not one.ok} == {10}, "nobody signed for it yet"
    own = {one.name for one in court.trust[AGREEMENT].quorum.witnesses}
    assert results[2].detail.en.endswith(f"cosigned by {', '.join(sorted(own))}")
    page = bundle.text("report.id.html")
    assert all(words in page for words in (results[2].detail.id, results[11].detail.id, "2 dari 2 saksi disyaratkan"))
    # The same bundle for who asks for a third witness, or believes another authority.
    more = Quorum((*court.trust[AGREEMENT].quorum.witnesses, cosigner("witness.example/w3").verifier), 3)
    asked = {origin: replace(one, quorum=more) for origin, one in trust.ledgers.items()}
    assert not check(bundle, replace(stamped, ledgers=asked)).checks[1].ok
    assert check(bundle, trust).checks[10].ok is None


def check_commands(court: Court, receipt: GatewayReceipt, proof: str, folder: Path) -> None:
    """`ledger prove`, `check-proof` and `verify` say yes with the right keys, and no without enough witnesses."""
    vkey, (one, two) = court.vkeys[AGREEMENT].vkey, court.witnesses
    url = f"{court.province.base}/ledger/{AGREEMENT}"
    keys = ["--vkey", vkey, "--vkey", court.long_lived.vkey, "--witness", one.vkey, "--witness", two.vkey]
    out = folder / "made.tlog-proof"
    assert run(["ledger", "prove", url, str(receipt.index), *keys, "--out", str(out)]) == 0
    (folder / "given.tlog-proof").write_text(proof)
    for file in (out, folder / "given.tlog-proof"):
        words = ["ledger", "check-proof", str(file), "--leaf-hash", receipt.leaf_hash]
        assert run([*words, *keys]) == 0
        assert run([*words, *keys[:2], "--witness", cosigner("witness.example/w3").verifier.vkey]) == 1
        assert run([*words[:-1], "0" * 64, *keys]) == 1
    assert run(["ledger", "verify", url, *keys]) == 0
    if court.authority is not None:
        check_timestamps(court, keys[:2], folder)
        check_evidence(court, receipt.transfer)
    assert run(["ledger", "verify", url, *keys, "--witness", cosigner("witness.example/w3").verifier.vkey]) == 1
    assert run(["ledger", "verify", url, *keys, "--quorum", "3"]) == 2


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    made = Court(tmp_path_factory.mktemp("court"))
    yield made
    made.http.close()
    if made.authority is not None:
        made.authority.__exit__(None, None, None)
    made.province.kill()
    for witness in made.witnesses:
        witness.kill()


def test_two_of_two_and_one_away_under_each_policy(court: Court, tmp_path: Path) -> None:
    """Published with both cosignatures; without one: late and visibly bare, receipts held, or no more messages."""
    province, (one, two) = court.start("publish"), court.witnesses

    # Both there: the checkpoint is witnessed within seconds, and a receipt becomes a proof that needs no gateway.
    accepted = province.imigrasi.post(province.imigrasi.message())
    assert accepted.status_code == 202, accepted.text
    receipt = read_gateway_receipt(accepted.json()["receipt"], court.receipts)
    court.witnessed(receipt.index)
    path = f"/v1/transfers/{receipt.transfer}/proof"
    text = province.imigrasi.get(path).text
    trust = court.trust[AGREEMENT]
    verify_proof(text, b64decode(receipt.leaf_hash, "leaf_hash"), trust.origin, trust.keys)
    assert trust.open(parse_proof(text).checkpoint).size > receipt.index
    assert province.audit(path).text == text
    with pytest.raises(LedgerInvalidError):
        Trust(trust.origin, (NoteVerifier(trust.origin, bytes(32)),), trust.quorum).open(parse_proof(text).checkpoint)
    check_commands(court, receipt, text, tmp_path)
    stranger = httpx.get(province.base + path, timeout=10)
    assert stranger.json()["code"] == "token.missing"
    ledgers = court.http.get(f"{province.base}/.well-known/sinergi-gateway").json()["ledgers"]
    assert {ledger["quorum"] for ledger in ledgers} == {2}

    # One away: for the length of the budget the last witnessed checkpoint, then the bare one; everybody can see why.
    two.kill()
    bare = province.imigrasi.post(province.imigrasi.message())
    index = bare.json()["ledger"]["index"]
    assert bare.status_code == 202
    assert trust.open(court.checkpoint()).size <= index
    assert (
        province.imigrasi.get(f"/v1/transfers/{bare.json()['transfer']}/proof").json()["code"] == "ledger.unwitnessed"
    )
    until(lambda: int(court.checkpoint().split(b"\n")[1]) > index)
    # The gateway's own two signatures, or the first of them while the second is made; and no witness's.
    assert court.checkpoint().count("\n— ".encode()) == court.checkpoint().count(f"\n— {trust.origin} ".encode())
    warnings = court.http.get(f"{province.base}/readyz").json()["warnings"]
    assert f"{AGREEMENT}: witnesses are missing" in warnings
    assert court.metric("sinergi_unwitnessed_entries") >= 1
    until(lambda: court.metric("sinergi_unwitnessed_seconds") > BUDGET)
    assert "witnesses_missing" in province.log()

    # Back again: by itself, and at once where somebody waits.
    two.start()
    court.witnessed(index)
    until(lambda: not court.http.get(f"{province.base}/readyz").json()["warnings"])
    assert province.stop() == [0]

    # Hold receipts: recorded and delivered, and no receipt before its witnesses.
    court.start("hold-receipts")
    held = province.imigrasi.post(province.imigrasi.message())
    index = held.json()["ledger"]["index"]
    assert held.status_code == 202
    assert trust.open(parse_proof(held.json()["ledger"]["proof"]).checkpoint).size > index
    one.hang()
    message = province.imigrasi.message()
    refused = province.imigrasi.post(message)
    assert (refused.status_code, refused.json()["code"]) == (503, "ledger.unwitnessed")
    assert "receipt" not in refused.json()
    assert refused.headers["retry-after"]
    assert court.trust[AGREEMENT].open(court.checkpoint()).size == index + 1, "and nothing bare is published"
    one.go_on()
    again = until(lambda: (found := province.imigrasi.post(message)).status_code == 200 and found)
    assert again.json()["ledger"]["index"] == index + 1
    assert trust.open(parse_proof(again.json()["ledger"]["proof"]).checkpoint).size > index + 1
    assert province.stop() == [0]

    # Stop: while the budget lasts messages are taken, then none; what was taken is still answered for.
    court.start("stop")
    one.hang()
    taken = province.imigrasi.message()
    first = province.imigrasi.post(taken)
    assert first.status_code == 202
    shut = until(lambda: (found := province.imigrasi.post(province.imigrasi.message())).status_code == 503 and found)
    assert shut.json()["code"] == "ledger.unwitnessed"
    assert shut.headers["retry-after"] == "30"
    retried = province.imigrasi.post(taken)
    assert (retried.status_code, retried.json()["receipt"]) == (200, first.json()["receipt"])
    assert f"{AGREEMENT}: takes no messages" in court.http.get(f"{province.base}/readyz").json()["warnings"]
    one.go_on()
    until(lambda: province.imigrasi.post(province.imigrasi.message()).status_code == 202)


def test_a_key_of_a_stranger_is_no_witness(court: Court) -> None:
    """The same checkpoint under another witness's name or key does not meet the policy."""
    if not court.province.processes:
        court.start("publish")
    trust = court.trust[AGREEMENT]
    other = NoteVerifier("witness.example/w1", bytes(31) + b"\x01", 0x04)
    with pytest.raises(Exception, match="witnesses needed"):
        Trust(trust.origin, trust.keys, Quorum((other,), 1)).open(court.checkpoint())

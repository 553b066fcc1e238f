"""Evidence of a transfer: a bundle from a real gateway proves what happened, and any altered byte of it is found."""

import io
import json
import subprocess
import sys
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from sysconfig import get_path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.main import run
from gateway.errors import EvidenceInvalidError
from gateway.evidence.bundle import MANIFEST, Bundle, unpack
from gateway.evidence.checks import TITLES, check
from gateway.jose import b64decode, public_key
from gateway.ledger.proof import parse_proof
from gateway.store.jobs.erasures import Erase
from gateway.wiring import open_store
from tests.evidence.cases import Case, failed, fetched
from tests.province import AGREEMENT as AGREEMENT_ID
from tests.province import now

NO_TIMESTAMP = {11}


def test_a_delivered_transfer_is_proved_from_end_to_end(case: Case) -> None:
    """Every check passes but the timestamp's, of which there is none; each says what it found."""
    report = check(unpack(case.accepted), case.trust)
    assert failed(report) == {}
    assert (report.ok, report.decision) == (True, "accepted")
    assert {one.number for one in report.checks if one.ok is None} == NO_TIMESTAMP
    assert [one.number for one in report.checks] == sorted(TITLES)
    details = {one.number: one.detail.en for one in report.checks}
    assert "/body/reporter" in details[9]
    assert "delivered" in details[10]
    assert "processed" in details[10]
    assert "clause 1" in details[8]


def test_a_refusal_is_proved_too(case: Case) -> None:
    """What was refused, for what, under which version; there is no release and no acknowledgement."""
    report = check(unpack(case.refused), case.trust)
    assert failed(report) == {}
    assert report.decision == "refused"
    assert {one.number for one in report.checks if one.ok is None} == {9, 10, 11}


def test_any_altered_file_fails_and_is_named(case: Case) -> None:
    """One bit of each file in turn, the list itself included."""
    bundle = unpack(case.accepted)
    for name, content in bundle.files.items():
        flipped = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
        report = check(Bundle({**bundle.files, name: flipped}), case.trust)
        assert not report.ok
        assert name in failed(report)[1], name


@pytest.mark.parametrize("change", ["missing", "added"])
def test_a_file_more_or_less_fails_and_is_named(case: Case, change: str) -> None:
    """Nothing can be left out or slipped in."""
    files = dict(unpack(case.accepted).files)
    if change == "missing":
        del files["release.jws"]
    else:
        files["notes.txt"] = b"he did it"
    report = check(Bundle(files), case.trust)
    assert (
        f"{'release.jws' if change == 'missing' else 'notes.txt'} {'is missing' if change == 'missing' else 'was added'}"
        in (failed(report)[1])
    )


def swapped(case: Case, name: str) -> Mapping[str, bytes]:
    """The files of the accepted transfer, with one from the refused transfer's bundle in its place."""
    return {**unpack(case.accepted).files, name: unpack(case.refused).files[name]}


@pytest.mark.parametrize(
    ("name", "number"), [("message.sd-jwt", 5), ("receipt.jws", 5), ("entries/decision.json", 2), ("schema.json", 7)]
)
def test_a_true_file_of_another_transfer_fails_where_it_does_not_belong(case: Case, name: str, number: int) -> None:
    """Even for somebody who signs the list: each file is held against the others, not only against the list."""
    report = check(Bundle(swapped(case, name)), case.trust)
    assert {1, number} <= failed(report).keys()


def test_the_command_line_fetches_and_verifies(case: Case, tmp_path: Path) -> None:
    """Exported by the data-protection officer, checked offline with keys alone; an altered bundle ends with 1."""
    report = check(unpack(case.accepted), case.trust)
    token = tmp_path / "dpo.token"
    token.touch(0o600)
    token.write_text(case.province.dpo_token)
    bundle, jwk = tmp_path / "case.zip", tmp_path / "gateway.jwk"
    reach = ("--gateway", case.province.base, "--token-file", str(token))
    assert run(["evidence", "export", str(report.transfer), *reach, "--out", str(bundle)]) == 0
    assert bundle.stat().st_mode & 0o777 == 0o600
    jwk.write_text(httpx.get(f"{case.province.base}/.well-known/jwks.json", timeout=10).text)
    vkeys = [option for trust in case.trust.ledgers.values() for option in ("--vkey", trust.keys[0].vkey)]
    verify = ["evidence", "verify", str(bundle), "--gateway-key", str(jwk), *vkeys]
    assert run(verify) == 0
    files = dict(unpack(bundle.read_bytes()).files)
    files["message.sd-jwt"] = files["released.sd-jwt"]
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert run(verify) == 1


def test_nothing_is_believed_of_a_key_that_is_not_trusted(case: Case) -> None:
    """Another gateway's key, or another ledger's: nothing in the bundle makes up for it."""
    stranger = public_key(Ed25519PrivateKey.generate().public_key())
    report = check(unpack(case.accepted), replace(case.trust, gateway={stranger.kid: stranger}))
    assert {1, 5, 6, 9} <= failed(report).keys()
    report = check(unpack(case.accepted), replace(case.trust, ledgers={}))
    assert {2, 4, 5} <= failed(report).keys()


def test_only_those_who_had_the_message_get_its_evidence(case: Case) -> None:
    """The sender has it, the recipient its own part, a stranger's and an auditor's without the role are refused."""
    report = check(unpack(case.accepted), case.trust)
    assert report.transfer is not None
    path = f"/v1/transfers/{report.transfer}/evidence"
    assert fetched(case.province, report.transfer, police=True).status_code == 200
    refused = check(unpack(case.refused), case.trust).transfer
    assert refused is not None
    assert fetched(case.province, refused).status_code == 404
    assert case.province.audit(path).json()["code"] == "access.denied"
    assert case.province.audit(path, dpo=True).status_code == 200


def test_a_recipient_s_bundle_proves_the_same_and_holds_nothing_that_was_withheld(case: Case) -> None:
    """Not a withheld value, not a salt of one, not the sender's receipt: byte search, also inside the encoded disclosures."""
    whole = unpack(case.accepted)
    transfer = check(whole, case.trust).transfer
    assert transfer is not None
    bundle = unpack(fetched(case.province, transfer, police=True).content)
    report = check(bundle, case.trust)
    assert failed(report) == {}
    assert {one.number for one in report.checks if one.ok is None} == {6, *NO_TIMESTAMP}
    assert "what was withheld is not here" in report.checks[2].detail.en
    assert "/body/reporter" in report.checks[8].detail.en
    assert {"message.sd-jwt", "receipt.jws"}.isdisjoint(bundle.files)

    sent = set(whole.text("message.sd-jwt").split("~")[1:-1])
    withheld = sent - set(bundle.text("released.sd-jwt").split("~"))
    assert withheld
    # The published documents hold every code that a field may have.
    encoded = b"".join(data for name, data in bundle.files.items() if name not in ("schema.json", "agreement.json"))
    opened = encoded + b"".join(b64decode(one, "d") for one in bundle.text("released.sd-jwt").split("~")[1:-1])
    for one in withheld:
        salt, *_, value = json.loads(b64decode(one, "d"))
        secrets = [one, salt, *(value.values() if isinstance(value, dict) else [value])]
        assert not any(str(secret).encode() in opened for secret in secrets if len(str(secret)) > 3)

    for name, content in bundle.files.items():
        changed = check(
            Bundle({**bundle.files, name: content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]}), case.trust
        )
        assert name in failed(changed)[1]
    # A sender's bundle without its message is no recipient's: the list names what is missing.
    stripped = Bundle({name: data for name, data in whole.files.items() if name != "message.sd-jwt"})
    assert "message.sd-jwt is missing" in failed(check(stripped, case.trust))[1]


def test_of_an_erased_message_the_ledger_is_still_proved(case: Case) -> None:
    """Its content proves nothing more; the entries of its acceptance and of its erasure do, and the bundle says so."""
    province = case.province
    message = province.imigrasi.message(exp=int(time.time()) + 2)
    transfer = province.imigrasi.post(message).json()["transfer"]
    for item in province.polda.inbox():
        province.polda.acknowledge(
            *(province.polda.acknowledgement(item, event) for event in ("delivered", "processed"))
        )
    time.sleep(2.5)  # until then it might be sent again
    with open_store(province.settings) as store:
        job = Erase(
            ledger=AGREEMENT_ID, own_ledger="gateway", transfers=[transfer], erased_for="data-subject", who="tester",
            why="DSR-1", now=now(), refused_days=0, duty=False,
        )  # fmt: skip
        done = store.recorder.submit(job).result(30).result
        assert done.kept == {}
        assert done.erased == (transfer,)
    for police in (False, True):
        bundle = unpack(fetched(province, transfer, police=police).content)
        report = check(bundle, case.trust)
        assert failed(report) == {}
        assert {one.number for one in report.checks if one.ok} == {1, 2, 4, 7, 8}
        assert (report.transfer, report.decision) == (transfer, "accepted")
        assert "destroyed" in report.checks[2].detail.en
        assert not any(name.endswith((".sd-jwt", "receipt.jws")) for name in bundle.files)
        # Without the entry of the erasure the content is simply missing.
        kept = {name: data for name, data in bundle.files.items() if not name.startswith("entries/erased")}
        assert {1, 3} <= failed(check(Bundle(kept), case.trust)).keys()


def test_a_timestamp_counts_over_the_checkpoint_of_the_entry_and_no_other(case: Case) -> None:
    """With whatever signatures it then had, but of the ledger's key; another ledger's, an altered or an unsigned one is none."""
    bundle = unpack(case.accepted)
    stamped = replace(case.trust, stamped=lambda _token, _data: now())
    note = parse_proof(bundle.text("entries/decision.tlog-proof")).checkpoint
    other = next(name for name in bundle.below("entries") if "/gateway-" in name and name.endswith(".tlog-proof"))
    text, _, lines = note.partition(b"\n\n")
    for data, passes in (
        (note, True),
        (note + b"\xe2\x80\x94 witness.example/w9 " + b64encode(bytes(76)) + b"\n", True),
        (parse_proof(bundle.text(other)).checkpoint, False),
        (parse_proof(bundle.text("entries/acknowledged-processed.tlog-proof")).checkpoint, False),
        (text + b"x\n\n" + lines, False),
        (text + b"\n\n\xe2\x80\x94 witness.example/w9 " + b64encode(bytes(76)) + b"\n", False),
    ):
        files = {**bundle.files, "timestamps/1.tsr": b"token", "timestamps/1.checkpoint": data}
        assert check(Bundle(files), stamped).checks[10].ok is passes
        assert check(Bundle(files), case.trust).checks[10].ok is None


def zipped(write: Callable[[zipfile.ZipFile], None]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return held.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 no zip",
        zipped(lambda archive: archive.writestr("../etc/passwd", "x")),
        zipped(lambda archive: archive.writestr("/message.sd-jwt", "x")),
        zipped(lambda archive: archive.writestr("message.sd-jwt", bytes(65 * 1024 * 1024))),
        zipped(lambda archive: [archive.writestr(f"{number}.txt", "x") for number in range(600)] and None),
    ],
)
def test_what_is_no_bundle_is_refused_at_once(data: bytes) -> None:
    """Paths out of the folder, bombs, too many files: nothing is unpacked."""
    with pytest.raises(EvidenceInvalidError):
        unpack(data)


def test_the_list_is_signed_with_its_own_type(case: Case) -> None:
    """A receipt of the same key cannot stand for the list."""
    files = dict(unpack(case.accepted).files)
    files[MANIFEST] = files["receipt.jws"]
    assert 1 in failed(check(Bundle(files), case.trust))
    assert json.loads(files["schema.json"])["$id"].startswith("urn:sinergi:schema:")


def test_one_file_verifies_with_python_and_cryptography_alone(case: Case, tmp_path: Path) -> None:
    """The standalone verifier says 0 to the bundle, and 1 to any file of it altered, which it names."""
    program, site, jwk = tmp_path / "verify.pyz", tmp_path / "site", tmp_path / "gateway.jwk"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, root / "scripts/build_verifier.py", program], check=True, cwd=root)
    site.mkdir()
    for found in Path(get_path("platlib")).iterdir():
        if found.name in {"cryptography", "cffi"} or found.name.startswith("_cffi_backend"):
            (site / found.name).symlink_to(found)
    jwk.write_text(httpx.get(f"{case.province.base}/.well-known/jwks.json", timeout=10).text)
    vkeys = [option for trust in case.trust.ledgers.values() for option in ("--vkey", trust.keys[0].vkey)]
    start = f"import runpy, sys; sys.path.append({str(site)!r}); runpy.run_path({str(program)!r}, run_name='__main__')"

    def verified(data: bytes, *more: str) -> subprocess.CompletedProcess[str]:
        bundle = tmp_path / "case.zip"
        bundle.write_bytes(data)
        options = [str(bundle), "--gateway-key", str(jwk), *vkeys, *more]
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", start, *options], check=False, capture_output=True, text=True
        )

    good = verified(case.accepted, "--report", str(tmp_path / "told"))
    assert good.returncode == 0
    assert "No PDF was written" in good.stderr
    assert sorted(file.name for file in (tmp_path / "told").iterdir()) == ["report.en.html", "report.id.html"]
    # Who asks for a check that cannot be made there is not told that all is well.
    asked = verified(case.accepted, "--tsa-roots", str(jwk))
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "rfc3161-client" in asked.stderr
    files = unpack(case.accepted).files
    for name, content in files.items():
        changed = {**files, name: content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]}
        bad = verified(zipped(lambda archive, held=changed: [archive.writestr(*one) for one in held.items()] and None))
        assert bad.returncode == 1
        assert name in bad.stdout.split("\n")[0]

"""Keys in a token, on a real SoftHSM2: they sign, they stay there, and a token that fails is opened anew."""

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag, TokenFlag

from gateway.cli.output import UNASKED, exit_code
from gateway.errors import KeyAwayError, KeyringError
from gateway.jose import PublicKey, parse_jws, sign_jws, verify_jws
from gateway.keyring import generate_in_token, hsm, load_cosigner, load_secret, load_signer
from gateway.keyring.pkcs11_uri import parse_uri
from gateway.ledger.note import NoteVerifier
from tests.hsm import LABEL, PIN, SoftToken, soft_token

KINDS = {"EdDSA": 1, "ES256": 2, "PS256": 3}
ALL_KEYS = {**KINDS, "HMAC": 4}


@pytest.fixture(scope="module")
def token() -> SoftToken:
    """With a key of each kind in it."""
    made = soft_token()
    for algorithm, number in ALL_KEYS.items():
        public = generate_in_token(made.uri(algorithm, number), algorithm)
        assert (public is None) == (algorithm == "HMAC")
    return made


def refused(call: Callable[[], Any], match: str) -> None:
    """Refused with these words, and the PIN is nowhere in what a log or a traceback could show."""
    with pytest.raises(KeyringError, match=match) as caught:
        call()
    assert PIN not in "".join(traceback.format_exception(caught.value))


def signed(token: SoftToken, algorithm: str) -> tuple[PublicKey, bytes]:
    signer = load_signer(token.uri(algorithm, KINDS[algorithm]), b"", certified=algorithm == "PS256")
    text = sign_jws({"a": 1}, "receipt+jwt", signer)
    assert verify_jws(parse_jws(text, "receipt+jwt", 4), signer.public).payload == {"a": 1}
    return signer.public, text.encode()


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_key_in_a_token_signs_what_its_public_half_verifies(algorithm: str, token: SoftToken) -> None:
    """Each algorithm, as a JWS that the same reader takes as from a file."""
    public, text = signed(token, algorithm)
    assert public.alg == algorithm
    assert parse_jws(text.decode(), "receipt+jwt", 4).kid == public.kid


def test_an_rsa_key_signs_for_a_certified_agency_alone(token: SoftToken) -> None:
    """The gateway's own keys, and whatever has no certificate, are never RSA."""
    refused(lambda: load_signer(token.uri("PS256", 3), b""), "Ed25519 or P-256")


def test_a_checkpoint_key_may_lie_in_a_token(token: SoftToken) -> None:
    """As an Ed25519 cosigner; P-256 does not sign checkpoints (C2SP signed-note)."""
    cosigner = load_cosigner(token.uri("EdDSA", 1), b"", "example.go.id/ledger/x")
    assert isinstance(cosigner.verifier, NoteVerifier)
    refused(lambda: load_cosigner(token.uri("ES256", 2), b"", "x"), "must be Ed25519")


def test_a_secret_is_derived_inside_the_token(token: SoftToken) -> None:
    """32 bytes and an id, stable, unrelated for another purpose; a signing key gives none, and a secret signs nothing."""
    uri = token.uri("HMAC", 4)
    storage, again, index = (load_secret(uri, b"", purpose) for purpose in ("storage", "storage", "index"))
    assert storage == again
    assert len(storage.value) == 32
    assert {storage.value, storage.id} & {index.value, index.id} == set()
    refused(lambda: load_secret(token.uri("EdDSA", 1), b"", "storage"), "no such key")
    refused(lambda: load_signer(uri, b""), "no such key")


def test_a_key_that_may_leave_its_token_is_refused(token: SoftToken) -> None:
    """Extractable, or not sensitive: then the token protects nothing, and looks as if it did."""
    session = pkcs11.lib(str(token.module)).get_token(token_label=LABEL).open(rw=True)
    for number, template in ((16, {Attribute.EXTRACTABLE: True}), (17, {Attribute.SENSITIVE: False})):
        session.generate_keypair(
            KeyType.RSA, 2048, id=bytes([number]), label="loose", store=True, private_template=template
        )
        session.generate_key(
            KeyType.GENERIC_SECRET,
            256,
            mechanism=pkcs11.Mechanism.GENERIC_SECRET_KEY_GEN,
            capabilities=MechanismFlag.SIGN,
            id=bytes([number]),
            label="loose",
            store=True,
            template=template,
        )
        uri = token.uri("loose", number)
        refused(lambda uri=uri: load_signer(uri, b"", certified=True), "may leave its token")  # type: ignore[misc]
        refused(lambda uri=uri: load_secret(uri, b"", "storage"), "may leave its token")  # type: ignore[misc]
    session.close()


def test_no_key_in_a_token_is_replaced(token: SoftToken) -> None:
    """Neither under the same label nor under the same id."""
    refused(lambda: generate_in_token(token.uri("EdDSA", 99), "EdDSA"), "already")
    refused(lambda: generate_in_token(token.uri("new", 1), "EdDSA"), "already")
    refused(lambda: generate_in_token(token.uri("new", 98), "X25519"), "must be one of")
    refused(lambda: generate_in_token(token.uri("new", 98).replace("object=new;", ""), "EdDSA"), "both object= and id=")


def test_the_public_half_beside_another_private_key_is_found_out(token: SoftToken) -> None:
    """At the start, by one signature, and not at the first receipt."""
    session = pkcs11.lib(str(token.module)).get_token(token_label=LABEL).open(rw=True)
    halves = [
        session.generate_keypair(KeyType.RSA, 2048, id=bytes([32 + n]), label=f"half{n}", store=True) for n in (0, 1)
    ]
    halves[0][0].destroy()
    halves[1][0].copy({Attribute.ID: bytes([32]), Attribute.LABEL: "half0"})
    session.close()
    refused(lambda: load_signer(token.uri("half0", 32), b"", certified=True), "another key than the public one")


# --- A token that fails


def test_a_lost_session_is_opened_anew(token: SoftToken) -> None:
    """The module was finalised under our feet, as after a restart of an HSM's service: the next signature is there."""
    signer = load_signer(token.uri("EdDSA", 1), b"")
    pkcs11.lib(str(token.module)).reinitialize()
    assert len(signer.sign(b"x")) == 64
    pkcs11.lib(str(token.module)).finalize()
    assert len(signer.sign(b"x")) == 64


def test_a_token_that_is_gone_is_an_error_and_back_again_is_none(token: SoftToken) -> None:
    """While it is away every signature fails with our own error, which says that it may pass; a start ends with 3, and systemd
    tries again; afterwards the same signer signs.
    """
    signer = load_signer(token.uri("EdDSA", 1), b"")
    tokens = token.conf.parent / "tokens"
    tokens.rename(tokens.with_name("away"))
    tokens.mkdir()
    try:
        pkcs11.lib(str(token.module)).reinitialize()
        refused(lambda: signer.sign(b"x"), r"does not answer as it should \(NoSuchToken\)")
        assert not signer.answers()
        with pytest.raises(KeyAwayError) as caught:
            load_signer(token.uri("EdDSA", 1), b"")
        assert (exit_code(caught.value), caught.value.status) == (UNASKED, 503)
    finally:
        tokens.rmdir()
        tokens.with_name("away").rename(tokens)
    assert signer.answers()
    assert len(signer.sign(b"x")) == 64


def test_threads_take_turns(token: SoftToken) -> None:
    """Eight threads on three keys of one session: every signature is of its own message."""
    signers = [load_signer(token.uri(name, number), b"", certified=True) for name, number in KINDS.items()]
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for count in range(12):
                signer = signers[(number + count) % 3]
                text = sign_jws({"n": number, "c": count}, "x+jwt", signer)
                assert verify_jws(parse_jws(text, "x+jwt", 4), signer.public).payload == {"n": number, "c": count}
        except BaseException as error:  # noqa: BLE001 - shown below
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []


def test_a_forked_process_opens_its_own(token: SoftToken) -> None:
    """Even while a thread of the parent holds the token, and the parent goes on signing."""
    code = (
        "import os, sys, threading\n"
        "from gateway.keyring import load_signer, hsm\n"
        "signer = load_signer(sys.argv[1], b'')\n"
        "module = next(iter(hsm._modules.values()))\n"
        "held, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with module.lock:\n"
        "        held.set(); done.wait(30)\n"
        "threading.Thread(target=hold).start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if len(signer.sign(b'x')) == 64 and not module.forked else 3)\n"
        "status = os.waitpid(child, 0)[1]; done.set()\n"
        "assert len(signer.sign(b'x')) == 64\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, token.uri("EdDSA", 1)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- The PIN


def test_a_refused_pin_is_not_tried_again(token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token locks itself after a few: once is enough, for every key of the token and every way of naming it, until the file
    says something else.
    """
    hsm._module(str(token.module))._reload()
    wrong = tmp_path / "pin"
    wrong.touch(0o600)
    wrong.write_text("wrong")
    tries = []
    real = hsm._Module._token
    monkeypatch.setattr(hsm._Module, "_token", lambda self, held: _Counting(real(self, held), tries))
    refused(lambda: load_signer(token.uri("EdDSA", 1, pin=wrong), b""), "refuses its PIN")
    refused(lambda: load_signer(token.uri("ES256", 2, pin=wrong), b""), "refused this PIN before")
    other = token.uri("EdDSA", 1, pin=wrong).replace("pkcs11:", "pkcs11:model=SoftHSM%20v2;")
    refused(lambda: load_signer(other, b""), "refused this PIN before")
    assert tries == ["wrong"]
    wrong.write_text(PIN)
    load_signer(token.uri("EdDSA", 1, pin=wrong), b"")
    assert tries == ["wrong", PIN]


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_no_pin_is_tried_where_a_mistake_would_lock_the_token(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch, flag: TokenFlag
) -> None:
    """Each start remembers nothing of the one before, and a service that fails is started again and again."""
    hsm._module(str(token.module))._reload()
    tries: list[str | None] = []
    real = hsm._Module._token

    def nearly_locked(self: Any, held: Any) -> _Counting:
        found = real(self, held)
        return _Counting(found, tries, found.flags | flag)

    monkeypatch.setattr(hsm._Module, "_token", nearly_locked)
    refused(lambda: load_signer(token.uri("EdDSA", 1), b""), "one try or none left")
    assert tries == []


class _Counting:
    def __init__(self, token: Any, tries: list[str | None], flags: Any = None) -> None:
        self.token, self.tries = token, tries
        self.flags = token.flags if flags is None else flags

    def __getattr__(self, name: str) -> Any:
        return getattr(self.token, name)

    def open(self, user_pin: str | None = None) -> Any:
        self.tries.append(user_pin)
        return self.token.open(user_pin=user_pin)


def test_a_pin_file_is_a_secret_file(token: SoftToken, tmp_path: Path) -> None:
    """What others may read is no PIN; a systemd credential is one, and its name needs no path."""
    hsm._module(str(token.module))._reload()
    loose = tmp_path / "pin"
    loose.write_text(PIN)
    loose.chmod(0o644)
    refused(lambda: load_signer(token.uri("EdDSA", 1, pin=loose), b""), "chmod 600")
    loose.chmod(0o600)
    loose.write_text("\n")
    refused(lambda: load_signer(token.uri("EdDSA", 1, pin=loose), b""), "the PIN is empty")
    loose.write_text(PIN)
    os.environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    try:
        load_signer(token.uri("EdDSA", 1).replace(f"file:{token.pin_file}", "credential:pin"), b"")
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]


def test_a_module_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing file and one that is no library."""
    (tmp_path / "x.so").write_text("no library")
    for path in (tmp_path / "missing.so", tmp_path / "x.so"):
        refused(lambda path=path: load_signer(f"pkcs11:token=a;object=b?module-path={path}", b""), "cannot be loaded")  # type: ignore[misc]


def test_a_module_whose_token_is_away_at_the_start_may_be_asked_again(
    token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads and says that it cannot begin: not the same as a file that is no module."""

    def lib(_path: str) -> Any:
        raise pkcs11.GeneralError

    with monkeypatch.context() as patched:
        patched.setattr(hsm, "_modules", {})
        patched.setattr(pkcs11, "lib", lib)
        with pytest.raises(KeyAwayError, match="GeneralError"):
            load_signer(token.uri("EdDSA", 1), b"")


# --- The URI


def test_a_uri_is_read() -> None:
    """RFC 7512: escapes in values, a binary id, the module and the PIN's place in the query."""
    uri = "pkcs11:token=Uji%20Banten;serial=3a%2Fb;object=sign;id=%00%FF?module-path=/usr/lib/x.so&pin-source=file:/run/pin"
    held = parse_uri(uri)
    assert (held.token, held.label, held.id) == ((("token", "Uji Banten"), ("serial", "3a/b")), "sign", b"\x00\xff")
    assert (held.module, held.pin_source) == ("/usr/lib/x.so", "file:/run/pin")
    assert parse_uri("pkcs11:id=a;type=private;token=b?module-path=/m").pin_source is None


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        (f"pkcs11:token=a;object=b?module-path=/m&pin-value={PIN}", "never in a URI"),
        (f"pkcs11:token=a;object=b;pin-value={PIN}?module-path=/m", "never in a URI"),
        ("pkcs11:token=a;object=b?module-path=/m&pin-source=|cat%20/pin", "never a command"),
        ("pkcs11:token=a;object=b?module-path=/m&pin-source=https://x/pin", "never a command"),
        ("pkcs11:token=a;object=b", "names its module"),
        ("pkcs11:token=a;object=b?module-path=libx.so", "names its module"),
        ("pkcs11:object=b?module-path=/m", "names a token"),
        ("pkcs11:token=a?module-path=/m", "and a key in it"),
        ("pkcs11:?module-path=/m", "names a token"),
        ("pkcs11:token=a;token=b;object=c?module-path=/m", "given twice"),
        ("pkcs11:token=a;object=b;slot-id=1?module-path=/m", "not known here"),
        ("pkcs11:token=a;object=b?module-path=/m&x=y", "not known here"),
        ("pkcs11:token=a;object=b;?module-path=/m", "not known here"),
        ("pkcs11:token=a;object?module-path=/m", "cannot be read"),
        ("pkcs11:token=a;object=%zz?module-path=/m", "cannot be read"),
        ("pkcs11:token=a;object=b c?module-path=/m", "cannot be read"),
        ("pkcs11:token=a;object=%FF?module-path=/m", "not UTF-8"),
        ("pkcs11:token=a;object=b%00?module-path=/m", "NUL"),
        ("pkcs11:token=;object=b?module-path=/m", "empty"),
        ("pkcs11:token=a;object=b;type=public?module-path=/m", "type is one of"),
        ("pkcs11:token=a;object=" + "b" * 2048 + "?module-path=/m", "begins with"),
        ("PKCS11:token=a;object=b?module-path=/m", "begins with"),
    ],
)
def test_a_uri_says_what_is_known_and_nothing_else(uri: str, match: str) -> None:
    """No PIN in it, no command, no attribute that would be passed over."""
    refused(lambda: parse_uri(uri), match)

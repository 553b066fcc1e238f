"""Private keys: who may read the file, what may be in it, and that nothing of it ever comes out."""

import errno
import json
import os
import pickle
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import KeyAwayError, KeyringError
from gateway.jose import parse_jws, sign_jws, verify_jws
from gateway.keyring import (
    ALGORITHMS,
    PASSPHRASE_LIMIT,
    PASSPHRASE_VARIABLE,
    Secret,
    generate,
    load_secret,
    load_signer,
    read_passphrase,
    read_private,
    services,
    signer_for,
    write_private,
)
from tests.message.making import said

PASSPHRASE = b"correct horse battery staple"
RSA = rsa.generate_private_key(65537, 2048)


def uri(path: Path) -> str:
    return f"file:{path}"


def store(
    path: Path, key: Any, passphrase: bytes | None = PASSPHRASE, form: PrivateFormat = PrivateFormat.PKCS8
) -> str:
    """A key file as another program would write it, with the right mode."""
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    write_private(path, key.private_bytes(Encoding.PEM, form, encryption))
    return uri(path)


def refused(call: Callable[[], Any], match: str) -> KeyringError:
    """The call is refused, and what it says has neither the passphrase nor anything that looks like key material."""
    with pytest.raises(KeyringError, match=match) as caught:
        call()
    text = said(caught.value) + "".join(str(cause) for cause in (caught.value.__cause__,) if cause)
    assert PASSPHRASE.decode() not in text
    assert "-----" not in text
    assert not re.search(r"[A-Za-z0-9+/]{40}", text.replace(str(Path.cwd()), ""))
    return caught.value


# --- Signing keys


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_generated_key_signs_what_its_public_half_verifies(algorithm: str, tmp_path: Path) -> None:
    """Made, stored, loaded again, and signing under the same name."""
    public = generate(tmp_path / "key.pem", algorithm, PASSPHRASE)
    assert public is not None
    signer = load_signer(uri(tmp_path / "key.pem"), PASSPHRASE)
    assert (signer.kid, signer.alg, signer.public.jwk) == (public.kid, algorithm, public.jwk)
    assert verify_jws(parse_jws(sign_jws({"a": 1}, "x", signer), "x"), public).payload == {"a": 1}
    assert "d" not in public.jwk


def test_a_generated_file_is_encrypted_pkcs8_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 under any umask, PKCS#8, and only the passphrase opens it."""
    before = os.umask(0)
    try:
        for algorithm in ALGORITHMS:
            path = tmp_path / algorithm
            generate(path, algorithm, PASSPHRASE)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            assert load_pem_private_key(path.read_bytes(), PASSPHRASE)
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        ed448.Ed448PrivateKey.generate(),
        x448.X448PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=lambda key: type(key).__name__ + getattr(getattr(key, "curve", None), "name", ""),
)
def test_a_key_of_another_kind_does_not_sign(key: Any, tmp_path: Path) -> None:
    """RSA, Ed448, P-384, secp256k1 and keys for key agreement are refused when the file is loaded."""
    file = store(tmp_path / "key.pem", key)
    refused(lambda: load_signer(file, PASSPHRASE), "Ed25519 or P-256|cannot be decrypted")
    refused(lambda: signer_for(key), "Ed25519 or P-256")


@pytest.mark.parametrize("algorithm", ["", "eddsa", "Ed25519", "RS256", "HS256", "none", "ES384", "x25519"])
def test_no_other_algorithm_is_generated(algorithm: str, tmp_path: Path) -> None:
    """And nothing is left behind where the key would have been."""
    refused(lambda: generate(tmp_path / "key.pem", algorithm, PASSPHRASE), "must be one of")
    assert not (tmp_path / "key.pem").exists()


# --- The file


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777, 0o2640, 0o660])
def test_a_file_that_others_may_touch_is_refused(mode: int, tmp_path: Path) -> None:
    """Any bit for group or others, and the message says what to do."""
    path = tmp_path / "key.pem"
    generate(path, "EdDSA", PASSPHRASE)
    path.chmod(mode)
    refused(lambda: load_signer(uri(path), PASSPHRASE), "chmod 600")
    path.chmod(0o600)
    load_signer(uri(path), PASSPHRASE)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_for_its_owner_alone_is_read(mode: int, tmp_path: Path) -> None:
    """Read-only too, as secrets are mounted."""
    path = tmp_path / "secret"
    write_private(path, b"content")
    path.chmod(mode)
    assert read_private(path) == b"content"


def test_a_link_is_judged_by_what_it_names(tmp_path: Path) -> None:
    """Orchestrators mount secrets as links: the file behind one must be private, whatever the link looks like."""
    path, link = tmp_path / "key.pem", tmp_path / "link.pem"
    generate(path, "EdDSA", PASSPHRASE)
    link.symlink_to(path)
    load_signer(uri(link), PASSPHRASE)
    path.chmod(0o640)
    refused(lambda: load_signer(uri(link), PASSPHRASE), "chmod 600")


def test_a_link_to_nowhere_or_to_itself_is_refused(tmp_path: Path) -> None:
    """Both are files that cannot be read."""
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("gone", "loop"):
        refused(lambda name=name: read_private(tmp_path / name), "cannot be read")  # type: ignore[misc]


@pytest.mark.timeout(10)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A directory, a pipe that nobody writes to, a device, a missing file and a path through a file."""
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    write_private(tmp_path / "file", b"x")
    for path in (
        tmp_path / "folder",
        tmp_path / "pipe",
        Path("/dev/null"),
        tmp_path / "missing",
        tmp_path / "file" / "x",
    ):
        refused(lambda path=path: read_private(path), "must be a file|cannot be read")  # type: ignore[misc]
        refused(lambda path=path: load_signer(uri(path), PASSPHRASE), "must be a file|cannot be read")  # type: ignore[misc]


def test_another_user_s_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the file can change it: only this user, or root, may."""
    path = tmp_path / "secret"
    write_private(path, b"content")
    if os.geteuid() == 0:
        os.chown(path, 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    refused(lambda: read_private(path), "another user")


def test_no_file_is_ever_replaced(tmp_path: Path) -> None:
    """Neither a key, nor an empty file, nor whatever a link names; and the old content stays."""
    path = tmp_path / "key.pem"
    generate(path, "EdDSA", PASSPHRASE)
    before = path.read_bytes()
    refused(lambda: generate(path, "EdDSA", PASSPHRASE), "cannot be created")
    (tmp_path / "empty").touch()
    refused(lambda: write_private(tmp_path / "empty", b"x"), "cannot be created")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    refused(lambda: write_private(tmp_path / "link", b"x"), "cannot be created")
    refused(lambda: write_private(tmp_path / "no" / "folder", b"x"), "cannot be created")
    assert path.read_bytes() == before
    assert (tmp_path / "empty").read_bytes() == b""
    assert not (tmp_path / "target").exists()


# --- What is in it


def test_a_key_in_clear_is_refused(tmp_path: Path) -> None:
    """Also where the word stands beside the key, in a comment or a name."""
    key = ed25519.Ed25519PrivateKey.generate()
    refused(lambda: load_signer(store(tmp_path / "a", key, None), PASSPHRASE), "not an encrypted")
    clear = (tmp_path / "a").read_bytes()
    for number, text in enumerate((b"# ENCRYPTED\n" + clear, clear + b"# ENCRYPTED\n", b"X: ENCRYPTED\n\n" + clear)):
        path = tmp_path / f"b{number}"
        write_private(path, text)
        refused(lambda path=path: load_signer(uri(path), PASSPHRASE), "not an encrypted")  # type: ignore[misc]
    refused(
        lambda: load_signer(store(tmp_path / "c", RSA, None, PrivateFormat.TraditionalOpenSSL), PASSPHRASE), "not an"
    )


def test_the_older_encrypted_form_is_refused(tmp_path: Path) -> None:
    """OpenSSL's own PEM encryption derives its key with one round of MD5."""
    key = ec.generate_private_key(ec.SECP256R1())
    file = store(tmp_path / "old.pem", key, PASSPHRASE, PrivateFormat.TraditionalOpenSSL)
    assert b"ENCRYPTED" in (tmp_path / "old.pem").read_bytes()
    refused(lambda: load_signer(file, PASSPHRASE), "not an encrypted PKCS#8")


@pytest.mark.parametrize("wrong", [b"x", PASSPHRASE + b"\n", PASSPHRASE[:-1], PASSPHRASE.upper(), b"\xff", b"x" * 5000])
def test_a_wrong_passphrase_is_said_without_repeating_it(wrong: bytes, tmp_path: Path) -> None:
    """Nearly right, empty, not text and far too long."""
    file = store(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate())
    error = refused(lambda: load_signer(file, wrong), "wrong passphrase or damaged")
    assert error.__cause__ is None
    if len(wrong) > 3:
        assert wrong.decode(errors="replace") not in said(error)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"\x00" * 100,
        lambda pem: pem[:80],
        lambda pem: pem.replace(b"A", b"B", 3),
        lambda pem: pem.replace(b"-----END", b"----END"),
        lambda _: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        lambda _: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!!!!\n-----END ENCRYPTED PRIVATE KEY-----\n",
        lambda _: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        lambda pem: pem.replace(b"ENCRYPTED PRIVATE", b"CERTIFICATE"),
        lambda _: b"{}",
    ],
)
def test_a_damaged_file_is_refused_in_one_way(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Cut, changed, empty, something else: always KeyringError, never a word of the content."""
    store(tmp_path / "good.pem", ed25519.Ed25519PrivateKey.generate())
    write_private(tmp_path / "bad.pem", damage((tmp_path / "good.pem").read_bytes()))
    refused(lambda: load_signer(uri(tmp_path / "bad.pem"), PASSPHRASE), "cannot be decrypted|not an encrypted")


def test_a_key_needs_a_passphrase_that_can_be_used(tmp_path: Path) -> None:
    """None at all and one that OpenSSL cannot take are refused before a file is made."""
    refused(lambda: generate(tmp_path / "a", "EdDSA", b""), "without a passphrase")
    refused(lambda: generate(tmp_path / "b", "EdDSA", b"x" * (PASSPHRASE_LIMIT + 1)), "1023")
    assert not list(tmp_path.iterdir())
    generate(tmp_path / "c", "EdDSA", b"x" * PASSPHRASE_LIMIT)
    load_signer(uri(tmp_path / "c"), b"x" * PASSPHRASE_LIMIT)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "file:",
        "file://",
        "/key.pem",
        "key.pem",
        "http://host/key.pem",
        "file://host/key.pem",
        "file://localhost/key.pem",
        "file:/key.pem?x",
        "file:/key.pem#x",
        "env:KEY",
        "data:,x",
    ],
)
def test_a_key_uri_is_a_file_on_this_machine(wrong: str) -> None:
    """No other scheme, no host, no query: a URI is configuration and is read exactly."""
    refused(lambda: load_signer(wrong, PASSPHRASE), "looks like file:")


def test_a_nul_in_a_uri_is_refused() -> None:
    """What the operating system cannot name is no key file."""
    refused(lambda: load_signer("file:/tmp/a%00b", PASSPHRASE), "NUL")


def test_a_uri_names_a_file_with_any_characters(tmp_path: Path) -> None:
    """Blanks and other characters are written as percent escapes, and three slashes are as good as one."""
    generate(tmp_path / "my key é.pem", "EdDSA", PASSPHRASE)
    for prefix in ("file:", "file://"):
        load_signer(f"{prefix}{tmp_path}/my%20key%20%C3%A9.pem", PASSPHRASE)


# --- Secrets


def test_a_secret_is_the_same_each_time_and_another_for_each_purpose(tmp_path: Path) -> None:
    """32 bytes and an id: stable for a file and a purpose, unrelated for another purpose or another file."""
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    for path in (one, two):
        assert generate(path, "X25519", PASSPHRASE) is None
    secrets = [
        load_secret(uri(path), PASSPHRASE, purpose)
        for path in (one, two)
        for purpose in ("storage", "index", "", "Storage")
    ]
    again = [
        load_secret(uri(path), PASSPHRASE, purpose)
        for path in (one, two)
        for purpose in ("storage", "index", "", "Storage")
    ]
    assert secrets == again
    assert len({secret.value for secret in secrets}) == len({secret.id for secret in secrets}) == 8
    assert all(len(secret.value) == 32 for secret in secrets)


def test_a_secret_is_derived_as_it_always_was(tmp_path: Path) -> None:
    """A known key gives a known secret: if this changes, everything stored becomes unreadable."""
    file = store(tmp_path / "key.pem", x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))))
    storage, index = (load_secret(file, PASSPHRASE, purpose) for purpose in ("storage", "index"))
    assert (storage.id, storage.value.hex()) == (
        "Yoap3gM0OMfv",
        "6ff4e0609c2ddc02a6e947d5595bcd75b685068db5c3a13d66877a8974eb9fee",
    )
    assert (index.id, index.value.hex()) == (
        "WXzWZd4BMZ5J",
        "ec716d7edfd06d07c4d947f43a629f4fb2385fe0f31e7a96306716837e235e08",
    )


def test_a_secret_does_not_hold_the_private_key(tmp_path: Path) -> None:
    """Neither the id nor the value is the key or part of it."""
    raw = bytes(range(32))
    file = store(tmp_path / "key.pem", x25519.X25519PrivateKey.from_private_bytes(raw))
    assert load_secret(file, PASSPHRASE, "storage").value != raw


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())], ids=["EdDSA", "ES256"]
)
def test_a_signing_key_is_no_secret_and_a_secret_no_signing_key(key: Any, tmp_path: Path) -> None:
    """One file has one use."""
    refused(lambda: load_secret(store(tmp_path / "a", key), PASSPHRASE, "storage"), "X25519")
    generate(tmp_path / "b", "X25519", PASSPHRASE)
    refused(lambda: load_signer(uri(tmp_path / "b"), PASSPHRASE), "Ed25519 or P-256")


# --- Nothing comes out


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_signer_shows_nothing_but_its_name(algorithm: str, tmp_path: Path) -> None:
    """In `repr`, `str`, a format and a traceback's locals."""
    generate(tmp_path / "key.pem", algorithm, PASSPHRASE)
    signer = load_signer(uri(tmp_path / "key.pem"), PASSPHRASE)
    assert {repr(signer), str(signer), f"{signer}"} == {f"KeyringSigner({signer.kid})"}
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(signer)


def test_a_secret_shows_nothing_but_its_id() -> None:
    """In `repr`, `str`, a container and a format."""
    secret = Secret("the-id", b"\x01the value that must not show\x02")
    assert {repr(secret), str(secret), f"{secret}", repr([secret])[1:-1]} == {"Secret(the-id)"}


# --- The passphrase


def test_the_passphrase_file_comes_before_the_environment(tmp_path: Path) -> None:
    """A file that is named is used; if it cannot be, nothing else is tried in its place."""
    write_private(tmp_path / "p", b"from the file\n")
    environment = {PASSPHRASE_VARIABLE: "from the environment"}
    assert read_passphrase(tmp_path / "p", environment) == b"from the file"
    assert read_passphrase(None, environment) == b"from the environment"
    refused(lambda: read_passphrase(tmp_path / "missing", environment), "cannot be read")
    (tmp_path / "p").chmod(0o644)
    refused(lambda: read_passphrase(tmp_path / "p", environment), "chmod 600")


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"a", b"a"),
        (b"a\n", b"a"),
        (b"a\r\n", b"a"),
        (b" a b \n", b" a b "),
        (b"a\nb\n", b"a\nb"),
        ("ä\n".encode(), "ä".encode()),
    ],
)
def test_only_the_last_line_end_is_not_part_of_a_passphrase(content: bytes, passphrase: bytes, tmp_path: Path) -> None:
    """Editors add it; blanks and everything else count."""
    write_private(tmp_path / "p", content)
    assert read_passphrase(tmp_path / "p", {}) == passphrase


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_passphrase_file_is_a_mistake(content: bytes, tmp_path: Path) -> None:
    """It is not passed over for the environment's."""
    write_private(tmp_path / "p", content)
    refused(lambda: read_passphrase(tmp_path / "p", {PASSPHRASE_VARIABLE: "x"}), "is empty")


def test_without_a_passphrase_no_file_opens(tmp_path: Path) -> None:
    """Keys in tokens need none, so its absence is told where a file is opened."""
    file = store(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate())
    for environment in ({}, {PASSPHRASE_VARIABLE: ""}):
        assert read_passphrase(None, environment) == b""
    refused(lambda: load_signer(file, b""), f"no passphrase: .*{PASSPHRASE_VARIABLE}")


def test_a_passphrase_that_is_not_utf_8_is_itself() -> None:
    """The environment is bytes to the operating system; they arrive as they are."""
    assert read_passphrase(None, {PASSPHRASE_VARIABLE: os.fsdecode(b"caf\xe9")}) == b"caf\xe9"


def test_a_systemd_credential_is_a_key_file_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name in the unit's own folder, and by nothing that leads out of it."""
    public = generate(tmp_path / "sign.pem", "EdDSA", PASSPHRASE)
    refused(lambda: load_signer("credential:sign.pem", PASSPHRASE), "CREDENTIALS_DIRECTORY is not set")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert public is not None
    assert load_signer("credential:sign.pem", PASSPHRASE).kid == public.kid
    for name in ("../sign.pem", "/etc/passwd", "a/b", "sign.pem?x=1", "%2e%2e/sign.pem", ""):
        refused(lambda name=name: load_signer(f"credential:{name}", PASSPHRASE), "a key URI|a file: or a credential:")


def test_a_key_that_could_not_be_written_whole_is_not_left_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: an error of its own, and room for the next attempt at the same place."""
    path = tmp_path / "sign.pem"

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        refused(lambda: generate(path, "EdDSA", PASSPHRASE), "cannot be written: No space left")
    assert not path.exists()
    generate(path, "EdDSA", PASSPHRASE)


class Vault:
    """A key service as an installed package would bring it; `signs_with` is another key where it lies."""

    def __init__(self, shows: Any, signs_with: Any = None) -> None:
        self.shows, self.signs_with = shows, signs_with or shows

    def __call__(self, uri: str) -> "Vault":
        assert uri == "vault:banten/sign"
        return self

    def public_key(self) -> Any:
        return self.shows.public_key()

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self.signs_with.sign(message)
        return signature


def installed(monkeypatch: pytest.MonkeyPatch, vault: Callable[[str], Any]) -> None:
    point = SimpleNamespace(load=lambda: vault)
    monkeypatch.setattr(
        services,
        "entry_points",
        lambda *, group, name: [point] if (group, name) == ("sinergi.keyring", "vault") else [],
    )


def test_a_key_service_signs_and_its_key_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs a package for a scheme can name keys by it; a scheme of nobody is refused."""
    key = ed25519.Ed25519PrivateKey.generate()
    installed(monkeypatch, Vault(key))
    signer = load_signer("vault:banten/sign", b"")
    text = sign_jws({"a": 1}, "receipt+jwt", signer)
    assert verify_jws(parse_jws(text, "receipt+jwt", 4), signer.public).payload == {"a": 1}
    refused(lambda: load_signer("kms:sign", PASSPHRASE), "nothing is installed for 'kms'")
    refused(lambda: load_secret("vault:banten/storage", PASSPHRASE, "storage"), "a file: or a credential:")


def test_a_key_service_that_lies_or_fails_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the first receipt; and what it says of its fault is not repeated."""
    key, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    installed(monkeypatch, Vault(key, signs_with=other))
    refused(lambda: load_signer("vault:banten/sign", b""), "does not sign")

    def broken(_uri: str) -> Any:
        raise RuntimeError(PASSPHRASE.decode())

    installed(monkeypatch, broken)
    refused(lambda: load_signer("vault:banten/sign", b""), r"does not sign \(RuntimeError\)")


def test_a_key_service_that_fails_later_is_away_until_it_signs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises is our own error, which the caller may try again; a network that fails at the start is no refusal."""
    vault = Vault(ed25519.Ed25519PrivateKey.generate())
    installed(monkeypatch, vault)
    signer = load_signer("vault:banten/sign", b"")

    def broken(_message: object) -> bytes:
        raise TimeoutError(PASSPHRASE.decode())

    with monkeypatch.context() as patched:
        patched.setattr(vault, "signs_with", SimpleNamespace(sign=broken))
        with pytest.raises(KeyAwayError, match=r"does not sign \(TimeoutError\)") as caught:
            signer.sign(b"x")
        assert (caught.value.code, caught.value.retry_after) == ("keyring.away", 5)
        assert not signer.answers()
        with pytest.raises(KeyAwayError):
            load_signer("vault:banten/sign", b"")
    assert signer.answers()


KMS = """
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

class Key:
    def __init__(self, uri):
        assert uri == "kms:banten/sign"
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.sign = self.key.sign

    def public_key(self):
        return self.key.public_key()
"""


def test_an_installed_package_brings_a_key_service(tmp_path: Path) -> None:
    """As pip would lay it out, found by the program itself, and by its scheme alone."""
    (tmp_path / "banten_kms.py").write_text(KMS)
    info = tmp_path / "banten_kms-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: banten-kms\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sinergi.keyring]\nkms = banten_kms:Key\n")
    told = [
        subprocess.run(
            [sys.executable, "-m", "gateway", "keys", "public", uri],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        for uri in ("kms:banten/sign", "kmz:banten/sign")
    ]
    public = signer_for(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))).public
    assert json.loads(told[0].stdout)["kid"] == public.kid
    assert (told[1].returncode, "nothing is installed for 'kmz'" in told[1].stderr) == (2, True)


def test_the_program_leaves_no_core_dump() -> None:
    """Whatever the shell allows, and where the kernel pipes dumps to a program too: keys are in its memory."""
    code = (
        "import ctypes, resource, sys\n"
        "from gateway.cli.main import main\n"
        "dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "print(dumpable())\n"
        "try:\n    main()\nexcept SystemExit:\n    print(resource.getrlimit(resource.RLIMIT_CORE), dumpable())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[0] == "1"
    assert done.stdout.splitlines()[-1] == "(0, 0) 0"

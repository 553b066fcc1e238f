"""The file of a private key: who may read it, what may be in it, and its passphrase."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    PrivateFormat,
)

from gateway.keyring import (
    PASSPHRASE_LIMIT,
    PASSPHRASE_VARIABLE,
    generate,
    load_signer,
    read_passphrase,
    read_private,
    write_private,
)
from tests.message.key_files import PASSPHRASE, RSA, refused, store, uri
from tests.message.making import said

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

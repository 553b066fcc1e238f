"""Private keys: who may read the file, what may be in it, and that nothing of it ever comes out."""

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
)

from gateway.jose import parse_jws, sign_jws, verify_jws
from gateway.keyring import (
    ALGORITHMS,
    Secret,
    generate,
    load_secret,
    load_signer,
    signer_for,
)
from tests.message.key_files import PASSPHRASE, RSA, refused, store, uri

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

"""A key service that an installed package brings: its key stays where it is, and it may lie or be away."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.errors import KeyAwayError
from gateway.jose import parse_jws, sign_jws, verify_jws
from gateway.keyring import (
    load_secret,
    load_signer,
    services,
    signer_for,
)
from tests.message.key_files import PASSPHRASE, refused


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

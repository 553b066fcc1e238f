"""Key files are scrypt's, with the cost that is written down, and other programs open them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.keyring import generate, load_signer, pkcs8
from gateway.keyring.files import ALGORITHMS
from tests.conftest import DEAR

PASSPHRASE = b"correct horse battery staple"
RANDOM = b"Vq9s0Ck-1mRZyT7uXjP3nD_LhW2aF8bQe5iGtO6KcYE"
# As `openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 2048` wrote it: what was made before has to open for ever.
PBKDF2 = b"""-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhyqEUe5H+DsgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFHsN7+jRg+FHcWNunUaQz8EQIb1
TbsMs09iFYTRMXmJvnR+4YwIE2oIZw753isoQvV/ENHbAudAsZQUQXgXHUh6KNho
cMKfkSJ/f43jhH3+cXc=
-----END ENCRYPTED PRIVATE KEY-----
"""
OPENSSL_SCRYPT = b"""-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjx2Vcb6hSbZgICBAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBCLjbi1R0f0bVLr2YQWy+GZBECnRQ1zrULeiMat
eI582vDNWh0XZIxZmB/eplE1kjWD1ZHT03917bCVpd6sGNxNrWwJEDUA8icO3VB9
bivtCZ/y
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("password", "salt", "cost", "expected"),
    [
        (b"", b"", (16, 1, 1), "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"),
        (b"password", b"NaCl", (1024, 8, 16), "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"),
        (
            b"pleaseletmein",
            b"SodiumChloride",
            (16384, 8, 1),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
        ),
    ],
)
def test_the_derivation_is_scrypt(password: bytes, salt: bytes, cost: tuple[int, int, int], expected: str) -> None:
    """Vectors of RFC 7914 §12, whose first half is a derivation of half the length (§6: PBKDF2 is a prefix of itself)."""
    assert Scrypt(salt, 32, *cost).derive(password).hex() == expected


def test_a_key_file_names_scrypt_and_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guess costs stands in the file: 2^14 · 8 · 5 for a passphrase that a person may have thought of."""
    monkeypatch.setattr(pkcs8, "COST", DEAR)
    pem = pkcs8.encrypted(Ed25519PrivateKey.generate(), PASSPHRASE)
    told = subprocess.run(["openssl", "asn1parse"], input=pem, capture_output=True, check=True).stdout.decode()
    for expected in (":PBES2", ":scrypt", ":aes-256-cbc"):
        assert expected in told
    assert re.findall(r"INTEGER +:([0-9A-F]+)", told) == ["4000", "08", "05"]


def test_the_program_writes_the_dear_form(tmp_path: Path) -> None:
    """The installed program, and not only a test with its own cost; `openssl` opens it within its own limits."""
    secret = tmp_path / "pass"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    key = tmp_path / "key.pem"
    sinergi = Path(sys.executable).with_name("sinergi")
    made = [sinergi, "keys", "generate", key, "--passphrase-file", secret]
    subprocess.run(made, capture_output=True, check=True, timeout=60)
    told = subprocess.run(["openssl", "asn1parse", "-in", key], capture_output=True, check=True).stdout.decode()
    assert re.findall(r"INTEGER +:([0-9A-F]+)", told) == ["4000", "08", "05"]
    opened = subprocess.run(
        ["openssl", "pkey", "-in", key, "-passin", f"file:{secret}", "-pubout"], capture_output=True, check=True
    ).stdout
    assert opened.startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("passphrase", [PASSPHRASE, RANDOM, "ñ".encode() * 20])
def test_openssl_opens_what_is_written(passphrase: bytes, tmp_path: Path) -> None:
    """An outside program, with the bytes of the passphrase as they are."""
    key = Ed25519PrivateKey.generate()
    pem = pkcs8.encrypted(key, passphrase)
    assert load_pem_private_key(pem, passphrase).public_key() == key.public_key()  # type: ignore[comparison-overlap]
    secret = tmp_path / "pass"
    secret.write_bytes(passphrase)
    opened = subprocess.run(
        ["openssl", "pkey", "-outform", "DER", "-passin", f"file:{secret}"], input=pem, capture_output=True, check=True
    ).stdout
    assert opened.endswith(key.private_bytes_raw())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_key_comes_back(algorithm: str, tmp_path: Path) -> None:
    """The largest and the smallest: padding and lengths are right for each."""
    generate(tmp_path / "key.pem", algorithm, PASSPHRASE)
    pem = (tmp_path / "key.pem").read_bytes()
    assert load_pem_private_key(pem, PASSPHRASE)
    assert max(map(len, pem.splitlines())) == 64
    with pytest.raises(ValueError, match=r".+"):
        load_pem_private_key(pem, PASSPHRASE + b"x")


def test_no_two_files_of_one_key_are_alike() -> None:
    """Salt and first block are new each time: equal keys or passphrases do not show."""
    key = Ed25519PrivateKey.generate()
    assert pkcs8.encrypted(key, PASSPHRASE).splitlines()[2] != pkcs8.encrypted(key, PASSPHRASE).splitlines()[2]


@pytest.mark.parametrize("passphrase", [RANDOM[:-1], RANDOM + b"A", RANDOM[:-1] + b" ", PASSPHRASE, b"x" * 200])
def test_only_what_init_makes_is_cheap_to_open(passphrase: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 random bytes in base64url; whatever else is stretched."""
    monkeypatch.setattr(pkcs8, "COST", DEAR)
    assert pkcs8.cost_for(RANDOM) == pkcs8.RANDOM_COST
    assert pkcs8.cost_for(passphrase) == DEAR


@pytest.mark.parametrize("pem", [PBKDF2, OPENSSL_SCRYPT], ids=["PBKDF2", "scrypt by openssl"])
def test_files_of_other_programs_open(pem: bytes, tmp_path: Path) -> None:
    """PBKDF2 as it was written before, and scrypt as openssl writes it."""
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    assert load_signer(f"file:{path}", PASSPHRASE).kid == "1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y"

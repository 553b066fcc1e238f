"""Key files as others would write them, and how their refusal reads: nothing of the key or its passphrase."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway.errors import KeyringError
from gateway.keyring import (
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

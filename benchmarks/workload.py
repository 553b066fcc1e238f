"""The one message that every arm handles: a 2 KB early warning with three disclosable fields, two of them withheld."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

from gateway.jose import Signer
from gateway.message.envelope import Claims, issue
from gateway.resources import schemas_dir

WARNING: Final = "early-warning.report/1"
IMIGRASI, POLDA, AGREEMENT = "imigrasi-banten", "polda-banten", "pks-banten-2025"
# Without a case the narrative and the reporter stay behind; the indicators are disclosable, and go along.
DISCLOSABLE: Final = ("/body/reporter", "/body/narrative", "/body/indicators")
WITHHELD: Final = ("/body/narrative", "/body/reporter")
BYTES: Final = 2048
_LARGEST: Final = 1_048_576


def body() -> dict[str, Any]:
    """The published example from Pulo Panjang; `message` fills its narrative up to the size."""
    file = schemas_dir() / "early-warning.report" / "1" / "examples" / "valid-pulo-panjang.json"
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    del read["recruiter"]
    read["narrative"] = "Warga melapor."
    return read


def message(signer: Signer, content: dict[str, Any]) -> str:
    """A fresh message; each has its own `jti` and salts, as in life."""
    now = int(time.time())
    claims = Claims(
        iss=IMIGRASI,
        aud=POLDA,
        iat=now,
        exp=now + 86_400,
        jti=secrets.token_urlsafe(12),
        type=WARNING,
        agreement=AGREEMENT,
        purpose="EARLY_WARNING",
        classification="T",
    )
    return issue(claims, content, DISCLOSABLE, signer)


def large_messages(signer: Signer, count: int) -> list[str]:
    """Messages of almost 1 MiB, the most that is read. No schema permits them: each is verified, refused and recorded."""
    content = body()
    content["narrative"] = "x" * (_LARGEST * 3 // 4 - 4_096)
    return [message(signer, content) for _ in range(count)]


def messages(signer: Signer, count: int) -> Iterator[str]:
    """`count` messages of BYTES bytes, give or take four."""
    content = body()
    lacking = BYTES - len(message(signer, content))
    content["narrative"] = content["narrative"] + " Keterangan warga." + "." * max(0, lacking * 3 // 4 - 18)
    for _ in range(count):
        yield message(signer, content)

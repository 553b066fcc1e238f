"""The agreement that comes with the program, in force on the day of the test: beyond its term renewed as by the demo.

For tests that really run a gateway, whose clock is the machine's. What decides is given a moment, and tested on the text as it
stands.
"""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gateway import resources
from gateway.demo.renewal import in_force

AGREEMENT: Final = "pks-banten-2025"
_FOLDER: Final = TemporaryDirectory(prefix="sinergi-agreement-")


def standing() -> Path:
    """The document's file; a copy under the same name where its last day had to be another one."""
    shipped = resources.agreements_dir() / f"{AGREEMENT}.yaml"
    text, renewed_until = in_force(shipped.read_text(encoding="utf-8"), datetime.now(UTC).date())
    if renewed_until is None:
        return shipped
    copy = Path(_FOLDER.name) / shipped.name
    copy.write_text(text, encoding="utf-8")
    return copy


def version(number: int, text: str, *, until: date | None = None) -> str:
    """The document as a later version, and with another last day."""
    changed, found = re.subn(r"^version: 1$", f"version: {number}", text, flags=re.MULTILINE)
    assert found == 1
    if until is not None:
        changed, found = re.subn(r"(?<=^valid_until:\n  date: )\S+$", str(until), changed, flags=re.MULTILINE)
        assert found == 1
    return changed

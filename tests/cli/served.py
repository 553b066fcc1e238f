"""A gateway that is being served, and both agencies at their shells."""

import sys
from pathlib import Path
from typing import Any

from gateway import resources
from tests.cli.shell import AGENCIES, Shell

SINERGI = Path(sys.executable).with_name("sinergi")


IMIGRASI, POLDA = AGENCIES


BODY = resources.schemas_dir() / "early-warning.report" / "1" / "examples" / "valid-pulo-panjang.json"


DISCLOSE = tuple(
    word for field in ("reporter", "recruiter", "narrative") for word in ("--disclose", f"/body/{field}")
)  # fmt: skip


class Served(Shell):
    """A shell whose gateway is being served at `url`."""

    url: str = ""

    def side(self, agency: str) -> tuple[object, ...]:
        """Who acts, with which key, where."""
        return (
            "--as", agency, "--key", f"file:{self.home / agency}.pem", "--passphrase-file", self.home / f"{agency}.pass",
            "--gateway", self.url,
        )  # fmt: skip

    def token(self, name: str, role: str) -> Path:
        issued = self.ok("auditors", "issue", "--why", "T-1", name, "--name", name, "--role", role, "--days", "1")
        return self.secret(f"{name}.token", issued.out)

    def warn(self, *more: object, purpose: str = "EARLY_WARNING") -> Any:
        return self(
            "send", BODY, "--to", POLDA, "--type", "early-warning.report/1", "--agreement", "pks-banten-2025",
            "--purpose", purpose, "--classification", "R", *DISCLOSE, *more, *self.side(IMIGRASI),
        )  # fmt: skip


REFERRAL = resources.schemas_dir() / "victim.referral" / "1" / "examples" / "valid-adult.json"

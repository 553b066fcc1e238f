"""A SoftHSM2 token of the tests' own: made once a process, in a folder of its own, gone with it."""

import atexit
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)
PIN = "Rahasia-73918264"
LABEL = "Uji Banten"


@dataclass(frozen=True, slots=True)
class SoftToken:
    """`conf` is what SOFTHSM2_CONF must name in another process, `pin_file` where the PIN lies."""

    module: Path
    conf: Path
    pin_file: Path

    def uri(self, name: str, number: int, *, pin: Path | None = None) -> str:
        label = LABEL.replace(" ", "%20")
        return (
            f"pkcs11:token={label};object={name};id=%{number:02X}"
            f"?module-path={self.module}&pin-source=file:{pin or self.pin_file}"
        )


@cache
def soft_token() -> SoftToken:
    """Skips, with the reason, where the package `softhsm2` is not installed; `.ci/run` installs it."""
    module = next((path for path in MODULES if path.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        if os.environ.get("SINERGI_TEST_HSM") == "required":
            pytest.fail("SoftHSM2 is not installed, and .ci/run should have done that")
        pytest.skip("SoftHSM2 is not installed (Debian: apt-get install softhsm2)")
    folder = Path(tempfile.mkdtemp(prefix="sinergi-hsm-"))
    atexit.register(_remove, folder, os.getpid())
    (folder / "tokens").mkdir()
    conf, pin = folder / "softhsm2.conf", folder / "pin"
    conf.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    pin.touch(0o600)
    pin.write_text(f"{PIN}\n")
    os.environ["SOFTHSM2_CONF"] = str(conf)
    made = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", f"SO-{PIN}"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    return SoftToken(module, conf, pin)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a child that was forked
        shutil.rmtree(folder, ignore_errors=True)

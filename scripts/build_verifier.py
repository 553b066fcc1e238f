"""Build the standalone verifier: one file that runs with Python and `cryptography` alone.

python scripts/build_verifier.py [FILE]     default: dist/sinergi-verify.pyz
"""  # noqa: INP001 - a program, not a package

import sys
import zipfile
from importlib import import_module
from pathlib import Path

# Loaded while a command runs, so they are named here; rfc3161-client is for whoever has it.
LATE = (
    "gateway.cli.verifier",
    "gateway.cli.given",
    "gateway.evidence.checks",
    "gateway.evidence.report",
    "gateway.ledger.timestamp",
)
VENDORED = ("jwt", "rfc8785")
MAIN = b"import sys\nfrom gateway.cli.verifier import main\nsys.exit(main())\n"


def contents() -> dict[str, bytes]:
    """The program's own modules, as they are, and the two pure packages that they import."""
    for name in (*LATE, *VENDORED):
        import_module(name)
    files = {"__main__.py": MAIN}
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if name.partition(".")[0] == "gateway" and file:
            path = name.replace(".", "/") + ("/__init__.py" if Path(file).name == "__init__.py" else ".py")
            files[path] = Path(file).read_bytes()
    for package in VENDORED:
        root = Path(str(sys.modules[package].__file__)).parent
        for source in sorted(root.rglob("*.py")):
            files[f"{package}/{source.relative_to(root).as_posix()}"] = source.read_bytes()
    return files


def build(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(contents().items()):
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    target.chmod(0o755)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist/sinergi-verify.pyz"))

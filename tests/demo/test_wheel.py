"""What is installed is enough: the wheel alone, in a virtual environment of its own, runs the demo."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*command: object, cwd: Path) -> str:
    """The output of a program that knows nothing of this checkout but what is installed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the built wheel; its dependencies are the ones that are installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("sinergi-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    call(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # A folder that a .pth file names is searched last, and its own .pth files, such as this checkout's, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


def test_the_wheel_carries_schemas_and_agreements(installed: Path, tmp_path: Path) -> None:
    """They are read from inside the installed package, and are those of the checkout."""
    program = "import gateway, gateway.resources as r; print(gateway.__file__, r.schemas_dir(), r.agreements_dir())"
    package, schemas, agreements = call(installed / "bin" / "python", "-c", program, cwd=tmp_path).split()
    for path in (package, schemas, agreements):
        assert Path(path).is_relative_to(installed)
    for found, original in ((schemas, ROOT / "schemas"), (agreements, ROOT / "agreements")):
        names = {file.relative_to(original) for file in original.rglob("*") if file.suffix in (".json", ".yaml")}
        assert names
        assert {name for name in names if not (Path(found) / name).is_file()} == set()


@pytest.mark.timeout(240)
def test_the_installed_demo_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """Nothing of the checkout is needed, the tests least of all."""
    text = call(installed / "bin" / "sinergi", "demo", cwd=tmp_path)
    assert "Everything it made is in ./sinergi-demo" in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["sinergi-demo"]

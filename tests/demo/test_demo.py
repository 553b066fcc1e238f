"""`sinergi demo` from outside: it ends well, it says what went wrong, and it leaves no process behind."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gateway.demo.play
from gateway.demo import run
from gateway.demo.folder import MARKER, claimed
from gateway.demo.province import IMIGRASI, POLDA
from gateway.demo.scenes import SCENES, Scene
from gateway.demo.stage import Stage
from gateway.errors import OperatorError

PROGRAM = (sys.executable, "-m", "gateway", "demo", "--dir")


def nobody_is_left(folder: Path) -> bool:
    """Every process of a demo holds the lock of its folder until it ends."""
    with (folder / MARKER).open("rb") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_the_demo_plays_every_scene_and_leaves_no_process(tmp_path: Path) -> None:
    """Exit 0, a tick for every scene, plain text in a pipe, no private value in it, and nobody left."""
    folder = tmp_path / "demo"
    # What a real gateway's operator has in the environment must not reach the demo's own.
    environment = os.environ | {"SINERGI_DATABASE__URL": "sqlite:////nowhere/x.db", "http_proxy": "http://127.0.0.1:9"}
    environment.pop("COLUMNS", None)  # the runner's, not a reader's
    played = subprocess.run([*PROGRAM, folder], capture_output=True, timeout=120, env=environment, check=False)
    text = played.stdout.decode()
    assert played.returncode == 0, text + played.stderr.decode()
    assert played.stderr == b""
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    summary = text.partition("Ringkasan")[2]
    for number, scene in enumerate(SCENES, 1):
        assert f"{number}   ✓   {scene.title}" in summary
    assert f"{len(SCENES)} scenes" in summary
    assert str(folder) in text.splitlines()[0]
    assert str(folder) in text.splitlines()[-1]
    assert nobody_is_left(folder)
    secrets = [folder / "auditor.token", folder / "gateway" / "keys" / "passphrase"]
    secrets += [folder / agency / name for agency in (IMIGRASI, POLDA) for name in ("passphrase", "desk.token")]
    logs = "".join(file.read_text() for file in (folder / "logs").iterdir())
    for file in secrets:
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_text().strip() not in text + logs


def test_a_stop_in_the_middle_ends_every_process(tmp_path: Path) -> None:
    """SIGTERM while a scene is played: exit 143, and nobody left."""
    folder = tmp_path / "demo"
    with subprocess.Popen([*PROGRAM, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        said = [line for line in iter(demo.stdout.readline, "") if not line.startswith("1  ") or demo.terminate()]
        assert demo.wait(60) == 128 + signal.SIGTERM, "".join(said)
    assert nobody_is_left(folder)


def test_a_scene_that_differs_ends_the_demo_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what was expected and what was found, shows the logs, plays nothing after it, and stops everything."""

    def fails(stage: Stage) -> None:
        stage.expect("the gateway is where it says", stage.province.base.startswith("http"))
        stage.expect("two and two", 2 + 2, 5)

    def never(_stage: Stage) -> None:
        raise AssertionError("a scene after the failed one")

    scenes = (Scene("Hitungan", "A sum.", fails), Scene("Sesudahnya", "Afterwards.", never))
    monkeypatch.setattr(gateway.demo.play, "SCENES", scenes)
    folder = tmp_path / "demo"
    assert run(folder, keep=False, as_json=True) == 1
    printed, told = capsys.readouterr()
    assert "two and two: expected 5, found 4" in told
    assert "the last lines of gateway.log" in told
    assert "not played" in told
    result = json.loads(printed)
    assert (result["ok"], result["directory"]) == (False, str(folder))
    assert [(scene["title"], scene["ok"], scene["checks"]) for scene in result["scenes"]] == [("Hitungan", False, 1)]
    assert result["scenes"][0]["difference"] == "two and two: expected 5, found 4"
    assert nobody_is_left(folder)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A file that no demo made stays, and the command ends as misuse."""
    mine = tmp_path / "report.txt"
    mine.write_text("mine")
    refused = subprocess.run([*PROGRAM, tmp_path], capture_output=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"is not empty and was not made by a demo" in refused.stderr
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(mine, "mine")]


def test_the_folder_of_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    """Everything in it goes, and a link goes without what it names."""
    folder, elsewhere = tmp_path / "demo", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    with claimed(folder):
        (folder / "gateway").mkdir()
        (folder / "gateway" / "sinergi.db").write_text("old")
        (folder / "link").symlink_to(elsewhere)
    with claimed(folder):
        assert [entry.name for entry in folder.iterdir()] == [MARKER]
    assert (elsewhere / "kept").read_text() == "kept"


def test_a_folder_is_used_by_one_demo_at_a_time(tmp_path: Path) -> None:
    """A second demo is refused while the first runs, and touches nothing of it."""
    with claimed(tmp_path):
        (tmp_path / "gateway").mkdir()
        with pytest.raises(OperatorError, match="a demo is running"), claimed(tmp_path):
            pass
        assert (tmp_path / "gateway").is_dir()

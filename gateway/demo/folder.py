"""The demo's folder: whose it is, whether it may be replaced, and that only one demo uses it at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import OperatorError

MARKER: Final = ".sinergi-demo"
_WORDS: Final = b"Made by `sinergi demo`. The next demo replaces everything in this folder.\n"


@dataclass(frozen=True, slots=True)
class Folder:
    """`lock` is inherited by every process of the demo, so that the folder is taken as long as one of them lives."""

    path: Path
    lock: int

    def note(self, line: str) -> None:
        """Into the marker, for whoever finds the folder taken."""
        os.write(self.lock, f"{line}\n".encode())


@contextmanager
def claimed(directory: Path) -> Iterator[Folder]:
    """An empty folder that holds nothing but the marker, for as long as the context lasts.

    Raises OperatorError for a folder with anything in it that no earlier demo made, and while another demo runs there.
    """
    path = directory.absolute()
    marker = path / MARKER
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not marker.is_file() and any(path.iterdir()):
            raise OperatorError(f"{path} is not empty and was not made by a demo: name another folder with --dir")
        lock = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(f"{path} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OperatorError(
                f"a demo is running in {path}: end its processes, which {marker} lists, or name another folder"
            ) from error
        try:
            _empty(path)
            os.truncate(lock, 0)
            os.write(lock, _WORDS)
            path.chmod(0o700)
        except OSError as error:
            raise OperatorError(f"{path} cannot be emptied: {error.strerror}") from error
        yield Folder(path, lock)
    finally:
        os.close(lock)


def _empty(path: Path) -> None:
    """What an earlier demo left goes. A link is removed, never followed."""
    for entry in path.iterdir():
        if entry.name == MARKER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()

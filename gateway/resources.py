"""Where the files that come with the program are: message schemas and the agreement drafts.

Decides the folder, nothing else. An installed wheel carries them under `gateway/_data`; a checkout has them at its top,
where people read and edit them.
"""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def _directory(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def schemas_dir() -> Path:
    """The folder that `gateway.message_types.catalogue.load` reads."""
    return _directory("schemas")


def agreements_dir() -> Path:
    """The folder of agreement documents."""
    return _directory("agreements")

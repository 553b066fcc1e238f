"""What is given in files and in words: documents, JSON, moments. Reads, parses, and says which file was wrong."""

import json
import sys
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Final

from gateway.errors import OperatorError

STDIN: Final = "-"
FILE_LIMIT: Final = 4 * 1024 * 1024


def read_text(path: Path) -> str:
    """A file's text, or standard input's for `-`. Raises OperatorError."""
    try:
        if str(path) == STDIN:
            data = sys.stdin.buffer.read(FILE_LIMIT + 1)
        else:
            with path.open("rb") as file:
                data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > FILE_LIMIT:
        raise OperatorError(f"{path} is larger than {FILE_LIMIT} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path} is not UTF-8") from error


def read_object(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises OperatorError, which never quotes the file."""
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError):
        # `from None`: the library's message may quote the content.
        raise OperatorError(f"{path} is not JSON") from None
    if not isinstance(value, dict):
        raise OperatorError(f"{path} is not a JSON object")
    return value


def read_moment(text: str | None, name: str) -> datetime | None:
    """RFC 3339 with an offset, or a day, which begins at midnight UTC. Raises OperatorError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(f"{name} must be a day (2026-11-23) or RFC 3339 (2026-11-23T08:00:00+07:00)") from error
    if found.tzinfo is not None:
        return found
    if len(text) > len("2026-11-23"):
        raise OperatorError(f"{name} needs an offset, for instance Z or +07:00")
    return datetime.combine(found.date(), time(), UTC)


def write_new(path: Path, content: bytes) -> None:
    """A new file for everybody to read, whole or not at all; never overwrites. Raises OperatorError.

    What holds a message or a name is for its owner alone: `keyring.write_private`.
    """
    try:
        file = path.open("xb")
    except OSError as error:
        raise OperatorError(f"{path} cannot be created: {error.strerror}") from error
    try:
        with file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OperatorError(f"{path} cannot be written: {error.strerror}") from error

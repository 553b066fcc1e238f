"""Where a published ledger is read from: an export directory, or a web server. The one file of `ledger/` with I/O."""

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import LedgerInvalidError
from gateway.ledger.tiles import BUNDLE_LIMIT, CHECKPOINT_PATH, TilePath
from gateway.ledger.verify import SourceUnavailableError, TileMissingError

if TYPE_CHECKING:
    import httpx


class DirectorySource:
    """The tree of files that a web server would serve under a ledger's prefix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, path: str) -> bytes:
        _check_path(path)
        try:
            with (self._path / path).open("rb") as file:
                data = file.read(BUNDLE_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TileMissingError(f"{path} is missing") from error
        except OSError as error:
            raise SourceUnavailableError(f"{path} cannot be read: {error.strerror}") from error
        return _bounded(path, data)


class HttpSource:
    """A ledger's prefix on a web server, through a client whose time limits, trust roots and base URL are the caller's.

    `prefix` ends in a slash, as in `https://gateway.example/ledger/pks-banten-2025/`; it may be empty when the client's
    base URL is the prefix.
    """

    def __init__(self, client: "httpx.Client", prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    def fetch(self, path: str) -> bytes:
        import httpx

        _check_path(path)
        try:
            with self._client.stream("GET", f"{self._prefix}{path}") as response:
                if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
                    raise TileMissingError(f"{path} is missing")
                if response.status_code != httpx.codes.OK:
                    raise SourceUnavailableError(f"{path} was answered with status {response.status_code}")
                parts, length = [], 0
                for part in response.iter_bytes():
                    parts.append(part)
                    length += len(part)
                    if length > BUNDLE_LIMIT:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceUnavailableError(f"{path} cannot be fetched: {type(error).__name__}") from error
        return _bounded(path, b"".join(parts))


def _check_path(path: str) -> None:
    """Only what a ledger publishes is ever asked for, so no path can lead out of the directory or prefix."""
    if path != CHECKPOINT_PATH:
        TilePath.parse(path)


def _bounded(path: str, data: bytes) -> bytes:
    if len(data) > BUNDLE_LIMIT:
        raise LedgerInvalidError(f"{path} is larger than anything a ledger publishes")
    return data

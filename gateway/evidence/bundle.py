"""The bundle as a file: a zip with a signed list of what is in it.

Decides names, limits and the list (`manifest.jws`). Every other file is named in the list with its SHA-256, so that an
altered, missing or added byte is found, and where. Leaves what the files say to `checks.py`.
"""

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import EvidenceInvalidError, GatewayError
from gateway.evidence.findings import Refuted, found, joined, of, refuted
from gateway.jose import PublicKey, Signer, b64encode, parse_jws, sign_jws, verify_jws

FORMAT: Final = "sinergi-evidence/1"
MANIFEST: Final = "manifest.jws"
MANIFEST_TYP: Final = "evidence+jwt"
FILES_LIMIT: Final = 512
BYTES_LIMIT: Final = 64 * 1024 * 1024
_NAME: Final = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,63}/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_MEMBERS: Final = frozenset({"format", "iss", "iat", "transfer", "files"})
# A zip counts two seconds and no time zone; the manifest has the real time.
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files by name, as they were read: nothing of them is believed yet."""

    files: Mapping[str, bytes]

    def read(self, name: str) -> bytes:
        """Raises EvidenceInvalidError, naming the file, where it is missing."""
        try:
            return self.files[name]
        except KeyError:
            raise refuted("missing", name=name) from None

    def text(self, name: str) -> str:
        """Raises EvidenceInvalidError where it is missing or is no UTF-8."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise refuted("no-text", name=name) from error

    def below(self, folder: str) -> tuple[str, ...]:
        """The names in a folder, in order."""
        return tuple(sorted(name for name in self.files if name.startswith(f"{folder}/")))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the gateway signed: which transfer, when it was put together, and the digest of each file."""

    gateway: str
    made_at: datetime
    transfer: str
    digests: Mapping[str, str]


def pack(files: Mapping[str, bytes], *, gateway: str, transfer: str, made_at: datetime, signer: Signer) -> bytes:
    """The zip. The same files, moment and signature give the same bytes."""
    claims = {
        "format": FORMAT,
        "iss": gateway,
        "iat": int(made_at.timestamp()),
        "transfer": transfer,
        "files": {name: _digest(files[name]) for name in sorted(files)},
    }
    whole = {**files, MANIFEST: sign_jws(claims, MANIFEST_TYP, signer).encode()}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(whole):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, whole[name])
    return held.getvalue()


def unpack(data: bytes) -> Bundle:
    """Raises EvidenceInvalidError for what is no bundle: another form, a name twice, more than the limits."""
    if len(data) > BYTES_LIMIT:
        raise EvidenceInvalidError(f"a bundle is at most {BYTES_LIMIT} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _require_sane(entries)
            files = {}
            left = BYTES_LIMIT
            for entry in entries:
                with archive.open(entry) as member:
                    # What a zip says of its sizes is not believed.
                    content = member.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise EvidenceInvalidError(f"a bundle has at most {BYTES_LIMIT} bytes")
                files[entry.filename] = content
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
        raise EvidenceInvalidError("not a zip that can be read") from error
    return Bundle(files)


def _require_sane(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > FILES_LIMIT:
        raise EvidenceInvalidError(f"a bundle has at most {FILES_LIMIT} files")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise EvidenceInvalidError("a name is there twice")
    for name in names:
        if not _NAME.fullmatch(name):
            raise EvidenceInvalidError("a name has another form than a bundle's files have")


def manifest(bundle: Bundle, keys: Mapping[str, PublicKey]) -> Manifest:
    """The signed list, and that it is of exactly these files. Raises EvidenceInvalidError, naming each that differs."""
    try:
        jws = parse_jws(bundle.text(MANIFEST), MANIFEST_TYP, 4)
        claims = verify_jws(jws, _trusted(jws.kid, keys)).payload
    except Refuted:
        raise
    except GatewayError as error:
        raise Refuted(of(error, MANIFEST)) from error
    listed = _listed(claims)
    actual = {name: _digest(content) for name, content in bundle.files.items() if name != MANIFEST}
    both = sorted(listed.keys() & actual.keys())
    wrong = [found("altered", name=name) for name in both if listed[name] != actual[name]]
    wrong += [found("missing", name=name) for name in sorted(listed.keys() - actual.keys())]
    wrong += [found("added", name=name) for name in sorted(actual.keys() - listed.keys())]
    if wrong:
        raise Refuted(joined(wrong, "; "))
    return Manifest(claims["iss"], datetime.fromtimestamp(claims["iat"], UTC), claims["transfer"], listed)


def _trusted(kid: str, keys: Mapping[str, PublicKey]) -> PublicKey:
    if kid not in keys:
        raise refuted("untrusted", name=MANIFEST)
    return keys[kid]


def _listed(claims: Mapping[str, Any]) -> dict[str, str]:
    files = claims.get("files")
    formed = (
        claims.keys() == _MEMBERS
        and claims["format"] == FORMAT
        and all(isinstance(claims[name], str) for name in ("iss", "transfer"))
        and type(claims["iat"]) is int
        and isinstance(files, dict)
        and all(isinstance(digest, str) for digest in files.values())
    )
    if not formed:
        raise refuted("no-list", name=MANIFEST)
    return dict(files or {})


def _digest(content: bytes) -> str:
    return b64encode(hashlib.sha256(content).digest())

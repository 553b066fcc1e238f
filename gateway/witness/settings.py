"""A witness's settings: one TOML file with its name, its key, where it listens, and the logs that it knows.

    [witness]
    name = "witness.polda-banten.example/w1"
    key = "file:/etc/sinergi-witness/keys/witness.pem"

    [[log]]
    origin = "sinergi.example.id/ledger/pks-banten-2025"
    vkeys = ["sinergi.example.id/ledger/pks-banten-2025+4f3c…"]

Decides what may stand there. A log that does not stand there is not cosigned.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.errors import LedgerInvalidError, OperatorError
from gateway.ledger.note import COSIGNATURE_V1, NoteVerifier, check_name

CONFIG_VARIABLE: Final = "SINERGI_WITNESS_CONFIG"
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class OwnSettings(BaseModel):
    model_config = _STRICT
    name: str = Field(description="The witness's name: a URL without scheme, and different for each key.")
    key: str = Field(description="URI of the key that cosigns.")
    passphrase_file: Path | None = Field(None, description="Passphrase of the key file; else SINERGI_KEY_PASSPHRASE.")
    memory: Path = Field(description="The file with what was cosigned. Never restore it from a backup.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8090, ge=0, le=65535, description="Port to listen on.")
    tls_certificate: Path | None = Field(None, description="PEM chain; with `tls_key` the witness speaks TLS.")
    tls_key: Path | None = Field(None, description="PEM key of the certificate.")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            check_name(value)
        except LedgerInvalidError as error:
            raise ValueError("a name has 1 to 255 bytes, and no space or plus") from error
        return value


class LogSettings(BaseModel):
    model_config = _STRICT
    origin: str = Field(min_length=1, description="The first line of the log's checkpoints.")
    vkeys: tuple[str, ...] = Field(min_length=1, description="Keys, any of which signs for the log.")

    @field_validator("vkeys")
    @classmethod
    def _vkeys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for vkey in value:
            log_key(vkey)
        return value


class WitnessSettings(BaseModel):
    """All of it, from `load`."""

    model_config = _STRICT
    witness: OwnSettings
    log: tuple[LogSettings, ...] = ()

    @field_validator("log")
    @classmethod
    def _log(cls, value: tuple[LogSettings, ...]) -> tuple[LogSettings, ...]:
        if len({log.origin for log in value}) != len(value):
            raise ValueError("an origin is listed once, with all of its keys")
        return value

    @property
    def logs(self) -> Mapping[str, tuple[NoteVerifier, ...]]:
        return {log.origin: tuple(log_key(vkey) for vkey in log.vkeys) for log in self.log}


def log_key(vkey: str) -> NoteVerifier:
    """The key of a log. Raises ValueError, also for a key that only cosigns."""
    try:
        key = NoteVerifier.parse(vkey)
    except LedgerInvalidError as error:
        raise ValueError(f"not a verifier key: {error.detail}") from error
    if key.type == COSIGNATURE_V1:
        raise ValueError("a key that cosigns is no log's key")
    return key


def load(file: Path) -> WitnessSettings:
    """Raises OperatorError, naming every bad setting and no value."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OperatorError(f"{file} does not exist: run `sinergi witness init`, or name another file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} cannot be read") from error
    return _parse(text, file)


def _parse(text: str, file: Path) -> WitnessSettings:
    try:
        return WitnessSettings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{file} is not valid TOML") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False)
        )
        raise OperatorError(f"the settings are not valid: {faults}") from None


def written(name: str, directory: Path, passphrase_file: Path, host: str, port: int) -> bytes:
    """The file that `init` writes."""
    lines = [
        "# Written by `sinergi witness init`. Every setting: docs/howto/run-a-witness.md",
        "",
        "[witness]",
        f"name = {_string(name)}",
        f"key = {_string('file:' + quote(str(directory / 'keys' / 'witness.pem')))}",
        f"passphrase_file = {_string(str(passphrase_file))}",
        f"memory = {_string(str(directory / 'witness.db'))}",
        f"host = {_string(host)}",
        f"port = {port}",
    ]
    return ("\n".join(lines) + "\n").encode()


def add_log(file: Path, origin: str, vkeys: tuple[str, ...]) -> None:
    """Writes the log behind what the file holds, and replaces the file only by one that is valid. Raises OperatorError."""
    settings = load(file)
    if origin in settings.logs:
        raise OperatorError(f"{origin} is known already: to add a key use --beside; to remove one edit {file}")
    added = f"\n[[log]]\norigin = {_string(origin)}\nvkeys = [{', '.join(map(_string, vkeys))}]\n"
    text = file.read_text(encoding="utf-8").rstrip("\n") + "\n" + added
    _parse(text, file)
    _replace(file, text)


def add_keys(file: Path, origin: str, vkeys: tuple[str, ...]) -> tuple[str, ...]:
    """Writes further keys behind those that a known log has, for as long as two of them sign for it; all of its keys.

    Only that list is touched. Raises OperatorError for a log that is not known, or whose list is not where it can be found.
    """
    settings = load(file)
    held = next((log.vkeys for log in settings.log if log.origin == origin), None)
    if held is None:
        raise OperatorError(f"{origin} is not known: add it without --beside")
    every = (*held, *(vkey for vkey in dict.fromkeys(vkeys) if vkey not in held))
    head, *blocks = re.split(r"(?m)^(?=[ \t]*\[\[log\]\])", file.read_text(encoding="utf-8"))
    for number, block in enumerate(blocks):
        if _parse_block(block) == origin:
            blocks[number] = _VKEYS.sub(lambda _: f"vkeys = [{', '.join(map(_string, every))}]", block, count=1)
    text = head + "".join(blocks)
    wanted = [log.model_copy(update={"vkeys": every}) if log.origin == origin else log for log in settings.log]
    if _parse(text, file) != settings.model_copy(update={"log": tuple(wanted)}):
        raise OperatorError(f"the keys of {origin} cannot be found in {file}: edit it")
    _replace(file, text)
    return every


_VKEYS: Final = re.compile(r"(?m)^[ \t]*vkeys[ \t]*=[ \t]*\[(?:[^\]\"'#]|\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*)*\]")


def _parse_block(block: str) -> str | None:
    try:
        return str(tomllib.loads(block)["log"][0]["origin"])
    except (tomllib.TOMLDecodeError, KeyError, IndexError, TypeError):
        return None


def _replace(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with fresh.open("x", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.chmod(file.stat().st_mode & 0o777)
    fresh.replace(file)


def _string(value: Any) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")

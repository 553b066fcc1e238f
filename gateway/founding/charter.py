"""The charter: what a gateway is to be, as whoever founds it says, and the settings file that says it from then on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway import keyring
from gateway.errors import OperatorError
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, REQUEST, SIGN, STORAGE
from gateway.ledger.entry import OperatorAct

_KEYS: Final = {SIGN: "EdDSA", REQUEST: "EdDSA", CHECKPOINT: "EdDSA", STORAGE: keyring.SECRET, INDEX: keyring.SECRET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """Without `database_url` the database is a file beside the settings; without `passphrase_file` a random one is made.

    `operators` are the statements of the first two operators or more: with them, what needs two operators needs their
    signatures from the first moment on. `given` are URIs of keys that exist already, by role: in a token, for instance, or
    from a `ceremony`, which the ledger then remembers.
    """

    gateway_id: str = "sinergi-banten"
    public_url: str | None = None
    origin: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str | None = None
    database_password_file: Path | None = None
    owner_url: str | None = None
    owner_password_file: Path | None = None
    passphrase_file: Path | None = None
    ml_dsa: bool = False
    operators: Sequence[str] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    ceremony: OperatorAct | None = None

    def algorithms(self) -> dict[str, str]:
        """Of each key that the gateway will have, by role."""
        return _KEYS | ({LONG_LIVED: keyring.LONG_LIVED} if self.ml_dsa else {})

    def existing(self) -> dict[str, str]:
        """URIs of the keys that are not made, by role. Raises OperatorError for a role that the gateway will not have."""
        found = {role: keyring.absolute(uri) for role, uri in self.given.items()}
        if unknown := found.keys() - self.algorithms().keys():
            raise OperatorError(f"{min(unknown)} is not a key of a gateway: {', '.join(self.algorithms())}")
        return found

    def settings(self, home: Path, passphrase_file: Path | None) -> bytes:
        """The settings file of a gateway in `home`; a key that is made lies in `home/keys`."""
        existing = self.existing()
        return _toml(
            {
                "gateway": {
                    "id": self.gateway_id,
                    "public_url": self.public_url or f"http://{self.host}:{self.port}",
                    "origin": self.origin,
                    "state_dir": home,
                },
                "database": {
                    "url": self.database_url or f"sqlite:///{home / 'sinergi.db'}",
                    "password_file": _absolute(self.database_password_file),
                    "owner_url": self.owner_url,
                    "owner_password_file": _absolute(self.owner_password_file),
                },
                "keys": {
                    **{
                        role: existing.get(role, f"file:{quote(str(home / 'keys' / role))}.pem")
                        for role in self.algorithms()
                    },
                    "passphrase_file": _absolute(passphrase_file),
                },
                "server": {"host": self.host, "port": self.port},
            }
        )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _toml(tables: dict[str, dict[str, Any]]) -> bytes:
    lines = ["# Written by `sinergi init`. Every setting: docs/reference/settings.md"]
    for name, values in tables.items():
        lines += ["", f"[{name}]"]
        for key, value in values.items():
            if isinstance(value, int):
                lines.append(f"{key} = {value}")
            elif value is not None:
                # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
                text = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
                lines.append(f"{key} = {text}")
    return ("\n".join(lines) + "\n").encode()

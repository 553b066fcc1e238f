"""PKCS#11 URIs (RFC 7512): which object in which token, through which module, and where its PIN lies.

Decides what a URI may say. A PIN in it (`pin-value`) is refused, and so is a command for one: a URI stands in settings, in
arguments and in the database.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import KeyringError

SCHEME: Final = "pkcs11"
_TOKEN: Final = ("token", "serial", "manufacturer", "model")
_OBJECT: Final = ("object", "id", "type")
_QUERY: Final = ("module-path", "pin-source")
_TYPES: Final = ("private", "secret-key")
_LIMIT: Final = 2048
# RFC 7512 §2.3: pk11-path-res-avail, pk11-query-res-avail, and percent escapes.
_PATH_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*")
_QUERY_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class TokenObject:
    """One key in one token. `token` has the attributes that a token must show, `label` and `id` those of the key."""

    module: str
    token: tuple[tuple[str, str], ...]
    label: str | None
    id: bytes | None
    pin_source: str | None

    def __str__(self) -> str:
        return f"pkcs11 key {self.label or (self.id or b'').hex()!r}"


def parse_uri(uri: str) -> TokenObject:
    """Raises KeyringError for anything but exactly what is known, each attribute once; it never repeats a value."""
    scheme, colon, rest = uri.partition(":")
    if scheme != SCHEME or not colon or len(uri) > _LIMIT:
        raise KeyringError("a PKCS#11 URI begins with pkcs11:")
    path, _, query = rest.partition("?")
    held = _attributes(path, ";", (*_TOKEN, *_OBJECT), _PATH_VALUE)
    asked = _attributes(query, "&", _QUERY, _QUERY_VALUE)
    module = _text(asked, "module-path")
    if module is None or not module.startswith("/"):
        raise KeyringError("a PKCS#11 URI names its module: ?module-path=/usr/lib/…")
    source = _text(asked, "pin-source")
    if source is not None and not source.startswith(("/", "file:", "credential:")):
        raise KeyringError("pin-source is a file: or a credential:, never a command")
    token = tuple((name, value) for name in _TOKEN if (value := _text(held, name)) is not None)
    if not token or not {"object", "id"} & held.keys():
        raise KeyringError("a PKCS#11 URI names a token (token=) and a key in it (object= or id=)")
    if held.get("type", b"private").decode("utf-8", "replace") not in _TYPES:
        raise KeyringError(f"type is one of {', '.join(_TYPES)}")
    return TokenObject(module, token, _text(held, "object"), held.get("id"), source)


def _attributes(text: str, separator: str, known: tuple[str, ...], form: re.Pattern[str]) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise KeyringError("a PIN belongs in a file (pin-source), never in a URI (pin-value)")
        if name not in known:
            raise KeyringError("a PKCS#11 URI has an attribute that is not known here")
        if not equals or name in found or not form.fullmatch(value):
            raise KeyringError(f"{name} is given twice in the PKCS#11 URI, or its value cannot be read")
        found[name] = unquote_to_bytes(value)
    return found


def _text(held: Mapping[str, bytes], name: str) -> str | None:
    if name not in held:
        return None
    return readable(held[name], f"{name} of a PKCS#11 URI")


def readable(value: bytes, what: str, refuse: Callable[[str], bool] = lambda text: "\x00" in text) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyringError(f"{what} is not UTF-8") from None
    if not text or refuse(text):
        raise KeyringError(f"{what} is empty or has a NUL in it")
    return text

"""Canonical JSON (RFC 8785) for ledger leaves: which values have one, and that bytes are exactly it.

A leaf is written once and read for decades by other people's programs, so the domain is narrowed to where every
implementation agrees: no floating-point numbers, integers that a double holds exactly, ASCII member names (the order of
UTF-16 code units is then the order of the bytes), bounded depth. In that domain the standard library's encoder writes
RFC 8785; the tests hold it against the `rfc8785` package.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from gateway.errors import LedgerInvalidError

DEPTH_LIMIT: Final = 8
INTEGER_LIMIT: Final = 2**53 - 1  # RFC 8785 §3.2.2.3 by way of RFC 7493 §2.2


def dumps(value: object) -> bytes:
    """The RFC 8785 bytes of `value`. Raises LedgerInvalidError outside the domain above."""
    return _encode(value if _is_plain(value) else _plain(value, DEPTH_LIMIT))


def loads(data: bytes) -> Any:
    """The value of canonical bytes. Raises LedgerInvalidError for anything that `dumps` would not have written."""
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise LedgerInvalidError("not canonical JSON") from error
    if not (data.isascii() and data.count(b"{") + data.count(b"[") <= DEPTH_LIMIT):
        _plain(value, DEPTH_LIMIT)
    # Duplicate members, white space, other escapes, another order, -0: all come back as other bytes.
    if _encode(value) != data:
        raise LedgerInvalidError("not canonical JSON")
    return value


def _encode(value: object) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError as error:
        raise LedgerInvalidError("a string holds a lone surrogate") from error


def _is_plain(root: Any) -> bool:
    """Whether nothing but exact dicts, lists, texts and integers of the domain is in it: then it needs no copy."""
    level = [root]
    for _ in range(DEPTH_LIMIT + 1):
        below: list[Any] = []
        for held in level:
            kind = type(held)
            if kind is str or held is None or kind is bool:
                continue
            if kind is int:
                if not -INTEGER_LIMIT <= held <= INTEGER_LIMIT:
                    return False
            elif kind is list:
                below.extend(held)
            elif kind is dict and all(type(name) is str and name.isascii() for name in held):
                below.extend(held.values())
            else:
                return False
        if not below:
            return True
        level = below
    return False


def _plain(value: object, depth: int) -> object:
    """A copy in plain dicts and lists, so that what is checked is what is written."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
            raise LedgerInvalidError("an integer is outside ±(2⁵³ − 1)")
        return value
    if depth == 0:
        raise LedgerInvalidError("nested too deeply")
    if isinstance(value, Mapping):
        return {_name(name): _plain(member, depth - 1) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(element, depth - 1) for element in value]
    raise LedgerInvalidError(f"{type(value).__name__} is not allowed in a ledger entry")


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isascii():
        raise LedgerInvalidError("a member name is not ASCII")
    return name


def _integer(digits: str) -> int:
    if not -INTEGER_LIMIT <= (value := int(digits)) <= INTEGER_LIMIT:
        raise ValueError(digits)
    return value


def _refuse(token: str) -> NoReturn:
    raise ValueError(token)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)

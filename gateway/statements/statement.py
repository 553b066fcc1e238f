"""Signed statements: what each says about who made it, for whom and when, read in exactly one form.

Decides whether a text is a compact JWS of one type with exactly these members, in their forms, made a short while ago. Nothing
of it counts before its signature is verified; by which key is the caller's question.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.errors import MalformedError, TooLargeError
from gateway.jose import UnverifiedJws, parse_jws

AGE: Final = timedelta(days=7)
LEEWAY: Final = timedelta(seconds=60)
LENGTH: Final = 32_768  # a key's may have its chain of certificates in it
CODE: Final = re.compile(r"(?!.*[0-9]{16})[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,127}", re.ASCII)
THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can hold


def read_statement(
    text: str, typ: str, forms: Mapping[str, re.Pattern[str]], also: frozenset[str], *, length: int = LENGTH
) -> UnverifiedJws:
    """A JWS whose payload has exactly the members of `forms`, in their forms, and `also`, which the caller looks at.

    Raises MalformedError or TooLargeError.
    """
    if len(text) > length:
        raise TooLargeError(f"a statement may have {length} characters")
    if not text.isascii():
        raise MalformedError("a statement is a compact JWS")
    jws = parse_jws(text, typ, 4)
    require_members(jws.payload, forms, also)
    return jws


def require_members(payload: Mapping[str, Any], forms: Mapping[str, re.Pattern[str]], also: frozenset[str]) -> None:
    """Raises MalformedError, which quotes nothing."""
    if payload.keys() != forms.keys() | also:
        raise MalformedError(f"a statement has exactly {', '.join(sorted(forms.keys() | also))}")
    for name, form in forms.items():
        if not isinstance(payload[name], str) or not form.fullmatch(payload[name]):
            raise MalformedError(f"a statement's {name} has the wrong form")


def seconds(value: Any, what: str) -> datetime:
    """The moment of whole seconds since 1970. Raises MalformedError."""
    # JSON true is an int to Python.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise MalformedError(f"a statement's {what} is whole seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def require_recent(issued: datetime, now: datetime) -> None:
    """Raises MalformedError for what was made more than 7 days ago, or will be."""
    if not now - AGE <= issued <= now + LEEWAY:
        raise MalformedError(f"it was not signed in the last {AGE.days} days")

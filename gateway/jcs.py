"""RFC 8785 canonical JSON of any value, fast where the standard library's encoder writes the very same bytes.

Decides only how the bytes are made. Where both agree (texts, whole numbers that a double holds exactly, member names whose
order in UTF-16 is their order in Unicode) the encoder in C writes them; everything else is the `rfc8785` package's, and
so are the errors. The tests hold one against the other.
"""

import json
import re
from typing import Any, Final

import rfc8785

_INTEGER_LIMIT: Final = 2**53 - 1
# From here on the order of UTF-16 code units is not that of code points, and a lone surrogate has no UTF-8.
_BEYOND: Final = re.compile("[\ud800-\U0010ffff]")
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
)


def dumps(value: Any) -> bytes:
    """Raises rfc8785.CanonicalizationError for what has no canonical form: NaN, a huge integer, a name that is no text."""
    if _plain(value):
        text = _ENCODER.encode(value)
        if text.isascii() or not _BEYOND.search(text):
            return text.encode()
    return rfc8785.dumps(value)


def _plain(value: Any) -> bool:
    """Whether it is made of exactly dicts with texts as names, lists, texts, truth values, null and such integers."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        kind = type(here)
        if kind is str or kind is bool or here is None:
            continue
        if kind is dict:
            for name in here:
                if type(name) is not str:
                    return False
            waiting.extend(here.values())
        elif kind is list:
            waiting.extend(here)
        elif kind is not int or not -_INTEGER_LIMIT <= here <= _INTEGER_LIMIT:
            return False
    return True

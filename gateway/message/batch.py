"""Many messages in one request: a line each, and each judged alone.

Decides how lines are told apart and how many go together, for the gateway and for senders. What a line says is
`envelope.py`'s: nothing is trimmed, so an empty line or a carriage return makes a message that does not parse.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.errors import CallerError, TooLargeError

MEDIA_TYPE: Final = "application/vnd.sinergi.messages"
MESSAGES_LIMIT: Final = 256
BYTES_LIMIT: Final = 4 * 1_048_576


def split(raw: bytes) -> list[bytes]:
    """The lines in their order. A line ends in a newline (LF), which the last one may lack.

    Raises CallerError where there is none, TooLargeError beyond MESSAGES_LIMIT or BYTES_LIMIT.
    """
    if not raw:
        raise CallerError("a batch has at least one message")
    if len(raw) > BYTES_LIMIT:
        raise TooLargeError(f"a batch may have {BYTES_LIMIT} bytes")
    body = raw.removesuffix(b"\n")
    if body.count(b"\n") >= MESSAGES_LIMIT:
        raise TooLargeError(f"a batch may have {MESSAGES_LIMIT} messages")
    return body.split(b"\n")


def join(texts: Iterable[str]) -> bytes:
    """The inverse of `split`."""
    return "".join(f"{text}\n" for text in texts).encode("ascii")


def portions(texts: Iterable[str]) -> Iterator[list[str]]:
    """As few batches as the limits allow, in order. A text that is too long for any goes alone, for the gateway to say so."""
    portion: list[str] = []
    size = 0
    for text in texts:
        if portion and (len(portion) == MESSAGES_LIMIT or size + len(text) + 1 > BYTES_LIMIT):
            yield portion
            portion, size = [], 0
        portion.append(text)
        size += len(text) + 1
    if portion:
        yield portion

"""Random bytes of the operating system, fetched 4 KiB at a time.

`os.urandom` gives the interpreter lock away at each call, and whichever thread waits for it is woken, often on another
core: seven times a message, that is dearer than all the random bytes of the message. Each thread has a stock of its own;
no byte is handed out twice, and a forked child begins with an empty stock.
"""

import os
import threading
from typing import Final

from gateway.jose import b64encode

_FETCHED: Final = 4096


class _Stock(threading.local):
    def __init__(self) -> None:
        self.empty()

    def empty(self) -> None:
        self.held = b""
        self.used = 0

    def take(self, count: int) -> bytes:
        if self.used + count > len(self.held):
            self.held, self.used = os.urandom(max(count, _FETCHED)), 0
        first, self.used = self.used, self.used + count
        return self.held[first : self.used]


_stock: Final = _Stock()
# Of the threads of its parent a child has the one that forked it.
os.register_at_fork(after_in_child=_stock.empty)


def random_bytes(count: int) -> bytes:
    """As `os.urandom`."""
    return _stock.take(count)


def random_id() -> str:
    """128 bits in base64url: a `jti`."""
    return b64encode(random_bytes(16))

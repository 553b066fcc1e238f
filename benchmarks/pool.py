"""Messages signed before anything is measured: the load generator must not spend a core on what senders do."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.workload import messages
from gateway.keyring import KeyringSigner, signer_for

_PORTION: Final = 2_000


def _sign(private: bytes, count: int) -> list[str]:
    return list(messages(signer_for(Ed25519PrivateKey.from_private_bytes(private)), count))


@dataclass
class Pool:
    """One sender's messages. Each gateway has a ledger of its own, so each may be sent all of them, and each only once."""

    private: bytes = field(default_factory=lambda: Ed25519PrivateKey.generate().private_bytes_raw())
    made: list[str] = field(default_factory=list)

    @property
    def signer(self) -> KeyringSigner:
        return signer_for(Ed25519PrivateKey.from_private_bytes(self.private))

    def reach(self, count: int) -> None:
        """Signs until there are `count`, on all cores."""
        portions = -(-max(0, count - len(self.made)) // _PORTION)
        if not portions:
            return
        with ProcessPoolExecutor(min(portions, os.cpu_count() or 1)) as workers:
            for some in workers.map(_sign, [self.private] * portions, [_PORTION] * portions):
                self.made += some

    def cursor(self) -> "Cursor":
        return Cursor(self)


@dataclass
class Cursor:
    """What one gateway has not been sent yet."""

    pool: Pool
    at: int = 0

    def take(self, count: int) -> list[str]:
        self.pool.reach(self.at + count)
        self.at += count
        return self.pool.made[self.at - count : self.at]

    def give_back(self, unsent: int) -> None:
        """The last `unsent` of those taken were not sent."""
        self.at -= unsent

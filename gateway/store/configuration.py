"""The picture of agencies, keys and agreements that decisions are made on, and how it is kept fresh.

A process may hold an old picture for a moment: the recorder compares versions under its lock, and what was judged on an
old one is judged again. So a revoked key is refused on every node from the commit of its revocation on.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from gateway.agreement.document import Agreement, agreement_from_json
from gateway.keys.directory import Directory
from gateway.keys.keychain import OwnKey
from gateway.store import queries
from gateway.store.activated import require_activated
from gateway.store.session import Database

REFRESH_SECONDS: Final = 1.0
# A key's file that does not open is tried again so often; a wrong passphrase costs a tenth of a second each time.
AGAIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: int
    directory: Directory
    agreements: Mapping[str, Agreement]
    own_keys: tuple[OwnKey, ...] = ()


class Configuration:
    """Loads at once; `reload` is called every second by the server, and when the recorder says so.

    `learn` is told the gateway's own keys each time: a key that rotation added is opened before it is used; and again every few
    seconds while some are `unopened`, because a file may come late. `patience` is the directory's.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        *,
        learn: Callable[[Sequence[OwnKey]], None] = lambda _: None,
        unopened: Callable[[], bool] = lambda: False,
        patience: timedelta | None = None,
    ) -> None:
        self._database = database
        self._learn = learn
        self._unopened = unopened
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._agreements: dict[tuple[str, int], Agreement] = {}
        self._snapshot = self._load()
        self._checked = self._learnt = clock()

    def current(self) -> Snapshot:
        """At most about a second old; costs nothing."""
        return self._snapshot

    def knows(self, agency: str, kids: Iterable[str]) -> bool:
        """Whether every one of these keys is in `current`: else look anew, for a key counts from its admission's commit on."""
        keys = self._snapshot.directory.keys
        return all((agency, kid) in keys for kid in kids)

    async def knowing(self, agency: str, kid: str) -> Snapshot:
        """`current`, looked at anew where this key is not in it."""
        return self._snapshot if self.knows(agency, [kid]) else await asyncio.to_thread(self.reload)

    def reload(self) -> Snapshot:
        """Reads the version, and everything when it moved. Blocks: call it from a thread."""
        with self._lock:
            with self._database.reading() as session:
                version = queries.config_version(session)
            if version != self._snapshot.version:
                self._snapshot = self._load()
            elif self._unopened() and self._clock() - self._learnt >= AGAIN_SECONDS:
                self._learnt = self._clock()
                self._learn(self._snapshot.own_keys)
            self._checked = self._clock()
            return self._snapshot

    @property
    def age(self) -> float:
        """Seconds since the picture was last known to be true."""
        return self._clock() - self._checked

    def _load(self) -> Snapshot:
        with self._database.reading() as session:
            version = queries.config_version(session)
            directory = replace(queries.load_directory(session, version), patience=self._patience)
            rows = queries.active_agreements(session)
            for row in rows:
                # Compiling the rules takes milliseconds: only what is new is compiled.
                known = self._agreements.get((row.id, row.version))
                if known is None or known.canonical() != row.document or known.digest != row.digest:
                    known = agreement_from_json(row.document)
                    require_activated(session, row, known, directory)
                    self._agreements[row.id, row.version] = known
            agreements = {row.id: self._agreements[row.id, row.version] for row in rows}
            own_keys = queries.own_keys(session)
        self._learn(own_keys)
        return Snapshot(version, directory, MappingProxyType(agreements), own_keys)

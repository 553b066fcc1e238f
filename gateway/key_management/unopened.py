"""Stored things that do not open while they are walked: those that were altered are named, and keep no other waiting."""

from collections.abc import Sequence
from typing import Final

from gateway.errors import KeyringError
from gateway.keys.keychain import STORAGE
from gateway.store import queries
from gateway.wiring import Store

SHOWN: Final = 10


def require_altered(store: Store, storage_key: str) -> None:
    """Of a row that did not open: returns where the row itself is at fault, or names a storage key that there never was.

    Raises KeyringError where there is such a key and this process cannot open it: nothing is wrong with the row. The database
    is asked now: another operator may have made the key since this process began.
    """
    try:
        store.keys.storage.named(storage_key)
    except KeyringError:
        with store.database.reading() as session:
            own = queries.own_keys(session)
        if any((key.role, key.kid) == (STORAGE, storage_key) for key in own):
            raise


def require_opened(unopened: Sequence[str]) -> None:
    """Raises KeyringError, naming some of the rows that a walk went past."""
    if unopened:
        named = ", ".join([*unopened[:SHOWN], *(["…"] if unopened[SHOWN:] else [])])
        raise KeyringError(
            f"{len(unopened)} rows were altered and do not open: restore them from a copy, and run it again. The others are done,"
            f" and the older key stays until then: {named}"
        )

"""A recovery of the storage key is told to the ledger by whoever opens the gateway next: without the key nobody could.

Decides that a record by two operators about a storage key of this gateway is an entry, once. It rests on the signatures in the
record and asks for no others: the key is there already, and an entry only says so. Leaves the recovery itself to `ceremony.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.errors import GatewayError
from gateway.founding import RefusedError
from gateway.key_management.ceremony import RECOVERED, Record, copies, read_record
from gateway.keys.keychain import STORAGE
from gateway.operations.acts import ConflictError, act
from gateway.store import queries
from gateway.store.proposed import said
from gateway.store.recorder import Transaction
from gateway.wiring import Store, now


def tell_of_recoveries(store: Store) -> tuple[str, ...]:
    """Each record that lies beside a storage key's file becomes an entry, and the copy goes. What somebody should look at."""
    return tuple(_told(store))


def _told(store: Store) -> Iterator[str]:
    for copy in sorted({copy for place in _places(store) for copy in copies(place)}):
        try:
            record_recovery(store, read_record(copy.read_text()))
        except FileNotFoundError:
            continue  # another node has dealt with it
        except (GatewayError, OSError, UnicodeDecodeError) as error:
            told = error.detail if isinstance(error, GatewayError) else type(error).__name__
            yield f"{copy} says that the storage key was recovered, but it could not be recorded: {told}"
            continue
        try:
            copy.unlink(missing_ok=True)
        except OSError:  # keys are often on a read-only file system
            yield f"{copy} is recorded in the ledger, but this program cannot delete the file: delete it"


def _places(store: Store) -> Iterator[Path]:
    with store.database.reading() as session:
        uris = {key.uri for key in queries.own_keys(session) if key.role == STORAGE}
    for uri in {*uris, store.settings.keys.storage} - {None}:
        place = urlsplit(uri or "")
        if place.scheme == "file":
            yield Path(unquote(place.path))


def record_recovery(store: Store, record: Record) -> bool:
    """Whether the ledger did not know of it. Raises RefusedError for another gateway's, or another key's."""
    if record.members["what"] != RECOVERED or record.gateway != store.settings.gateway.id:
        raise RefusedError("it is not the record of a recovery in this gateway")
    kid = record.members["keys"].get(STORAGE, {}).get("hash")
    with store.database.reading() as session:
        if kid not in {key.kid for key in queries.own_keys(session) if key.role == STORAGE}:
            raise RefusedError("the record is of a storage key that this gateway never had")
        known = queries.load_directory(session, 0).operators
        told = said(session.connection(), record.digest)
    if told.ended:
        return False
    entry = replace(record.entry(), time=now(), about=f"storage-key:{kid}")
    # Who the record names may have been nobody's operators: with the shares, two strangers can rebuild the key.
    by = {(one.operator, one.key.kid) for one in record.operators}
    if known and not by <= {(operator.id, operator.key.kid) for operator in known.values()}:
        entry = replace(entry, what=f"{entry.what}-by-others")

    def unknown(transaction: Transaction) -> None:
        if said(transaction.connection, record.digest, first=told.size).ended:
            raise ConflictError("another node recorded it meanwhile")

    try:
        act(store, [entry], unknown, changes_config=False)
    except RefusedError:
        return False
    return True

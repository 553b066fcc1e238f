"""Legal holds: what must not be erased, by whose word, and by whose two it may be again.

Decides how a hold is written down: the identifier it is about only as a keyed token, the paper it rests on for the operator,
a code for the ledger. One operator places a hold and it counts from the commit on; two officers must sign for its end
(`hold_release.py`). What a hold covers is asked under the recorder's lock by whoever erases (`store/jobs/erasures.py`).
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlmodel import col

from gateway.decision.subjects import CASE, OFFICER, SUBJECT_KINDS
from gateway.errors import OperatorError
from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import COMMITMENT_KEY_SIZE, HoldAdded, HoldReleased, hold_commitment
from gateway.message.envelope import TRANSFER_ID
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.statements.hold_release import HoldRelease
from gateway.statements.two_officers import require_two
from gateway.store import erasures
from gateway.store.configuration import Configuration
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.events import RecordEvent
from gateway.store.recorder import Transaction
from gateway.store.sealing import Sealer, token
from gateway.store.tables import HoldRow, TransferRow, micros
from gateway.wiring import Store, now

TRANSFER: Final = erasures.TRANSFER
TARGET_PART: Final = "target"
SCOPES: Final = (TRANSFER, CASE, OFFICER, *sorted(SUBJECT_KINDS))
CITATION_LIMIT: Final = 200
VALUE_LIMIT: Final = 128
_NIK: Final = re.compile(r"[0-9]{16}")


@dataclass(frozen=True, slots=True)
class Held:
    """A hold as it was placed, and how many stored transfers it covers at that moment."""

    id: str
    scope: str
    covers: int


def add_hold(store: Store, scope: str, value: str, *, why: str, citation: str, who: str) -> Held:
    """In force from the commit on, also for what comes later under the same identifier.

    `value` is a transfer's id, a case number or a person's identifier; of the last two only a keyed token is stored.
    Raises OperatorError for a wrong form, RefusedError for a transfer that is not there or erased already.
    """
    require_code(who, "the operator"), require_code(why, "the reason")
    if scope not in SCOPES:
        raise OperatorError(f"a hold is on one of {', '.join(SCOPES)}")
    if not citation.isprintable() or not 1 <= len(citation.strip()) <= CITATION_LIMIT or _NIK.search(citation):
        raise OperatorError(
            f"a citation is 1 to {CITATION_LIMIT} printable characters, without sixteen digits in a row"
        )
    if not value.isprintable() or not 1 <= len(value.strip()) <= VALUE_LIMIT:
        raise OperatorError("the identifier must be 1 to 128 printable characters")
    time = now()
    id_, target = new_transfer_id(time), value.strip()
    sealed: dict[str, Any] = {"index_key": "", "storage_key": "", "wrapped_key": b"", "sealed_target": b""}
    if scope == TRANSFER:
        if not TRANSFER_ID.fullmatch(target):
            raise OperatorError("that is no transfer's id")
    else:
        index = store.keys.index.eldest()
        seal, wrapped = Sealer(store.keys.storage).new(id_)
        sealed = {
            "index_key": index.id,
            "storage_key": seal.storage_key,
            "wrapped_key": wrapped,
            "sealed_target": seal.close(TARGET_PART, target.encode()),
        }
        target = token(index, scope, target)
    row: dict[str, Any] = {
        "id": id_,
        "scope": scope,
        "target": target,
        "why": why,
        "citation": citation.strip(),
        "added_by": who,
        "added_at": micros(time),
        "approvals": "[]",
        "commitment_key": os.urandom(COMMITMENT_KEY_SIZE),
        **sealed,
    }

    def place(transaction: Transaction) -> None:
        if scope == TRANSFER:
            held = transaction.connection.execute(
                select(col(TransferRow.erased_at)).where(col(TransferRow.id) == target)
            ).one_or_none()
            if held is None or held.erased_at is not None:
                raise ConflictError("there is no such transfer" if held is None else "it has been erased already")
        # At once and not with the batch's other rows: an erasure behind it in the same batch must see it.
        transaction.connection.execute(insert(HoldRow), [row])

    committed = hold_commitment(row["commitment_key"], scope, target)
    entry = HoldAdded(time=time, hold=id_, scope=scope, who=who, why=why, commitment=committed)
    record(store, RecordEvent(OWN_LEDGER, [entry], place))
    with store.database.reading() as session:
        return Held(id_, scope, erasures.covered(session, scope, target))


def release_hold(store: Store, hold: str, statements: Iterable[str], *, why: str, who: str) -> tuple[str, ...]:
    """Ends a hold; the key ids of the officers who signed.

    Raises RefusedError for a hold that is not in force, AccessDeniedError with every fault of the statements.
    """
    require_code(who, "the operator")
    release = HoldRelease(store.settings.gateway.id, hold, require_code(why, "the reason"))
    time, snapshot = now(), Configuration(store.database).current()
    find_hold(store, hold)
    officers = require_two(statements, release, snapshot.directory, time)
    keys = tuple(officer.key.kid for officer in officers)

    def end(transaction: Transaction) -> None:
        # The officers' keys were judged at this configuration; another one is judged again.
        if transaction.config_version != snapshot.version:
            raise ConflictError("agencies, keys or officers were changed meanwhile: try again")
        ended = transaction.connection.execute(
            update(HoldRow)
            .where(col(HoldRow.id) == hold, col(HoldRow.released_at).is_(None))
            .values(released_by=who, released_why=why, released_at=micros(time), approvals=json.dumps(keys))
        )
        if ended.rowcount != 1:
            raise ConflictError("the hold was released already")

    record(
        store,
        RecordEvent(OWN_LEDGER, [HoldReleased(time=time, hold=hold, who=who, why=why, approvals=keys)], end),
    )
    return keys


def find_hold(store: Store, hold: str) -> HoldRow:
    """A hold in force. Raises RefusedError."""
    with store.database.reading() as session:
        row = session.get(HoldRow, hold)
    if row is None or row.released_at is not None:
        raise RefusedError("there is no such hold" if row is None else "the hold was released already")
    return row

"""Auditors: who may search and read transfers, by a token of which only the digest is kept."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlmodel import col

from gateway.errors import OperatorError
from gateway.founding import require_code
from gateway.keys.directory import require_agency_id
from gateway.ledger.entry import OperatorAct
from gateway.operations.acts import ConflictError, act
from gateway.store.recorder import Transaction
from gateway.store.tables import AuditorRow, micros, moment
from gateway.wiring import Store, now

AUDITOR: Final = "auditor"
DPO: Final = "dpo"
ROLES: Final = (AUDITOR, DPO)
LONGEST: Final = timedelta(days=365)


def issue_auditor(store: Store, auditor: str, name: str, role: str, days: int, *, why: str, who: str) -> str:
    """The token, which is shown once and never again: only its SHA-256 is kept.

    An id whose token was revoked or has expired may be issued a new one; raises RefusedError while it is valid.
    """
    if role not in ROLES:
        raise OperatorError(f"a role is one of {', '.join(ROLES)}")
    if not 1 <= days <= LONGEST.days:
        raise OperatorError(f"a token is valid for 1 to {LONGEST.days} days")
    time, token = now(), secrets.token_urlsafe(32)
    row = {
        "id": require_agency_id(auditor),
        "name": name,
        "role": role,
        "token_hash": hashlib.sha256(token.encode("ascii")).hexdigest(),
        "expires_at": micros(time + timedelta(days=days)),
        "revoked_at": None,
    }

    def place(transaction: Transaction) -> None:
        held = transaction.connection.execute(
            select(col(AuditorRow.expires_at), col(AuditorRow.revoked_at)).where(col(AuditorRow.id) == auditor)
        ).one_or_none()
        if held is None:
            transaction.insert(AuditorRow, row)
            return
        if held.revoked_at is None and moment(held.expires_at) > time:
            raise ConflictError(f"{auditor} has a valid token: revoke it first")
        transaction.connection.execute(update(AuditorRow).where(col(AuditorRow.id) == auditor).values(**row))

    done = OperatorAct(
        time=time,
        who=require_code(who, "the operator"),
        what=f"auditors.issue/{role}",
        why=require_code(why, "the reason"),
        about=require_code(auditor, "the auditor's id"),
    )
    act(store, [done], place, changes_config=False)
    return token


def revoke_auditor(store: Store, auditor: str, *, why: str, who: str) -> None:
    time = now()

    def end(transaction: Transaction) -> None:
        ended = transaction.connection.execute(
            update(AuditorRow)
            .where(col(AuditorRow.id) == auditor, col(AuditorRow.revoked_at).is_(None))
            .values(revoked_at=micros(time))
        )
        if ended.rowcount != 1:
            raise ConflictError(f"there is no auditor {auditor} with a token to revoke")

    done = OperatorAct(
        time=time,
        who=require_code(who, "the operator"),
        what="auditors.revoke",
        why=require_code(why, "the reason"),
        about=require_code(auditor, "the auditor's id"),
    )
    act(store, [done], end, changes_config=False)

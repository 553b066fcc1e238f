"""An auditor's questions about transfers: found by an index however many there are.

Decides which table's order is walked. Leaves to `api.audit` who may ask, and what of a transfer is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import Session, col, select

from gateway.store import queries
from gateway.store.identity import first_id
from gateway.store.tables import DeadlineRow, SubjectIndex, TransferCode, TransferRow


@dataclass(frozen=True, slots=True)
class Search:
    """An auditor's question. `subject`, `case` and `officer` are keyed tokens, never the identifier."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    sender: str | None = None
    recipient: str | None = None
    decision: str | None = None
    code: str | None = None
    clause: str | None = None
    tokens: tuple[tuple[str, str], ...] = ()
    overdue_at: int | None = None
    before: str | None = None
    limit: int = 50


def matching(session: Session, question: Search) -> Sequence[TransferRow]:
    """Newest first, one more than `limit` when there is a next page; `before` is the last id of the page before.

    The ids come first, from the table whose index has them in order under the narrowest of what is asked, and only then
    the rows: a sort or a walk over millions must not carry sealed contents along.
    """
    place, conditions = _driven(question)
    equal = {
        TransferRow.type: question.type,
        TransferRow.sender: question.sender,
        TransferRow.recipient: question.recipient,
        TransferRow.decision: question.decision,
        TransferRow.clause: question.clause,
    }
    asked = [col(column) == value for column, value in equal.items() if value is not None]
    statement = select(place).where(*conditions, *asked)
    if asked and place is not _ID:
        statement = statement.join(TransferRow, place == _ID)
    if question.since is not None:
        statement = statement.where(place >= first_id(question.since))
    if question.until is not None:
        statement = statement.where(place < first_id(question.until))
    if question.before is not None:
        statement = statement.where(place < question.before)
    ids = session.exec(statement.order_by(place.desc()).limit(question.limit + 1)).all()
    found = queries.transfers(session, ids)
    return [found[transfer_id] for transfer_id in ids]


_ID, _DEADLINE = col(TransferRow.id), col(DeadlineRow.transfer)


def _driven(question: Search) -> tuple[Mapped[str] | ColumnElement[str], list[ColumnElement[bool]]]:
    """The column whose order is walked, and what is asked of other tables: the first of those is walked itself."""
    asked: list[tuple[Mapped[str], list[ColumnElement[bool]]]] = []
    for kind, token in question.tokens:
        index = aliased(SubjectIndex)
        asked.append((col(index.transfer), [col(index.kind) == kind, col(index.token) == token]))
    if question.overdue_at is not None:
        late = col(DeadlineRow.due_at) < question.overdue_at
        asked.append((_DEADLINE, [col(DeadlineRow.met_at).is_(None), late]))
    if question.code is not None:
        asked.append((col(TransferCode.transfer), [col(TransferCode.code) == question.code]))
    if not asked:
        return _ID, []
    (column, conditions), *others = asked
    # As an expression: else SQLite walks every deadline in the order of its key, and not the few that are open.
    place = column.concat("") if column is _DEADLINE else column
    return place, conditions + [select(other).where(other == place, *narrowed).exists() for other, narrowed in others]

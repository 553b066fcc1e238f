"""The message types that this gateway has published: what agencies were told a body must look like.

Decides whether the program's catalogue is what was published, and what was at a moment in the past. Leaves to `publishing.py`
what may be published next. Every publication is kept: an old message is proved with the schema of its day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from gateway import jcs
from gateway.errors import OperatorError
from gateway.message_types.catalogue import Catalogue, MessageType
from gateway.store.session import Database
from gateway.store.tables import PublishedSchemaRow, micros, moment

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Published:
    """One type as it was published: its digest (`sha256:` and hexadecimals) and RFC 8785 document."""

    digest: str
    document: bytes
    published_at: datetime


def row_of(entry: MessageType, time: datetime) -> dict[str, Any]:
    """The row of a type that is published at `time`."""
    return {
        "type": entry.name,
        "version": entry.version,
        "digest": entry.digest,
        "document": jcs.dumps(dict(entry.schema)),
        "published_at": micros(time),
    }


def published(session: Session) -> Mapping[str, Published]:
    """Everything that is published, by type and version: `early-warning.report/1`; of each the newest."""
    rows = session.exec(select(PublishedSchemaRow).order_by(col(PublishedSchemaRow.published_at))).all()
    return {f"{row.type}/{row.version}": Published(row.digest, row.document, moment(row.published_at)) for row in rows}


def published_at(session: Session, type_: str, moment_: int) -> Published | None:
    """What was published of `name/major` at a moment, in microseconds; None before its first publication."""
    name, _, major = type_.rpartition("/")
    row = session.exec(
        select(PublishedSchemaRow)
        .where(PublishedSchemaRow.type == name, PublishedSchemaRow.version == (int(major) if major.isdigit() else 0))
        .where(PublishedSchemaRow.published_at <= moment_)
        .order_by(col(PublishedSchemaRow.published_at).desc())
        .limit(1)
    ).first()
    return None if row is None else Published(row.digest, row.document, moment(row.published_at))


def differing(session: Session, catalogue: Catalogue) -> tuple[str, ...]:
    """The types that are new, changed or gone in the catalogue, compared with what is published."""
    known = {type_: entry.digest for type_, entry in published(session).items()}
    here = {entry.type: entry.digest for entry in catalogue.types()}
    return tuple(sorted(type_ for type_ in known.keys() | here.keys() if known.get(type_) != here.get(type_)))


def require_published(database: Database, catalogue: Catalogue) -> None:
    """Raises OperatorError unless the catalogue is what was published: agencies would be judged by rules nobody told them."""
    with database.reading() as session:
        types = differing(session, catalogue)
    if types:
        more = f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else ""
        named = ", ".join(types[:_SHOWN])
        raise OperatorError(
            f"the message types of this program are not the published ones ({named}{more}): look at them with"
            " `sinergi schemas publish --why CODE --dry-run`, then run it without --dry-run"
        )

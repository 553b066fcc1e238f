"""Whether this machine's clock can be believed: against the newest entries, and against the database's own clock.

Every judgement here rests on the time: which key is valid, what has expired, what is past its retention. A clock that
was set back, or runs away, is found before anything is judged or signed by it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text
from sqlmodel import Session

from gateway.errors import ClockError, LedgerInvalidError, NotFoundError
from gateway.ledger.entry import instant
from gateway.ledger.leaf import recorded_at
from gateway.store import queries
from gateway.store.session import Database

TOLERANCE: Final = timedelta(seconds=60)
"""So far apart the clocks of nodes may be, and an entry's time and its commit."""
_NOW: Final = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400"),
    "postgresql": text("SELECT extract(epoch FROM clock_timestamp())"),
}


def database_time(session: Session) -> datetime:
    return time_at(session.connection())


def time_at(connection: Connection) -> datetime:
    asked = _NOW[connection.dialect.name]
    return datetime.fromtimestamp(float(connection.execute(asked).scalar_one()), UTC)


def newest_times(session: Session) -> dict[str, datetime]:
    """When the last entry of each ledger was recorded, as it says itself. What cannot be read is left to the audit."""
    found = {}
    for head in queries.ledgers(session):
        if head.size:
            try:
                found[head.ledger] = instant(recorded_at(queries.leaf(session, head.ledger, head.size - 1)))
            except (LedgerInvalidError, NotFoundError, TypeError):  # SQLite keeps whatever type somebody wrote
                continue
    return found


def ahead(session: Session, now: datetime) -> dict[str, datetime]:
    """Ledgers whose newest entry lies further in the future than clocks may differ."""
    return {ledger: time for ledger, time in newest_times(session).items() if time - now > TOLERANCE}


def require_clock(database: Database, now: datetime) -> None:
    """Raises ClockError, and StoreUnavailableError where the database does not answer."""
    with database.reading() as session:
        late = ahead(session, now)
        there = now if database.is_sqlite else database_time(session)
    if late:
        ledger, time = max(late.items(), key=lambda one: one[1])
        raise ClockError(
            f"the newest entry of {ledger} is dated {time.isoformat()}, and this machine's clock says {now.isoformat()}: set the"
            " clock; if it is right and an earlier one was wrong, sinergi ledger accept-clock"
        )
    if abs(there - now) > TOLERANCE:
        raise ClockError(
            f"this machine's clock says {now.isoformat()}, the database's {there.isoformat()}: set the clock"
        )

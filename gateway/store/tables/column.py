"""How columns are made. Moments are whole microseconds since 1970 (UTC), so that both databases order and compare them alike."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# SQLite: without it, INSERT OR REPLACE of another row's rowid would take that row away past every trigger.
NO_ROWID: Final = {"sqlite_with_rowid": False}


def micros(moment: datetime) -> int:
    """Exact: a float of seconds would lose the last digit."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(micros_: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros_)


def big(**options: object) -> Column[int]:
    return Column(BigInteger, **{"nullable": False} | options)  # type: ignore[arg-type]


def octets(**options: object) -> Column[bytes]:
    return Column(LargeBinary, **{"nullable": False} | options)  # type: ignore[arg-type]

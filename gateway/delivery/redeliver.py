"""`sinergi transfers redeliver`: an operator starts the delivery of one transfer again.

Decides what can be: a dead or a waiting one. What was delivered stays delivered, and what has expired stays so, because
its sender said until when it may be read.
"""

from datetime import UTC, datetime
from typing import Final

from gateway.errors import OperatorError
from gateway.ledger.entry import TransferRedelivered
from gateway.store import queries
from gateway.store.jobs.deliveries import NotWaitingError, Redeliver
from gateway.store.recorder import Recorder
from gateway.store.session import Database

_WAIT_SECONDS: Final = 60


def redeliver(  # noqa: PLR0917 - what is acted with, on what, by whom and why
    recorder: Recorder, database: Database, transfer: str, who: str, why: str | None = None, now: datetime | None = None
) -> int:
    """Due at once with all its attempts again; the index of the entry `transfer.redelivered` in the transfer's ledger.

    `who` and `why` are codes: an account, a ticket. Raises OperatorError when there is nothing to deliver, or for a
    sentence where a code must be; NotFoundError; StoreUnavailableError.
    """
    with database.reading() as session:
        row = queries.transfer(session, transfer)
    entry = TransferRedelivered(time=now or datetime.now(UTC), transfer=transfer, who=who, why=why)
    try:
        return recorder.submit(Redeliver(row.ledger, entry)).result(_WAIT_SECONDS).result.index
    except NotWaitingError as error:
        raise OperatorError(f"{transfer} cannot be delivered again: it is {error.detail}") from error

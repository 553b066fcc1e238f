"""The operator's word that this machine's clock is right, although a ledger ends in the future."""

from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import OperatorAct
from gateway.operations.acts import record
from gateway.store.clocks import ahead
from gateway.store.jobs.events import RecordEvent
from gateway.wiring import Store, now


def accept_clock(store: Store, *, why: str, who: str) -> list[str]:
    """An entry with the time of now in every ledger that ends in the future; which. Raises RefusedError for none."""
    time = now()
    act = OperatorAct(
        time=time, who=require_code(who, "the operator"), what="clock.accept", why=require_code(why, "the reason")
    )
    with store.database.reading() as session:
        ledgers = sorted(ahead(session, time))
    if not ledgers:
        raise RefusedError("no ledger has an entry that is dated in the future")
    for ledger in ledgers:
        record(store, RecordEvent(ledger, [act]))
    return ledgers

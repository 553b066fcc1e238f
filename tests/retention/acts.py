"""What tests of erasure do: time passes, officers join, the audit looks."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update
from sqlmodel import col

from gateway.keyring import signer_for
from gateway.store.fsck import examine
from gateway.store.jobs.deliveries import Expire
from gateway.store.tables import OfficerRow
from tests.functional.flow import POLDA, Flow, Secrets

NIK = "3604081503900001"


def expire(flow: Flow, *transfers: str) -> None:
    flow.recorder.submit(Expire("test", transfers, flow.clock())).result(10)


def years_later(flow: Flow, *transfers: str) -> None:
    """What the agreement lets stand for two years is past its day, and its delivery has ended."""
    flow.clock.advance(days=733)
    expire(flow, *transfers)


def officers(flow: Flow, role: str = "SUPERVISOR") -> list[Any]:
    """Three keys of two persons at the police."""
    keys = [signer_for(Ed25519PrivateKey.generate()) for _ in range(3)]
    for key in keys:
        flow.add_officer(POLDA, key)
    with flow.database.write.begin() as connection:
        connection.execute(update(OfficerRow).values(role=role))
        same = update(OfficerRow).where(col(OfficerRow.kid) == keys[2].kid).values(person=keys[0].kid)
        connection.execute(same)
    flow.exchange.configuration.reload()
    return keys


def faults(flow: Flow, shared: Secrets, ledger: str = "test") -> dict[int, str]:
    found = examine(flow.database, shared.checkpoint, ledger, None, now=flow.clock())
    assert len(found.advice) == sum(not check.ok for check in found.report.checks)
    return {check.number: check.detail for check in found.report.checks if not check.ok}

"""Timestamps of checkpoints, by a real authority on loopback."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.attestation.policy import Policies, Policy, WitnessPlace
from gateway.attestation.stamping import Stamper
from gateway.errors import LedgerInvalidError
from gateway.keys.directory import parse_endpoint
from gateway.ledger.cosignature import Quorum
from gateway.ledger.timestamp import read_roots, verify_timestamp
from gateway.store import attested, queries
from tests.attestation.authority import Authority, needs_openssl
from tests.attestation.house import LOOPBACK, House
from tests.province import free_port
from tests.witness.logs import cosigner


@needs_openssl
def test_a_checkpoint_is_timestamped_and_a_missing_authority_is_budgeted(house: House, tmp_path: Path) -> None:
    """A token that OpenSSL's authority made verifies over the stored bytes; without one, messages stop after the budget."""
    policies = Policies(
        Policy(Quorum()), {}, (), timedelta(hours=1), stamp_stops=True, stamp_budget=timedelta(minutes=30)
    )

    async def act(authority: Authority) -> None:
        roots = read_roots(authority.roots.read_bytes())
        stamper = Stamper(parse_endpoint(authority.url, LOOPBACK), roots, 5.0)
        node = house.collector(policies, stamper=stamper)
        await node.start()
        await node.round()
        with house.database.reading() as session:
            kept = attested.timestamp_covering(session, "pks", 0)
            assert (kept.size, kept.note) == (3, queries.ledger_head(session, "pks").checkpoint)
        assert verify_timestamp(kept.token, kept.note, roots).token == kept.token
        with pytest.raises(LedgerInvalidError):
            verify_timestamp(kept.token, kept.note + b"x", roots)
        with pytest.raises(LedgerInvalidError):
            verify_timestamp(kept.token, kept.note, read_roots((tmp_path / "other" / "ca.pem").read_bytes()))

        # Nothing is asked within the period; after it an authority that lies or is away is not believed, and counted.
        house.append()
        await node.round()
        with house.database.reading() as session:
            assert attested.newest_timestamp(session, "pks").size == 3  # type: ignore[union-attr]
        house.ahead = timedelta(hours=1, minutes=1)
        authority.spoil = True
        await node.round()
        authority.spoil, authority.away = False, True
        stamper._paused.clear()
        await node.round()
        kinds = {sample.labels["kind"] for sample in house.metrics.timestamp_failures.collect()[0].samples}
        assert kinds == {"invalid", "status-503"}
        assert not house.gate.ledgers
        house.ahead = timedelta(hours=1, minutes=31)
        await node.round()
        assert house.gate.ledgers == {"pks"}, "the gateway's own ledger has nothing new to stamp"
        # An authority whose clock differs is not believed either; with the right clock it opens the gate again.
        authority.away = False
        stamper._paused.clear()
        await node.round()
        assert house.gate.ledgers == {"pks"}
        house.ahead = timedelta()
        with house.database.write.begin() as connection:
            connection.exec_driver_sql("UPDATE checkpoint_timestamp SET stamped_at = 0")
        stamper._paused.clear()
        await node.round()
        assert not house.gate.ledgers
        await node.stop()

    house.append(3)
    Authority(tmp_path / "other")
    with Authority(tmp_path / "tsa") as authority:
        asyncio.run(act(authority))


@needs_openssl
def test_a_timestamp_waits_for_the_witnesses_as_long_as_their_budget(house: House, tmp_path: Path) -> None:
    """Stamped before they cosigned, evidence with a timestamp would be without witnesses; absent for long, it is stamped bare."""
    away = WitnessPlace(cosigner().verifier, parse_endpoint(f"http://127.0.0.1:{free_port()}", LOOPBACK))
    policy = Policy(Quorum((away.verifier,), 1), "publish", timedelta(minutes=2))
    policies = Policies(policy, {}, (away,), timedelta(hours=1), stamp_stops=False, stamp_budget=timedelta())

    def stamped() -> int:
        with house.database.reading() as session:
            found = attested.newest_timestamp(session, "pks")
        return 0 if found is None else found.size

    async def act(authority: Authority) -> None:
        roots = read_roots(authority.roots.read_bytes())
        stamper = Stamper(parse_endpoint(authority.url, LOOPBACK), roots, 5.0)
        node = house.collector(policies, stamper=stamper)
        await node.start()
        await node.round()
        assert stamped() == 0
        house.ahead = timedelta(minutes=2, seconds=1)
        await node.round()
        assert stamped() == 3
        await node.stop()

    house.append(3)
    with Authority(tmp_path / "tsa") as authority:
        asyncio.run(act(authority))

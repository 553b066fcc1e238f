"""How long a ledger may go without witnesses: what the settings may ask for, and when it counts from."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.attestation.policy import Policies, Policy, Standing
from gateway.attestation.wiring import read_policies
from gateway.errors import OperatorError
from gateway.ledger.cosignature import Quorum
from gateway.ledger.note import NoteVerifier
from gateway.settings import Settings
from tests.witness.logs import cosigner


def test_a_policy_that_nobody_can_meet_is_refused() -> None:
    """At the start, by name, and not by a ledger that waits for ever."""
    one, two = cosigner(), cosigner("witness.example/w2")
    entry = {"vkey": one.verifier.vkey, "url": "https://w1.example"}
    log = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for witness, named in (
        ({"witnesses": [entry], "quorum": 2}, "witness.quorum"),
        ({"witnesses": [entry, entry]}, "same name"),
        ({"witnesses": [entry | {"vkey": "x"}]}, "witness.witnesses"),
        ({"witnesses": [entry | {"vkey": NoteVerifier("log.example", log).vkey}], "quorum": 1}, "witness.quorum"),
        ({"witnesses": [entry], "ledgers": {"pks": {"witnesses": ["nobody"]}}}, "witness.ledgers.pks"),
    ):
        with pytest.raises(OperatorError, match=named):
            read_policies(Settings(witness=witness))  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match="roots_file"):
        read_policies(Settings(timestamp={"url": "https://tsa.example"}))  # type: ignore[arg-type]
    both = {"witnesses": [entry, entry | {"vkey": two.verifier.vkey}], "quorum": 1}
    made = read_policies(Settings(witness=both | {"ledgers": {"pks": {"quorum": 2, "when_missing": "stop"}}}))  # type: ignore[arg-type]
    assert (made.of("gateway").quorum.count, made.of("pks").quorum.count) == (1, 2)


def test_the_budget_counts_from_the_oldest_entry_that_waits() -> None:
    """A restart begins no budget anew, and a ledger in which nothing waits is never late."""
    quorum = Quorum((cosigner().verifier,), 1)
    policies = Policies(
        Policy(quorum, "stop", timedelta(minutes=5)), {}, (), None, stamp_stops=False, stamp_budget=timedelta()
    )
    since = datetime(2026, 11, 24, tzinfo=UTC)
    waiting = Standing("pks", 9, 4, since, None)
    assert not policies.stops(waiting, since + timedelta(minutes=5))
    assert policies.stops(waiting, since + timedelta(minutes=5, seconds=1))
    assert not policies.stops(Standing("pks", 9, 9, None, since), since + timedelta(days=9))
    assert not policies.stops(waiting, since - timedelta(days=1)), "nor does a clock that was set back stop it"

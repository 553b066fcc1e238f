"""How an agency's keys end and follow one another: the earliest moment wins, and a next key gives the one before an end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.founding import RefusedError
from gateway.jose import PublicKey
from gateway.key_management.compromise import compromise
from gateway.key_management.standing import history, standings
from gateway.keyring import signer_for
from gateway.keys.directory import AgencyKey, directory, stage
from gateway.operations import agency_keys
from gateway.operations.agency_keys import find_key, import_key, retire_key, revoke_key
from gateway.sdk.reception import KeySet
from gateway.settings import load_settings
from gateway.store import queries
from gateway.wiring import Store, now, open_store
from tests.cli.office import POLDA
from tests.cli.shell import founded

NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    shell = founded(tmp_path_factory.mktemp("ended"))
    shell.ok("agencies", "add", POLDA, "--name", "Polda", "--why", "T-1")
    with open_store(load_settings(shell.config)) as opened:
        yield opened


def new_key(store: Store, days: int = 30) -> PublicKey:
    public = signer_for(Ed25519PrivateKey.generate()).public
    last = now() + timedelta(days=days)
    return import_key(store, POLDA, public.jwk, not_after=last, why="T-1", who="tester")


@pytest.mark.parametrize("order", list(permutations(("now", "an hour ago", "two hours ago"))), ids=" then ".join)
def test_of_several_revocations_the_earliest_moment_wins(
    store: Store, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    """Each command read the key while it was active, and they commit one after another: none makes the moment later."""
    kid, time = new_key(store).kid, now()
    moments = {"now": None, "an hour ago": time - timedelta(hours=1), "two hours ago": time - timedelta(hours=2)}
    seen = find_key(store, POLDA, kid)
    with monkeypatch.context() as stale:
        stale.setattr(agency_keys, "find_key", lambda *_: seen)
        for number, name in enumerate(order):
            later = any(order.index(other) < number for other in list(moments)[list(moments).index(name) + 1 :])
            if later:
                with pytest.raises(RefusedError, match="as of that moment or an earlier one"):
                    revoke_key(store, POLDA, kid, why="INC-1", who="tester", since=moments[name])
            else:
                revoke_key(store, POLDA, kid, why="INC-1", who="tester", since=moments[name])
        for _ in range(2):
            with pytest.raises(RefusedError, match="revoked already"):
                retire_key(store, POLDA, kid, why="T-1", who="tester")
    assert find_key(store, POLDA, kid).untrusted_since == moments["two hours ago"]
    with pytest.raises(RefusedError):
        compromise(store, POLDA, kid, time - timedelta(minutes=1), why="INC-1", who="tester")
    assert history(store)[1] == []


def test_the_key_before_an_imported_one_is_retiring(store: Store) -> None:
    """It counts for the overlap, then ends of itself, and the ledger says when; a next key that ends sooner changes nothing."""
    first = new_key(store, 300).kid
    short, second = new_key(store, 3).kid, new_key(store, 365).kid
    with store.database.reading() as session:
        known = queries.load_directory(session, 0)
    time = now()
    ends = {kid: known.keys[POLDA, kid].not_after - time for kid in (first, short, second)}
    assert timedelta(days=6, hours=23) < ends[first] < timedelta(days=7)
    assert (ends[short].days, ends[second].days) == (2, 364)
    told = {one.kid: one.state for one in standings(store, time) if one.kid in ends}
    assert told == {first: "retiring", short: "retiring", second: "active"}
    assert history(store)[1] == []


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-1, ("pending", "pending")),
        (0, ("active", "pending")),
        (10, ("retiring", "active")),
        (17, ("retired", "active")),
        (400, ("retired", "retired")),
    ],
)
def test_a_key_set_shows_how_each_key_stands(days: int, told: tuple[str, str]) -> None:
    """`stage` beside status and validity; a reader that does not know the member reads the set as before."""
    old, new = (signer_for(Ed25519PrivateKey.generate()).public for _ in range(2))
    keys = [
        AgencyKey(POLDA, old, NOW, NOW + timedelta(days=17)),
        AgencyKey(POLDA, new, NOW + timedelta(days=10), NOW + timedelta(days=300)),
    ]
    known, time = directory([], keys), NOW + timedelta(days=days)
    shown = [key.as_jwk(stage(key, known, time)) for key in keys]
    assert tuple(jwk["stage"] for jwk in shown) == told
    assert KeySet.read({"keys": shown}) == KeySet.read({"keys": [key.as_jwk() for key in keys]})

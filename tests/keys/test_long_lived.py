"""The ML-DSA-44 checkpoint key is replaced: every ledger says so, both sign for a while, and old evidence stands."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from fastapi import FastAPI
from jwt import PyJWKSet
from sqlalchemy import delete
from sqlmodel import col

from gateway.api.app import create_app
from gateway.errors import KeyringError, OperatorError
from gateway.founding import RefusedError
from gateway.founding.beginning import initialise
from gateway.founding.charter import Charter
from gateway.key_management import rotation, withdrawal
from gateway.key_management.own_compromise import compromise_own
from gateway.key_management.standing import history, standings
from gateway.keyring import LongLivedKey
from gateway.keys.keychain import LONG_LIVED, state
from gateway.ledger.cosignature import Cosigner, Trust, with_signatures
from gateway.ledger.note import ML_DSA_44, NoteVerifier
from gateway.ledger.succession import statements
from gateway.operations import acts
from gateway.record import OWN_LEDGER
from gateway.sdk.reception import KeySet
from gateway.settings import Settings
from gateway.store import queries
from gateway.store.fsck import examine
from gateway.store.recorder import Transaction
from gateway.store.tables import GatewayKeyRow
from gateway.wiring import Store, now, open_gateway, open_store

AT_ONCE = timedelta()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return initialise(tmp_path / "gw", Charter(gateway_id="gw-test", ml_dsa=True), who="tester")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


def refresh(store: Store) -> None:
    with store.database.reading() as session:
        store.keys.learn(queries.own_keys(session))


def note(store: Store) -> tuple[str, bytes]:
    """The own ledger's origin, and its checkpoint with the lines of every key that signs now."""
    with store.database.reading() as session:
        head = queries.ledger_head(session, OWN_LEDGER)
        origin, plain = head.origin, head.checkpoint
    text = plain.partition(b"\n\n")[0].decode() + "\n"
    lines = [own.cosign(text, 1_800_000_000) for own in store.keys.long_lived_keys.cosigners(origin)]
    return origin, with_signatures(plain, lines)


def trust(store: Store, origin: str, key: NoteVerifier) -> Trust:
    return Trust(origin, (*store.keys.checkpoint.verifiers(origin), key))


def stages(store: Store) -> list[str]:
    with store.database.reading() as session:
        own = queries.own_keys(session)
    return [state(key, own, now()) for key in own if key.role == LONG_LIVED]


def said(store: Store, ledger: str) -> list[bytes]:
    with store.database.reading() as session:
        return list(queries.leaves(session, ledger, 0, 256))


def test_a_new_long_lived_key_follows_the_old_one_and_both_sign(settings: Settings) -> None:
    """Who pins the old one alone goes on: for a while it signs, and then the ledger's own statement leads to the new one."""
    with open_store(settings) as store:
        origin, before = note(store)
        (old,) = store.keys.long_lived_keys.cosigners(origin)
        done = rotation.rotate(store, LONG_LIVED, lead=AT_ONCE, overlap=timedelta(days=1), why="T-1", who="tester")
        refresh(store)
        assert sorted(stages(store)) == ["active", "retiring"]
        new = store.keys.long_lived(origin)
        assert new is not None
        assert new.verifier != old.verifier
        _, both = note(store)
        for key in (old, new):
            trust(store, origin, key.verifier).open(both)
        trust(store, origin, old.verifier).open(before)
        found = statements(said(store, OWN_LEDGER))
        assert [one.members(origin)["vkey"] for one in found] == [new.verifier.vkey]
        assert store.keys.long_lived_keys.said == tuple(found)
        # Once the old one has ended: the new line alone, and the statement that leads to it.
        with store.database.reading() as session:
            plain = queries.ledger_head(session, OWN_LEDGER).checkpoint
        text = plain.partition(b"\n\n")[0].decode() + "\n"
        alone = with_signatures(plain, [new.cosign(text, 1_800_000_000)])
        trust(store, origin, old.verifier).learn(found).open(alone)
        assert examine(store.database, store.keys.checkpoint, OWN_LEDGER, None, now=now()).ok
        lives, wrong = history(store)
        assert wrong == []
        assert {one.kid for one in lives if one.use == LONG_LIVED} == {done.old, done.new}
        shown = {(one.kid, one.state) for one in standings(store, now()) if one.role == LONG_LIVED}
        assert shown == {(done.old, "retiring"), (done.new, "active")}
    with open_store(settings) as store:
        assert store.keys.long_lived(origin) is not None
        assert store.keys.faults == ()


def test_the_thumbprint_is_the_one_of_rfc_9964() -> None:
    """The example of its appendix, whose seed is 32 zeros."""
    key = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    held = LongLivedKey(Cosigner(NoteVerifier("any", key.public_key().public_bytes_raw(), ML_DSA_44), key.sign))
    assert held.jwk["pub"].startswith("unH59k4RuutY")
    assert held.kid == "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o"


def asked(settings: Settings) -> list[Any]:
    """The set of every verifier, the gateway's own, and nobody's."""

    async def ask(app: FastAPI) -> list[Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            paths = ("/.well-known/jwks.json", "/v1/agencies/gw-test/jwks.json", "/v1/agencies/nobody/jwks.json")
            return [await client.get(path) for path in paths]

    with open_gateway(settings) as gateway:
        return asyncio.run(ask(create_app(gateway)))


def test_a_long_lived_key_is_published_where_no_reader_stumbles(settings: Settings) -> None:
    """In the gateway's own set, with its stage; not in the one that every verifier reads, since some refuse it whole."""
    with open_store(settings) as store:
        done = rotation.rotate(store, LONG_LIVED, lead=timedelta(hours=1), why="T-1", who="tester")

    plain, whole, nobody = asked(settings)
    assert nobody.status_code == 404
    common, every = plain.json()["keys"], whole.json()["keys"]
    lasting = [jwk for jwk in every if jwk not in common]
    assert [(jwk["kid"], jwk["stage"]) for jwk in lasting] == [(done.old, "active"), (done.new, "pending")]
    assert {(jwk["kty"], jwk["alg"], jwk["purpose"], jwk["use"]) for jwk in lasting} == {
        ("AKP", "ML-DSA-44", LONG_LIVED, "sig")
    }
    assert all("nbf" in jwk for jwk in lasting)
    assert lasting[0]["exp"] > lasting[1]["nbf"]
    assert {jwk["kty"] for jwk in common} == {"OKP"}
    assert KeySet.read(whole.json()) == KeySet.read(plain.json())
    assert len(PyJWKSet(every).keys) == len(common)


def test_a_long_lived_key_is_announced_and_cannot_be_unsaid(store: Store) -> None:
    """As with the Ed25519 key: until it begins the old one is in use, another is refused, and none is withdrawn."""
    rotation.rotate(store, LONG_LIVED, lead=timedelta(hours=1), why="T-1", who="tester")
    refresh(store)
    assert stages(store) == ["active", "pending"]
    for instead in (False, True):
        with pytest.raises((RefusedError, OperatorError)):
            rotation.rotate(store, LONG_LIVED, instead=instead, why="T-2", who="tester")
    with pytest.raises(OperatorError):
        withdrawal.plan(store, LONG_LIVED)


def test_a_long_lived_key_in_other_hands_signs_nothing_more(store: Store) -> None:
    """First the next one; then the old one is revoked, in the ledger too, and the next one signs alone."""
    with store.database.reading() as session:
        (lost,) = [key.kid for key in queries.own_keys(session) if key.role == LONG_LIVED]
    with pytest.raises(RefusedError, match="first"):
        compromise_own(store, lost, now() - timedelta(hours=1), why="INC-1", who="tester")
    rotation.rotate(store, LONG_LIVED, lead=AT_ONCE, why="T-1", who="tester")
    refresh(store)
    compromise_own(store, lost, now() - timedelta(hours=1), why="INC-1", who="tester")
    assert len(store.keys.long_lived_keys.cosigners("any")) == 1
    assert [leaf for leaf in said(store, OWN_LEDGER) if b'"kind":"key.revoked"' in leaf and lost.encode() in leaf]
    assert history(store)[1] == []


def test_a_key_that_the_settings_alone_name_is_rotated_as_well(settings: Settings) -> None:
    """It was added after the gateway was founded: its first rotation writes it down as the one before."""
    with open_store(settings) as store:

        def forget(transaction: Transaction) -> None:
            transaction.connection.execute(delete(GatewayKeyRow).where(col(GatewayKeyRow.use) == LONG_LIVED))

        acts.act(store, [], forget)
    (lasting,) = [jwk for jwk in asked(settings)[1].json()["keys"] if jwk["kty"] == "AKP"]
    assert ("nbf" in lasting, lasting["stage"], lasting["purpose"]) == (False, "active", LONG_LIVED)
    with open_store(settings) as store:
        done = rotation.rotate(store, LONG_LIVED, lead=AT_ONCE, why="T-1", who="tester")
        refresh(store)
        assert sorted(stages(store)) == ["active", "retiring"]
        assert lasting["kid"] == done.old != done.new
        lives, wrong = history(store)
        assert wrong == []
        assert [(one.kid, one.status) for one in lives if one.use == LONG_LIVED] == [
            (done.old, "retired"), (done.new, "active")
        ]  # fmt: skip


def test_a_gateway_without_such_a_key_and_a_token_are_refused(store: Store, tmp_path: Path) -> None:
    """Nothing is announced: no token has ML-DSA, and no Ed25519 key comes after an ML-DSA one."""
    size = len(said(store, OWN_LEDGER))
    with pytest.raises(KeyringError, match="file: or a credential:"):
        rotation.rotate(store, LONG_LIVED, uri="pkcs11:token=t;object=o", why="T-1", who="tester")
    with pytest.raises(KeyringError, match="must be an ML-DSA-44 key"):
        rotation.rotate(store, LONG_LIVED, uri=store.settings.keys.sign, why="T-1", who="tester")
    assert len(said(store, OWN_LEDGER)) == size
    bare = initialise(tmp_path / "bare", Charter(gateway_id="gw-bare"), who="tester")
    with open_store(bare) as other, pytest.raises(OperatorError, match="has no ML-DSA-44 key"):
        rotation.rotate(other, LONG_LIVED, why="T-1", who="tester")

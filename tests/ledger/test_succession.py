"""A checkpoint key that is replaced: who trusts the old one may follow, and nobody can be led astray."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.errors import LedgerInvalidError
from gateway.keyring import signer_for
from gateway.keys.keychain import CHECKPOINT, OwnKey, Ring
from gateway.ledger import entry
from gateway.ledger.checkpoint import open_checkpoint, sign_checkpoint
from gateway.ledger.cosignature import Trust
from gateway.ledger.note import COSIGNATURE_V1, ML_DSA_44, Ed25519NoteSigner, NoteVerifier, encode_base64
from gateway.ledger.succession import STATEMENT, Succession, following, stated
from gateway.ledger.verify import audit
from gateway.store.checkpoint_keys import CheckpointKeys
from tests.ledger.published import MemorySource, publish

ORIGIN = "sinergi.example/ledger/pks"
BEGINS = datetime(2026, 11, 27, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Key:
    private: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        return self.private.sign

    @property
    def note(self) -> Ed25519NoteSigner:
        return Ed25519NoteSigner(ORIGIN, self.sign, self.public_key)

    @property
    def verifier(self) -> NoteVerifier:
        return self.note.verifier


def key(seed: int) -> Key:
    return Key(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


ONE, TWO, THREE, THIEF = (key(seed) for seed in range(1, 5))
FIRST, SECOND = Succession.sign(ONE, TWO, BEGINS), Succession.sign(TWO, THREE, BEGINS)


def leaf(said: Succession, origin: str = ORIGIN) -> bytes:
    members: dict[str, Any] = said.members(origin) | {"not_before": said.not_before}
    return entry.CheckpointKey(time=BEGINS, **members).leaf()


def test_the_statement_is_these_four_lines() -> None:
    """Whoever writes a verifier of their own needs nothing but the page about the format."""
    keys = [encode_base64(b"\x01" + one.public_key) for one in (ONE, TWO)]
    text = f"{STATEMENT}\n{keys[0]}\n{keys[1]}\n2026-11-27T08:00:00.000000Z\n".encode()
    ONE.private.public_key().verify(FIRST.old_signature, text)
    TWO.private.public_key().verify(FIRST.new_signature, text)


def test_a_leaf_says_what_was_signed_and_nothing_else_does() -> None:
    """Out and in are the same; an entry about something else says nothing."""
    assert stated(leaf(FIRST)) == FIRST
    assert stated(entry.OperatorAct(time=BEGINS, who="op", what="checkpoint.key", why="T-1").leaf()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"old_signature": encode_base64(THIEF.sign(b"x"))},
        {"new_signature": FIRST.members(ORIGIN)["old_signature"]},
        {"vkey": NoteVerifier(ORIGIN, THIEF.public_key).vkey},
        {"old_vkey": NoteVerifier(ORIGIN, THIEF.public_key).vkey},
        {"not_before": "2026-11-27T08:00:01.000000Z"},
        {"vkey": NoteVerifier("another.example/ledger/pks", TWO.public_key).vkey},
        {"vkey": NoteVerifier(ORIGIN, TWO.public_key, 4).vkey},
        {"vkey": None},
        {"not_before": "tomorrow"},
    ],
)
def test_a_changed_statement_is_none(change: dict[str, Any]) -> None:
    """Another key, another moment, another ledger, a signature that is another's: refused, whatever is changed."""
    with pytest.raises(LedgerInvalidError):
        Succession.read(FIRST.members(ORIGIN) | change)


def test_a_key_that_its_owner_does_not_show_is_not_named() -> None:
    """Nobody can be made to vouch for a key that the one who names it does not hold, nor for himself."""
    with pytest.raises(LedgerInvalidError):
        replace(FIRST, new=THIEF.public_key)
    with pytest.raises(LedgerInvalidError):
        Succession.sign(ONE, ONE, BEGINS)


def test_trust_follows_forwards_over_several_keys_and_never_back() -> None:
    """In any order of the statements; a stranger's statement about himself leads nowhere."""
    stranger = Succession.sign(THIEF, key(9), BEGINS)
    said = [SECOND, stranger, FIRST]
    assert following([ONE.verifier], said) == (ONE.verifier, TWO.verifier, THREE.verifier)
    assert following([THREE.verifier], said) == (THREE.verifier,)
    assert set(following([THREE.verifier], said, and_before=True)) == {ONE.verifier, TWO.verifier, THREE.verifier}
    assert following([THIEF.verifier], [FIRST, SECOND]) == (THIEF.verifier,)


def published(*signers: Key, said: tuple[Succession, ...] = (FIRST, SECOND)) -> MemorySource:
    """A ledger in whose middle its keys are replaced, its checkpoint signed by these keys."""
    leaves = [entry.OperatorAct(time=BEGINS, who="op", what=f"act.{number}", why="T-1").leaf() for number in range(300)]
    for place, one in enumerate(said):
        leaves[40 + 230 * place] = leaf(one)
    source = publish(leaves, ONE.note)
    root = open_checkpoint(source.fetch("checkpoint"), ORIGIN, [ONE.verifier]).checkpoint
    source["checkpoint"] = sign_checkpoint(root, [one.note for one in signers])
    return source


def test_who_trusts_the_first_key_verifies_a_ledger_that_the_third_one_signs() -> None:
    """The audit learns both from the ledger itself, and names them."""
    for signers in ((THREE,), (TWO, THREE), (ONE, TWO), (ONE,)):
        report = audit(published(*signers), ORIGIN, [ONE.verifier], asked=Trust(ORIGIN, (ONE.verifier,)))
        assert report.ok, report.checks
        assert report.later == (TWO.verifier, THREE.verifier)


def test_a_ledger_of_a_thief_is_not_verified() -> None:
    """His own statement, no statement, or that of an older key that nobody here trusts: the checkpoint is not the ledger's."""
    own = Succession.sign(THIEF, key(9), BEGINS)
    for signer, said in ((THIEF, ()), (key(9), (own,)), (THREE, (SECOND,))):
        report = audit(published(signer, said=said), ORIGIN, [ONE.verifier])
        assert not report.ok
        assert report.checkpoint is None


def test_own_ledgers_bear_the_keys_that_were_opened_and_those_tied_to_them() -> None:
    """A row that somebody wrote into the database adds no key; a revoked key counts for what is old alone."""

    def own(one: Key, said: Succession | None, status: str = "active") -> OwnKey:
        signer = signer_for(one.private)
        members = None if said is None else said.members(ORIGIN)
        return OwnKey(signer.kid, CHECKPOINT, dict(signer.public.jwk), None, BEGINS, None, status, None, members)

    keys = CheckpointKeys(Ring(signer_for(TWO.private), CHECKPOINT, clock=lambda: BEGINS))
    forged = FIRST.members(ORIGIN) | {"vkey": NoteVerifier(ORIGIN, THIEF.public_key).vkey}
    rows = [own(ONE, None), own(TWO, FIRST), own(THIEF, Succession.sign(key(9), THIEF, BEGINS))]
    keys.learn([*rows, replace(rows[2], succession=forged)])
    assert set(keys.verifiers(ORIGIN)) == {ONE.verifier, TWO.verifier}
    keys.learn([replace(rows[0], status="revoked"), *rows[1:]])
    assert keys.verifiers(ORIGIN) == (TWO.verifier,)
    assert set(keys.verifiers(ORIGIN, lost=True)) == {ONE.verifier, TWO.verifier}


@dataclass(frozen=True)
class Long:
    private: MLDSA44PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def sign(self) -> Callable[[bytes], bytes]:
        return self.private.sign

    @property
    def verifier(self) -> NoteVerifier:
        return NoteVerifier(ORIGIN, self.public_key, ML_DSA_44)


def long(seed: int) -> Long:
    return Long(MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


LONG_ONE, LONG_TWO = long(1), long(2)
LONG_FIRST = Succession.sign(LONG_ONE, LONG_TWO, BEGINS, ML_DSA_44)


def test_a_long_lived_key_is_followed_by_the_same_four_lines() -> None:
    """ML-DSA-44 signs the bytes of the statement as they are; the leaf gives it back, and whoever knows the old key follows."""
    keys = [encode_base64(b"\x06" + one.public_key) for one in (LONG_ONE, LONG_TWO)]
    text = f"{STATEMENT}\n{keys[0]}\n{keys[1]}\n2026-11-27T08:00:00.000000Z\n".encode()
    LONG_ONE.private.public_key().verify(LONG_FIRST.old_signature, text)
    LONG_TWO.private.public_key().verify(LONG_FIRST.new_signature, text)
    assert stated(leaf(LONG_FIRST)) == LONG_FIRST
    known = (ONE.verifier, LONG_ONE.verifier)
    assert following(known, [FIRST, LONG_FIRST]) == (*known, TWO.verifier, LONG_TWO.verifier)
    assert following((LONG_TWO.verifier,), [LONG_FIRST]) == (LONG_TWO.verifier,)


def test_a_broken_ed25519_says_nothing_of_a_long_lived_key() -> None:
    """A statement is about two keys of one kind, and of that kind are its signatures: else the stronger is worth the weaker."""
    members, short = LONG_FIRST.members(ORIGIN), FIRST.members(ORIGIN)
    forgeries = [
        {"old_vkey": short["old_vkey"]},
        {"vkey": short["vkey"]},
        {"old_signature": short["old_signature"]},
        {"new_signature": members["old_signature"]},
        {"old_vkey": NoteVerifier(ORIGIN, ONE.public_key, COSIGNATURE_V1).vkey},
        {"not_before": "2026-11-28T08:00:00.000000Z"},
    ]
    for change in forgeries:
        with pytest.raises(LedgerInvalidError):
            Succession.read(members | change)

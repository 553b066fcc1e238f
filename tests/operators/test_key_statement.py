"""An agency's next key: what proves that the agency means it, and what does not."""

import json
from datetime import timedelta
from typing import Any

import pytest

from gateway.errors import AccessDeniedError, GatewayError, KeyRefusedError, MalformedError, SignatureInvalidError
from gateway.keyring import KeyringSigner
from gateway.keys.directory import ACTIVE, REVOKED, Agency, Directory, RecoveryKey, directory
from gateway.statements.key_statement import RECOVERY, SIGN, verify_statement
from tests.operators.statements import (
    GATEWAY,
    NEW,
    NEWEST,
    NOW,
    OLD,
    OTHERS,
    POLDA,
    SPARE,
    Pretender,
    known,
    statement,
)


def test_the_key_in_use_endorses_the_next() -> None:
    """Of either algorithm; the statement says who endorsed it."""
    for signer in (NEW, NEWEST):
        found = verify_statement(statement(signer), GATEWAY, known(), NOW)
        assert (found.agency, found.key, found.endorsed_by, found.recovered) == (POLDA, signer.public, OLD.kid, False)


def test_the_recovery_key_endorses_where_the_key_in_use_is_lost() -> None:
    """Also when that was revoked, or has ended."""
    for directory_ in (known(), known(status=REVOKED), known(ends=-1)):
        found = verify_statement(statement(endorser=SPARE), GATEWAY, directory_, NOW)
        assert (found.endorsed_by, found.recovered) == (SPARE.kid, True)


def test_a_first_key_comes_without_endorsement() -> None:
    """An agency without any key has nobody else to speak for it."""
    empty = directory([Agency(POLDA, "Polda")], [])
    assert verify_statement(statement(endorser=None), GATEWAY, empty, NOW).endorsed_by is None


@pytest.mark.parametrize(
    ("endorser", "directory_"),
    [
        (None, known()),
        (NEW, known()),
        (OTHERS, known()),
        (OLD, known(status=REVOKED)),
        (OLD, known(ends=-1)),
        (SPARE, known(recovery=REVOKED)),
        (SPARE, known(recovery=None)),
        (SPARE, known(spare=(-300, 0))),
        (SPARE, known(spare=(1, 900))),
    ],
    ids=[
        "nobody",
        "itself",
        "another agency",
        "revoked",
        "ended",
        "revoked recovery",
        "unknown recovery",
        "ended recovery",
        "recovery to come",
    ],
)
def test_nobody_else_speaks_for_the_agency(endorser: KeyringSigner | None, directory_: Directory) -> None:
    """A thief with a new key of their own needs the agency's key, or its recovery key, as they are now."""
    with pytest.raises((AccessDeniedError, KeyRefusedError)):
        verify_statement(statement(endorser=endorser), GATEWAY, directory_, NOW)


def test_nobody_proposes_a_key_that_they_do_not_hold() -> None:
    """The statement must be signed by the very key that it is about."""
    with pytest.raises(GatewayError, match="does not fit the key"):
        verify_statement(statement(key=NEWEST.public), GATEWAY, known(), NOW)


@pytest.mark.parametrize("kid", [OLD.kid, SPARE.kid], ids=["the old key", "the recovery key"])
def test_an_endorsement_is_not_by_name(kid: str) -> None:
    """Naming the agency's key, or its recovery key, is not having it."""
    with pytest.raises(SignatureInvalidError):
        verify_statement(statement(endorser=Pretender(OTHERS, kid)), GATEWAY, known(), NOW)


def test_an_endorsement_is_of_one_statement() -> None:
    """Taken from one statement and put to another it endorses nothing; nor for another agency or gateway."""
    own, other = json.loads(statement()), json.loads(statement(NEWEST))
    with pytest.raises(AccessDeniedError, match="another statement"):
        verify_statement(
            json.dumps({"statement": other["statement"], "endorsement": own["endorsement"]}), GATEWAY, known(), NOW
        )
    with pytest.raises(MalformedError, match="another gateway"):
        verify_statement(statement(gateway="sinergi-lampung"), GATEWAY, known(), NOW)
    with pytest.raises(MalformedError, match="in the last 7 days"):
        verify_statement(statement(), GATEWAY, known(), NOW + timedelta(days=8))


def test_a_recovery_key_is_replaced_by_its_own_word_alone() -> None:
    """Whoever stole the key in use does not get the recovery key with it."""
    with pytest.raises(AccessDeniedError, match="its own word"):
        verify_statement(statement(use=RECOVERY), GATEWAY, known(), NOW)
    assert verify_statement(statement(use=RECOVERY, endorser=SPARE), GATEWAY, known(), NOW).recovered
    with pytest.raises(AccessDeniedError, match="its own word"):  # also one that has not begun
        verify_statement(statement(use=RECOVERY), GATEWAY, known(spare=(1, 900)), NOW)
    for directory_ in (known(recovery=None), known(recovery=REVOKED), known(spare=(-300, 0))):
        assert verify_statement(statement(use=RECOVERY), GATEWAY, directory_, NOW).use == RECOVERY


@pytest.mark.parametrize("recovery", [ACTIVE, REVOKED])
def test_the_first_signing_key_beside_a_recovery_key_is_endorsed_by_it(recovery: str) -> None:
    """An agency that has or had a recovery key is spoken for: a stranger's statement with a key of his own is not enough."""
    held = RecoveryKey(POLDA, SPARE.public, NOW - timedelta(days=1), NOW + timedelta(days=9), status=recovery)
    only = directory([Agency(POLDA, "Polda")], [], recovery=[held])
    for use in (SIGN, RECOVERY):
        with pytest.raises(AccessDeniedError, match="has had keys"):
            verify_statement(statement(endorser=None, use=use), GATEWAY, only, NOW)
    if recovery == ACTIVE:
        assert verify_statement(statement(endorser=SPARE), GATEWAY, only, NOW).endorsed_by == SPARE.kid


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"statement": 1}', '{"statement": "a.b.c"}', '{"endorsement": "a.b.c"}', "\ud800",
        '{"statement": "a.b.c", "more": "x"}', '{"statement": "' + "a" * 25_000 + '"}',
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused_as_such(text: str) -> None:
    """Nothing but a GatewayError leaves the parser."""
    with pytest.raises(GatewayError):
        verify_statement(text, GATEWAY, known(), NOW)


@pytest.mark.parametrize("changes", [{"use": "encrypt"}, {"not_after": NOW}, {"agency": "Polda"}])
def test_a_statement_without_sense_is_not_even_signed(changes: dict[str, Any]) -> None:
    """The agency learns at its own machine what the gateway would refuse."""
    with pytest.raises(MalformedError):
        statement(**changes)

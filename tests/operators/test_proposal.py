"""What two operators sign: attacks on the document, on the signatures, and on who signed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import AccessDeniedError, GatewayError, MalformedError, OperatorError
from gateway.jose import sign_jws
from gateway.keyring import KeyringSigner, signer_for
from gateway.keys.directory import ACTIVE, REVOKED, Directory, Operator, directory
from gateway.statements.appointment import APPOINTMENT_TYP, sign_appointment, verify_appointment, verify_founders
from gateway.statements.proposal import (
    LIFETIME,
    PROPOSAL_TYP,
    Proposal,
    draft,
    parse_proposal,
    require_two,
    sign_proposal,
)

NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
GATEWAY = "sinergi-banten"
SARI, BUDI, OTHER, STRANGER = (signer_for(Ed25519PrivateKey.generate()) for _ in range(4))


def known(**statuses: str) -> Directory:
    """Sari has two keys, Budi one."""
    held = (("sari", SARI), ("budi", BUDI), ("sari", OTHER))
    operators = [Operator(id_, key.public, statuses.get(id_, ACTIVE)) for id_, key in held]
    return directory([], [], operators=operators)


def proposal(**changes: Any) -> Proposal:
    made = draft(
        GATEWAY, "keys.compromised", "polda-banten", {"kid": "k" * 43, "since": "2026-11-20T01:00:00+00:00"},
        why="INC-7", now=NOW, lifetime=timedelta(hours=24),
    )  # fmt: skip
    return replace(made, **changes)


def signed(one: Proposal, *signers: KeyringSigner) -> list[str]:
    return [sign_proposal(one, signer) for signer in signers]


def test_two_operators_over_the_same_document_are_enough() -> None:
    """Both are named, in the order in which they signed."""
    one = proposal()
    assert [who.id for who in require_two(signed(one, SARI, BUDI), one, known(), NOW)] == ["sari", "budi"]
    assert parse_proposal(one.canonical()) == one


def other_document(one: Proposal) -> list[str]:
    return [*signed(one, SARI), *signed(replace(one, about="imigrasi-banten"), BUDI)]


def other_parameter(one: Proposal) -> list[str]:
    return [*signed(one, SARI), *signed(replace(one, parameters={**one.parameters, "kid": "x" * 43}), BUDI)]


def other_use(one: Proposal) -> list[str]:
    return [*signed(one, SARI), sign_jws(one.members(), APPOINTMENT_TYP, BUDI)]


def cut(one: Proposal) -> list[str]:
    return [*signed(one, SARI), signed(one, BUDI)[0][:-4] + "AAAA"]


@pytest.mark.parametrize(
    "signatures",
    [
        pytest.param(lambda one: signed(one, SARI), id="one alone"),
        pytest.param(lambda one: signed(one, SARI, SARI), id="one twice"),
        pytest.param(lambda one: signed(one, SARI, OTHER), id="one person with two keys"),
        pytest.param(lambda one: signed(one, SARI, STRANGER), id="a stranger"),
        pytest.param(other_document, id="another document"),
        pytest.param(other_parameter, id="another parameter"),
        pytest.param(other_use, id="a signature made for something else"),
        pytest.param(cut, id="a broken signature"),
        pytest.param(lambda _: [], id="nobody"),
    ],
)
def test_fewer_than_two_persons_do_nothing(signatures: Callable[[Proposal], list[str]]) -> None:
    """One person, however often and with however many keys, is one; what another document says counts for nothing."""
    one = proposal()
    with pytest.raises(AccessDeniedError) as refused:
        require_two(signatures(one), one, known(), NOW)
    assert "of 2 operators signed it" in str(refused.value.reasons[-1].detail)


def test_a_revoked_operator_counts_no_more() -> None:
    """Also where they signed before they were revoked."""
    one = proposal()
    with pytest.raises(AccessDeniedError) as refused:
        require_two(signed(one, SARI, BUDI), one, known(budi=REVOKED), NOW)
    assert "revoked" in str(refused.value.reasons[0].detail)


@pytest.mark.parametrize("moment", [NOW + timedelta(hours=24), NOW - timedelta(minutes=2)])
def test_a_proposal_counts_only_in_its_time(moment: datetime) -> None:
    """From the second of its expiry on it is refused, and so is one of the future."""
    one = proposal()
    with pytest.raises(AccessDeniedError):
        require_two(signed(one, SARI, BUDI), one, known(), moment)


def test_no_two_proposals_are_the_same() -> None:
    """The nonce makes the same wish of the same second another document, so one approval is good for one act."""
    assert proposal().digest != proposal().digest


@pytest.mark.parametrize(
    "change",
    [
        {"v": True},
        {"v": 2},
        {"why": "in words"},
        {"about": "a\nb"},
        {"exp": int((NOW + LIFETIME).timestamp()) + 1},
        {"exp": int(NOW.timestamp())},
        {"iat": True},
        {"nonce": "short"},
        {"parameters": {"kid": 1}},
        {"parameters": {"a b": "c"}},
        {"parameters": {"a": "line\nbreak"}},
        {"parameters": {f"p{number}": "x" for number in range(17)}},
        {"more": "x"},
    ],
)
def test_a_document_is_read_exactly(change: dict[str, Any]) -> None:
    """Another form, a member more, a longer life: none of it is a proposal, signed or not."""
    one = proposal()
    text = sign_jws(one.members() | change, PROPOSAL_TYP, SARI)
    with pytest.raises(AccessDeniedError) as refused:
        require_two([text, *signed(one, BUDI)], one, known(), NOW)
    assert len(refused.value.reasons) == 2


def test_a_document_has_one_spelling() -> None:
    """A space more, and the stored bytes are not what was signed."""
    document = proposal().canonical()
    with pytest.raises(MalformedError):
        parse_proposal(document.replace(b'"v":1', b'"v": 1'))


# Who is an operator.


def appointed(signer: KeyringSigner, name: str = "sari", gateway: str = GATEWAY, now: datetime = NOW) -> str:
    return sign_appointment(name, gateway, key=signer.public, signer=signer, now=now)


def test_an_appointment_proves_possession() -> None:
    """It is signed by the very key that it carries; with somebody else's it proves nothing."""
    assert verify_appointment(appointed(SARI), GATEWAY, NOW).key == SARI.public
    forged = sign_appointment("sari", GATEWAY, key=BUDI.public, signer=SARI, now=NOW)
    with pytest.raises(GatewayError, match="does not fit the key"):
        verify_appointment(forged, GATEWAY, NOW)


@pytest.mark.parametrize("age", [timedelta(days=8), -timedelta(minutes=2)])
def test_an_appointment_is_for_one_gateway_and_a_week(age: timedelta) -> None:
    """Old, of the future, or for another gateway: refused."""
    with pytest.raises(MalformedError, match="in the last 7 days"):
        verify_appointment(appointed(SARI), GATEWAY, NOW + age)
    with pytest.raises(MalformedError, match="another gateway"):
        verify_appointment(appointed(SARI), "sinergi-lampung", NOW)


@pytest.mark.parametrize("name", ["Sari", "", "a b", "19800115", "-sari", "s" * 64])
def test_an_operator_is_a_code_and_no_number(name: str) -> None:
    """The ledger has it for ever: no name in words, no eight digits in a row."""
    with pytest.raises(MalformedError):
        appointed(SARI, name)


def test_the_first_operators_are_two_persons_with_two_keys() -> None:
    """One statement, one person twice, or one key twice found nothing."""
    for texts in ([appointed(SARI)], [appointed(SARI), appointed(OTHER)], [appointed(SARI), appointed(SARI, "budi")]):
        with pytest.raises(OperatorError):
            verify_founders(texts, GATEWAY, NOW)
    assert len(verify_founders([appointed(SARI), appointed(BUDI, "budi")], GATEWAY, NOW)) == 2

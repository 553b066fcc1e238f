"""Drafts: what officers approve is what is sent, to the digest; and nothing else can be slipped in between."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.client import Draft, GatewayClient
from gateway.errors import GatewayError, MalformedError
from gateway.message.envelope import parse, verify
from gateway.sdk.draft import VERSION
from gateway.statements.approval import ApprovalRequest, digests_of, sign_approval
from tests.client.simulator import AGREEMENT, NOW, RECIPIENT, SENDER, Gateway, ed25519, p256

Clients = Callable[..., GatewayClient]
BODY: dict[str, Any] = {
    "reference": "REF-1",
    "people": [{"name": "Mawar", "phone": "+6281200000021"}, {"name": "Melati"}],
    "identity": {"name": "Mawar", "address": "Kampung Rekaan"},
}
DISCLOSABLE = ("/body/identity/address", "/body/identity", "/body/people/*/name")
SARI, BUDI = ed25519(), p256()


def drafted(client: GatewayClient, body: dict[str, Any] | None = None, **changes: Any) -> Draft:
    given: dict[str, Any] = {
        "agreement": AGREEMENT,
        "purpose": "VICTIM_PROTECTION",
        "classification": "R",
        "disclosable": DISCLOSABLE,
    }
    return client.draft(RECIPIENT, "victim.referral/1", BODY if body is None else body, **(given | changes))


def approvals(draft: Draft, fields: list[str] | None = None) -> list[str]:
    return [sign_approval(draft.approval_request(fields), signer, NOW) for signer in (SARI, BUDI)]


def test_what_was_approved_is_what_is_sent(gateway: Gateway, sender: Clients) -> None:
    """Through the file and back: digests, claims and body of the message are the draft's, the approvals in clear."""
    client = sender()
    draft = drafted(client)
    carried = Draft.read(draft.text())
    assert carried == draft
    texts = approvals(carried)
    composed = client.compose_draft(carried, texts)
    message = verify(parse(composed.text.encode()), gateway.sender.public)
    assert message.claims == draft.claims
    assert message.body == BODY | {"approvals": texts}
    for pointer in ("/body/identity", "/body/people", "/body/identity/address"):
        assert digests_of(message, pointer) == digests_of(draft, pointer) != frozenset()
    assert "/body/approvals" not in message.disclosable


def test_a_draft_says_what_would_be_approved(sender: Clients) -> None:
    """The message, its recipient and purpose, the digests, and in plain what the officer lets go."""
    draft = drafted(sender())
    asked = draft.approval_request(["/body/identity"])
    claims = draft.claims
    assert (asked.iss, asked.aud, asked.jti) == (SENDER, RECIPIENT, claims.jti)
    assert (asked.type, asked.purpose) == ("victim.referral/1", "VICTIM_PROTECTION")
    assert asked.fields == {"/body/identity": BODY["identity"]}
    assert set(asked.disclosures) == digests_of(draft, "/body/identity")
    assert len(asked.disclosures) == 2
    assert "Mawar" not in repr(asked)
    assert "Mawar" not in repr(draft)


def test_every_disclosable_field_is_asked_for_unless_some_are_named(sender: Clients) -> None:
    """A pattern names every element; an index names one."""
    draft = drafted(sender())
    every = draft.approval_request()
    assert set(every.fields) == {"/body/identity", "/body/people/0/name", "/body/people/1/name"}
    assert len(every.disclosures) == 4
    names = draft.approval_request(["/body/people/*/name"])
    assert names.fields == {"/body/people/0/name": "Mawar", "/body/people/1/name": "Melati"}
    assert draft.approval_request(["/body/people/1/name"]).fields == {"/body/people/1/name": "Melati"}


@pytest.mark.parametrize("pointer", ["/body/reference", "/body/nothing", "/identity", "", "/body/people/7/name"])
def test_nobody_approves_what_is_not_disclosable(sender: Clients, pointer: str) -> None:
    """A misspelt field would otherwise be an approval of nothing that looks like one of something."""
    with pytest.raises(MalformedError, match="not there or not disclosable"):
        drafted(sender()).approval_request([pointer])


def test_an_approval_of_another_draft_is_refused(sender: Clients) -> None:
    """The same words drafted twice have two ids and two sets of salts."""
    client = sender()
    draft, other = drafted(client), drafted(client)
    with pytest.raises(MalformedError, match="jti"):
        client.compose_draft(draft, approvals(other))
    twin = drafted(client, jti=other.claims.jti)
    with pytest.raises(MalformedError, match="not of one of the message's disclosures"):
        client.compose_draft(twin, approvals(other))


def test_words_cannot_be_changed_after_the_approval(sender: Clients) -> None:
    """A disclosure that was exchanged in the file has another digest: it is no draft any more."""
    client = sender()
    draft = drafted(client)
    held, other = json.loads(draft.text()), json.loads(drafted(client).text())
    with pytest.raises(GatewayError):
        Draft.read(json.dumps(held | {"disclosures": other["disclosures"]}))
    swapped = Draft.read(json.dumps(other | {"payload": {**other["payload"], "jti": draft.claims.jti}}))
    with pytest.raises(MalformedError, match="not of one of the message's disclosures"):
        client.compose_draft(swapped, approvals(draft))


def test_an_agency_signs_its_own_drafts(sender: Clients, recipient: Clients) -> None:
    """Another agency's draft is not signed, whatever approvals it has."""
    draft = drafted(sender())
    with pytest.raises(MalformedError, match="another agency's"):
        recipient().compose_draft(draft, approvals(draft))


def test_approvals_come_after_the_draft(sender: Clients) -> None:
    """A body that has some already is no draft, in clear or behind a digest; nine are too many."""
    client = sender()
    for disclosable in (DISCLOSABLE, (*DISCLOSABLE, "/body/approvals")):
        with pytest.raises(MalformedError, match="approvals come after"):
            drafted(client, BODY | {"approvals": ["x"]}, disclosable=disclosable)
    draft = drafted(client)
    with pytest.raises(MalformedError, match="at most 8"):
        client.compose_draft(draft, approvals(draft) * 5)


def test_a_draft_gives_officers_time(sender: Clients) -> None:
    """Seven days, which is the longest that a message may be valid; another time where it is said."""
    claims = drafted(sender()).claims
    assert claims.exp - claims.iat == 7 * 24 * 3600


def test_a_draft_is_checked_like_a_message(sender: Clients) -> None:
    """What no gateway would take is not sent round for approval."""
    with pytest.raises(MalformedError):
        drafted(sender(), purpose="no code")
    with pytest.raises(MalformedError):
        drafted(sender(), disclosable=("identity",))


@pytest.mark.parametrize(
    "change",
    [
        {"draft": VERSION + 1},
        {"payload": []},
        {"payload": {}},
        {"disclosures": {}},
        {"disclosures": [1]},
        {"disclosures": []},
        {"approvals": []},
    ],
)
def test_a_draft_s_file_is_read_exactly(sender: Clients, change: dict[str, Any]) -> None:
    """Another version, a member too many, disclosures that are not there."""
    held = json.loads(drafted(sender()).text())
    with pytest.raises(GatewayError):
        Draft.read(json.dumps(held | change))


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "eyJ.x.y~"])
def test_what_is_no_draft_is_refused(text: str) -> None:
    """Never another exception than our own."""
    with pytest.raises(GatewayError):
        Draft.read(text)


def test_a_draft_without_disclosures_needs_no_approval(gateway: Gateway, sender: Clients) -> None:
    """It can be sent like any other; there is nothing to approve."""
    client = sender()
    draft = drafted(client, disclosable=())
    asked = draft.approval_request()
    assert asked == ApprovalRequest(
        SENDER, RECIPIENT, draft.claims.jti, "victim.referral/1", "VICTIM_PROTECTION", draft.content, ()
    )
    assert verify(parse(client.compose_draft(draft).text.encode()), gateway.sender.public).body == BODY

"""Explanation and decision are one value, nothing else decides, and nothing written about a message repeats its words."""

import json
import re
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import transfer
from gateway.decision.decide import Decision, decide
from gateway.errors import Reason
from gateway.message.envelope import TRANSFER_ID, release
from gateway.record import released_text
from tests.properties.changes import near
from tests.properties.exchanges import AGREEMENT, TYPES, Exchange, agreement, leaves, permitted, rules_of, some
from tests.properties.flow import Kept, sent, told
from tests.properties.words import tells, words_in

each_type = pytest.mark.parametrize("type_", TYPES)


def follows(kept: Kept, exchange: Exchange, decision: Decision) -> None:
    """Every record and every answer says what the decision says, and no more."""
    shown, done = kept.judged
    job, row, outcome = kept.job, kept.job.row, kept.outcome
    assert outcome is not None
    assert shown.decision == done.decision == decision
    assert shown.reasons == done.reasons == outcome.reasons == decision.reasons
    said = "accepted" if decision.permitted else "refused"
    receipt = _payload(outcome.receipt)
    assert {row["decision"], outcome.decision, receipt["event"], job.entry.as_json()["kind"].rpartition(".")[2]} == {
        said
    }
    assert [reason["code"] for reason in receipt.get("reasons", [])] == [reason.code for reason in decision.reasons][
        :16
    ]
    entry = job.entry.as_json()
    assert (row["rule"], entry.get("rule"), receipt.get("rule")) == (decision.rule,) * 3
    assert tuple(json.loads(row["withheld"])) == tuple(entry.get("withheld", ())) == decision.withheld
    assert [flag["code"] for flag in entry.get("flags", ())] == [flag.code for flag in decision.flags]
    assert (job.outbox is not None, "released" in kept.content) == (decision.permitted, decision.permitted)
    if decision.permitted:
        expected = release(done.message, decision.withheld)
        assert released_text(kept.content) == expected
        assert _payload(kept.content["release"])["withheld"] == list(decision.withheld)
    assert exchange.draft.type == row["type"]


def _payload(jws: str) -> dict[str, Any]:
    part = jws.split(".")[1]
    loaded: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return loaded


@each_type
@some(6)
@given(st.data())
def test_what_is_explained_is_what_is_done(type_: str, data: st.DataObject) -> None:
    """`POST /v1/decisions` and a send judge alike, with `decide`'s own value; ledger, receipt, row and release follow it."""
    exchange = data.draw(near(type_))
    with pytest.MonkeyPatch.context() as patch:
        asked: list[Decision] = []

        def watched(*given_: Any) -> Decision:
            asked.append(decide(*given_))
            return asked[-1]

        patch.setattr(transfer, "decide", watched)
        kept = sent(exchange, patch)
    assert len(asked) == 2
    follows(kept, exchange, asked[0])


@each_type
def test_nothing_else_decides(type_: str) -> None:
    """Put another value in `decide`'s place, and the flow obeys: a permission is refused, a refusal permitted."""
    exchange = permitted(type_)[0]
    refused = Decision(
        permitted=False, rule="planted", clause="1", reasons=(Reason("rule.condition", "1", "/body", "planted"),)
    )
    passed = Decision(
        permitted=True,
        rule="planted",
        clause="1",
        withheld=tuple(sorted(exchange.sent()[0].disclosable))[:1],
        agreement=AGREEMENT.id,
        agreement_version=AGREEMENT.version,
        retain_until=exchange.at.date(),
        priority="bulk",
        flags=(Reason("rule.condition", "1", "/body", "planted"),),
    )
    hopeless = exchange.with_draft(purpose="NO_SUCH_PURPOSE")
    assert not hopeless.decided().permitted
    for one, planted in ((exchange, refused), (hopeless, passed)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transfer, "decide", lambda *_, planted=planted: planted)
            follows(sent(one, patch), one, planted)


def repeated(kept: Kept, exchange: Exchange) -> list[str]:
    """The places of the body whose own words or numbers stand in what the gateway wrote in clear."""
    words = words_in(told(kept))
    return [
        pointer
        for pointer, value in leaves(dict(exchange.draft.body))
        if tells(exchange.draft.type, f"/body{pointer}", value) and not TRANSFER_ID.fullmatch(value)
        if re.search(rf"(?<!\w){re.escape(value.casefold())}(?!\w)", words)
    ]


@each_type
@some(8)
@given(st.data())
def test_nothing_written_about_a_message_repeats_its_words(type_: str, data: st.DataObject) -> None:
    """Ledger leaf, receipt, problem, decision and all that is stored in clear hold no word and no number of the body."""
    exchange = data.draw(near(type_))
    with pytest.MonkeyPatch.context() as patch:
        kept = sent(exchange, patch)
    assert repeated(kept, exchange) == []


@each_type
@pytest.mark.parametrize("otherwise", ["refuse", "flag"])
def test_a_condition_that_fails_names_the_place_and_never_what_stands_there(type_: str, otherwise: str) -> None:
    """Every place of the body fails a condition: each is told, in a refusal or in a flag, and none of its words."""
    exchange = permitted(type_)[0]
    places = [
        f"/body{pointer}" for pointer, _ in leaves(dict(exchange.draft.body)) if not re.search(r"/[0-9]", pointer)
    ]
    failing = [
        {"name": f"fails-{number}", "field": place, "must": {"const": "never"}, "otherwise": otherwise}
        for number, place in enumerate(places)
    ]
    under = agreement([{**rule, "where": [*rule.get("where", ()), *failing]} for rule in rules_of(type_)])
    with pytest.MonkeyPatch.context() as patch:
        kept = sent(exchange, patch, under)
    decision = kept.judged[0].decision
    assert decision is not None
    assert {reason.pointer for reason in (*decision.reasons, *decision.flags)} >= set(places)
    assert decision.permitted is (otherwise == "flag")
    assert repeated(kept, exchange) == []

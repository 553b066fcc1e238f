"""What holds for every agreement and every message: narrowing never permits and never releases more."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.agreement.document import agreement_from_json
from gateway.decision.decide import Decision, Facts, decide, needs
from gateway.message.envelope import Case
from tests.agreement.making import (
    NOW,
    Draft,
    agreement,
    message,
    rule,
)
from tests.agreement.strategies import (
    FIELDS,
    PURPOSES,
    SECRET,
    Exchange,
    conditions,
    confidentials,
    exchanges,
    quotas,
    read,
    relations,
    repeats,
    some,
    territories,
    withholdings,
)


def hidden(pointer: str, withheld: tuple[str, ...]) -> bool:
    return any(pointer == entry or pointer.startswith(f"{entry}/") for entry in withheld)


def no_more(narrow: Decision, wide: Decision) -> bool:
    """Whether `narrow` permits only what `wide` permits, and releases only what it releases."""
    if not narrow.permitted:
        return True
    return wide.permitted and all(hidden(pointer, narrow.withheld) for pointer in wide.withheld)


@some
@given(exchanges())
def test_nothing_is_permitted_without_a_rule_that_names_it(exchange: Exchange) -> None:
    """A permission's rule is in the agreement and names this type, these parties and this purpose."""
    value, sent, known = exchange
    one = agreement_from_json(rfc8785.dumps(value))
    decision = decide(one, sent, known, NOW)
    assert decision.permitted is (not decision.reasons)
    if decision.permitted:
        found = next(entry for entry in one.rules if entry.id == decision.rule)
        assert (found.type, found.clause) == (sent.claims.type, decision.clause)
        assert sent.claims.iss in found.senders
        assert sent.claims.aud in found.recipients
        assert sent.claims.purpose in found.purposes
        assert set(decision.withheld) <= sent.disclosable


@some
@given(exchanges(), st.data())
def test_a_rule_taken_away_never_permits_or_releases_more(exchange: Exchange, data: st.DataObject) -> None:
    """No rule holds another one back."""
    value, sent, known = exchange
    narrower = deepcopy(value)
    del narrower["rules"][data.draw(st.integers(0, len(value["rules"]) - 1))]
    wide = agreement_from_json(rfc8785.dumps(value))
    narrow = read(narrower)  # None once no rule is left: no agreement at all
    assert no_more(decide(narrow, sent, known, NOW), decide(wide, sent, known, NOW))


@st.composite
def narrowings(draw: st.DrawFn) -> tuple[str, Any]:
    """A key of a rule and what to add to it, or what to put in its place."""
    return draw(
        st.one_of(
            st.tuples(st.just("where"), conditions),
            st.tuples(st.just("withhold"), withholdings),
            st.tuples(st.just("relations"), relations),
            st.tuples(st.just("jurisdiction"), territories),
            st.tuples(st.just("requires"), st.just({"case": ["LP"]})),
            st.tuples(st.just("valid_until"), st.just("2026-03-09")),
            st.tuples(st.just("unless"), st.none()),
            st.tuples(st.just("confidential"), confidentials),
            st.tuples(st.just("quota"), quotas),
            st.tuples(st.just("repeats"), repeats),
            st.tuples(st.just("stands_until"), st.just("/body/to")),
            st.tuples(st.just("when"), st.none()),
            st.tuples(st.just("otherwise"), st.none()),
        )
    )


@some
@given(exchanges(), narrowings(), st.data())
def test_a_narrowed_rule_never_permits_or_releases_more(
    exchange: Exchange, narrowing: tuple[str, Any], data: st.DataObject
) -> None:
    """One more condition, withholding, relation, territory, case, quota, limit or earlier end; one release less.

    A release that becomes confidential, and a condition that counts always or refuses instead of flagging, are narrower.
    """
    value, sent, known = exchange
    narrower = deepcopy(value)
    target = data.draw(st.sampled_from(narrower["rules"]))
    key, addition = narrowing
    if key == "unless":
        for withholding in target["withhold"]:
            withholding["unless"] = withholding["unless"][1:]
            if not withholding["unless"]:
                withholding.pop("confidential", None)
    elif key == "confidential":
        for withholding in target["withhold"]:
            if withholding["unless"]:
                withholding.setdefault("confidential", addition)
    elif key in ("when", "otherwise"):
        for entry in (*target["where"], *target["relations"]):
            entry.pop(key, None)
    elif key in ("quota", "repeats", "stands_until"):
        target.setdefault(key, addition)
    elif key in ("requires", "valid_until"):
        target[key] = addition
    else:
        target[key] = [*target[key], addition]
    narrow = read(narrower)
    assume(narrow is not None)
    wide = agreement_from_json(rfc8785.dumps(value))
    assert no_more(decide(narrow, sent, known, NOW), decide(wide, sent, known, NOW))


@some
@given(exchanges(), st.timedeltas(timedelta(0), timedelta(days=2000)))
def test_after_its_last_day_an_agreement_permits_nothing(exchange: Exchange, later: timedelta) -> None:
    """Expiry refuses, whatever the rules say."""
    value, sent, known = exchange
    one = agreement_from_json(rfc8785.dumps(value))
    decision = decide(one, sent, known, datetime(2026, 12, 31, 17, tzinfo=UTC) + later)
    assert [reason.code for reason in decision.reasons] == ["agreement.inactive"]


@some
@given(exchanges(), st.sampled_from([RuntimeError, ValueError, KeyError, RecursionError]))
def test_any_error_denies(exchange: Exchange, error: type[Exception]) -> None:
    """With every condition broken, what is still permitted is what looks at none."""
    value, sent, known = exchange

    def explode(_: object) -> bool:
        raise error

    one = agreement_from_json(rfc8785.dumps(value))
    before = decide(one, sent, known, NOW)
    fragments = [condition.must for entry in one.rules for condition in entry.where]
    for entry in one.rules:
        for withholding in entry.withhold:
            fragments += [fragment for situation in withholding.unless for fragment in situation.values()]
    for fragment in fragments:
        object.__setattr__(fragment, "is_met_by", explode)
    assert no_more(decide(one, sent, known, NOW), before)


@some
@given(exchanges())
def test_no_value_of_a_message_is_ever_told(exchange: Exchange) -> None:
    """A payload full of one value; the decision, printed whole, does not hold it."""
    value, sent, known = exchange

    def fill(held: Any) -> Any:
        if isinstance(held, dict):
            return {name: fill(member) for name, member in held.items()}
        if isinstance(held, list):
            return [fill(member) for member in held]
        return SECRET

    one = agreement_from_json(rfc8785.dumps(value))
    filled = message(
        Draft(
            type=sent.claims.type,
            sender=sent.claims.iss,
            recipient=sent.claims.aud,
            purpose=sent.claims.purpose,
            body=fill(sent.body),
            disclosable=FIELDS,
            claims={"case": Case("LI", "SECRET CASE NUMBER")},
        )
    )
    decision = decide(one, filled, known, NOW)
    assert SECRET not in repr(decision) + repr(decision.as_json())
    assert "SECRET CASE NUMBER" not in repr(decision)


@some
@given(exchanges())
def test_the_explanation_is_the_decision(exchange: Exchange) -> None:
    """What `POST /v1/decisions` shows is the value that the flow acts on, and a second look gives the same."""
    value, sent, known = exchange
    one = agreement_from_json(rfc8785.dumps(value))
    decision = decide(one, sent, known, NOW)
    shown = decision.as_json()
    assert decide(agreement_from_json(one.canonical()), sent, known, NOW) == decision
    assert shown["permitted"] is decision.permitted
    assert shown["reasons"] == [reason.as_json() for reason in decision.reasons]
    assert tuple(shown["withheld"]) == decision.withheld
    assert rfc8785.dumps(shown)


@some
@given(exchanges(), st.data())
def test_knowing_less_never_permits_or_releases_more(exchange: Exchange, data: st.DataObject) -> None:
    """A transfer not found, one less sure of, an approval less, one thing more counted: never to the sender's gain."""
    value, sent, known = exchange
    less: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"in_reply_to": None},
                {"in_reply_to": known.in_reply_to and replace(known.in_reply_to, view=None)},
                {"in_reply_to": known.in_reply_to and replace(known.in_reply_to, live=False)},
                {"in_reply_to": known.in_reply_to and replace(known.in_reply_to, open=False)},
                {"in_reply_to": known.in_reply_to and replace(known.in_reply_to, accepted=False)},
                {"linked": {}},
                {"approvals": known.approvals[1:]},
                {"approvals": ()},
                {"repeated_on_own_papers": known.repeated_on_own_papers + 1},
                {"replies": known.replies + 1},
                {"last_hour": known.last_hour + 1},
                {"last_day": known.last_day + 1},
                {"repeated": known.repeated + 1},
            ]
        )
    )
    one = agreement_from_json(rfc8785.dumps(value))
    assert no_more(decide(one, sent, replace(known, **less), NOW), decide(one, sent, known, NOW))


@some
@given(exchanges())
def test_what_is_needed_is_all_that_counts(exchange: Exchange) -> None:
    """Facts that `needs` does not ask for change nothing: the flow may leave them out."""
    value, sent, known = exchange
    one = agreement_from_json(rfc8785.dumps(value))
    asked = needs(one, sent, NOW)
    earlier_one = known.in_reply_to if asked.related else None
    looked_up = Facts(
        in_reply_to=earlier_one and (earlier_one if asked.earlier_view else replace(earlier_one, view=None)),
        linked={name: known.linked[name] for name in asked.linked if name in known.linked},
        replies=known.replies if asked.replies else 0,
        last_hour=known.last_hour if asked.quota else 0,
        last_day=known.last_day if asked.quota else 0,
        repeated=known.repeated if asked.since else 0,
        repeated_on_own_papers=known.repeated_on_own_papers if asked.since else 0,
        # These are verified from the message itself, so that a false one is never passed over.
        approvals=known.approvals,
        approval_faults=known.approval_faults,
    )
    assert decide(one, sent, looked_up, NOW) == decide(one, sent, known, NOW)


def test_order_of_rules_is_immaterial() -> None:
    """The same rules in another order decide alike."""
    mine, other = rule(), rule(id="other", purposes=["INVESTIGATION"], where=[])
    forward, backward = agreement(mine, other), agreement(other, mine)
    for purpose in PURPOSES:
        sent = message(Draft(purpose=purpose))
        assert decide(forward, sent, Facts(), NOW) == decide(backward, sent, Facts(), NOW)

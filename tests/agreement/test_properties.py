"""What holds for every agreement and every message: narrowing never permits and never releases more."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.agreement.document import Agreement, agreement_from_json
from gateway.decision.decide import Decision, Facts, decide, needs
from gateway.errors import AgreementInvalidError, Reason
from gateway.message.envelope import Case, VerifiedMessage
from gateway.statements.approval import Approval
from tests.agreement.making import (
    EARLIER,
    IMIGRASI,
    NOW,
    POLDA,
    Draft,
    agreement,
    document,
    earlier,
    message,
    rule,
    source,
)

# The first of each is drawn more often, so that a fair share of the messages finds a rule.
TYPES, PURPOSES, AGENCIES = ["notice/1"] * 4 + ["query/1"], ["PREVENTION", "INVESTIGATION"], [IMIGRASI, POLDA]
SECRET = "3604081234567890"
FIELDS = ["/body/a", "/body/person", "/body/person/nik", "/body/list/*", "/body/list/*/document"]
PLACES = ["/body/a", "/body/severity", "/case/type", "/purpose", "/body/person/nik"]

Exchange = tuple[dict[str, Any], VerifiedMessage, Facts]

some = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


schemas = st.sampled_from(
    [
        {"const": 1},
        {"type": "integer", "minimum": 3},
        {"enum": ["LP", "PREVENTION", "x"]},
        {"type": "string", "pattern": "^36"},
        {"type": "string"},
        {"not": {"const": 1}, "type": "integer"},
    ]
).map(lambda schema: {**schema, "pattern": "^36.*$"} if "pattern" in schema else schema)
situations = st.dictionaries(st.sampled_from(PLACES), schemas, min_size=1, max_size=2)
confidentials = st.fixed_dictionaries(
    {"approvals": st.integers(2, 3), "roles": st.just(["HEAD"]), "notice": st.just(["query/1"])},
    optional={"when": situations, "matching": st.just({"/body/a": "/body/a"})},
)
withholdings = st.builds(
    lambda field, unless, confidential: {
        "field": field,
        "unless": unless,
        **({"confidential": confidential} if confidential and unless else {}),
        **source(),
    },
    st.sampled_from(FIELDS),
    st.lists(situations, max_size=2),
    st.none() | confidentials,
)
modes = st.fixed_dictionaries({}, optional={"when": situations, "otherwise": st.sampled_from(["refuse", "flag"])})
conditions = st.builds(
    lambda name, field, must, optional, mode: {
        "name": name,
        "field": field,
        "must": must,
        "optional": optional,
        **mode,
    },
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from(PLACES),
    schemas,
    st.booleans(),
    modes,
)
relations = st.builds(
    lambda relation, mode: {**relation, **mode},
    st.sampled_from(
        [
            {"kind": "ordered", "name": "ordered", "first": "/body/from", "last": "/body/to", "optional": True},
            {"kind": "period_at_most", "name": "period", "first": "/body/from", "last": "/body/to", "limit": "P1M", **source()},
            {"kind": "answers", "name": "answers", "types": ["query/1"]},
            {"kind": "refers_to", "name": "refers", "types": ["query/1"]},
            {"kind": "amends", "name": "amends", "ends": True},
            {"kind": "links", "name": "links", "field": "/body/a", "types": ["query/1"]},
            {"kind": "earlier", "name": "earlier", "field": "/body/a", "must": {"const": 1}},
            {"kind": "same", "name": "same", "here": "/body/a", "there": "/body/a", "optional": True},
            {"kind": "at_most", "name": "once", "count": 1},
        ]
    ),
    modes,
)  # fmt: skip
quotas = st.sampled_from([{"per_hour": 1, **source()}, {"per_day": 2, **source()}])
repeats = st.builds(
    lambda at_most, otherwise, own_papers: {
        "subject": "/body/person",
        "at_most": at_most,
        "within": "P30D",
        "otherwise": otherwise,
        "own_papers": own_papers,
        **source(),
    },
    st.integers(1, 2),
    st.sampled_from(["refuse", "flag"]),
    st.sampled_from(["refuse", "flag"]),
)
territories = st.sampled_from(
    [{"field": "/body/at", "of": POLDA}, {"field": "/body/at", "of": POLDA, "optional": True}]
)


@st.composite
def rules(draw: st.DrawFn, number: int = 0) -> dict[str, Any]:
    return rule(
        id=f"rule-{number}",
        type=draw(st.sampled_from(TYPES)),
        senders=draw(st.sampled_from([AGENCIES, AGENCIES, [IMIGRASI], [POLDA]])),
        recipients=AGENCIES,
        purposes=draw(st.sampled_from([PURPOSES, PURPOSES, PURPOSES[:1], PURPOSES[1:]])),
        valid_until=draw(st.sampled_from([None, None, None, None, "2026-02-01"])),
        requires=draw(st.sampled_from([None, None, None, None, {"case": ["LP"]}])),
        where=draw(st.just([]) | st.lists(conditions, max_size=2, unique_by=lambda entry: entry["name"])),
        relations=draw(st.just([]) | st.lists(relations, max_size=2, unique_by=lambda entry: entry["name"])),
        jurisdiction=draw(st.just([]) | st.lists(territories, max_size=1)),
        withhold=draw(st.lists(withholdings, max_size=3, unique_by=lambda entry: entry["field"])),
        quota=draw(st.none() | st.none() | quotas),
        repeats=draw(st.none() | st.none() | repeats),
        stands_until=draw(st.sampled_from([None] * 9 + ["/body/to"])),
    )


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Agreements that the parser takes: rules that overlap are dropped until it does."""
    kept: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        candidate = draw(rules(number=number))
        if read(document(*kept, candidate)) is not None:
            kept.append(candidate)
    assume(kept)
    return document(*kept)


def read(value: dict[str, Any]) -> Agreement | None:
    try:
        return agreement_from_json(rfc8785.dumps(value))
    except AgreementInvalidError:
        return None


scalars = st.sampled_from([1, 3, "x", "36.01", "PREVENTION", None, SECRET, "Siti Aminah", EARLIER])
bodies = st.fixed_dictionaries(
    {},
    optional={
        "a": scalars,
        "severity": st.integers(1, 4),
        "at": st.sampled_from(["36.01.01.2001", "36.71", "MERAK"]),
        "from": st.sampled_from(["2026-01-01", "2026-01"]),
        "to": st.sampled_from(["2026-02-01", "2026-01-15", "2027"]),
        "person": st.fixed_dictionaries(
            {"sex": scalars}, optional={"nik": scalars, "birth_date": st.just("1990-08-05")}
        ),
        "list": st.lists(st.fixed_dictionaries({}, optional={"document": scalars}), max_size=3),
    },
)
cases = st.sampled_from([{}, {"case": Case("LP", "LP/A/1")}, {"case": Case("LI", "LI/1")}])
replies = st.sampled_from([{}, {"in_reply_to": EARLIER}])
messages = st.builds(
    lambda type_, direction, purpose, body, case, reply, disclosable: message(
        Draft(
            type=type_,
            sender=direction[0],
            recipient=direction[1],
            purpose=purpose,
            body=body,
            disclosable=disclosable,
            claims={**case, **reply},
        )
    ),
    st.sampled_from(TYPES),
    st.permutations(AGENCIES),
    st.sampled_from(PURPOSES),
    bodies,
    cases,
    replies,
    st.one_of(st.just(FIELDS), st.just(FIELDS), st.lists(st.sampled_from(FIELDS), unique=True)),
)
related = st.sampled_from(
    [
        None,
        earlier(view={"body": {"a": 1}}),
        earlier(view={"body": {}}),
        earlier(sender=IMIGRASI, recipient=POLDA),
        earlier(open=False, live=False),
    ]
)
officers = st.sampled_from(["key-1", "key-2", "key-3"])


def facts(sent: VerifiedMessage) -> st.SearchStrategy[Facts]:
    """What the flow may know; officers may have approved just what the message discloses."""
    digests = [disclosure.digest for disclosure in sent.disclosures]
    some_of_them = st.just(frozenset(digests))
    if digests:
        some_of_them = some_of_them | st.sets(st.sampled_from(digests)).map(frozenset)
    approvals = st.builds(Approval, officers, st.sampled_from(["HEAD", "HEAD", "CLERK"]), some_of_them)
    return st.builds(
        Facts,
        in_reply_to=related,
        linked=st.sampled_from([{}, {EARLIER: earlier()}]),
        replies=st.integers(0, 1),
        last_hour=st.integers(0, 1),
        last_day=st.integers(0, 2),
        repeated=st.integers(0, 2),
        repeated_on_own_papers=st.integers(0, 3),
        approvals=st.lists(approvals, max_size=3).map(tuple),
        approval_faults=st.sampled_from([(), (), (), (Reason("rule.approval", pointer="/body/approvals/0"),)]),
    )


@st.composite
def strangers(draw: st.DrawFn) -> Exchange:
    """An agreement and a message that know nothing of each other."""
    sent = draw(messages)
    return draw(documents()), sent, draw(facts(sent))


@st.composite
def acquaintances(draw: st.DrawFn) -> Exchange:
    """A rule made for its message, and nearly everything looked up: what is left to chance decides."""
    secret = {
        "field": "/body/person",
        "unless": draw(st.sampled_from([[{"/purpose": {"const": "PREVENTION"}}], [{"/body/severity": {"const": 4}}]])),
        "confidential": draw(confidentials),
        **source(),
    }
    sent = message(
        Draft(
            body={
                "a": draw(scalars),
                "severity": draw(st.integers(3, 4)),
                "from": "2026-01-01",
                "to": draw(st.sampled_from(["2026-01-15", "2026-03-01"])),
                "person": {"sex": "F", "nik": SECRET, "birth_date": "1990-08-05"},
                "list": [{"document": draw(scalars)}],
            },
            disclosable=FIELDS,
            claims={"in_reply_to": EARLIER},
        )
    )
    one = rule(
        senders=AGENCIES,
        recipients=AGENCIES,
        where=draw(st.just([]) | st.lists(conditions, max_size=1)),
        relations=draw(st.lists(relations, max_size=2, unique_by=lambda entry: entry["name"])),
        jurisdiction=[],
        withhold=[
            secret,
            *draw(st.just([]) | st.lists(withholdings.filter(lambda w: w["field"] != "/body/person"), max_size=1)),
        ],
        stands_until="/body/to",
    )
    assume(read(document(one)) is not None)
    known = draw(facts(sent))
    digests = frozenset(disclosure.digest for disclosure in sent.disclosures)
    approved = tuple(Approval(f"key-{number}", "HEAD", digests) for number in range(draw(st.integers(1, 3))))
    view = {"body": {"a": sent.body["a"]}}
    return document(one), sent, draw(
        st.just(replace(known, in_reply_to=earlier(view=view), approvals=approved, approval_faults=()))
        | st.just(replace(known, in_reply_to=earlier(sender=IMIGRASI, recipient=POLDA, view=view), approval_faults=()))
        | st.just(known)
    )  # fmt: skip


def exchanges() -> st.SearchStrategy[Exchange]:
    return strangers() | acquaintances()


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

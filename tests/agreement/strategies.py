"""Agreements and messages drawn by chance: documents, what they are judged by, and exchanges that know each other."""

from dataclasses import replace
from typing import Any

import rfc8785
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from gateway.agreement.document import Agreement, agreement_from_json
from gateway.decision.decide import Facts
from gateway.errors import AgreementInvalidError, Reason
from gateway.message.envelope import Case, VerifiedMessage
from gateway.statements.approval import Approval
from tests.agreement.making import (
    EARLIER,
    IMIGRASI,
    POLDA,
    Draft,
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

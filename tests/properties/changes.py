"""Exchanges near a permitted one: another body of the type, a value told twice, other claims, other facts, another day."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

from gateway.agreement.conditions import MISSING
from gateway.decision.facts import RelatedTransfer
from gateway.message.disclosure import pointers_matching
from gateway.message.envelope import Case, Officer
from tests.agreement.making import EARLIER
from tests.properties.exchanges import (
    AGENCIES,
    EXAMPLES,
    FIRST,
    LAST,
    MESSAGES,
    OFFICERS,
    PURPOSES,
    Exchange,
    at,
    bodies,
    leaves,
    permitted,
    put,
)

_PROBE = "Contoh teks bebas"
_CASES = ("LP", "SPRINDIK", "LI", "LK", "SPDP", "DPO")


@st.composite
def near(draw: st.DrawFn, type_: str, *, most: int = 3) -> Exchange:
    """Up to `most` changes of an exchange that a rule permits; what comes out may be permitted or not."""
    exchange = draw(st.sampled_from(permitted(type_)))
    for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=most)):
        exchange = change(draw, exchange)
    return exchange


def _another_body(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    return exchange.with_draft(body=draw(st.sampled_from(bodies(exchange.draft.type))))


def _another_value(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    """A value that stands under the same name in some example; left as it is where the schema does not take it."""
    body = dict(exchange.draft.body)
    pointer, _ = draw(st.sampled_from([*leaves(body)]))
    name = pointer.rpartition("/")[2]
    return _with(exchange, put(body, pointer, draw(st.sampled_from(_known_as(name)) if _known_as(name) else st.none())))


def _one_less(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    body = dict(exchange.draft.body)
    pointer, _ = draw(st.sampled_from([*leaves(body)]))
    holder = pointer.rpartition("/")[0]
    return _with(exchange, put(body, pointer, MISSING) if isinstance(at(body, holder), dict) else body)


def _told_twice(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    """What a disclosable field holds, or what is made from it, stands in a free text as well."""
    body = dict(exchange.draft.body)
    hidden = [text for pointer in hideable(exchange) for _, text in leaves(at({"body": body}, pointer))]
    told = [
        text for text in hidden if isinstance(text, str) and len(text) > 3 and not (text.isalpha() and text.isupper())
    ]
    places = free_texts(exchange.draft.type, body)
    if not told or not places:
        return exchange
    text = draw(st.sampled_from(told))
    words = draw(st.sampled_from([text, f"menurut {text}, warga", f"({text.upper()})", f"{made_from(text)} tercatat"]))
    return _with(exchange, put(body, draw(st.sampled_from(places)), words))


def _other_claims(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    cases = st.sampled_from(_CASES).map(lambda kind: Case(kind, f"{kind}/1/2026"))
    return exchange.with_claims(
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "case": st.none() | cases,
                    "officer": st.sampled_from([None, Officer("1", "KORWAS_PPNS"), Officer("2", "CLERK")]),
                    "in_reply_to": st.sampled_from([None, EARLIER, EARLIER[:-1] + "9"]),
                    "handling": st.sampled_from(["CLEAR", "RED"]),
                    "legal_basis": st.just(("UU 21/2007",)),
                    "correlation_id": st.just("correlation-1"),
                },
            )
        )
    )


def _another_purpose(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    return exchange.with_draft(purpose=draw(st.sampled_from(PURPOSES)))


def _another_way(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    sender, recipient = draw(st.permutations(AGENCIES))
    return exchange.with_draft(sender=sender, recipient=recipient, classification=draw(st.sampled_from("BTR")))


def _another_day(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    days = st.timedeltas(timedelta(days=-400), timedelta(days=400))
    moments = (FIRST - timedelta(seconds=1), FIRST, LAST - timedelta(seconds=1), LAST)
    return exchange.with_draft(at=draw(st.sampled_from(moments) | days.map(lambda days: exchange.at + days)))


def _other_facts(draw: st.DrawFn, exchange: Exchange) -> Exchange:
    known = exchange.known
    earlier = known.in_reply_to or RelatedTransfer(
        EARLIER, "case.referral/1", *AGENCIES, True, True, True, {"body": {}}
    )
    changed: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "in_reply_to": st.sampled_from(
                    [
                        None,
                        earlier,
                        replace(earlier, live=False),
                        replace(earlier, open=False),
                        replace(earlier, accepted=False),
                        replace(earlier, view=None),
                        replace(earlier, sender=earlier.recipient, recipient=earlier.sender),
                        replace(earlier, type="recall/1"),
                    ]
                ),
                "linked": st.just({}),
                "replies": st.integers(0, 3),
                "last_hour": st.sampled_from([0, 19, 10_000]),
                "last_day": st.sampled_from([0, 99, 10_000]),
                "repeated": st.integers(0, 4),
                "repeated_on_own_papers": st.integers(0, 4),
            },
        )
    )
    approvals = draw(st.sampled_from([OFFICERS, OFFICERS[:1], (OFFICERS[0], OFFICERS[0]), ()]))
    return replace(exchange, known=replace(known, **changed), approvals=approvals)


_CHANGES = (
    _another_body,
    _another_value,
    _one_less,
    _told_twice,
    _told_twice,
    _other_claims,
    _another_purpose,
    _another_way,
    _another_day,
    _other_facts,
)


def _with(exchange: Exchange, body: dict[str, Any]) -> Exchange:
    return exchange.with_draft(body=body) if not MESSAGES.violations(exchange.draft.type, body) else exchange


def hideable(exchange: Exchange) -> list[str]:
    """Where the message's disclosable fields stand."""
    view = {"body": dict(exchange.draft.body)}
    return [pointer for pattern in exchange.draft.disclosable for pointer in pointers_matching(view, pattern)]


@cache
def _known_as(name: str) -> list[Any]:
    found = [
        value
        for examples in EXAMPLES.values()
        for body in examples
        for pointer, value in leaves(body)
        if pointer.rpartition("/")[2] == name
    ]
    return [value for number, value in enumerate(found) if value not in found[:number]]


_places: dict[tuple[str, str], list[str]] = {}


def free_texts(type_: str, body: dict[str, Any]) -> list[str]:
    """The places of a body that take any words."""
    key = (type_, repr(sorted(pointer for pointer, _ in leaves(body))))
    if key not in _places:
        _places[key] = [
            pointer
            for pointer, value in leaves(body)
            if isinstance(value, str) and not MESSAGES.violations(type_, put(body, pointer, _PROBE))
        ]
    return _places[key]


def made_from(text: str) -> str:
    """A NIK of somebody born on that day; of any other text, the text with its digits in groups of four."""
    parts = text.split("-")
    if [len(part) for part in parts] == [4, 2, 2] and text.replace("-", "").isdigit():
        return f"360408{int(parts[2]) + 40}{parts[1]}{parts[0][2:]}0001"
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4)) if text.isdigit() else text

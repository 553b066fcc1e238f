"""Two versions of an agreement, compared over a small catalogue; and whether a witness is one."""

from gateway.agreement.document import Agreement
from gateway.decision.decide import decide
from gateway.review.difference import Change, Difference, diff
from gateway.review.draft import facts_of, message_of
from tests.agreement.making import source
from tests.review.world import SENSITIVE, catalogue

CATALOGUE = catalogue()


BODIES = {
    "notice/1": [
        {
            "severity": 3,
            "region": "36.01.01",
            "from": "2026-03-01",
            "to": "2026-03-05",
            "reference": "R-1",
            "narrative": "Contoh",
            "person": {"name": "Contoh", "nik": "3604081503900001"},
            "child": "Contoh",
            "victim": "Contoh",
            "is_minor": False,
        }
    ],
    "query/1": [{"reference": "R-1", "subject": "Contoh"}],
    "secrecy/1": [{"reference": "R-1"}],
}


PERIOD = {"kind": "period_at_most", "name": "p", "first": "/body/from", "last": "/body/to", "limit": "P1M", **source()}


def changed(old: Agreement, new: Agreement) -> Difference:
    return diff(old, new, CATALOGUE, BODIES)


def truly_differs(change: Change, old: Agreement, new: Agreement) -> None:
    """The witness, judged once more from the outside."""
    witness = change.witness
    assert witness is not None
    view = witness.draft.view
    assert CATALOGUE.violations(view["type"], view["body"]) == ()
    fields = sorted({entry.field.text for one in (old, new) for rule in one.rules for entry in rule.withhold})
    message = message_of(witness.draft, {*fields, *SENSITIVE, "/body/subject"})
    facts = facts_of(witness.draft, message, (*old.rules, *new.rules))
    before, after = decide(old, message, facts, witness.draft.at), decide(new, message, facts, witness.draft.at)
    match change.kind:
        case "permitted":
            assert (before.permitted, after.permitted) == (False, True)
        case "refused":
            assert (before.permitted, after.permitted) == (True, False)
        case "released":
            assert before.permitted
            assert after.permitted
            assert not set(before.withheld) <= set(after.withheld)
        case "withheld":
            assert before.permitted
            assert after.permitted
            assert not set(after.withheld) <= set(before.withheld)

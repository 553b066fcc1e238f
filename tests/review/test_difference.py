"""`diff`: what a new version permits and releases, each shown by a message that `decide` really judges differently."""

from copy import deepcopy
from typing import Any

import pytest

from gateway.errors import AgreementInvalidError
from gateway.message_types.catalogue import examples, load
from gateway.resources import schemas_dir
from gateway.review.difference import PERMITTED, REFUSED, RELEASED, WITHHELD, Change, diff
from tests.agreement.making import IMIGRASI, POLDA, agreement, document, real, source
from tests.review.comparison import PERIOD, changed, truly_differs
from tests.review.world import SENSITIVE, notice, query, secrecy, withheld

OPEN = withheld("/body/narrative", unless=[{"/body/severity": {"type": "integer", "minimum": 3}}])
REST = withheld(*SENSITIVE[1:])
ANSWERS = {"kind": "answers", "name": "answers", "types": ["query/1"]}
CODES = {"type": "array", "items": {"enum": ["A", "B", "C"]}, "minItems": 1}


def widening(old: Any, new: Any, **more: Any) -> Change:
    """The one change that widens; the other way round it narrows, and nothing widens."""
    wide = changed(agreement(*old, **more), agreement(*new, **more)).widening
    assert changed(agreement(*new, **more), agreement(*old, **more)).widening == ()
    assert len(wide) == 1, [change.as_json() for change in wide]
    return wide[0]


WIDENINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a purpose": ({}, {"purposes": ["PREVENTION", "INVESTIGATION"]}),
    "no condition any more": (
        {"where": [{"name": "c", "field": "/body/severity", "must": {"type": "integer", "minimum": 3}}]},
        {},
    ),
    "a weaker condition": (
        {"where": [{"name": "c", "field": "/body/severity", "must": {"type": "integer", "minimum": 4}}]},
        {"where": [{"name": "c", "field": "/body/severity", "must": {"type": "integer", "minimum": 3}}]},
    ),
    "a condition for one situation alone": (
        {"where": [{"name": "c", "field": "/body/severity", "must": {"const": 3}}]},
        {"where": [
            {"name": "c", "field": "/body/severity", "must": {"const": 3}, "when": {"/classification": {"const": "SR"}}}
        ]},
    ),
    "a flag instead of a refusal": (
        {"where": [{"name": "c", "field": "/body/severity", "must": {"const": 4}}]},
        {"where": [{"name": "c", "field": "/body/severity", "must": {"const": 4}, "otherwise": "flag"}]},
    ),
    "no case needed": ({"requires": {"case": ["LP"]}}, {}),
    "another kind of case": ({"requires": {"case": ["LP"]}}, {"requires": {"case": ["LP", "LI"]}}),
    "a longer period": ({"relations": [PERIOD]}, {"relations": [{**PERIOD, "limit": "P24M"}]}),
    "answers to what is closed": ({"relations": [ANSWERS]}, {"relations": [{**ANSWERS, "open": False}]}),
    "answers to another type": (
        {"relations": [ANSWERS]},
        {"relations": [{**ANSWERS, "types": ["query/1", "secrecy/1"]}]},
    ),
    "its own message, standing or not": (
        {"relations": [{"kind": "amends", "name": "a", "types": ["notice/1"]}]},
        {"relations": [{"kind": "amends", "name": "a", "types": ["notice/1"], "standing": False}]},
    ),
    "anything replied to": (
        {"relations": [
            ANSWERS, {"kind": "earlier", "name": "e", "field": "/body/reference", "must": {"const": "R-2"}}
        ]},
        {"relations": [ANSWERS]},
    ),
    "another value than replied to": (
        {"relations": [ANSWERS, {"kind": "same", "name": "s", "here": "/body/reference", "there": "/body/reference"}]},
        {"relations": [ANSWERS]},
    ),
    "more replies": (
        {"relations": [ANSWERS, {"kind": "at_most", "name": "m", "count": 1}]},
        {"relations": [ANSWERS, {"kind": "at_most", "name": "m", "count": 2}]},
    ),
    "a link that names nothing": (
        {"relations": [{"kind": "links", "name": "l", "field": "/body/link", "types": ["query/1"], "optional": False}]},
        {},
    ),
    "no territory": ({"jurisdiction": [{"field": "/body/region", "of": POLDA}]}, {}),
    "a missing region": (
        {"jurisdiction": [{"field": "/body/region", "of": POLDA}]},
        {"jurisdiction": [{"field": "/body/region", "of": POLDA, "optional": True}]},
    ),
    "a greater quota": (
        {"quota": {"per_hour": 1, **source()}},
        {"quota": {"per_hour": 5, **source()}},
    ),
    "questions repeated more often": (
        {"repeats": {"subject": "/body/person", "at_most": 1, "within": "P30D", **source()}},
        {"repeats": {"subject": "/body/person", "at_most": 3, "within": "P30D", **source()}},
    ),
    "a value twice": (
        {"where": [{"name": "c", "field": "/body/codes", "must": {**CODES, "uniqueItems": True}}]},
        {"where": [{"name": "c", "field": "/body/codes", "must": CODES}]},
    ),
    "a value twice, asked of nobody": (
        {"where": [{"name": "c", "field": "/body/codes", "must": {**CODES, "uniqueItems": True}, "optional": True}]},
        {},
    ),
    "an agency's own word": (
        {"repeats": {"subject": "/body/person", "at_most": 1, "within": "P30D", **source()}},
        {"repeats": {"subject": "/body/person", "at_most": 1, "within": "P30D", "own_papers": "flag", **source()}},
    ),
    "no end of its standing": ({"stands_until": "/body/to"}, {}),
    "no day to keep it from": ({"retention": {"keep": "P1Y", "counted_from": "/body/to", **source()}}, {}),
    "a longer validity": ({"valid_until": "2026-05-01"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDENINGS)
def test_each_widening_of_a_rule_is_found_and_shown(name: str) -> None:
    """One change that permits more, one witness; and the other way round nothing is said to be permitted."""
    before, after = WIDENINGS[name]
    others = (query(), secrecy())
    old, new = (notice(**before), *others), (notice(**after), *others)
    change = widening(old, new)
    assert (change.kind, change.proven) == (PERMITTED, True)
    truly_differs(change, agreement(*old), agreement(*new))
    back = changed(agreement(*new), agreement(*old))
    assert [one.kind for one in back.changes if one.kind in (REFUSED, WITHHELD)] == [REFUSED]


CONFIDENTIAL: dict[str, Any] = {"approvals": 2, "roles": ["SUPERVISOR"], "notice": ["secrecy/1"]}
ANY = [{"/body/severity": {"type": "integer"}}]
RELEASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a field no longer withheld": ({"withhold": withheld(*SENSITIVE)}, {"withhold": REST}),
    "a situation": ({"withhold": withheld(*SENSITIVE)}, {"withhold": [*REST, *OPEN]}),
    "a weaker situation": (
        {"withhold": [*REST, *OPEN]},
        {"withhold": [*REST, *withheld("/body/narrative", unless=[{"/body/severity": {"type": "integer"}}])]},
    ),
    "another situation": (
        {"withhold": [*REST, *OPEN]},
        {"withhold": [*REST, *withheld("/body/narrative", unless=[*OPEN[0]["unless"], {"/case": {"type": "object"}}])]},
    ),
    "no approval any more": (
        {"withhold": [*REST, *withheld("/body/narrative", unless=ANY, confidential=CONFIDENTIAL)]},
        {"withhold": [*REST, *withheld("/body/narrative", unless=ANY)]},
    ),
    "fewer approvals": (
        {"withhold": [*REST, *withheld("/body/narrative", unless=ANY, confidential={**CONFIDENTIAL, "approvals": 3})]},
        {"withhold": [*REST, *withheld("/body/narrative", unless=ANY, confidential=CONFIDENTIAL)]},
    ),
    "another role": (
        {"withhold": [*REST, *withheld("/body/narrative", unless=ANY, confidential=CONFIDENTIAL)]},
        {"withhold": [
            *REST,
            *withheld(
                "/body/narrative", unless=ANY, confidential={**CONFIDENTIAL, "roles": ["SUPERVISOR", "PPA_OFFICER"]}
            ),
        ]},
    ),
    "part of what was withheld whole": (
        {"withhold": withheld(*SENSITIVE)},
        {"withhold": withheld("/body/narrative", "/body/person/nik", "/body/child", "/body/victim")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASES)
def test_each_release_is_found_and_shown(name: str) -> None:
    """A field that a recipient newly sees is named, with a message in which it does."""
    before, after = RELEASES[name]
    old, new = (notice(**before), query(), secrecy()), (notice(**after), query(), secrecy())
    change = widening(old, new)
    assert (change.kind, change.proven) == (RELEASED, True)
    assert change.witness is not None
    assert change.subject in change.witness.fields
    truly_differs(change, agreement(*old), agreement(*new))


def test_a_new_rule_and_a_rule_that_is_gone() -> None:
    """Both are told with their exchange, their purposes and their days."""
    change = widening((notice(),), (notice(), query()))
    assert [(one.type, one.sender, one.recipient, one.purpose) for one in change.routes] == [
        ("query/1", POLDA, IMIGRASI, "PREVENTION")
    ]
    assert (change.old_rule, change.new_rule) == (None, "query")
    assert (str(change.since), str(change.until)) == ("2026-01-01", "2026-12-31")


def test_a_longer_term_permits_in_the_days_that_it_adds() -> None:
    """The witness is dated in those days: before, the two say the same."""
    later = {"valid_until": {"date": "2027-06-30", **source()}}
    change = changed(agreement(notice()), agreement(notice(), **later)).widening[0]
    assert (str(change.since), str(change.until)) == ("2027-01-01", "2027-06-30")
    assert change.witness is not None
    assert change.witness.before.reasons[0].code == "agreement.inactive"


def test_a_term_without_an_end_is_compared_too() -> None:
    """The last day that there is has no day after it; what it newly permits is told all the same."""
    endless = {"valid_until": {"date": "9999-12-31", **source()}}
    change = changed(agreement(notice()), agreement(notice(), **endless)).widening[0]
    assert (str(change.since), str(change.until)) == ("2027-01-01", "9999-12-31")


def test_a_wider_territory_permits_more() -> None:
    """The rule says the same; what it takes from the rest of the document does not."""
    ruled = notice(jurisdiction=[{"field": "/body/region", "of": POLDA}])
    wide = deepcopy(document()["jurisdictions"])
    wide[POLDA]["regions"]["codes"].append("36.71")
    change = changed(agreement(ruled), agreement(ruled, jurisdictions=wide)).widening[0]
    assert change.witness is not None
    assert change.witness.draft.view["body"]["region"] == "36.71.01"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention", {"keep": "P9Y", **source()}),
        ("acknowledge_within", {"deadlines": [{"within": "P1D"}], **source()}),
        ("handling", "RED"),
        ("priority", "bulk"),
        ("clause", "2"),
    ],
)
def test_a_changed_figure_is_told_and_permits_nothing(name: str, value: Any) -> None:
    """Before and after stand beside each other."""
    found = changed(agreement(notice()), agreement(notice(**{name: value})))
    assert [change.kind for change in found.changes] == [name]
    assert found.changes[0].before != found.changes[0].after
    assert not found.widening


def test_what_may_travel_further_widens() -> None:
    """A lower caveat, and onward transfer, put what is received before more eyes."""
    strict, clear = agreement(notice(handling="AMBER+STRICT")), agreement(notice(handling="CLEAR"))
    (lowered,) = changed(strict, clear).widening
    assert lowered.kind == "handling"
    assert lowered.witness is not None
    told = (lowered.witness.before.handling, lowered.witness.after.handling)
    assert (lowered.witness.after.permitted, told) == (True, ("AMBER+STRICT", "CLEAR"))
    assert not changed(clear, strict).widening
    onward = agreement(notice(), onward_transfer=True)
    assert [change.subject for change in changed(agreement(notice()), onward).widening] == ["onward_transfer"]
    assert not changed(onward, agreement(notice())).widening


def test_other_words_are_told_as_other_words() -> None:
    """A new title or citation changes no decision, and is not passed over."""
    found = changed(agreement(notice()), agreement(notice(title={"en": "New", "id": "Baru"})))
    assert [change.kind for change in found.changes] == ["wording"]
    found = changed(agreement(notice()), agreement(notice(), onward_transfer=True))
    assert [(change.kind, change.subject) for change in found.changes] == [("agreement", "onward_transfer")]


def test_other_terms_that_ask_for_the_same_are_told() -> None:
    """A condition that the schema has already may go, and whoever signs the new version sees that it went."""
    schema_s_own = {"name": "c", "field": "/body/severity", "must": {"type": "integer", "minimum": 1}}
    found = changed(agreement(notice(where=[schema_s_own])), agreement(notice()))
    assert [(change.kind, change.subject) for change in found.changes] == [("terms", "where")]
    assert not found.widening
    calendar = {"rest": ["SUNDAY"], **source()}
    found = changed(agreement(notice()), agreement(notice(), working_days=calendar))
    assert [(change.kind, change.subject) for change in found.changes] == [("agreement", "working_days")]


def test_what_cannot_be_decided_is_said_to_be_undecided() -> None:
    """Two patterns that the algebra cannot compare and no specimen tells apart: not proven, not passed over."""
    one, other = ({"name": "c", "field": "/body/open", "must": {"type": "string", "pattern": pattern}} for pattern in (
        "^(?:a|b){2,9}$", "^[ab]{2,9}$"
    ))  # fmt: skip
    found = changed(agreement(notice(where=[one])), agreement(notice(where=[other])))
    assert {(change.kind, change.proven) for change in found.changes} == {(PERMITTED, False), (REFUSED, False)}
    assert found.widening


def test_an_end_that_no_longer_ends_permits_more() -> None:
    """What a recall ended may be answered again."""
    ending, mending = (
        notice(relations=[{"kind": "amends", "name": "amends", "types": ["notice/1"], "ends": ends}])
        for ends in (True, False)
    )
    found = changed(agreement(ending), agreement(mending)).widening
    assert [change.subject for change in found] == ["amends"]
    assert changed(agreement(mending), agreement(ending)).widening == ()


def test_two_rules_in_the_place_of_one_do_not_double_its_quota_unnoticed() -> None:
    """A quota counts what one rule permitted."""
    both = ["PREVENTION", "EARLY_WARNING"]
    quota = {"per_hour": 60, **source()}
    one = notice(purposes=both, quota=quota)
    two = [notice(id=f"half-{number}", purposes=[purpose], quota=quota) for number, purpose in enumerate(both)]
    found = [change for change in changed(agreement(one), agreement(*two)).widening if "quota" in change.subject]
    assert {(change.subject, change.before, change.after) for change in found} == {
        ("quota per_hour of 2 rules together", 60, 120)
    }
    assert changed(agreement(*two), agreement(one)).widening == ()


def test_two_agreements_are_not_two_versions_of_one() -> None:
    """A comparison of strangers would say that everything is new."""
    with pytest.raises(AgreementInvalidError, match="different agreements"):
        changed(agreement(notice()), agreement(notice(), id="other"))


def test_a_document_differs_in_nothing_from_itself() -> None:
    """The shipped agreement, at full size."""
    assert diff(real(), real(), load(schemas_dir()), examples(schemas_dir())).changes == ()

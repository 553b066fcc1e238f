"""Every example, both ways, against its schema and against its release schema."""

import copy
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import CODES
from gateway.message_types.catalogue import Catalogue, load
from gateway.resources import schemas_dir
from tests.catalogue.conftest import INVALID, VALID, Example

CATALOGUE = load(schemas_dir())
MARKER = "ZQJ3604084107990001XKW"


def test_a_valid_example_conforms(catalogue: Catalogue, valid: Example) -> None:
    """What the documentation shows as good passes, sent and released."""
    assert catalogue.violations(valid.type, valid.document) == ()
    assert catalogue.release_violations(valid.type, valid.document) == ()


def test_an_invalid_example_is_refused_exactly_where_it_says(catalogue: Catalogue, invalid: Example) -> None:
    """All violations come at once, with the codes and pointers that the example names and no others."""
    expected = Counter((error["code"], error["pointer"]) for error in invalid.document["errors"])
    reasons = catalogue.violations(invalid.type, invalid.document["body"])
    assert Counter((reason.code, reason.pointer) for reason in reasons) == expected
    assert all(reason.code in CODES and reason.detail for reason in reasons)
    assert invalid.document["why"]


def test_each_type_has_examples(catalogue: Catalogue) -> None:
    """At least two good ones and five bad ones a type."""
    good = Counter(case.type for case in VALID)
    bad = Counter(case.type for case in INVALID)
    for entry in catalogue.types():
        assert good[entry.type] >= 2, entry.type
        assert bad[entry.type] >= 5, entry.type


def places(body: Any, patterns: frozenset[str]) -> list[tuple[Any, ...]]:
    """Paths of what matches the patterns, deepest first."""

    def find(value: Any, steps: tuple[str, ...], path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        if not steps:
            yield path
        elif steps[0] == "*":
            for index, entry in enumerate(value if isinstance(value, list) else ()):
                yield from find(entry, steps[1:], (*path, index))
        elif isinstance(value, dict) and steps[0] in value:
            yield from find(value[steps[0]], steps[1:], (*path, steps[0]))

    found = itertools.chain.from_iterable(find(body, tuple(pattern.split("/")[2:]), ()) for pattern in patterns)
    return sorted(found, key=lambda path: (-len(path), str(path)))


def without(body: Any, paths: list[tuple[Any, ...]]) -> Any:
    cut = copy.deepcopy(body)
    for path in paths:  # deepest first, so a parent is still there
        parent = cut
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
    return cut


@settings(deadline=None)
@given(st.data())
def test_a_release_conforms_whatever_was_withheld(data: st.DataObject) -> None:
    """Any subset of the sensitive fields of any example may be missing after release."""
    case = data.draw(st.sampled_from(VALID))
    entry = CATALOGUE.get(case.type)
    assert entry is not None
    sensitive = places(case.document, entry.sensitive)
    chosen = [path for path in sensitive if data.draw(st.booleans())]
    assert CATALOGUE.release_violations(case.type, without(case.document, chosen)) == ()


def test_a_release_with_everything_withheld_conforms(catalogue: Catalogue, valid: Example) -> None:
    """The recipient with the fewest rights can still check what it gets."""
    entry = catalogue.get(valid.type)
    assert entry is not None
    assert (
        catalogue.release_violations(valid.type, without(valid.document, places(valid.document, entry.sensitive))) == ()
    )


def test_a_release_still_has_what_is_not_sensitive(catalogue: Catalogue, valid: Example) -> None:
    """Only sensitive fields become optional: any other required member is missed, and an unknown one refused."""
    entry = catalogue.get(valid.type)
    assert entry is not None
    for name in entry.schema["required"]:
        if f"/body/{name}" not in entry.sensitive:
            assert catalogue.release_violations(valid.type, without(valid.document, [(name,)])) != ()
    assert catalogue.release_violations(valid.type, {**valid.document, "extra": 1}) != ()


SENSITIVE: Mapping[str, set[str]] = {
    "border-crossing.query/1": {"/body/subject", "/body/subject/nik"},
    "border-crossing.response/1": {"/body/crossings", "/body/crossings/*/document"},
    "breach.notice/1": set(),
    "case.referral/1": {
        "/body/child_suspect_refs",
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/evidence_index/*/description",
        "/body/summary",
        "/body/suspects",
        "/body/suspects/*/nik",
        "/body/victim_refs",
    },
    "case.status/1": {"/body/remarks"},
    "confidentiality.acknowledgement/1": set(),
    "correction/1": set(),
    "early-warning.acknowledgement/1": set(),
    "early-warning.report/1": {"/body/narrative", "/body/recruiter", "/body/reporter"},
    "erasure.confirmation/1": set(),
    "erasure.request/1": set(),
    "facility-use.request/1": {"/body/contact_officer/nip", "/body/contact_officer/nrp"},
    "facility-use.response/1": {"/body/contact_officer/nip", "/body/contact_officer/nrp"},
    "foreigner.detention-notice/1": {"/body/detainee", "/body/detainee/nik", "/body/health_summary"},
    "investigation-assistance.decision/1": {
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/reason",
    },
    "investigation-assistance.request/1": {
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/explanation",
        "/body/suspects",
        "/body/suspects/*/nik",
    },
    "investigation-start.notice/1": {
        "/body/investigators/*/nip",
        "/body/signatory/nip",
        "/body/signatory/nrp",
        "/body/suspects",
        "/body/suspects/*/nik",
    },
    "investigator-roster.record/1": {"/body/firearms", "/body/nip"},
    "joint-operation.plan/1": {
        "/body/approval",
        "/body/approval/officer/nip",
        "/body/approval/officer/nrp",
        "/body/assembly_point",
        "/body/commander",
        "/body/commander/nip",
        "/body/commander/nrp",
        "/body/ends_at",
        "/body/investigation",
        "/body/investigation/targets/*/nik",
        "/body/objective",
        "/body/operation_kind",
        "/body/personnel_counts",
        "/body/region_codes",
        "/body/sprint_no",
        "/body/starts_at",
    },
    "overstay.notice/1": {
        "/body/subject",
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/last_address",
        "/body/permit/sponsor",
        "/body/subject/nik",
    },
    "passport-application.anomaly/1": {"/body/applicant", "/body/applicant/nik", "/body/sponsor"},
    "recall/1": set(),
    "training.announcement/1": {"/body/contact_officer/nip", "/body/contact_officer/nrp"},
    "training.enrolment/1": {
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/nominees",
        "/body/nominees/*/nip",
        "/body/nominees/*/nrp",
    },
    "victim.referral/1": {
        "/body/age_band",
        "/body/assessed_on",
        "/body/consent_basis",
        "/body/guardian",
        "/body/guardian/person/nik",
        "/body/health_summary",
        "/body/identity",
        "/body/identity/person/nik",
        "/body/needs",
        "/body/risk_level",
        "/body/service_provider",
        "/body/services_end_on",
        "/body/trafficking_status",
    },
    "departure-deferral.notice/1": {
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/facilitator",
        "/body/persons/*/identity",
        "/body/persons/*/identity/nik",
    },
    "foreigner.presence-report/1": {"/body/lodging/name", "/body/place", "/body/subject", "/body/subject/nik"},
    "stay-permit.query/1": {"/body/document"},
    "stay-permit.response/1": {"/body/registered_address", "/body/sponsor"},
    "travel-document.loss-report/1": {"/body/holder", "/body/holder/nik"},
    "travel-document.validity/1": set(),
    "travel-restriction.decision/1": {"/body/decision_no", "/body/reason"},
    "travel-restriction.request/1": {"/body/grounds", "/body/order_no", "/body/subject", "/body/subject/nik"},
    "wanted-person.cancellation/1": {"/body/contact_officer/nip", "/body/contact_officer/nrp", "/body/reason"},
    "wanted-person.hit/1": {
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/crossing",
        "/body/crossing/document",
        "/body/notice_ref",
    },
    "wanted-person.notice/1": {
        "/body/aliases",
        "/body/contact_officer/nip",
        "/body/contact_officer/nrp",
        "/body/photo_ref",
        "/body/subject",
        "/body/subject/nik",
    },
}


def test_sensitive_fields_are_those_of_the_agreement(catalogue: Catalogue) -> None:
    """The list that agreements rely on does not change by accident."""
    assert {entry.type: set(entry.sensitive) for entry in catalogue.types()} == SENSITIVE


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in children:
        yield from spots(entry, (*path, key))


def corrupted(body: Any, path: tuple[Any, ...], how: str) -> Any:
    """The body with the marker in place of a value, as a member's name, as an array's element, or as all of these."""
    damage = {"value": MARKER, "list": [MARKER], "object": {MARKER: MARKER}, "nested": {MARKER: {MARKER: [MARKER]}}}
    value = damage.get(how)
    if not path:
        return {**body, MARKER: MARKER} if value is None else value
    changed = copy.deepcopy(body)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    if value is not None:
        parent[path[-1]] = value
    elif isinstance(parent[path[-1]], dict):
        parent[path[-1]][MARKER] = MARKER
    elif isinstance(parent, dict):
        parent[MARKER] = parent.pop(path[-1])
    else:
        parent.append(MARKER)
    return changed


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_value_ever_shows_in_a_reason(data: st.DataObject) -> None:
    """A NIK put anywhere in a message, as a value or as a name, appears in no pointer and no detail."""
    case = data.draw(st.sampled_from(VALID))
    body = case.document
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([spot for spot in spots(body) if MARKER not in spot]))
        body = corrupted(body, path, data.draw(st.sampled_from(["value", "list", "object", "nested", "name"])))
        if not isinstance(body, dict):
            break
    for reasons in (CATALOGUE.violations(case.type, body), CATALOGUE.release_violations(case.type, body)):
        assert MARKER not in json.dumps([reason.as_json() for reason in reasons])


@settings(deadline=None)
@given(st.sampled_from(VALID), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_judging_never_raises(case: Example, junk: Any) -> None:
    """Any value at all is either conforming or refused with the schema's code."""
    for body in (junk, {"narrative": junk}, {**case.document, "reason": junk}):
        assert {reason.code for reason in CATALOGUE.violations(case.type, body)} <= {"schema.violated"}

"""What a proposal of each kind says: nothing that was made by hand gets past its form, and what gets past can be read."""

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedError
from gateway.statements.parameters import TERMS, duration, moment, require_parameters
from gateway.statements.proposal import Proposal, draft

NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
KID, DIGEST, TIME = "k" * 43, "a" * 64, "2026-11-20T01:00:00+07:00"
# One proposal of each kind, whole.
WHOLE: dict[str, dict[str, str]] = {
    "keys.admit": {
        "statement": DIGEST, "kid": KID, "use": "sign", "not_before": TIME, "not_after": TIME, "endorsed_by": "nobody",
        "recovered": "no", "overlap_seconds": "604800",
    },
    "keys.compromised": {"kid": KID, "since": TIME},
    "keys.rotate": {
        "role": "sign", "replaces": KID, "lead_seconds": "0", "overlap_seconds": "300", "uri": "file:/k.pem", "kid": KID,
        "instead_of": KID,
    },
    "operators.add": {"kid": KID},
    "officers.add": {"statement": DIGEST, "kid": KID, "role": "KANIT", "not_before": TIME, "not_after": TIME},
    "agencies.set": {
        "endpoint": "https://a.example/in", "endpoint_networks": "203.0.113.0/28", "endpoint_ca_file": "/etc/ca.pem",
        "endpoint_ca_sha256": DIGEST, "liaison": "https://b.example/in", "liaison_networks": "203.0.113.0/28",
        "liaison_ca_file": "/etc/ca.pem", "liaison_ca_sha256": DIGEST, "status": "active",
    },
}  # fmt: skip
# Anybody may put these in the place of any value: wrong kinds of JSON, and texts that are nothing, too long, or not ASCII.
WRONG: tuple[Any, ...] = (
    None, True, 7, 1.5, [], {}, "", " ", "x" * 513, "é", "kata sandi", "\u0661\u0662", "line\n", "\x00", "\ud800",
)  # fmt: skip
# Of a right kind and in a wrong form.
DISGUISED: dict[str, tuple[str, ...]] = {
    "since": ("yesterday", "2026-11-20", "2026-11-20T08:00:00", "2026-02-30T08:00:00Z", "9999-12-31T23:59:59-23:59",
              "0001-01-01T00:00:00+23:59", "2026-11-20T08:00:00+99:00", "2026-W47-5T08:00:00Z", "20261120T080000Z"),
    "overlap_seconds": ("-1", "1.5", "1e3", "007", "9" * 10, "1_000", "+5"),
    "lead_seconds": ("-1", "0x10", "inf", "nan"),
    "kid": ("!" * 43, "k" * 65),
    "use": ("encrypt", "Sign"),
    "recovered": ("true", "1"),
    "statement": ("A" * 64, "a" * 63),
    "endorsed_by": ("somebody",),
    "role": ("*", "1234567890123456"),
    "status": ("suspended",),
}  # fmt: skip


def proposal(what: str, parameters: dict[str, Any]) -> Proposal:
    """As it would be parsed: what the document's own form refuses never becomes one."""
    return draft("gw", what, "polda-banten", parameters, why="T-1", now=NOW, lifetime=timedelta(hours=1))


def test_every_kind_has_its_terms() -> None:
    """A new kind of proposal without a row here is not tested, so it fails."""
    assert WHOLE.keys() == TERMS.keys()


@pytest.mark.parametrize("what", sorted(WHOLE))
def test_what_is_made_by_hand_is_refused_with_a_code(what: str) -> None:
    """Missing, added, of a wrong type, too long, not ASCII, in a wrong form: each a MalformedError that quotes no value."""
    whole, terms = WHOLE[what], TERMS[what]
    require_parameters(proposal(what, whole))
    wrong = [whole | {name: value} for name in whole for value in WRONG]
    wrong += [whole | {name: value} for name in whole for value in DISGUISED.get(name, ())]
    wrong += [{other: text for other, text in whole.items() if other != name} for name in terms.required]
    wrong += [{}, whole | {"more": "x"}, whole | {"é": "x"}, {name.upper(): value for name, value in whole.items()}]
    for parameters in wrong:
        with pytest.raises(MalformedError) as refused:
            require_parameters(proposal(what, parameters))
        assert refused.value.code in ("request.malformed", "envelope.malformed")
        assert not any(len(str(value)) > 8 and str(value) in refused.value.detail for value in parameters.values())


@pytest.mark.parametrize("what", ["keys.steal", "keys.admit/sign", "KEYS.ADMIT"])
def test_an_act_that_nobody_proposes_is_no_proposal(what: str) -> None:
    """It is refused where it would be kept, and not only where it would be done."""
    with pytest.raises(MalformedError, match="not an act that can be proposed"):
        require_parameters(proposal(what, {"kid": KID}))


texts = st.one_of(st.sampled_from([KID, DIGEST, TIME, "sign", "yes", "0"]), st.text(string.printable, max_size=40))


@given(
    what=st.sampled_from(sorted(WHOLE)), changes=st.dictionaries(st.sampled_from(sorted(DISGUISED)), texts, max_size=4)
)
def test_what_is_let_through_can_be_read(what: str, changes: dict[str, str]) -> None:
    """Whatever passes has every parameter that is needed, and moments and spans that are some: no other error is left to come."""
    parameters = WHOLE[what] | {name: text for name, text in changes.items() if name in WHOLE[what]}
    try:
        require_parameters(proposal(what, parameters))
    except MalformedError:
        return
    assert TERMS[what].required.keys() <= parameters.keys()
    for name, text in parameters.items():
        if name in ("since", "not_before", "not_after"):
            assert moment(text).astimezone(UTC).tzinfo is not None
        elif name.endswith("_seconds"):
            assert duration(text) >= timedelta(0)

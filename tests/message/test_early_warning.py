"""What is followed up of a message, and how it is counted: pure, from claims, body and decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.early_warning import WITHDRAWN, Counted, FollowUp, follow_up, summarise
from gateway.message.envelope import Claims

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
REPORT = "early-warning.report/1"
ACKNOWLEDGEMENT = "early-warning.acknowledgement/1"
SECOND = 1_000_000


def followed(
    type_: str,
    body: dict[str, Any],
    *,
    withheld: tuple[str, ...] = (),
    in_reply_to: str | None = None,
    reply_as: str | None = None,
    acknowledge_by: datetime | None = None,
) -> FollowUp:
    claims = Claims(
        iss="imigrasi-banten",
        aud="polda-banten",
        iat=0,
        exp=60,
        jti="x" * 16,
        type=type_,
        agreement="pks",
        purpose="EARLY_WARNING",
        classification="T",
        in_reply_to=in_reply_to,
    )
    return follow_up(
        transfer="t-1",
        ledger="pks",
        claims=claims,
        body=body,
        withheld=withheld,
        received_at=NOW,
        acknowledge_by=acknowledge_by,
        reply_as=reply_as,
    )


def test_of_a_warning_only_codes_are_kept() -> None:
    """Nothing that a person wrote, and nothing about a person, leaves the message."""
    body = {
        "region_code": "36.04.08.2009",
        "severity": 3,
        "suspected_offence": "TPPO",
        "narrative": "Seorang perekrut bernama Rekaan",
        "recruiter": {"phone": "+6281200000117"},
        "reporter": {"pseudonym": "WARGA-PP-07"},
    }
    found = followed(REPORT, body, acknowledge_by=NOW + timedelta(hours=4))
    assert found.deadline is not None
    assert found.deadline.due_at == NOW + timedelta(hours=4)
    assert found.warned is not None
    assert (found.warned.region_code, found.warned.severity, found.warned.suspected_offence) == (
        "36.04.08.2009",
        3,
        "TPPO",
    )
    for secret in ("Rekaan", "+62", "WARGA"):
        assert secret not in repr(found)


def test_what_the_recipient_was_not_given_is_not_counted_by() -> None:
    """The figures, which the recipient may read, tell nothing that was withheld from it."""
    found = followed(REPORT, {"region_code": "36.04.08.2009", "severity": 3}, withheld=("/body/region_code",))
    assert found.warned is not None
    assert (found.warned.region_code, found.warned.severity) == (None, 3)


@pytest.mark.parametrize(
    ("reply_as", "settles", "by"),
    [("answers", "t-0", "answer"), ("ends", "t-0", WITHDRAWN), ("refers", None, "answer"), (None, None, "answer")],
)
def test_only_an_answer_or_an_end_settles_a_deadline(reply_as: str | None, settles: str | None, by: str) -> None:
    """A message that merely refers to another says nothing about whether that was handled."""
    found = followed("any.type/1", {}, in_reply_to="t-0", reply_as=reply_as)
    assert (found.settles, found.settled_by) == (settles, by)
    assert (found.deadline, found.warned, found.triage) == (None, None, None)


def test_a_triage_counts_only_as_an_answer() -> None:
    """An acknowledgement that answers nothing changes no early warning."""
    body = {"triage": "DUPLICATE", "duplicate_of": "t-9"}
    answered = followed(ACKNOWLEDGEMENT, body, in_reply_to="t-0", reply_as="answers").triage
    assert answered is not None
    assert (answered.transfer, answered.outcome, answered.duplicate_of) == ("t-0", "DUPLICATE", "t-9")
    assert followed(ACKNOWLEDGEMENT, body, in_reply_to="t-0", reply_as="refers").triage is None


def counted(**changes: Any) -> Counted:
    members: dict[str, Any] = {
        "region_code": "36.04.08.2009",
        "severity": 4,
        "assigned_unit": None,
        "triage": None,
        "duplicate_of": None,
        "received_at": 0,
        "due_at": 900 * SECOND,
    }
    return Counted(**members | changes)


def test_in_time_late_and_open_are_three_things() -> None:
    """Exactly on time is in time; what is still open is late only when its deadline has passed; a withdrawal is neither."""
    warnings = [
        counted(met_at=900 * SECOND, met_by="answer"),
        counted(met_at=901 * SECOND, met_by="processed"),
        counted(),
        counted(due_at=2000 * SECOND),
        counted(met_at=10 * SECOND, met_by=WITHDRAWN),
        counted(due_at=None, triaged_at=30 * SECOND, triage="UNFOUNDED"),
    ]
    total = summarise(warnings, 1000 * SECOND)["total"]
    assert (total["acknowledged_in_time"], total["acknowledged_late"], total["open_past_deadline"]) == (2, 1, 1)
    assert total["response_seconds"] == {"average": 610.333, "median": 900.0, "max": 901.0}
    assert (total["count"], total["without_outcome"]) == (6, 5)


units = st.sampled_from([None, "A", "B"])
moments = st.none() | st.integers(0, 2_000 * SECOND)


@given(
    st.lists(
        st.builds(
            Counted,
            region_code=units,
            severity=st.none() | st.integers(1, 4),
            assigned_unit=units,
            triage=st.sampled_from([None, "ACCEPTED", "DUPLICATE"]),
            duplicate_of=st.none(),
            received_at=st.integers(0, 1_000 * SECOND),
            triaged_at=moments,
            due_at=moments,
            met_at=moments,
            met_by=st.sampled_from(["answer", "processed", WITHDRAWN]),
        )
    )
)
def test_every_warning_is_in_one_village_and_one_unit(warnings: list[Counted]) -> None:
    """Groups add up to the total, and no figure is larger than its group."""
    summary = summarise(warnings, 1_500 * SECOND)
    for groups in (summary["villages"], summary["units"]):
        for name in ("count", "acknowledged_in_time", "acknowledged_late", "open_past_deadline", "without_outcome"):
            assert sum(group[name] for group in groups) == summary["total"][name]
        assert all(sum(group["by_severity"].values()) == group["count"] for group in groups)
    total = summary["total"]
    assert total["count"] == len(warnings)
    assert total["acknowledged_in_time"] + total["acknowledged_late"] + total["open_past_deadline"] <= len(warnings)

"""The demo's agreement is in force on whatever day somebody looks at it, in the words of the draft."""

from datetime import date, timedelta

import pytest

from gateway import resources
from gateway.agreement.document import parse_agreement
from gateway.demo.renewal import in_force

TEXT = (resources.agreements_dir() / "pks-banten-2025.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("today", [date(2026, 11, 27), date(2028, 8, 20)])
def test_within_its_term_the_draft_is_signed_as_it_is(today: date) -> None:
    """Not a letter is changed while the written day is months away."""
    assert in_force(TEXT, today) == (TEXT, None)


@pytest.mark.parametrize("today", [date(2028, 8, 21), date(2028, 11, 18), date(2030, 6, 1), date(2041, 1, 1)])
def test_past_its_term_only_the_last_day_is_another(today: date) -> None:
    """The rules, the first day and everything else stay to the letter; the new day is months away and told."""
    text, until = in_force(TEXT, today)
    assert until is not None
    renewed = parse_agreement(text)
    assert renewed.valid_until == until >= today + timedelta(days=90)
    assert text.replace(str(until), "2028-11-18", 1) == TEXT

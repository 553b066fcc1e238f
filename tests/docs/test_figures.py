"""Figures in the docs are those that programs measured."""

from pathlib import Path

from benchmarks.ledger_page import lines

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "ledger-at-scale.md"


def test_the_page_about_scale_says_what_was_measured() -> None:
    """The table is what `python -m benchmarks.ledger_page` writes from benchmarks/results, to the letter."""
    assert "\n".join(lines()) in PAGE.read_text(encoding="utf-8")

"""The page about performance says what the runs wrote, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("make_performance", ROOT / "scripts" / "make_performance.py")
assert SPEC is not None
assert SPEC.loader is not None
MAKE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKE)


def test_the_figures_are_those_of_the_results() -> None:
    """Whoever edits a figure by hand, or forgets `make bench-page` after a run, fails here."""
    page = MAKE.PAGE.read_text(encoding="utf-8")
    assert MAKE.written(page) == page


def test_a_page_without_a_place_for_a_result_is_not_written() -> None:
    """A mark that was lost must not lose the figures silently."""
    with pytest.raises(SystemExit, match="no place"):
        MAKE.written("# Performance")

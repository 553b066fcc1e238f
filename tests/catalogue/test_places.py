"""What can stand where: a place that no text of a sender's fits is the only kind that is never searched."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from gateway import resources
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.message_types.places import Place, guessed, is_code

MESSAGES = Catalogue(catalogue.read(resources.schemas_dir()))
EXAMPLES = catalogue.examples(resources.schemas_dir())
TYPES = tuple(kind.type for kind in MESSAGES.types())


def texts(value: Any, tree: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every text of a body, by its steps, with its place."""
    if isinstance(value, str):
        yield steps, tree
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from texts(member, (tree or {}).get(name), (*steps, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from texts(member, (tree or {}).get("*"), (*steps, index))


def put(body: Any, steps: tuple[str | int, ...], text: str) -> Any:
    changed = deepcopy(body)
    holder = changed
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = text
    return changed


@pytest.mark.parametrize("type_", TYPES)
def test_every_text_has_a_place_and_no_name_fits_where_none_is_sought(type_: str) -> None:
    """The schema itself refuses a name, and a day of birth in words, at each place that is not searched for one."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    for body in EXAMPLES[type_]:
        for steps, place in texts(body, kind.places.body):
            assert isinstance(place, Place), steps
            if place in (Place.FIXED, Place.DAY):
                for text in (
                    "Siti Aminah",
                    "SITI_AMINAH",
                    "9 Agustus 2011",
                    "09-08-2011",
                    "20110809",
                    "3601014908110009",
                ):
                    assert MESSAGES.violations(type_, put(body, steps, text)), (steps, text)


@pytest.mark.parametrize(
    ("type_", "steps", "place"),
    [
        ("departure-deferral.notice/1", ("deferral_no",), Place.REFERENCE),
        ("departure-deferral.notice/1", ("checkpoint",), Place.FIXED),
        ("departure-deferral.notice/1", ("deferred_at",), Place.DAY),
        ("departure-deferral.notice/1", ("persons", "*", "identity", "full_name"), Place.PERSON),
        ("departure-deferral.notice/1", ("persons", "*", "identity", "nationality"), Place.FIXED),
        ("departure-deferral.notice/1", ("facilitator", "alias"), Place.PERSON),
        ("departure-deferral.notice/1", ("contact_officer", "unit"), Place.LABEL),
        ("departure-deferral.notice/1", ("approvals", "*"), Place.FIXED),
        ("overstay.notice/1", ("permit", "sponsor", "registration_no"), Place.REFERENCE),
        ("overstay.notice/1", ("permit", "sponsor", "name"), Place.LABEL),
        ("case.referral/1", ("summary",), Place.TEXT),
        ("case.referral/1", ("evidence_index", "*", "description"), Place.TEXT),
        ("case.status/1", ("remarks",), Place.TEXT),
        ("case.referral/1", ("region_code",), Place.FIXED),
    ],
)
def test_the_schema_says_what_stands_where(type_: str, steps: tuple[str, ...], place: Place) -> None:
    """By its formats, its lists and the names of its definitions."""
    kind = MESSAGES.get(type_)
    assert kind is not None
    found: Any = kind.places.body
    for step in steps:
        found = found[step]
    assert found is place


def test_without_a_schema_a_text_is_what_it_looks_like() -> None:
    """Only days are then taken for something else than a text, and names by what they are called."""
    assert guessed("remark", "2011-08-09") is Place.DAY
    assert guessed("remark", "TPPO") is Place.TEXT
    assert guessed("full_name", "TPPO") is Place.PERSON
    assert [is_code(text) for text in ("TPPO", "36.04.08.2009", "Siti", "2011-08-09")] == [True, True, False, False]


def test_offices_are_known_by_what_the_lists_call_them() -> None:
    """Ports, offices and units; nobody's family name is among them by accident of a village."""
    kind = MESSAGES.get("case.referral/1")
    assert kind is not None
    assert {"merak", "serang", "tpi", "polres"} <= kind.places.offices
    assert not {"sari", "siti", "aminah", "rahman"} & kind.places.offices

"""What the catalogue's tests share: the real catalogue, and every example of it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.message_types.catalogue import Catalogue, load
from gateway.resources import schemas_dir


class Example(NamedTuple):
    type: str
    name: str
    document: Any


def examples(kind: str) -> list[Example]:
    found = []
    for path in sorted(schemas_dir().glob(f"*/*/examples/{kind}-*.json")):
        version = path.parent.parent
        found.append(Example(f"{version.parent.name}/{version.name}", path.stem, json.loads(path.read_text("utf-8"))))
    return found


VALID = examples("valid")
INVALID = examples("invalid")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, cases in (("valid", VALID), ("invalid", INVALID)):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, cases, ids=[f"{case.type}:{case.name}" for case in cases])


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load(schemas_dir())


@pytest.fixture(scope="session")
def valid_examples() -> list[Example]:
    return VALID


@pytest.fixture(scope="session")
def invalid_examples() -> list[Example]:
    return INVALID


@pytest.fixture(scope="session")
def schemas() -> Path:
    return schemas_dir()

"""One running province for all functional tests of a worker; tests that break things make their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.province import Province


@pytest.fixture(scope="session")
def province(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    made = Province(tmp_path_factory.mktemp("province") / "gateway").found().start()
    yield made
    made.kill()


@pytest.fixture
def new_province(tmp_path: Path) -> Iterator[Callable[..., Province]]:
    made: list[Province] = []

    def make(database_url: str | None = None, **extra: str) -> Province:
        province = Province(tmp_path / f"gateway-{len(made)}", database_url, extra).found()
        made.append(province)
        return province

    yield make
    for province in made:
        province.kill()

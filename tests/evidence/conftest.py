"""One gateway with two transfers, for every test of their evidence."""

from collections.abc import Iterator

import pytest

from tests.evidence.cases import Case, fetched
from tests.province import QUERY, Province
from tests.published import trusted


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    province = Province(tmp_path_factory.mktemp("evidence") / "gateway").found().start()
    sent = province.imigrasi.post(province.imigrasi.message()).json()["transfer"]
    for item in province.polda.inbox():
        province.polda.acknowledge(
            *(province.polda.acknowledgement(item, event) for event in ("delivered", "processed"))
        )
    refused = province.polda.post(province.polda.message(QUERY)).json()["transfer"]
    yield Case(
        province,
        trusted(province),
        fetched(province, sent).content,
        fetched(province, refused, police=True).content,
    )
    province.kill()

"""What PostgreSQL's settings promise: nothing that breaks the promise of a commit passes `sinergi doctor` in silence."""

from collections.abc import Mapping

import pytest
from sqlalchemy import make_url

from gateway.cli import checks
from gateway.store import durability
from gateway.store.session import open_database

SOUND = {
    "server_version_num": "150004",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "in_recovery": "off",
}
REPLICATED = SOUND | {"synchronous_standby_names": "FIRST 1 (b, c)"}


@pytest.mark.parametrize("settings", [SOUND, REPLICATED, REPLICATED | {"synchronous_commit": "remote_apply"}], ids=str)
def test_a_server_that_keeps_its_commits_has_no_fault(settings: Mapping[str, str]) -> None:
    """The defaults, synchronous replicas, and the strongest level."""
    assert (list(durability.faults(settings)), list(durability.doubts(settings))) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"server_version_num": "140012"}, "PostgreSQL 14 is too old"),
        ({"in_recovery": "on"}, "this is a replica"),
        ({"fsync": "off"}, "fsync is off"),
        ({"full_page_writes": "off"}, "full_page_writes is off"),
        ({"synchronous_commit": "off"}, "synchronous_commit is off"),
    ],
)
def test_what_loses_a_commit_is_a_fault(wrong: Mapping[str, str], told: str) -> None:
    """Each alone, and told by its name."""
    (fault,) = durability.faults(SOUND | wrong)
    assert fault.startswith(told)


@pytest.mark.parametrize("level", ["local", "remote_write"])
def test_a_level_that_waits_for_no_replica_s_disk_is_doubted_only_where_there_are_replicas(level: str) -> None:
    """One server alone loses nothing by it; a failover may."""
    assert not list(durability.doubts(SOUND | {"synchronous_commit": level}))
    (doubt,) = durability.doubts(REPLICATED | {"synchronous_commit": level})
    assert "failover" in doubt


def test_the_settings_are_those_of_a_real_server(postgres_server: str) -> None:
    """The tests' own server waits for no disk, and is found out by doctor."""
    database = open_database(
        make_url(postgres_server).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    with database.write.connect() as connection:
        assert durability.read(connection).keys() == SOUND.keys()
    found = list(checks._durability(database))
    database.close()
    assert [(status, told.split()[0]) for status, told in found] == [
        (checks.FAILED, "fsync"),
        (checks.FAILED, "full_page_writes"),
    ]

"""What PostgreSQL's own settings say about a commit that returned: whether it survives the loss of power, and of the primary.

Decides what breaks that promise (`faults`) and what weakens it (`doubts`), for `sinergi doctor`. No setting tells of a disk that
lies, or of a replica's disk (docs/explanation/trusted-stores.md).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, text

OLDEST: Final = 15
_SETTINGS: Final = (
    "server_version_num",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
)
_REPLICA: Final = "in_recovery"
_WEAK: Final = {
    "local": "it does not wait for the replicas",
    "remote_write": "it does not wait until the replicas have written to disk",
}


def read(connection: Connection) -> Mapping[str, str]:
    """The settings as they are for this session, which a role's or a database's own may have changed."""
    asked = connection.execute(
        text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"), {"names": list(_SETTINGS)}
    )
    found = {str(name): str(setting) for name, setting in asked}
    replica = connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one()
    return found | {_REPLICA: "on" if replica else "off"}


def faults(settings: Mapping[str, str]) -> Iterator[str]:
    """What was acknowledged can be lost, or nothing can be recorded at all."""
    if (version := int(settings["server_version_num"]) // 10_000) < OLDEST:
        yield f"PostgreSQL {version} is too old: version {OLDEST} or newer is needed"
    if settings[_REPLICA] == "on":
        yield "this is a replica: give the primary's address in database.url"
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if settings[name] == "off":
            yield f"{name} is off: a power cut can lose what was acknowledged"


def doubts(settings: Mapping[str, str]) -> Iterator[str]:
    """With replicas: a failover can lose what was acknowledged."""
    level = settings["synchronous_commit"]
    if settings["synchronous_standby_names"] and level in _WEAK:
        yield f"synchronous_commit is {level}: {_WEAK[level]}, and a failover can lose what was acknowledged"

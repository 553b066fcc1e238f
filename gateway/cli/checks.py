"""What `sinergi doctor` looks at: each check is one question about a gateway's state, and changes nothing.

Decides what is sound, what deserves a look (`warning`) and what is broken (`failed`). Every check runs on its own: one
that fails does not hide the next, unless that one needs what the first could not open.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from gateway import resources
from gateway.agreement.document import agreement_from_json
from gateway.attestation.standing import standings
from gateway.attestation.wiring import read_policies
from gateway.authorities import read_authorities
from gateway.errors import GatewayError
from gateway.keys.directory import ACTIVE, WARN_DAYS
from gateway.keys.keychain import CHECKPOINT, INDEX, KEPT, LONG_LIVED, REQUEST, SIGN, STORAGE
from gateway.message_types import catalogue
from gateway.settings import Settings
from gateway.statements.proposal import PERSONS
from gateway.store import durability, queries
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.clocks import database_time, newest_times
from gateway.store.migrations import require_current
from gateway.store.published import differing, published
from gateway.store.session import APPEND_ONLY, LEDGER_TABLES, Database
from gateway.store.tables import AgencyRow
from gateway.wiring import Keys, connect, load_keys, now, remembers_nothing, require_own

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
SOON: Final = timedelta(days=30)
CLOCK_WARNING: Final = timedelta(seconds=2)
_MEGABYTE: Final = 1024 * 1024
_LITTLE: Final = 1024 * _MEGABYTE
_TOO_LITTLE: Final = 100 * _MEGABYTE


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    status: str
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Every check, in an order in which a later one may need what an earlier one opened."""
    findings: list[Finding] = []

    def run(name: str, check: Callable[[], Iterator[tuple[str, str]]]) -> bool:
        try:
            found = [Finding(name, status, detail) for status, detail in check()]
        except GatewayError as error:
            found = [Finding(name, FAILED, error.detail or error.code)]
        except DBAPIError as error:
            found = [Finding(name, FAILED, f"the database refused: {type(error.orig).__name__}")]
        findings.extend(found)
        return all(one.status != FAILED for one in found)

    keys: list[Keys] = []
    run("keys", lambda: _keys(settings, keys))
    run("disk", lambda: _disk(settings))
    opened: list[Database] = []
    try:
        if run("database", lambda: _database(settings, opened)):
            database = opened[0]
            run("guards", lambda: _guards(database))
            if not database.is_sqlite:
                run("durability", lambda: _durability(database))
            if keys and run("own keys", lambda: _own_keys(settings, keys[0], database)):
                run("ledgers", lambda: _ledgers(settings, keys[0], database))
            run("witnesses", lambda: _witnesses(settings, database))
            for name, check in (
                ("operators", _operators),
                ("schemas", _schemas),
                ("agreements", _agreements),
                ("agencies", _agencies),
                ("clock", _clock),
            ):
                run(name, lambda check=check: _reading(database, check))  # type: ignore[misc]
    finally:
        for database in opened:
            database.close()
    return findings


def _reading(database: Database, check: Callable[[Session], Iterator[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    with database.reading() as session:
        yield from check(session)


def _keys(settings: Settings, keys: list[Keys]) -> Iterator[tuple[str, str]]:
    keys.append(load_keys(settings))
    yield OK, "the keys that the settings name open"
    passphrase = settings.keys.passphrase_file
    if passphrase is not None and passphrase.parent == Path(unquote(urlsplit(settings.keys.sign).path)).parent:
        yield (
            WARNING,
            "the passphrase is in the same folder as the keys: only for trying things out; in service keep it elsewhere",
        )
    authorities = read_authorities(settings.certificates)
    for root in () if authorities is None else authorities.roots:
        days = (root.not_valid_after_utc - now()).days
        status = FAILED if days < 0 else WARNING if days < WARN_DAYS[0] else OK
        yield status, f"{root.subject.rfc4514_string()} may certify agencies' keys, for {days} days more"


def _own_keys(settings: Settings, keys: Keys, database: Database) -> Iterator[tuple[str, str]]:
    """Those that are used: what the settings name is only where a process begins to look."""
    with database.reading() as session:
        require_own(session, settings)
        own = queries.own_keys(session)
    named = {
        SIGN: keys.sign.kid,
        REQUEST: keys.request.kid,
        CHECKPOINT: keys.checkpoint.signer.public.kid,
        STORAGE: keys.storage.current().id,
        INDEX: keys.index.current().id,
    }
    # One that was made after the gateway was founded is known by its first rotation.
    if (long_lived := keys.long_lived_keys.ring) is not None and any(key.role == LONG_LIVED for key in own):
        named[LONG_LIVED] = long_lived.current().kid
    time, known = now(), {key.kid: key for key in own}
    keys.learn(own)
    for role, kid in named.items():
        if kid not in known or known[kid].role != role:
            yield (
                FAILED,
                f"keys.{role} names {kid}, which the gateway does not know: announce it with `sinergi keys rotate`",
            )
        elif known[kid].over(time) and known[kid].status != KEPT:
            yield WARNING, f"keys.{role} still names {kid}, which has ended: change it to the key in use"
    coming = {fault for fault in keys.faults if fault not in keys.needed()}
    for fault in keys.faults:
        yield WARNING if fault in coming else FAILED, fault
    if not keys.needed():
        yield OK, f"receipts are signed by {keys.sign.kid}"


def _disk(settings: Settings) -> Iterator[tuple[str, str]]:
    places = {settings.gateway.state_dir}
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and url.database:
        places.add(Path(url.database).absolute().parent)
    for place in sorted(places):
        if not place.is_dir():
            yield FAILED, f"{place} does not exist"
            continue
        free = shutil.disk_usage(place).free
        status = FAILED if free < _TOO_LITTLE else WARNING if free < _LITTLE else OK
        yield status, f"{free // _MEGABYTE} MB free in {place}"


def _database(settings: Settings, opened: list[Database]) -> Iterator[tuple[str, str]]:
    url = make_url(settings.database.url)
    # Looking at a missing SQLite file would make it.
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        yield FAILED, f"{url.database} does not exist: run `sinergi init`"
        return
    database = connect(settings.database.url, settings.database.password_file)
    opened.append(database)
    require_current(database)
    yield OK, f"{database.url} answers, and its tables are those of this program"


_ROWS: Final = {
    "ledger_entry": "ledger = 'gateway' AND position = 0",
    "ledger_checkpoint": "ledger = 'gateway' AND size = 0",
    "ledger_tile": "ledger = 'gateway' AND level = 0 AND position = 0",
    "ledger_head": "ledger = 'gateway'",
}
"""One row of each table that is there in every initialised database."""


def _forbidden(*, sqlite: bool) -> Iterator[tuple[str, str]]:
    """(what, statement): each must be refused, whoever asks."""
    for table, row in _ROWS.items():
        yield f"DELETE on {table}", f"DELETE FROM {table} WHERE {row}"
        if table in APPEND_ONLY:
            yield f"UPDATE on {table}", f"UPDATE {table} SET ledger = ledger WHERE {row}"
        if sqlite:
            yield f"REPLACE on {table}", f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} WHERE {row}"


def _guards(database: Database) -> Iterator[tuple[str, str]]:
    """Tries what must be refused, in transactions that are rolled back whatever happens."""
    let_through, tried = [], 0
    for what, statement in _forbidden(sqlite=database.is_sqlite):
        tried += 1
        with database.write.connect() as connection, connection.begin() as transaction:
            try:
                connection.execute(text(statement))
            except DBAPIError:
                pass
            else:
                let_through.append(what)
            transaction.rollback()
    if let_through:
        yield FAILED, f"the database does not refuse {', '.join(let_through)}"
    else:
        yield OK, f"{tried} ways of changing the ledger are refused"
    if not database.is_sqlite:
        yield from _postgresql(database)


def _postgresql(database: Database) -> Iterator[tuple[str, str]]:
    with database.read.connect() as connection:
        owned = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE tableowner = current_user AND tablename = ANY(:tables)"),
            {"tables": list(LEDGER_TABLES)},
        ).all()
        triggers = connection.execute(
            text(
                "SELECT c.relname, t.tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " WHERE NOT t.tgisinternal AND c.relname = ANY(:tables)"
            ),
            {"tables": list(LEDGER_TABLES)},
        ).all()
    if owned:
        yield WARNING, "the gateway's role owns the ledger's tables and could drop the guards: use database.owner_url"
    guarded = {name for name, enabled in triggers if enabled in ("A", b"A")}
    missing = sorted(set(LEDGER_TABLES) - guarded)
    if missing or any(enabled not in ("A", b"A") for _, enabled in triggers):
        yield FAILED, f"triggers are not ENABLE ALWAYS on {', '.join(missing) or 'every table'}"


def _durability(database: Database) -> Iterator[tuple[str, str]]:
    with database.write.connect() as connection:
        settings = durability.read(connection)
    found = [(FAILED, fault) for fault in durability.faults(settings)]
    found += [(WARNING, doubt) for doubt in durability.doubts(settings)]
    yield from found or [(OK, "PostgreSQL's settings keep a commit that returned")]


def _ledgers(settings: Settings, keys: Keys, database: Database) -> Iterator[tuple[str, str]]:
    checkpoints = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint)
    memory = checkpoints.load()
    checkpoints.require_sound(database, memory)
    for warning in remembers_nothing(checkpoints, memory):
        yield WARNING, warning
    with database.reading() as session:
        sizes = ", ".join(f"{head.ledger} {head.size}" for head in queries.ledgers(session))
    yield OK, f"heads, edges and last entries fit what was signed: {sizes}"


def _witnesses(settings: Settings, database: Database) -> Iterator[tuple[str, str]]:
    policies = read_policies(settings)
    with database.reading() as session:
        found = standings(session, policies)
    if not policies.places:
        yield OK, "no ledger has witnesses"
    for one in found:
        policy = policies.of(one.ledger)
        if policy.witnessed:
            waits = one.size - one.witnessed
            told = f"{one.ledger}: {one.witnessed} of {one.size} entries are witnessed ({policy.when_missing})"
            yield FAILED if policies.stops(one, now()) else WARNING if policies.overdue(one, now()) else OK, told
            if waits and one.witnessed_at is None:
                yield WARNING, f"{one.ledger} was never witnessed: is the gateway running, and are the witnesses?"
        if policies.stamp_period is not None:
            status = WARNING if policies.stamp_overdue(one, now()) else OK
            yield status, f"{one.ledger}: {one.stamped} of {one.size} entries are under a timestamp"


def _operators(session: Session) -> Iterator[tuple[str, str]]:
    known = queries.load_directory(session, 0)
    active = known.acting()
    if not known.operators:
        yield (
            WARNING,
            "none: anybody can act under any name. Only for trying things out; in service: sinergi operators found",
        )
    elif len(active) < PERSONS:
        yield FAILED, f"{len(active)} left: nothing that needs two can be done"
    elif len(active) == PERSONS:
        yield WARNING, "two: if one of them loses the key, nothing that needs two can be done. Add a third"
    else:
        yield OK, f"{len(active)} operators have keys of their own"


def _schemas(session: Session) -> Iterator[tuple[str, str]]:
    types = differing(session, catalogue.load(resources.schemas_dir()))
    if types:
        yield (
            FAILED,
            f"not what was published: {', '.join(types)}; the gateway will not start: sinergi schemas publish --why CODE",
        )
    else:
        yield OK, f"the catalogue is what was published: {len(published(session))} message types"


def _agreements(session: Session) -> Iterator[tuple[str, str]]:
    time, directory = now(), queries.load_directory(session, 0)
    rows = queries.active_agreements(session)
    if not rows:
        yield WARNING, "no agreement was activated: every message will be refused"
    for row in rows:
        agreement = agreement_from_json(row.document)
        name = f"{agreement.id} version {agreement.version}"
        if not agreement.in_force(time):
            yield FAILED, f"{name} is not in force: {agreement.valid_from} to {agreement.valid_until}"
        elif not agreement.in_force(time + SOON):
            yield WARNING, f"{name} ends on {agreement.valid_until}"
        else:
            yield OK, f"{name} is in force until {agreement.valid_until}"
        for party in agreement.parties:
            if party not in directory.agencies:
                yield FAILED, f"{party}, a party of {agreement.id}, is not an agency here"


def _agencies(session: Session) -> Iterator[tuple[str, str]]:
    time, directory = now(), queries.load_directory(session, 0)
    rows = queries.agencies(session)
    if not rows:
        yield WARNING, "there is no agency yet"
    for row in rows:
        troubles = list(_endpoint_troubles(row))
        if row.status != ACTIVE:
            troubles.append((WARNING, f"{row.id} is {row.status}"))
        else:
            valid = [
                key.not_after
                for key in directory.keys_of(row.id)
                if key.status == ACTIVE and key.not_before <= time < key.not_after
            ]
            if not valid:
                troubles.append((WARNING, f"{row.id} has no key that is valid now"))
            elif max(valid) < time + SOON:
                troubles.append((WARNING, f"the last valid key of {row.id} ends on {max(valid).date()}"))
        yield from troubles or [(OK, f"{row.id} is active, its key valid until {max(valid).date()}")]


def _endpoint_troubles(row: AgencyRow) -> Iterator[tuple[str, str]]:
    if row.endpoint_url is None:
        return
    if not row.endpoint_networks.split():
        yield FAILED, f"the endpoint of {row.id} has no allow-list: nothing can be pushed to it"
    if row.endpoint_ca_file is not None and not Path(row.endpoint_ca_file).is_file():
        yield FAILED, f"the file of authorities of {row.id} does not exist: {row.endpoint_ca_file}"
    if row.endpoint_url.startswith("http:"):
        yield WARNING, f"the endpoint of {row.id} is called without TLS"
    if row.paused_reason is not None:
        yield (
            WARNING,
            f"the endpoint of {row.id} is paused ({row.paused_reason}): sinergi agencies set {row.id} --resume --why CODE",
        )


def _clock(session: Session) -> Iterator[tuple[str, str]]:
    apart = abs(now() - database_time(session))
    told = f"{apart.total_seconds():.1f} s from the database's"
    yield (WARNING if apart > CLOCK_WARNING else OK), f"this machine's clock is {told}"
    last = newest_times(session)["gateway"]
    if last > now() + CLOCK_WARNING:
        yield FAILED, f"the newest entry is dated {last.isoformat()}: this machine's clock is behind"

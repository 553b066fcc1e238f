"""The founding of a gateway: settings, keys, database, its own ledger and that ledger's first entries.

Decides in which order, and what a failure takes back. Only this creates keys and databases; everything else refuses to
start without them. The folder `keys` is made first and exclusively, so of two foundings at once one wins; the settings
file is put in place last, so where it stands the founding is complete.
"""

import contextlib
import getpass
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway import keyring, resources
from gateway.errors import OperatorError, StoreUnavailableError
from gateway.keys.directory import ACTIVE
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, REQUEST, SIGN, STORAGE
from gateway.ledger.entry import (
    Entry,
    GatewayInitialised,
    KeyAdded,
    OperatorAct,
    OperatorAdded,
    SchemaPublished,
    recordable,
)
from gateway.message_types import catalogue
from gateway.record import OWN_LEDGER
from gateway.settings import Settings, load_settings
from gateway.statements.appointment import Appointment, verify_founders
from gateway.store.append import LedgerAppend, Memory, create_ledger
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.migrations import migrate, require_current
from gateway.store.published import row_of
from gateway.store.session import Database, guard
from gateway.store.tables import GatewayKeyRow, LedgerHead, OperatorRow, PublishedSchemaRow, micros
from gateway.wiring import Keys, connect, load_keys, now

_KEYS: Final = {"sign": "EdDSA", "request": "EdDSA", "checkpoint": "EdDSA", "storage": "X25519", "index": "X25519"}


@dataclass(frozen=True, slots=True)
class Founders:
    """The first operators, and what the ceremony that made the keys is remembered by."""

    operators: Sequence[Appointment] = ()
    ceremony: OperatorAct | None = None


class RefusedError(OperatorError):
    """The act is well-formed and not possible as things stand: already there, not there, ended, too old."""

    answers_no: Final = True


def require_own_keys(gateway: Mapping[str, str], operators: Iterable[str]) -> None:
    """Key ids of the gateway by role, and of its operators: one private key is one party's, for one thing. Raises OperatorError.

    A gateway with an operator's key could sign as that operator, and one person would then be two.
    """
    held = dict.fromkeys(operators, "an operator's")
    for role, kid in gateway.items():
        if held.setdefault(kid, f"the {role} key") != f"the {role} key":
            raise OperatorError(f"the {role} key is {held[kid]} already: one key is for one thing")


def require_code(text: str, what: str) -> str:
    """`text`, if it may stand in the ledger for ever. Raises OperatorError for a sentence or sixteen digits in a row."""
    if recordable(text) is None:
        raise OperatorError(f"{what} must be a code without spaces, such as an account or a ticket number")
    return text


def initialise(
    directory: Path,
    *,
    who: str,
    gateway_id: str = "sinergi-banten",
    public_url: str | None = None,
    origin: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    database_url: str | None = None,
    database_password_file: Path | None = None,
    owner_url: str | None = None,
    owner_password_file: Path | None = None,
    passphrase_file: Path | None = None,
    ml_dsa: bool = False,
    operators: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    ceremony: OperatorAct | None = None,
) -> Settings:
    """Makes a gateway in `directory` and returns the settings it wrote to `directory/sinergi.toml`.

    Without `database_url` the database is `directory/sinergi.db`; without `passphrase_file` a random passphrase is written to
    `directory/keys/passphrase`. `operators` are the statements of the first two operators or more: with them, what needs two
    operators needs their signatures from the first moment on. `given` are URIs of keys that exist already, by role: in a
    token, for instance, or from a `ceremony`. Raises RefusedError when any of it exists. What a failure leaves is removed,
    but for the tables in a database server, which a second attempt uses. From the database's commit on nothing is removed:
    its ledger is signed by these keys.
    """
    require_code(who, "the operator")
    founders = verify_founders(operators, gateway_id, now()) if operators else ()
    home = directory.absolute()
    final = home / "sinergi.toml"
    taken = [path for path in (final, home / "checkpoints") if path.exists()]
    if taken:
        raise RefusedError(f"{taken[0]} exists already: a gateway is initialised once")
    algorithms = _KEYS | ({LONG_LIVED: keyring.LONG_LIVED} if ml_dsa else {})
    existing = {role: keyring.absolute(uri) for role, uri in (given or {}).items()}
    if unknown := existing.keys() - algorithms.keys():
        raise OperatorError(f"{min(unknown)} is no key of a gateway: {', '.join(algorithms)}")
    with _claimed(home) as made:
        keys_dir = home / "keys"
        in_token = existing.keys() == algorithms.keys()
        if passphrase_file is None and not in_token:
            made.append(keys_dir / "passphrase")
            keyring.write_private(made[-1], secrets.token_urlsafe(32).encode() + b"\n")
        passphrase_path = _absolute(passphrase_file or (None if in_token else keys_dir / "passphrase"))
        draft = keys_dir / "sinergi.toml.new"
        made.append(draft)
        values: dict[str, dict[str, Any]] = {
            "gateway": {
                "id": gateway_id,
                "public_url": public_url or f"http://{host}:{port}",
                "origin": origin,
                "state_dir": home,
            },
            "database": {
                "url": database_url or f"sqlite:///{home / 'sinergi.db'}",
                "password_file": _absolute(database_password_file),
                "owner_url": owner_url,
                "owner_password_file": _absolute(owner_password_file),
            },
            "keys": {
                **{name: existing.get(name, f"file:{quote(str(keys_dir / name))}.pem") for name in algorithms},
                "passphrase_file": passphrase_path,
            },
            "server": {"host": host, "port": port},
        }
        keyring.write_private(draft, _toml(values))
        # Read back as every later command will: the environment stands over the file already now.
        settings = load_settings(draft)
        passphrase = keyring.read_passphrase(settings.keys.passphrase_file)
        for name, algorithm in algorithms.items():
            if name in existing:
                continue
            made.append(keys_dir / f"{name}.pem")
            keyring.generate(made[-1], algorithm, passphrase)
        keys = load_keys(settings)
        signers = {SIGN: keys.sign.kid, REQUEST: keys.request.kid, CHECKPOINT: keys.checkpoint.signer.public.kid}
        require_own_keys(signers, (one.key.kid for one in founders))
        memory = _found_database(settings, keys, who, made, Founders(founders, ceremony))
        _put_in_place(draft, final)
        try:
            CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint).save(memory)
        except OSError as error:
            raise StoreUnavailableError(
                f"the gateway is founded; its newest checkpoint could not be written ({error.strerror}): the next command does"
            ) from error
    return settings


def _put_in_place(draft: Path, final: Path) -> None:
    """By a second name, which replaces nothing; where a file system has none, by its one name: the claimed folder is ours."""
    try:
        try:
            os.link(draft, final)
        except FileExistsError:
            raise
        except OSError:
            if final.exists():
                raise
            draft.rename(final)
        else:
            draft.unlink()
    except OSError as error:
        raise OperatorError(
            f"the gateway is founded, and its keys stay, but {final} cannot be written ({error.strerror}): move {draft} there"
        ) from error


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


@contextmanager
def _claimed(home: Path) -> Iterator[list[Path]]:
    """Makes `home/keys`, which only one process can, and on failure removes what was listed as made since."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{home} cannot be made: {error.strerror}") from error
    try:
        (home / "keys").mkdir(mode=0o700)
    except FileExistsError as error:
        raise RefusedError(
            f"{home / 'keys'} exists already: a gateway was initialised here, or an attempt was killed half-way"
        ) from error
    except OSError as error:
        raise OperatorError(f"{home} cannot be written: {error.strerror}") from error
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            (home / "keys").rmdir()
        raise


def _found_database(settings: Settings, keys: Keys, who: str, made: list[Path], founders: Founders) -> Memory:
    """The first commit. From there on, even if it is not known whether it came off, what was `made` is not taken back."""
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and url.database:
        _claim_file(Path(url.database), made)
    with _owner(settings) as (owner, grant_to):
        require_unused(owner)
        migrate(owner, grant_to=grant_to)
    database = connect(settings.database.url, settings.database.password_file)
    try:
        guard(database)
        memory = Memory()
        with database.write.connect() as connection, connection.begin() as transaction:
            first = _first_entries(connection, settings, keys, memory, who=who, founders=founders)
            made.clear()
            transaction.commit()
        first()
    except IntegrityError as error:
        raise RefusedError("the database is another gateway's, initialised a moment ago") from error
    except DBAPIError as error:
        told = "the database refused the first entries"
        if not made:
            told = "it is not known whether the first entries are recorded: the keys that signed them stay"
        raise StoreUnavailableError(told) from error
    finally:
        database.close()
    return memory


@contextmanager
def _owner(settings: Settings) -> Iterator[tuple[Database, str | None]]:
    """The database as its owner, and the role to grant to: None where the gateway itself owns the tables."""
    if settings.database.owner_url is None:
        database, grant_to = connect(settings.database.url, settings.database.password_file), None
    else:
        database = connect(settings.database.owner_url, settings.database.owner_password_file)
        grant_to = make_url(settings.database.url).username or getpass.getuser()
    try:
        yield database, grant_to
    finally:
        database.close()


def bring_up_to_date(settings: Settings) -> str:
    """Migrates an initialised database and names its shape. Raises OperatorError for one that was never initialised."""
    with _owner(settings) as (database, grant_to):
        try:
            # A missing SQLite file must not be made by looking at it.
            path = make_url(settings.database.url).database
            known = not database.is_sqlite or (path is not None and Path(path).is_file())
            known = known and inspect(database.read).has_table(str(LedgerHead.__tablename__))
        except DBAPIError as error:
            raise StoreUnavailableError("the database does not answer") from error
        if not known:
            raise OperatorError("the database is empty: run `sinergi init` first")
        migrate(database, grant_to=grant_to)
    database = connect(settings.database.url, settings.database.password_file)
    try:
        require_current(database)
        with database.read.connect() as connection:
            return str(MigrationContext.configure(connection).get_current_revision())
    finally:
        database.close()


def _claim_file(path: Path, made: list[Path]) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise RefusedError(f"{path} exists already") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be created: {error.strerror}") from error
    made += [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]


def require_unused(database: Database) -> None:
    """Raises RefusedError for a database that holds a ledger. Empty tables are what an earlier failure left."""
    try:
        with database.read.connect() as connection:
            used = (
                inspect(connection).has_table(str(LedgerHead.__tablename__))
                and connection.execute(select(func.count()).select_from(LedgerHead)).scalar_one() > 0
            )
    except DBAPIError as error:
        raise StoreUnavailableError("the database does not answer") from error
    if used:
        raise RefusedError("the database holds a gateway's ledger already")


def _first_entries(
    connection: Connection,
    settings: Settings,
    keys: Keys,
    memory: Memory,
    *,
    who: str,
    founders: Founders,
) -> Callable[[], None]:
    """The ledger with its first entries and the gateway's public keys, in the caller's transaction."""
    time, gateway = now(), settings.gateway.id
    create_ledger(connection, OWN_LEDGER, settings.gateway.ledger_origin(OWN_LEDGER), keys.checkpoint)
    append = LedgerAppend(connection, OWN_LEDGER, keys.checkpoint, memory)
    checkpoint = keys.checkpoint.signer.public
    entries: list[Entry] = [GatewayInitialised(time=time, gateway=gateway, key=checkpoint.kid)]
    entries += [
        KeyAdded(time=time, agency=gateway, key=public.kid, use=use, not_before=time)
        for use, public in ((SIGN, keys.sign.public), (REQUEST, keys.request.public), (CHECKPOINT, checkpoint))
    ]
    if (long_lived := keys.long_lived_keys.ring) is not None:
        entries.append(
            KeyAdded(time=time, agency=gateway, key=long_lived.current().kid, use=LONG_LIVED, not_before=time)
        )
    types = catalogue.load(resources.schemas_dir()).types()
    entries += [
        SchemaPublished(time=time, type=entry.type, digest=entry.digest.removeprefix("sha256:")) for entry in types
    ]
    entries.append(OperatorAct(time=time, who=who, what="init", why="init", about=gateway))
    if founders.ceremony is not None:
        entries.append(replace(founders.ceremony, time=time))
    if founders.operators:
        entries += [OperatorAdded(time=time, operator=one.operator, key=one.key.kid) for one in founders.operators]
        entries.append(OperatorAct(time=time, who=who, what="operators.found", why="init", about=gateway))
        connection.execute(insert(OperatorRow), [operator_row(one, time) for one in founders.operators])
    for entry in entries:
        append.append(entry)
    append.flush()
    connection.execute(insert(PublishedSchemaRow), [row_of(entry, time) for entry in types])
    own: list[tuple[str, str, str | None, str]] = [
        (SIGN, keys.sign.kid, json.dumps(dict(keys.sign.public.jwk)), settings.keys.sign),
        (REQUEST, keys.request.kid, json.dumps(dict(keys.request.public.jwk)), settings.keys.request),
        (CHECKPOINT, checkpoint.kid, json.dumps(dict(checkpoint.jwk)), settings.keys.checkpoint),
        (STORAGE, keys.storage.current().id, None, settings.keys.storage),
        (INDEX, keys.index.current().id, None, settings.keys.index),
    ]
    if long_lived is not None and settings.keys.checkpoint_mldsa is not None:
        lasting = long_lived.current()
        own.append((LONG_LIVED, lasting.kid, json.dumps(lasting.jwk), settings.keys.checkpoint_mldsa))
    connection.execute(
        insert(GatewayKeyRow),
        [
            {
                "kid": kid,
                "use": use,
                "jwk": jwk,
                "uri": uri,
                "not_before": micros(time),
                "not_after": None,
                "status": ACTIVE,
            }
            for use, kid, jwk, uri in own
        ],
    )
    return append.committed


def operator_row(appointment: Appointment, time: datetime) -> dict[str, Any]:
    """What the directory has of an operator."""
    return {
        "kid": appointment.key.kid,
        "operator": appointment.operator,
        "jwk": json.dumps(dict(appointment.key.jwk)),
        "status": ACTIVE,
        "added_at": micros(time),
        "changed_at": micros(time),
    }


def _toml(tables: dict[str, dict[str, Any]]) -> bytes:
    lines = ["# Written by `sinergi init`. Every setting: docs/reference/settings.md"]
    for name, values in tables.items():
        lines += ["", f"[{name}]"]
        for key, value in values.items():
            if isinstance(value, int):
                lines.append(f"{key} = {value}")
            elif value is not None:
                # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
                text = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
                lines.append(f"{key} = {text}")
    return ("\n".join(lines) + "\n").encode()

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway import catalogue, keyring, resources
from gateway.errors import OperatorError, StoreUnavailableError
from gateway.keychain import CHECKPOINT, INDEX, SIGN, STORAGE
from gateway.ledger.entry import Entry, GatewayInitialised, KeyAdded, OperatorAct, SchemaPublished, recordable
from gateway.record import OWN_LEDGER
from gateway.settings import Settings, load_settings
from gateway.store.append import LedgerAppend, Memory, create_ledger
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.store.migrations import migrate, require_current
from gateway.store.published import row_of
from gateway.store.session import Database, guard
from gateway.store.tables import GatewayKeyRow, LedgerHead, PublishedSchemaRow, micros
from gateway.wiring import Keys, connect, load_keys, now

_KEYS: Final = {"sign": "EdDSA", "checkpoint": "EdDSA", "storage": "X25519", "index": "X25519"}


class RefusedError(OperatorError):
    """The act is well-formed and not possible as things stand: already there, not there, ended, too old."""

    answers_no: Final = True


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
) -> Settings:
    """Makes a gateway in `directory` and returns the settings it wrote to `directory/sinergi.toml`.

    Without `database_url` the database is `directory/sinergi.db`; without `passphrase_file` a random passphrase is
    written to `directory/keys/passphrase`. Raises RefusedError when any of it exists. What a failure leaves is removed,
    but for the tables in a database server, which a second attempt uses.
    """
    require_code(who, "the operator")
    home = directory.absolute()
    final = home / "sinergi.toml"
    taken = [path for path in (final, home / "checkpoints") if path.exists()]
    if taken:
        raise RefusedError(f"{taken[0]} exists already: a gateway is initialised once")
    with _claimed(home) as made:
        keys_dir = home / "keys"
        if passphrase_file is None:
            made.append(keys_dir / "passphrase")
            keyring.write_private(made[-1], secrets.token_urlsafe(32).encode() + b"\n")
        passphrase_path = (passphrase_file or keys_dir / "passphrase").absolute()
        draft = keys_dir / "sinergi.toml.new"
        made.append(draft)
        algorithms = _KEYS | ({"checkpoint_mldsa": keyring.LONG_LIVED} if ml_dsa else {})
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
                **{name: f"file:{quote(str(keys_dir / name))}.pem" for name in algorithms},
                "passphrase_file": passphrase_path,
            },
            "server": {"host": host, "port": port},
        }
        keyring.write_private(draft, _toml(values))
        # Read back as every later command will: the environment stands over the file already now.
        settings = load_settings(draft)
        passphrase = keyring.read_passphrase(settings.keys.passphrase_file)
        for name, algorithm in algorithms.items():
            made.append(keys_dir / f"{name}.pem")
            keyring.generate(made[-1], algorithm, passphrase)
        keys = load_keys(settings)
        _found_database(settings, keys, who, made)
        try:
            os.link(draft, final)
        except FileExistsError as error:
            raise RefusedError(f"{final} exists already") from error
        draft.unlink()
        made.clear()
    return settings


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


@contextmanager
def _claimed(home: Path) -> Iterator[list[Path]]:
    """Makes `home/keys`, which only one process can, and on failure removes what was listed as made since."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
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
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        with contextlib.suppress(OSError):
            (home / "keys").rmdir()
        raise


def _found_database(settings: Settings, keys: Keys, who: str, made: list[Path]) -> None:
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
        with database.write.begin() as connection:
            first = _first_entries(connection, settings, keys, memory, who)
        first()
        files = CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint)
        files.save(memory)
    except IntegrityError as error:
        raise RefusedError("the database is another gateway's, initialised a moment ago") from error
    except DBAPIError as error:
        raise StoreUnavailableError("the database refused the first entries") from error
    finally:
        database.close()


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
    connection: Connection, settings: Settings, keys: Keys, memory: Memory, who: str
) -> Callable[[], None]:
    """The ledger with its first entries and the gateway's public keys, in the caller's transaction."""
    time, gateway = now(), settings.gateway.id
    create_ledger(connection, OWN_LEDGER, settings.gateway.ledger_origin(OWN_LEDGER), keys.checkpoint)
    append = LedgerAppend(connection, OWN_LEDGER, keys.checkpoint, memory)
    checkpoint = keys.checkpoint.signer.public
    entries: list[Entry] = [GatewayInitialised(time=time, gateway=gateway, key=checkpoint.kid)]
    entries += [
        KeyAdded(time=time, agency=gateway, key=public.kid, use=use, not_before=time)
        for use, public in ((SIGN, keys.sign.public), (CHECKPOINT, checkpoint))
    ]
    types = catalogue.load(resources.schemas_dir()).types()
    entries += [
        SchemaPublished(time=time, type=entry.type, digest=entry.digest.removeprefix("sha256:")) for entry in types
    ]
    entries.append(OperatorAct(time=time, who=who, what="init", about=gateway))
    for entry in entries:
        append.append(entry)
    append.flush()
    connection.execute(insert(PublishedSchemaRow), [row_of(entry, time) for entry in types])
    own: list[tuple[str, str, str | None, str]] = [
        (SIGN, keys.sign.kid, json.dumps(dict(keys.sign.public.jwk)), settings.keys.sign),
        (CHECKPOINT, checkpoint.kid, json.dumps(dict(checkpoint.jwk)), settings.keys.checkpoint),
        (STORAGE, keys.storage.current().id, None, settings.keys.storage),
        (INDEX, keys.index.id, None, settings.keys.index),
    ]
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
                "status": "active",
            }
            for use, kid, jwk, uri in own
        ],
    )
    return append.committed


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

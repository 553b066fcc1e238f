"""What the owner of the database does to a ledger's rows, past the program's guards."""

from collections.abc import Callable

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

SIZE = 700


def tamper(url: str, attack: Callable[[Connection], None]) -> None:
    """As the owner of the tables, past the program's guards, with the triggers out of the way first."""
    engine = create_engine(make_url(url.replace("postgresql://", "postgresql+psycopg://")))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
            for name in triggers.all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("ledger_entry", "ledger_checkpoint", "ledger_tile", "ledger_head"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        attack(connection)
    engine.dispose()


def leaf(connection: Connection, position: int) -> bytes:
    query = text("SELECT leaf FROM ledger_entry WHERE ledger = 'pks' AND position = :p")
    return bytes(connection.execute(query, {"p": position}).scalar_one())


def put(connection: Connection, position: int, data: bytes) -> None:
    query = text("UPDATE ledger_entry SET leaf = :d WHERE ledger = 'pks' AND position = :p")
    assert connection.execute(query, {"d": data, "p": position}).rowcount == 1


def changed(connection: Connection) -> None:
    put(connection, 300, leaf(connection, 300).replace(b"act-300", b"act-999"))


def deleted(connection: Connection) -> None:
    query = text("DELETE FROM ledger_entry WHERE ledger = 'pks' AND position = 100")
    assert connection.execute(query).rowcount == 1


def reordered(connection: Connection) -> None:
    first, second = leaf(connection, 10), leaf(connection, 11)
    put(connection, 10, second)
    put(connection, 11, first)


def inserted(connection: Connection) -> None:
    move = text("UPDATE ledger_entry SET position = position + 1 WHERE ledger = 'pks' AND position = :p")
    for position in range(SIZE - 1, 689, -1):
        connection.execute(move, {"p": position})
    add = text("INSERT INTO ledger_entry (ledger, position, leaf) VALUES ('pks', 690, :d)")
    connection.execute(add, {"d": leaf(connection, 5)})


def appended(connection: Connection) -> None:
    add = text("INSERT INTO ledger_entry (ledger, position, leaf) VALUES ('pks', :p, :d)")
    connection.execute(add, {"p": SIZE, "d": leaf(connection, 5)})


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def edge_flipped(connection: Connection) -> None:
    old = bytes(connection.execute(text("SELECT frontier FROM ledger_head WHERE ledger = 'pks'")).scalar_one())
    connection.execute(text("UPDATE ledger_head SET frontier = :d WHERE ledger = 'pks'"), {"d": flipped(old)})


def flip_tile(connection: Connection, position: int, *, first: bool = False, level: int = 0) -> None:
    where = f"WHERE ledger = 'pks' AND level = {level} AND position = {position}"
    old = bytes(connection.execute(text(f"SELECT data FROM ledger_tile {where}")).scalar_one())
    connection.execute(
        text(f"UPDATE ledger_tile SET data = :d {where}"), {"d": flipped(old[::-1])[::-1] if first else flipped(old)}
    )


def full_tile_flipped(connection: Connection) -> None:
    flip_tile(connection, 0)


def edge_tile_flipped(connection: Connection) -> None:
    flip_tile(connection, 2)


def checkpoint_changed(connection: Connection) -> None:
    old = text("SELECT note FROM ledger_checkpoint WHERE ledger = 'pks' AND size = 600")
    note = bytes(connection.execute(old).scalar_one()).replace(b"\n600\n", b"\n599\n")
    query = text("UPDATE ledger_checkpoint SET note = :d WHERE ledger = 'pks' AND size = 600")
    connection.execute(query, {"d": note})


def head_set_back(connection: Connection) -> None:
    old = text("SELECT note FROM ledger_checkpoint WHERE ledger = 'pks' AND size = 600")
    note = connection.execute(old).scalar_one()
    query = text("UPDATE ledger_head SET size = 600, checkpoint = :d WHERE ledger = 'pks'")
    connection.execute(query, {"d": note})


def size_set_back(connection: Connection) -> None:
    connection.execute(text("UPDATE ledger_head SET size = 512 WHERE ledger = 'pks'"))

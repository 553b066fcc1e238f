"""A database of millions of ledger entries, written straight to disk with rows of the size that real messages have.

The rows are those of an agreement in service: nine of ten messages accepted, each followed by two receipts of its
recipient; one of ten refused. They say what the entries say, so that the database passes `ledger fsck`. What is not
searched or hashed (sealed contents, receipts) is as long as that of real messages and otherwise noise. Indexes are
built at the end, as a restored backup's are.
"""

import hashlib
import json
import os
import random
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keyring import signer_for
from gateway.keys.keychain import Ring
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.tiles import TILE_WIDTH, TileUpdate
from gateway.store.append import create_ledger
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.migrations import migrate
from gateway.store.session import open_database
from gateway.store.tables import (
    AcknowledgementRow,
    DeadlineRow,
    OutboxRow,
    SubjectIndex,
    TransferCode,
    TransferRow,
    UsedMessageId,
    micros,
)
from tests.province import POLDA, Province

LEDGER: Final = "pks"
ORIGIN: Final = f"gateway.example/ledger/{LEDGER}"
BATCH: Final = 112  # entries a checkpoint: four groups of ten messages
GROUP: Final = 28  # entries of ten messages: nine times three, and one
BEGAN: Final = datetime(2024, 1, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=730)
AGENCIES: Final = ("imigrasi-banten", POLDA, "pemprov-banten", "bp3mi-banten", "dinsos-banten", "kejati-banten")
TYPES: Final = (
    "early-warning.report/1", "passport-application.anomaly/1", "early-warning.acknowledgement/1", "crossing.query/1",
    "crossing.response/1", "wanted-person.notice/1", "overstay.notice/1",
)  # fmt: skip
CODES: Final = (
    "rule.none",
    "rule.condition",
    "schema.violated",
    "envelope.expired",
    "rule.quota",
    "rule.out-of-jurisdiction",
)
CLAUSES: Final = tuple(f"Pasal {number} ayat (1)" for number in range(1, 13))
PERSONS: Final = 1_000_000
INDEX_KEY: Final = "i" * 16
_VALID: Final = 3_600_000_000  # an hour
_NOISE: Final = random.Random(7).randbytes(1 << 20)


@dataclass(frozen=True)
class Sample:
    """Sizes in bytes of what one real message leaves behind, and its leaves."""

    content: int
    receipt: int
    wrapped: int
    jws: int
    accepted: str
    acknowledged: str
    stored: float  # bytes of database and index a message, receipts of its recipient included


def sample(folder: Path, count: int = 200) -> Sample:
    """Real messages through a real gateway over HTTP, each received and acknowledged twice."""
    province = Province(folder, None, {"SINERGI_LOG__LEVEL": "error"}).found()
    province.start()
    try:
        exchange(province, 20)
        before = _size(province)
        exchange(province, count)
        stored = (_size(province) - before) / count
    finally:
        province.kill()
    with sqlite3.connect(_file(province)) as connection:
        row = connection.execute(
            "SELECT avg(length(sealed_content)), avg(length(sealed_receipt)), avg(length(wrapped_key)) FROM transfer"
        ).fetchone()
        (jws,) = connection.execute("SELECT avg(length(jws)) FROM acknowledgement").fetchone()
        leaves = [
            connection.execute(
                "SELECT CAST(leaf AS TEXT) FROM ledger_entry WHERE instr(leaf, ?) ORDER BY position DESC LIMIT 1",
                [kind],
            ).fetchone()[0]
            for kind in (b"transfer.accepted", b"transfer.acknowledged")
        ]
    connection.close()
    return Sample(*(round(value) for value in (*row, jws)), *leaves, stored)


def exchange(province: Province, count: int) -> None:
    """`count` messages, received, and acknowledged as delivered and as processed."""
    for _ in range(count):
        if province.imigrasi.post(province.imigrasi.message()).status_code != 202:
            raise SystemExit("the gateway refused a message of the sample")
    taken = 0
    while taken < count:
        page = province.polda.inbox(100)
        for event in ("delivered", "processed"):
            province.polda.acknowledge(*(province.polda.acknowledgement(item, event) for item in page))
        taken += len(page)


def _file(province: Province) -> Path:
    return Path(province.settings.database.url.removeprefix("sqlite:///"))


def _size(province: Province) -> int:
    """Bytes of the database file with what is still in the write-ahead log."""
    with sqlite3.connect(_file(province)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    connection.close()
    return int(pages - free) * int(size)


def keys() -> CheckpointKeys:
    key = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
    return CheckpointKeys(Ring(signer_for(key)))


def person(number: int) -> str:
    return f"{number:064x}"


class _Writer:
    """Rows of one table, written many at a time in the order of the table's columns."""

    def __init__(self, connection: sqlite3.Connection, table: Any) -> None:
        names = [column.name for column in table.__table__.columns]
        marks = ", ".join("?" * len(names))
        self._connection, self._names = connection, names
        self._statement = f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES ({marks})"
        self.rows: list[tuple[Any, ...]] = []

    def order(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self._names)

    def flush(self) -> None:
        self._connection.executemany(self._statement, self.rows)
        self.rows.clear()


def generate(file: Path, entries: int, found: Sample) -> dict[str, float]:
    """A database with at least `entries` entries. Seconds it took, and what it holds."""
    began = time.monotonic()
    database = open_database(f"sqlite:///{file}")
    migrate(database)
    with database.write.begin() as connection:
        create_ledger(connection, LEDGER, ORIGIN, keys())
    database.close()
    return extend(file, entries, found, Onto(), began)


@dataclass(frozen=True)
class Onto:
    """Which ledger is filled. `whole`: with the rows that accepting and delivering leave, which a search never reads."""

    ledger: str = LEDGER
    origin: str = ORIGIN
    keys: CheckpointKeys | None = None
    whole: bool = False

    @property
    def signer(self) -> Any:
        return (self.keys or keys()).note_signer(self.origin)


def extend(file: Path, entries: int, found: Sample, onto: Onto, began: float) -> dict[str, float]:
    """The ledger of a database that nobody has open goes on from where it is."""
    raw = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-2000000"):
        raw.execute(f"PRAGMA {pragma}")
    later = raw.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND (type = 'trigger' OR type = 'index')"
    ).fetchall()
    for kind, name, _ in later:
        raw.execute(f"DROP {kind} {name}")
    raw.execute("BEGIN")
    count, transfers = _Filler(raw, found, onto).fill(-(-entries // BATCH))
    raw.execute("COMMIT")
    rows = time.monotonic() - began
    for _, _, sql in later:
        raw.execute(sql)
    raw.close()
    return {
        "entries": count,
        "transfers": transfers,
        "rows_s": round(rows, 1),
        "indexes_s": round(time.monotonic() - began - rows, 1),
        "bytes": file.stat().st_size,
    }


class _Filler:
    """Ten messages after the other."""

    def __init__(self, connection: sqlite3.Connection, found: Sample, onto: Onto) -> None:
        self._connection = connection
        self._found = found
        self._onto = onto
        self._chance = random.Random(2026)
        self._transfers = _Writer(connection, TransferRow)
        self._receipts = _Writer(connection, AcknowledgementRow)
        self._codes = _Writer(connection, TransferCode)
        self._deadlines = _Writer(connection, DeadlineRow)
        self._ids = _Writer(connection, UsedMessageId)
        self._outbox = _Writer(connection, OutboxRow)
        accepted = json.loads(found.accepted)
        acknowledged = json.loads(found.acknowledged)
        self._accepted = _template(accepted)
        self._acknowledged = _template(acknowledged)
        refused = {name: value for name, value in accepted.items() if name in _REFUSED}
        self._refused = _template(refused | {"kind": "transfer.refused", "reasons": [{"code": _MARK.format("code")}]})
        self._same = {
            "purpose": accepted["purpose"], "classification": accepted["classification"],
            "agreement": accepted["agreement"], "agreement_version": accepted["agreement_version"],
            "retain_until": accepted["retain_until"], "kid": accepted["key"], "flags": "[]",
            "index_key": INDEX_KEY,
        }  # fmt: skip
        self._withheld = json.dumps(accepted.get("withheld", []))
        self._persons: list[tuple[str, str]] = []

    def fill(self, batches: int) -> tuple[int, int]:
        ledger, origin, signer = self._onto.ledger, self._onto.origin, self._onto.signer
        tree, edges = self._edge()
        step = SPAN / (batches * 40)
        leaves: list[bytes] = []
        number = 0
        for batch in range(batches):
            leaves = []
            for _ in range(4):
                for place in range(10):
                    leaves += self._message(number, BEGAN + number * step, tree.size + len(leaves), refused=place == 9)
                    number += 1
            hashes = [leaf_hash(leaf) for leaf in leaves]
            update = TileUpdate.append(tree.size, lambda level, _index, _width: edges[level], hashes)
            self._connection.executemany(
                "INSERT INTO ledger_entry (ledger, position, leaf) VALUES (?, ?, ?)",
                [(ledger, tree.size + at, leaf) for at, leaf in enumerate(leaves)],
            )
            full = [tile for tile in update.tiles if tile.width == TILE_WIDTH]
            for tile in update.tiles:
                edges[tile.level] = b"" if tile.width == TILE_WIDTH else tile.data
            self._tiles([(tile.level, tile.index, tile.data) for tile in full])
            tree.extend(hashes)
            note = sign_checkpoint(Checkpoint(origin, tree.size, tree.root()), [signer])
            self._connection.execute("INSERT INTO ledger_checkpoint VALUES (?, ?, ?)", (ledger, tree.size, note))
            if batch % 50 == 49:
                self._flush()
        self._flush()
        self._tiles([(level, (tree.size >> 8 * level) // 256, data) for level, data in edges.items() if data])
        self._connection.execute(
            "UPDATE ledger_head SET size = ?, frontier = ?, checkpoint = ? WHERE ledger = ?",
            (tree.size, tree.to_bytes(), note, ledger),
        )
        self._persons.sort()
        self._connection.executemany(
            f"INSERT OR IGNORE INTO subject_index (kind, token, transfer, index_key) VALUES ('nik', ?, ?, '{INDEX_KEY}')",
            self._persons,
        )
        assert SubjectIndex.__tablename__ == "subject_index"
        return tree.size, number

    def _edge(self) -> tuple[Frontier, dict[int, bytes]]:
        """The tree as it is, and the partial tile of each level."""
        ledger = self._onto.ledger
        size, frontier = self._connection.execute(
            "SELECT size, frontier FROM ledger_head WHERE ledger = ?", [ledger]
        ).fetchone()
        edges = {}
        for level in range(size.bit_length() // 8 + 1):
            index, width = divmod(size >> 8 * level, TILE_WIDTH)
            if width:
                (edges[level],) = self._connection.execute(
                    "SELECT data FROM ledger_tile WHERE ledger = ? AND level = ? AND position = ?",
                    [ledger, level, index],
                ).fetchone()
        return Frontier.from_bytes(size, frontier), edges

    def _tiles(self, tiles: list[tuple[int, int, bytes]]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO ledger_tile (ledger, level, position, data) VALUES (?, ?, ?, ?)",
            [(self._onto.ledger, *tile) for tile in tiles],
        )

    def _flush(self) -> None:
        for writer in (self._transfers, self._receipts, self._codes, self._deadlines, self._ids, self._outbox):
            writer.flush()

    def _message(self, number: int, moment: datetime, position: int, *, refused: bool) -> Iterator[bytes]:
        chance, found = self._chance, self._found
        milliseconds = micros(moment) // 1000
        tail = f"{chance.getrandbits(74) | 1 << 73:019x}"
        head = f"{milliseconds:012x}"
        transfer = f"{head[:8]}-{head[8:]}-7{number % 4096:03x}-a{tail[:3]}-{tail[3:15]}"
        written = moment.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
        digest = f"{chance.getrandbits(256):064x}"
        clause = CLAUSES[min(int(chance.expovariate(0.5)), 11)]
        noise = chance.randrange(len(_NOISE) - found.content)
        received = micros(moment)
        expires = received // 1_000_000 * 1_000_000 + _VALID
        sender = AGENCIES[min(int(chance.expovariate(0.7)), 5)]
        recipient = AGENCIES[-1 - min(int(chance.expovariate(0.7)), 5)]
        message_type = TYPES[min(int(chance.expovariate(0.6)), 6)]
        code = CODES[min(int(chance.expovariate(0.8)), 5)]
        self._transfers.rows.append(
            self._transfers.order({
                "id": transfer, "ledger": self._onto.ledger, "position": position, "sender": sender, "recipient": recipient,
                "jti": f"{number:032x}", "identity": digest, "type": message_type, "rule": f"rule-{clause[6]}",
                "clause": clause, "decision": "refused" if refused else "accepted",
                "reasons": f'[{{"code":"{code}"}}]' if refused else "[]",
                "withheld": "[]" if refused else self._withheld, "in_reply_to": None, "reply_as": None,
                "stands_until": None, "received_at": received, "expires_at": expires, "acknowledge_by": received,
                "commitment": digest, "storage_key": "s" * 16, "wrapped_key": _NOISE[: found.wrapped],
                "sealed_content": _NOISE[noise : noise + found.content],
                "sealed_receipt": _NOISE[noise : noise + found.receipt],
            } | self._same)
        )  # fmt: skip
        said = {
            b"commitment": digest.encode(), b"time": written, b"transfer": transfer.encode(), b"sender": sender.encode(),
            b"exp": b"%d" % (expires // 1_000_000), b"recipient": recipient.encode(), b"type": message_type.encode(),
            b"clause": clause.encode(), b"rule": f"rule-{clause[6]}".encode(), b"code": code.encode(),
        }  # fmt: skip
        # One person in a thousand messages, as nobody is: the worst that a search can meet.
        someone = 0 if chance.random() < 0.001 else chance.randrange(1, PERSONS)
        self._persons += [(person(someone), transfer), (person(chance.randrange(1, PERSONS)), transfer)]
        if self._onto.whole:
            self._ids.rows.append(self._ids.order({"sender": sender, "jti": f"{number:032x}", "transfer": transfer}))
        if refused:
            self._codes.rows.append((code, transfer))
            yield self._refused % said
            return
        met = None if chance.random() < 0.001 else received
        self._deadlines.rows.append(
            self._deadlines.order({
                "transfer": transfer, "ledger": self._onto.ledger, "sender": sender, "recipient": recipient, "type": message_type,
                "due_at": received + 1, "met_at": met, "met_by": met and "processed",
            })
        )  # fmt: skip
        if self._onto.whole:
            row = {
                "transfer": transfer,
                "recipient": recipient,
                "priority": 1,
                "state": "delivered",
                "due_at": received,
            }
            self._outbox.rows.append(self._outbox.order(row | {"attempts": 1, "expires_at": expires}))
        yield self._accepted % said
        for event in ("delivered", "processed"):
            position += 1
            jws = _NOISE[noise + len(event) : noise + len(event) + found.jws].hex()[: found.jws]
            row = {"transfer": transfer, "event": event, "jws": jws, "ledger": self._onto.ledger, "position": position}
            self._receipts.rows.append(self._receipts.order(row | {"recorded_at": received}))
            signed = hashlib.sha256(jws.encode()).hexdigest().encode()
            yield self._acknowledged % (said | {b"event": event.encode(), b"receipt_digest": signed})


_MARK: Final = "@@{}@@"
_PLACES: Final = frozenset({
    "commitment", "receipt_digest", "time", "exp", "transfer", "sender", "recipient", "type", "clause", "rule", "event",
})  # fmt: skip
_REFUSED: Final = frozenset({
    "v", "time", "transfer", "sender", "key", "commitment", "recipient", "type", "purpose", "classification", "agreement",
    "agreement_version", "rule", "clause", "exp",
})  # fmt: skip


def _template(entry: dict[str, Any]) -> bytes:
    """The leaf with places for what differs from one to the next: canonical JSON, for the values need no escaping."""
    marked = {name: _MARK.format(name) if name in _PLACES else value for name, value in entry.items()}
    text = json.dumps(marked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = text.replace("%", "%%").replace('"@@exp@@"', "@@exp@@")
    return re.sub(r"@@(\w+)@@", r"%(\1)b", text).encode()


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize

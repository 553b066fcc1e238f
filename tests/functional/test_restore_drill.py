"""The drill of docs/howto/restore.md with real processes: backup, loss, restore, replay; and a new origin where one is needed."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from gateway.cli.main import run
from gateway.founding.beginning import initialise
from gateway.founding.charter import Charter
from gateway.jose import parse_jws
from gateway.ledger.entry import decode
from gateway.store import queries
from gateway.wiring import open_store
from tests.province import AGREEMENT, POLDA, Province


class Copies:
    """Whole copies of a stopped gateway's database, by name, on either kind."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = make_url(url)
        self._folder = folder
        self._made: list[str] = []

    @property
    def _sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def new(self, name: str) -> str:
        """The URL of an empty database beside the first."""
        if self._sqlite:
            return f"sqlite:///{self._folder / name}.db"
        self._administer(f"CREATE DATABASE {self._place(name)}")
        return self._url.set(database=self._place(name)).render_as_string(hide_password=False)

    def take(self, name: str) -> None:
        if self._sqlite:
            shutil.copy(str(self._url.database), self._folder / name)
        else:
            self._administer(f"CREATE DATABASE {self._place(name)} TEMPLATE {self._url.database}")

    def put_back(self, name: str) -> None:
        """The live database is lost, and this one is in its place."""
        if self._sqlite:
            live = Path(str(self._url.database))
            for file in live.parent.glob(f"{live.name}*"):
                file.unlink()
            shutil.copy(self._folder / name, live)
        else:
            self._administer(f"DROP DATABASE {self._url.database} WITH (FORCE)")
            self._administer(f"CREATE DATABASE {self._url.database} TEMPLATE {self._place(name)}")

    def close(self) -> None:
        for name in self._made:
            self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _place(self, name: str) -> str:
        place = f"{self._url.database}_{name}"
        if place not in self._made:
            self._made.append(place)
        return place

    def _administer(self, statement: str) -> None:
        admin = self._url.set(drivername="postgresql+psycopg", database="postgres")
        engine = create_engine(admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def copies(database_url: str, tmp_path: Path) -> Iterator[Copies]:
    made = Copies(database_url, tmp_path)
    yield made
    made.close()


def command(province: Province, *words: object) -> tuple[int, Any]:
    out = StringIO()
    with redirect_stdout(out):
        code = run([*map(str, words), "--json", "--config", str(province.directory / "sinergi.toml")])
    return code, json.loads(out.getvalue() or "{}")


def sent(province: Province, message: str, status: int = 202) -> dict[str, Any]:
    answer = province.imigrasi.post(message)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def taken(province: Province) -> set[str]:
    """What the recipient takes and signs for."""
    items = province.polda.inbox()
    province.polda.acknowledge(*(province.polda.acknowledgement(item) for item in items))
    return {item["transfer"] for item in items}


def test_backup_loss_restore_replay_and_a_new_origin(
    new_province: Callable[..., Province], database_url: str, copies: Copies, tmp_path: Path
) -> None:
    """Too old a copy does not start; a whole one answers retries as before; a new gateway goes on from the old one."""
    province = new_province(database_url).start()
    before, waiting, after = (province.imigrasi.message() for _ in range(3))
    first = sent(province, before)
    assert taken(province) == {first["transfer"]}
    undelivered = sent(province, waiting)
    assert province.stop() == [0]
    copies.take("backup")
    province.start()
    last = sent(province, after)
    assert last["transfer"] in taken(province)
    assert province.stop() == [0]
    copies.take("whole")

    # The database is lost, and last night's copy put back: no node starts, and the check says what is missing.
    copies.put_back("backup")
    province.start(ready=False)
    assert province.processes.pop().wait(60) != 0
    assert "rolled back" in province.log()
    code, told = command(province, "ledger", "fsck")
    wrong = {one["ledger"]: [check["number"] for check in one["checks"] if not check["ok"]] for one in told["ledgers"]}
    assert (code, wrong[AGREEMENT]) == (1, [7])

    # A copy that has everything: senders send the same bytes, and get the receipts that were signed then.
    copies.put_back("whole")
    assert command(province, "ledger", "fsck")[0] == 0
    province.start()
    for message, answer in ((before, first), (waiting, undelivered), (after, last)):
        assert sent(province, message, 200)["receipt"] == answer["receipt"]
    assert province.stop() == [0]

    # There is only last night's: a new gateway under another origin takes over who takes part and what was agreed.
    copies.put_back("backup")
    second = Province(tmp_path / "second", copies.new("second"), port=province.port)
    second.imigrasi, second.polda = province.imigrasi, province.polda
    charter = Charter(
        origin="second.example/2", public_url=second.base, port=second.port, database_url=second.database_url
    )
    initialise(second.directory, charter, who="tester")
    old = province.directory / "sinergi.toml"
    code, told = command(second, "takeover", old, "--why", "INSIDEN-3")
    assert (code, told["undelivered"], told["agreements"]) == (0, [undelivered["transfer"]], [f"{AGREEMENT}/1"])
    assert {(one["what"], one["command"]) for one in told["again"]} >= {("auditor", "sinergi auditors issue")}
    lost = {one["ledger"]: one["lost"] for one in told["ledgers"]}
    assert lost[AGREEMENT] >= 2, "the message after the backup, and its receipt"
    index = parse_jws(last["receipt"], "receipt+jwt").payload["index"]
    assert index >= next(one["size"] for one in told["ledgers"] if one["ledger"] == AGREEMENT)
    assert command(second, "takeover", old, "--why", "INSIDEN-3")[0] == 1, "a second time"
    with open_store(second.settings) as store, store.database.reading() as session:
        entries = [decode(leaf) for leaf in queries.leaves(session, "gateway", 0, 256)]
    ends = [(one["what"], one["about"]) for one in entries if one.get("what", "").startswith("takeover/")]
    assert ("takeover/lost", f"127.0.0.1:{province.port}/ledger/{AGREEMENT}") in ends
    assert command(second, "keys", "history")[0] == 0
    second.start()
    try:
        refused = sent(second, before, 409)
        assert refused["code"] == "envelope.replayed", "it was delivered by the old gateway"
        again = {sent(second, message)["transfer"] for message in (waiting, after)}
        assert taken(second) == again
        receipt = parse_jws(sent(second, after, 200)["receipt"], "receipt+jwt").payload
        assert receipt["origin"] == f"second.example/2/ledger/{AGREEMENT}"
        assert second.stop() == [0]
    finally:
        second.kill()
    assert command(second, "ledger", "fsck")[0] == 0
    assert POLDA in json.dumps(command(second, "agencies", "list")[1])

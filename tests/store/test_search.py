"""An auditor's search: whatever is asked together, the pages are those of a plain look at every row."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from gateway.store.identity import first_id, new_transfer_id
from gateway.store.search import Search, matching
from gateway.store.session import Database
from gateway.store.tables import DeadlineRow, SubjectIndex, TransferCode, TransferRow

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
COUNT = 150
CHOICES: dict[str, list[Any]] = {
    "type": ["a/1", "b/1", "none/1"],
    "sender": ["imigrasi", "polda"],
    "recipient": ["polda", "pemprov"],
    "decision": ["accepted", "refused"],
    "clause": ["Pasal 1", "Pasal 2"],
    "code": ["rule.none", "rule.quota"],
    "overdue_at": [50, 1_000],
    "since": [BEGAN + timedelta(minutes=minutes) for minutes in (20, 100)],
    "until": [BEGAN + timedelta(minutes=minutes) for minutes in (40, 140)],
    "tokens": [(("nik", "p1"),), (("case", "c1"),), (("nik", "p1"), ("case", "c1")), (("nik", "p1"), ("nik", "p2"))],
}


def write(connection: Connection, chance: random.Random) -> list[dict[str, Any]]:
    """COUNT transfers a minute apart, with codes, deadlines and subjects. What a search can ask about, newest first."""
    known = []
    rows: dict[Any, list[dict[str, Any]]] = {TransferRow: [], TransferCode: [], SubjectIndex: [], DeadlineRow: []}
    for number in range(COUNT):
        transfer = new_transfer_id(BEGAN + timedelta(minutes=number))
        row = {name: chance.choice(CHOICES[name]) for name in ("type", "sender", "recipient", "decision", "clause")}
        filler: dict[str, Any] = dict.fromkeys(
            ("jti", "purpose", "classification", "agreement", "kid", "commitment", "storage_key"), "x"
        )
        filler |= dict.fromkeys(("reasons", "withheld", "flags"), "[]")
        filler |= dict.fromkeys(("wrapped_key", "sealed_content", "sealed_receipt"), b"")
        place = {"id": transfer, "ledger": "pks", "position": number, "identity": str(number)}
        rows[TransferRow].append(place | filler | row | {"received_at": number, "expires_at": number})
        codes = {code for code in CHOICES["code"] if chance.random() < 0.4}
        tokens = {pair for pair in (("nik", "p1"), ("nik", "p2"), ("case", "c1")) if chance.random() < 0.5}
        rows[TransferCode] += [{"code": code, "transfer": transfer} for code in codes]
        rows[SubjectIndex] += [{"kind": kind, "token": token, "transfer": transfer} for kind, token in tokens]
        due = chance.choice([None, 10, 100])
        met = chance.choice([None, 1])
        if due is not None:
            deadline = {name: row[name] for name in ("sender", "recipient", "type")}
            rows[DeadlineRow].append(deadline | {"transfer": transfer, "ledger": "pks", "due_at": due, "met_at": met})
        known.append(row | {"id": transfer, "code": codes, "tokens": tokens, "due": due if met is None else None})
    for table, held in rows.items():
        connection.execute(insert(table), held)
    return known[::-1]


def matches(row: dict[str, Any], question: Search) -> bool:
    same = ("type", "sender", "recipient", "decision", "clause")
    return (
        all(getattr(question, name) in {None, row[name]} for name in same)
        and (question.code is None or question.code in row["code"])
        and set(question.tokens) <= row["tokens"]
        and (question.overdue_at is None or (row["due"] is not None and row["due"] < question.overdue_at))
        and (question.since is None or row["id"] >= first_id(question.since))
        and (question.until is None or row["id"] < first_id(question.until))
    )


def test_any_filters_together_find_what_a_plain_look_finds(database: Database) -> None:
    """Up to four filters at once, page after page to the end: each transfer once, newest first, none more, none less."""
    chance = random.Random(2026)
    with database.write.begin() as connection:
        known = write(connection, chance)
    found_any = 0
    for _ in range(60):
        names = chance.sample(sorted(CHOICES), chance.randrange(5))
        asked = {name: chance.choice(CHOICES[name]) for name in names} | {"limit": chance.choice([20, 200])}
        expected = [row["id"] for row in known if matches(row, Search(**asked))]
        pages: list[str] = []
        while True:
            with database.reading() as session:
                page = [row.id for row in matching(session, Search(**asked, before=(pages or [None])[-1]))]
            pages += page[: asked["limit"]]
            if len(page) <= asked["limit"]:
                break
        assert pages == expected, asked
        found_any += bool(expected)
    assert found_any > 25

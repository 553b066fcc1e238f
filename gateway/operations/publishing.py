"""The publication of message types: what of the catalogue agencies are to be judged by from now on.

Decides which types may be published: a new one always, a changed one only if it is proven to take every body that the
published one took. Anything else needs a new major version. A type that was published stays. One commit, with an entry
in the gateway's own ledger for each type and for the act.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from gateway.founding import RefusedError, require_code
from gateway.ledger.entry import OperatorAct, SchemaPublished
from gateway.message_types.catalogue import Catalogue, MessageType
from gateway.message_types.compatibility import Compatibility, Verdict, compare
from gateway.operations.acts import ConflictError, record
from gateway.record import OWN_LEDGER
from gateway.store.jobs.events import RecordEvent
from gateway.store.published import Published, published, row_of
from gateway.store.recorder import Transaction
from gateway.store.tables import PublishedSchemaRow
from gateway.wiring import Store, now

Examples = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Publication:
    """One type that differs from what is published. `replaces` is the published digest, None for a new type.

    `entry` is None for a type that the catalogue has no more; `compatibility` is None where there is nothing to compare.
    """

    type: str
    entry: MessageType | None
    replaces: str | None
    compatibility: Compatibility | None

    @property
    def may_pass(self) -> bool:
        """Whether it is a new type, or proven to take every body that the published one took."""
        return self.entry is not None and (self.compatibility is None or self.compatibility.verdict is Verdict.YES)


def plan(store: Store, catalogue: Catalogue, examples: Examples | None = None) -> tuple[Publication, ...]:
    """Every type that differs from what is published, by name. `examples` are bodies by type, tried as witnesses."""
    with store.database.reading() as session:
        known = published(session)
    here = {entry.type: entry for entry in catalogue.types()}
    return tuple(
        _compared(type_, here.get(type_), known.get(type_), (examples or {}).get(type_, ()))
        for type_ in sorted(here.keys() | known.keys())
        if type_ not in here or type_ not in known or here[type_].digest != known[type_].digest
    )


def _compared(type_: str, entry: MessageType | None, before: Published | None, examples: Sequence[Any]) -> Publication:
    if entry is None or before is None:
        return Publication(type_, entry, before.digest if before else None, None)
    return Publication(type_, entry, before.digest, compare(json.loads(before.document), entry.schema, examples))


def publish(
    store: Store, catalogue: Catalogue, examples: Examples | None = None, *, why: str, who: str
) -> tuple[Publication, ...]:
    """Publishes every new and changed type, or none. Raises RefusedError if one of them may not be published."""
    require_code(who, "the operator"), require_code(why, "the reason")
    publications = plan(store, catalogue, examples)
    if refused := [one.type for one in publications if not one.may_pass]:
        raise RefusedError(
            f"not published: {', '.join(refused)} would refuse what the published version takes, or is not proven to take"
            " it; give it a new major version"
        )
    if not publications:
        return ()
    time = now()
    entries = [one.entry for one in publications if one.entry is not None]
    changed = {one.type: one for one in publications if one.replaces is not None}

    def place(transaction: Transaction) -> None:
        for one in changed.values():
            _require(transaction, one)

    record(
        store,
        RecordEvent(
            OWN_LEDGER,
            [
                *(
                    SchemaPublished(time=time, type=one.type, digest=one.digest.removeprefix("sha256:"))
                    for one in entries
                ),
                OperatorAct(time=time, who=who, what="schemas.publish", why=why, about=f"{len(entries)}-types"),
            ],
            place,
            [(PublishedSchemaRow, row_of(one, time)) for one in entries],
        ),
    )
    return publications


def _require(transaction: Transaction, one: Publication) -> None:
    """Compatibility was judged against this digest: another one is judged again."""
    assert one.entry is not None
    held = transaction.connection.execute(
        select(col(PublishedSchemaRow.digest))
        .where(col(PublishedSchemaRow.type) == one.entry.name, col(PublishedSchemaRow.version) == one.entry.version)
        .order_by(col(PublishedSchemaRow.published_at).desc())
        .limit(1)
        .with_for_update()
    ).scalar()
    if held != one.replaces:
        raise ConflictError("somebody else has published meanwhile: look again")

"""Named reads. Each function is one question, its SQL inside; none of them changes anything."""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from gateway.errors import LedgerInvalidError, NotFoundError
from gateway.jose import public_key_from_jwk
from gateway.keys.directory import (
    Agency,
    AgencyKey,
    Directory,
    Endpoint,
    Officer,
    Operator,
    RecoveryKey,
    directory,
    parse_endpoint,
)
from gateway.keys.keychain import OwnKey
from gateway.ledger.merkle import inclusion_proof
from gateway.ledger.proof import format_proof
from gateway.ledger.tiles import TILE_WIDTH, KeptTiles, TileReader
from gateway.message.envelope import AGREEMENT_ID
from gateway.store.session import KEPT_TILES
from gateway.store.tables import (
    IS_WAITING,
    AcknowledgementRow,
    AgencyKeyRow,
    AgencyRow,
    AgreementRow,
    AlertRow,
    AuditorRow,
    ConfigVersion,
    GatewayKeyRow,
    KeyStatementRow,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerHead,
    LedgerTile,
    OfficerRow,
    OperatorRow,
    OutboxRow,
    RecoveryKeyRow,
    TransferRow,
    UsedMessageId,
    moment,
)


def config_version(session: Session) -> int:
    return session.exec(select(ConfigVersion.version)).one()


def load_directory(session: Session, version: int) -> Directory:
    agencies = [
        Agency(row.id, row.name, row.status, _endpoint(row), _liaison(row))
        for row in session.exec(select(AgencyRow).order_by(col(AgencyRow.id)))
    ]
    keys = [
        AgencyKey(
            row.agency,
            public_key_from_jwk(json.loads(row.jwk), certified=True),
            moment(row.not_before),
            moment(row.not_after),
            row.status,
            moment(row.changed_at),
            None if row.untrusted_since is None else moment(row.untrusted_since),
            None if row.confirmed_at is None else moment(row.confirmed_at),
        )
        for row in session.exec(select(AgencyKeyRow).order_by(col(AgencyKeyRow.not_before)))
    ]
    officers = [
        Officer(
            row.agency,
            row.person,
            row.role,
            row.unit,
            public_key_from_jwk(json.loads(row.jwk)),
            moment(row.not_before),
            moment(row.not_after),
            row.status,
            moment(row.changed_at),
        )
        for row in officer_rows(session)
    ]
    operators = [
        Operator(row.operator, public_key_from_jwk(json.loads(row.jwk)), row.status)
        for row in session.exec(select(OperatorRow).order_by(col(OperatorRow.added_at)))
    ]
    recovery = [
        RecoveryKey(
            row.agency,
            public_key_from_jwk(json.loads(row.jwk)),
            moment(row.not_before),
            moment(row.not_after),
            row.status,
            moment(row.changed_at),
        )
        for row in session.exec(select(RecoveryKeyRow).order_by(col(RecoveryKeyRow.not_before)))
    ]
    return directory(agencies, keys, version, officers, operators=operators, recovery=recovery)


def officer_rows(session: Session) -> Sequence[OfficerRow]:
    return session.exec(select(OfficerRow).order_by(col(OfficerRow.agency), col(OfficerRow.not_before))).all()


def _endpoint(row: AgencyRow) -> Endpoint | None:
    if row.endpoint_url is None or row.paused_reason is not None:
        return None
    return parse_endpoint(row.endpoint_url, row.endpoint_networks.split(), row.endpoint_ca_file)


def _liaison(row: AgencyRow) -> Endpoint | None:
    """A pause is of the deliveries alone: notices are few, and give up by themselves."""
    if row.liaison_url is None:
        return None
    return parse_endpoint(row.liaison_url, row.liaison_networks.split(), row.liaison_ca_file)


def key_statements(session: Session) -> Sequence[KeyStatementRow]:
    """What agencies handed in, and no key of theirs answers to yet."""
    known = (select(AgencyKeyRow.kid), select(RecoveryKeyRow.kid))
    wanted = select(KeyStatementRow).order_by(col(KeyStatementRow.agency))
    return session.exec(wanted.where(*(col(KeyStatementRow.kid).not_in(kids) for kids in known))).all()


def agencies(session: Session) -> Sequence[AgencyRow]:
    return session.exec(select(AgencyRow).order_by(col(AgencyRow.id))).all()


def active_agreements(session: Session) -> Sequence[AgreementRow]:
    return session.exec(select(AgreementRow).where(col(AgreementRow.active))).all()


def agreements(session: Session) -> Sequence[AgreementRow]:
    """Every version that was ever activated."""
    return session.exec(select(AgreementRow).order_by(col(AgreementRow.id), col(AgreementRow.version))).all()


def agreement_version(session: Session, agreement: str) -> int | None:
    """The highest version that was ever activated."""
    return session.exec(select(func.max(AgreementRow.version)).where(AgreementRow.id == agreement)).one()


def own_keys(session: Session) -> tuple[OwnKey, ...]:
    """The gateway's own keys, past and coming ones included, the oldest first."""
    rows = session.exec(select(GatewayKeyRow).order_by(col(GatewayKeyRow.not_before), col(GatewayKeyRow.kid)))
    return tuple(
        OwnKey(
            row.kid,
            row.use,
            None if row.jwk is None else json.loads(row.jwk),
            row.uri,
            moment(row.not_before),
            None if row.not_after is None else moment(row.not_after),
            row.status,
            None if row.untrusted_since is None else moment(row.untrusted_since),
            None if row.succession is None else json.loads(row.succession),
        )
        for row in rows
    )


def recorded(session: Session, sender: str, identities: Sequence[str]) -> TransferRow | None:
    """The judged message with one of these keyed digests of what its sender signed."""
    return session.exec(
        select(TransferRow).where(TransferRow.sender == sender, col(TransferRow.identity).in_(identities))
    ).one_or_none()


def recorded_under(session: Session, sender: str, jti: str, index_keys: Sequence[str]) -> TransferRow | None:
    """The stored message that used this id, if its keyed digest is under one of these keys."""
    used = select(TransferRow).join(UsedMessageId, col(UsedMessageId.transfer) == col(TransferRow.id))
    mine = (UsedMessageId.sender == sender, UsedMessageId.jti == jti)
    kept = (col(TransferRow.index_key).in_(index_keys), col(TransferRow.erased_at).is_(None))
    return session.exec(used.where(*mine, *kept)).one_or_none()


def message_id_used(session: Session, sender: str, jti: str) -> bool:
    return session.get(UsedMessageId, (sender, jti)) is not None


def transfer(session: Session, transfer_id: str) -> TransferRow:
    """Raises NotFoundError."""
    row = session.get(TransferRow, transfer_id)
    if row is None:
        raise NotFoundError("no such transfer")
    return row


def transfers(session: Session, ids: Iterable[str]) -> dict[str, TransferRow]:
    wanted = list(ids)
    rows = session.exec(select(TransferRow).where(col(TransferRow.id).in_(wanted))).all() if wanted else ()
    return {row.id: row for row in rows}


def alerts(session: Session, ids: Iterable[str]) -> dict[str, AlertRow]:
    wanted = list(ids)
    rows = session.exec(select(AlertRow).where(col(AlertRow.id).in_(wanted))).all() if wanted else ()
    return {row.id: row for row in rows}


def acknowledgements(session: Session, transfer_id: str) -> Sequence[AcknowledgementRow]:
    return session.exec(
        select(AcknowledgementRow)
        .where(AcknowledgementRow.transfer == transfer_id)
        .order_by(col(AcknowledgementRow.position))
    ).all()


def outbox(session: Session, transfer_id: str) -> OutboxRow | None:
    return session.get(OutboxRow, transfer_id)


def delivery_states(session: Session, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each transfer: the recipient's recorded events, then the outbox's state."""
    states: dict[str, tuple[str, ...]] = {}
    if ids:
        events = select(AcknowledgementRow.transfer, AcknowledgementRow.event)
        for transfer_id, event in session.exec(events.where(col(AcknowledgementRow.transfer).in_(ids))):
            states[transfer_id] = (*states.get(transfer_id, ()), event)
        waiting = select(OutboxRow.transfer, OutboxRow.state).where(col(OutboxRow.transfer).in_(ids))
        for transfer_id, state in session.exec(waiting):
            states[transfer_id] = (*states.get(transfer_id, ()), state)
    return states


def due_recipients(session: Session, now: int) -> Sequence[str]:
    """Agencies for which something waits that may be handed out now."""
    return session.exec(select(OutboxRow.recipient).where(IS_WAITING, OutboxRow.due_at <= now).distinct()).all()


def backlog(session: Session) -> dict[str, int]:
    rows = session.exec(select(OutboxRow.recipient, func.count()).where(IS_WAITING).group_by(OutboxRow.recipient))
    return dict(rows.all())


def anything_due(session: Session, recipient: str, now: int, priorities: tuple[int, int] = (0, 2)) -> bool:
    """Whether a lease of these priorities, from the most to the least urgent, would hand out anything."""
    return (
        session.exec(
            select(OutboxRow.transfer)
            .where(IS_WAITING, OutboxRow.recipient == recipient, OutboxRow.due_at <= now)
            .where(col(OutboxRow.priority).between(*priorities), OutboxRow.expires_at > now)
            .limit(1)
        ).first()
        is not None
    )


def expired(session: Session, now: int, limit: int) -> Sequence[tuple[str, str]]:
    """(ledger, transfer) of what is past its `exp` and not handed out at this moment."""
    rows = session.exec(
        select(TransferRow.ledger, TransferRow.id)
        .join(OutboxRow, col(OutboxRow.transfer) == col(TransferRow.id))
        .where(IS_WAITING, OutboxRow.expires_at <= now, OutboxRow.due_at <= now)
        .limit(limit)
    )
    return [(ledger, transfer_id) for ledger, transfer_id in rows]


def auditor_by_token(session: Session, token_hash: str) -> AuditorRow | None:
    return session.exec(select(AuditorRow).where(AuditorRow.token_hash == token_hash)).one_or_none()


def auditors(session: Session) -> Sequence[AuditorRow]:
    return session.exec(select(AuditorRow).order_by(col(AuditorRow.id))).all()


def ledgers(session: Session) -> Sequence[LedgerHead]:
    return session.exec(select(LedgerHead).order_by(col(LedgerHead.ledger))).all()


def ledger_head(session: Session, ledger: str) -> LedgerHead:
    """Raises NotFoundError, at once for what cannot be a ledger's name."""
    head = session.get(LedgerHead, ledger) if AGREEMENT_ID.fullmatch(ledger) else None
    if head is None:
        raise NotFoundError("no such ledger")
    return head


def tile(session: Session, ledger: str, level: int, index: int) -> bytes:
    """The tile as it is now, perhaps wider than asked for. Raises NotFoundError."""
    asked = {"ledger": ledger, "level": level, "index": index}
    data: bytes | None = session.connection().execute(_TILE, asked).scalar_one_or_none()
    if data is None:
        raise NotFoundError("no such tile")
    return data


# Made once: for a row or two, SQLAlchemy takes longer to put a statement together than SQLite to answer it.
_TILE = select(LedgerTile.data).where(
    col(LedgerTile.ledger) == bindparam("ledger"),
    col(LedgerTile.level) == bindparam("level"),
    col(LedgerTile.position) == bindparam("index"),
)
_LEAVES = (
    select(LedgerEntry.leaf)
    .where(
        col(LedgerEntry.ledger) == bindparam("ledger"),
        col(LedgerEntry.position) >= bindparam("first"),
        col(LedgerEntry.position) < bindparam("end"),
    )
    .order_by(col(LedgerEntry.position))
)
_COVERING = (
    # With the tile that the entry is in: one question to the server, and one wait for it, instead of two.
    select(
        LedgerCheckpoint.size,
        LedgerCheckpoint.note,
        select(LedgerTile.data)
        .where(col(LedgerTile.ledger) == bindparam("ledger"), col(LedgerTile.level) == 0)
        .where(col(LedgerTile.position) == bindparam("index"))
        .scalar_subquery()
        .label("tile"),
    )
    .where(col(LedgerCheckpoint.ledger) == bindparam("ledger"), col(LedgerCheckpoint.size) > bindparam("position"))
    .order_by(col(LedgerCheckpoint.size))
    .limit(1)
)


def checkpoint_before(session: Session, ledger: str, size: int) -> bytes | None:
    """The newest stored checkpoint of at most so many entries; None where there is none of at least one."""
    found = select(LedgerCheckpoint.note).where(LedgerCheckpoint.ledger == ledger)
    found = found.where(col(LedgerCheckpoint.size).between(1, size)).order_by(col(LedgerCheckpoint.size).desc())
    return session.exec(found.limit(1)).first()


def leaves(session: Session, ledger: str, index: int, count: int) -> Sequence[bytes]:
    """`count` leaves of entry bundle `index`, fewer when the ledger is shorter.

    Raises LedgerInvalidError where one is no longer stored as bytes: SQLite keeps whatever type somebody wrote.
    """
    first = index * TILE_WIDTH
    asked = {"ledger": ledger, "first": first, "end": first + count}
    found = session.connection().execute(_LEAVES, asked).scalars().all()
    if not {bytes}.issuperset(map(type, found)):
        raise LedgerInvalidError("an entry is stored as text, not as bytes")
    return found


def leaf(session: Session, ledger: str, position: int) -> bytes:
    found = session.get(LedgerEntry, (ledger, position))
    if found is None:
        raise NotFoundError("no such entry")
    return found.leaf


def proof(session: Session, ledger: str, position: int) -> str:
    """The inclusion proof that went out with the entry's receipt: against the first checkpoint that covers it."""
    asked = {"ledger": ledger, "position": position, "index": position // TILE_WIDTH}
    checkpoint = session.connection().execute(_COVERING, asked).one_or_none()
    if checkpoint is None:
        raise NotFoundError("no such entry")
    own = {} if checkpoint.tile is None else {(0, position // TILE_WIDTH): checkpoint.tile}
    node = tile_reader(session, ledger, checkpoint.size, own).node
    return format_proof(position, inclusion_proof(position, checkpoint.size, node), checkpoint.note)


def tile_reader(
    session: Session, ledger: str, size: int, read: Mapping[tuple[int, int], bytes] = MappingProxyType({})
) -> TileReader:
    """The tree of `size`, for proofs: upper tiles that an earlier request read are not read again, nor those in `read`.

    Whoever distrusts the database (start-up, fsck, a witness's objection) reads every tile itself.
    """
    kept: dict[str, KeptTiles] = session.info.get(KEPT_TILES, {})
    return TileReader(
        size,
        lambda level, index, _width: read.get((level, index)) or tile(session, ledger, level, index),
        kept.setdefault(ledger, KeptTiles()),
    )

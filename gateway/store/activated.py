"""A stored agreement is believed because its ledger says that it was activated, and because its parties signed it.

Decides that document, signatures and entry are of one thing. The row alone proves nothing: whoever can write into the
database can write a rule. The ledger's own truth is the audit's (`fsck.py`, `patrol.py`); here the entry is held against
the tile that proves it, so that it cannot be changed by itself.
"""

import json
from datetime import datetime

from sqlmodel import Session

from gateway.agreement.document import Agreement, verify_signatures
from gateway.errors import AgreementInvalidError, GatewayError, KeyRefusedError
from gateway.jose import PublicKey
from gateway.keys.directory import Directory
from gateway.ledger.entry import AgreementActivated, decode
from gateway.ledger.merkle import HASH_SIZE, leaf_hash
from gateway.ledger.tiles import TILE_WIDTH
from gateway.store import queries
from gateway.store.tables import AgreementRow, moment


def require_activated(session: Session, row: AgreementRow, agreement: Agreement, directory: Directory) -> None:
    """Raises AgreementInvalidError with what does not fit."""
    name = f"the stored {row.id} version {row.version}"
    if agreement.digest != row.digest or (agreement.id, agreement.version) != (row.id, row.version):
        raise AgreementInvalidError(f"{name} is not the document that was signed")
    try:
        entry = _proved(session, row.id, row.position)
    except GatewayError as error:
        raise AgreementInvalidError(f"{name} names an entry that is not proved: {error.detail}") from error
    said = (entry["kind"], entry.get("agreement"), entry.get("version"), entry.get("digest"))
    if said != (AgreementActivated.kind, row.id, row.version, row.digest):
        raise AgreementInvalidError(f"{name} is not what entry {row.position} of its ledger activated")
    at = moment(row.activated_at)
    try:
        verify_signatures(agreement, json.loads(row.signatures), lambda agency, kid: _key(directory, agency, kid, at))
    except AgreementInvalidError as error:
        raise AgreementInvalidError(f"{name} is not signed by its parties", reasons=error.reasons) from error


def _proved(session: Session, ledger: str, position: int) -> dict[str, object]:
    leaf = queries.leaf(session, ledger, position)
    tile, place = divmod(position, TILE_WIDTH)
    stored = queries.tile(session, ledger, 0, tile)[place * HASH_SIZE : (place + 1) * HASH_SIZE]
    if leaf_hash(leaf) != stored:
        raise AgreementInvalidError("the entry is not the one in its tile")
    return decode(leaf)


def _key(directory: Directory, agency: str, kid: str, at: datetime) -> PublicKey:
    """The party's key, by its dates of then: what became of it since does not undo what it signed."""
    key = directory.keys.get((agency, kid))
    if key is None or not key.not_before <= at < key.not_after:
        raise KeyRefusedError("no key of this agency that was valid then")
    return key.public

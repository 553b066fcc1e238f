"""Reading one entry of a gateway's public ledger, and proving that it is there.

Decides whether an entry is the one that a receipt names. Leaves fetching to the caller, which resources to fetch to
`ledger/tiles.py`, and whose key a ledger has to `client.py`.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError
from gateway.jose import b64encode
from gateway.ledger import entry as ledger_entry
from gateway.ledger import tiles
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.merkle import inclusion_proof, leaf_hash, verify_inclusion
from gateway.ledger.note import NoteVerifier
from gateway.sdk.answers import AnswerError, ClientError
from gateway.statements.receipt import GatewayReceipt

Read = Callable[[str], Awaitable[bytes]]


def open_commitment(entry: Mapping[str, Any], commitment_key: str, message: str) -> None:
    """That a ledger entry is about this message: its commitment opens with the key of a receipt or release.

    Raises AnswerError. `message` may be the sent or the released one: both begin with the same issuer-signed JWT.
    """
    if not commitment_key:
        raise AnswerError(
            "the message was erased at the gateway: no key opens its entry any more", code="transfer.erased"
        )
    try:
        expected = ledger_entry.commitment(bytes.fromhex(commitment_key), message.partition("~")[0])
    except (ValueError, TypeError, GatewayError) as error:
        raise AnswerError("the commitment key is not 64 hex digits") from error
    if not hmac.compare_digest(expected.encode(), str(entry.get("commitment", "")).encode()):
        raise AnswerError("the entry is about another message")


async def read_entry(
    read: Read, verifiers: Sequence[NoteVerifier], receipt: GatewayReceipt, message: str
) -> dict[str, Any]:
    """The entry that a receipt names. `read` takes a path and gives what is published there.

    Its inclusion is proved under the newest checkpoint, its leaf hash is the receipt's, and its commitment opens to
    `message`. Raises AnswerError, and whatever `read` raises.
    """
    prefix = f"/ledger/{receipt.origin.rpartition('/ledger/')[2]}/"
    tile_of, place = divmod(receipt.index, tiles.TILE_WIDTH)
    try:
        checkpoint = open_checkpoint(await read(prefix + tiles.CHECKPOINT_PATH), receipt.origin, verifiers)
        if checkpoint.size <= receipt.index:
            raise AnswerError("the ledger's checkpoint does not reach the entry", code="ledger.invalid")
        width = tiles.tile_width(checkpoint.size, 0, tile_of)
        leaf = tiles.split_bundle(await read(prefix + tiles.entries_path(tile_of, width)), width)[place]
        held = leaf_hash(leaf)
        path = await _inclusion(read, prefix, receipt.index, checkpoint.size)
        verify_inclusion(receipt.index, checkpoint.size, held, path, checkpoint.root)
        if b64encode(held) != receipt.leaf_hash:
            raise AnswerError("the entry is not the one that the receipt names", code="ledger.invalid")
        entry = ledger_entry.decode(leaf)
    except ClientError:
        raise
    except GatewayError as error:
        raise AnswerError(f"the ledger does not verify: {error.detail}", code=error.code) from error
    if entry.get("transfer") != receipt.transfer:
        raise AnswerError("the entry is about another transfer")
    open_commitment(entry, receipt.commitment_key, message)
    return entry


async def _inclusion(read: Read, prefix: str, index: int, size: int) -> list[bytes]:
    """The proof from hash tiles. The proof says which tiles it needs; they are fetched until it wants no more."""
    held: dict[str, bytes] = {}
    missing: list[str] = []

    def look(level: int, tile: int, width: int) -> bytes:
        path = tiles.tile_path(level, tile, width)
        if path not in held:
            missing.append(path)
            raise LookupError(path)
        return held[path]

    while True:
        try:
            return inclusion_proof(index, size, tiles.TileReader(size, look).node)
        except LookupError:
            held[missing[-1]] = await read(prefix + missing[-1])

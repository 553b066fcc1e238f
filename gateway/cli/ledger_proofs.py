"""`sinergi ledger prove | check-proof | check-timestamp`: one entry, proved offline to whoever holds the public keys."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from gateway.cli.context import command, invocation
from gateway.cli.given import read_text, write_new
from gateway.cli.ledgers import KeyOption, QuorumOption, WitnessOption, open_source
from gateway.cli.output import NO, UnreachableError, as_json, line, message, raw
from gateway.cli.verifier import read_trust
from gateway.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from gateway.ledger.cosignature import Trust
    from gateway.ledger.verify import Source

_HASH_SIZE: Final = 32


def register(app: typer.Typer) -> None:
    """Puts the commands into the group `ledger`."""
    command(
        app,
        "prove",
        example="sinergi ledger prove https://sinergi.example.id/ledger/pks-banten-2025 4711"
        " --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…' --witness 'witness.polda-banten.example/w1+9a1b…'"
        " --out transfer.tlog-proof",
    )(prove)
    command(
        app,
        "check-proof",
        example="sinergi ledger check-proof transfer.tlog-proof --leaf-hash 4e3f3acb…"
        " --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…' --witness 'witness.polda-banten.example/w1+9a1b…'",
    )(check_proof)
    command(
        app,
        "check-timestamp",
        example="curl -sf https://sinergi.example.id/ledger/pks-banten-2025/timestamp?index=4711 > stamp.json\n"
        "sinergi ledger check-timestamp stamp.json --roots authority.pem"
        " --vkey 'sinergi.example.id/ledger/pks-banten-2025+4f3c…'",
    )(check_timestamp)


def prove(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A ledger's URL, or the directory of an export.")],
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="The entry, as its receipt names it.")],
    *,
    vkey: KeyOption,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM authorities of the server's certificate.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the proof here instead.")] = None,
) -> None:
    """Make a C2SP tlog-proof of one entry from what is published, under the newest checkpoint. It verifies without a network."""
    from gateway.ledger.verify import SourceUnavailableError

    trust = read_trust(vkey, witness, quorum)
    try:
        with open_source(source, ca_file) as place:
            text, held = _proof(place, index, trust)
    except SourceUnavailableError as error:
        raise UnreachableError(error.detail) from error
    if out is not None:
        write_new(out, text.encode())
    if invocation(context).json:
        as_json({"origin": trust.origin, "index": index, "leaf_hash": held.hex(), "proof": text})
    elif out is None:
        raw(text)
    else:
        line(str(out))
    message(f"The hash of the entry is {held.hex()}")


def _proof(source: "Source", index: int, trust: "Trust") -> tuple[str, bytes]:
    """The proof text and the leaf hash, both held against the checkpoint. Raises LedgerInvalidError."""
    from gateway.errors import LedgerInvalidError
    from gateway.ledger import tiles
    from gateway.ledger.merkle import inclusion_proof, leaf_hash
    from gateway.ledger.proof import format_proof, verify_proof

    note = source.fetch(tiles.CHECKPOINT_PATH)
    size = trust.open(note).size
    if index >= size:
        raise LedgerInvalidError(f"the newest checkpoint that can be relied on has {size} entries")
    bundle, place = divmod(index, tiles.TILE_WIDTH)
    width = tiles.tile_width(size, 0, bundle)
    held = leaf_hash(tiles.split_bundle(source.fetch(tiles.entries_path(bundle, width)), width)[place])

    def read(level: int, tile: int, wide: int) -> bytes:
        return source.fetch(tiles.tile_path(level, tile, wide))

    text = format_proof(index, inclusion_proof(index, size, tiles.TileReader(size, read).node), note)
    verify_proof(text, held, trust.origin, trust.keys)
    return text, held


def check_proof(
    context: typer.Context,
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="A C2SP tlog-proof, or - for standard input.")],
    *,
    leaf_hash: Annotated[
        str, typer.Option(metavar="HASH", help="Of the entry: 64 hex digits, or as `leaf_hash` of a receipt.")
    ],
    vkey: KeyOption,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
) -> None:
    """Check offline that an entry is in a ledger, under a checkpoint with every signature that is asked for."""
    from gateway.ledger.proof import parse_proof, verify_proof

    trust = read_trust(vkey, witness, quorum)
    text, held = read_text(proof), _hash(leaf_hash)
    try:
        checkpoint = trust.open(parse_proof(text).checkpoint)
        found = verify_proof(text, held, trust.origin, trust.keys)
    except GatewayError as error:
        _not(context, error)
    names = sorted(trust.quorum.among(checkpoint.note.signatures))
    if invocation(context).json:
        told = {"ok": True, "origin": trust.origin, "index": found.index, "size": checkpoint.size, "witnesses": names}
        as_json(told)
        return
    line(f"{trust.origin}: entry {found.index} of {checkpoint.size}: verified")
    message(f"Cosigned by {', '.join(names)}." if names else "No witness was asked for.")


def check_timestamp(
    context: typer.Context,
    stamp: Annotated[Path, typer.Argument(metavar="FILE", help="What the ledger's `timestamp` gave, or -.")],
    *,
    roots: Annotated[Path, typer.Option(metavar="FILE", help="PEM roots of the timestamp authority.")],
    vkey: KeyOption,
    witness: WitnessOption = None,
    quorum: QuorumOption = None,
) -> None:
    """Check offline that a checkpoint, with its signatures, existed when an authority (RFC 3161) says it did."""
    from gateway.ledger.timestamp import read_roots, verify_timestamp

    trust = read_trust(vkey, witness, quorum)
    try:
        given = json.loads(read_text(stamp))
        note, token = given["checkpoint"].encode(), base64.b64decode(given["token"], validate=True)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OperatorError(f"{stamp} is not what a ledger gives as a timestamp") from error
    trusted = read_roots(read_text(roots).encode())
    try:
        checkpoint = trust.open(note)
        made = verify_timestamp(token, note, trusted)
    except GatewayError as error:
        _not(context, error)
    if invocation(context).json:
        as_json({"ok": True, "origin": trust.origin, "size": checkpoint.size, "time": made.time.isoformat()})
        return
    line(f"{trust.origin}: {checkpoint.size} entries existed at {made.time.isoformat()}: verified")


def _hash(text: str) -> bytes:
    from gateway.jose import b64decode

    try:
        held = bytes.fromhex(text) if len(text) == 2 * _HASH_SIZE else b64decode(text, "--leaf-hash")
    except (ValueError, GatewayError) as error:
        raise OperatorError("--leaf-hash is 64 hex digits, or 43 characters of base64url") from error
    if len(held) != _HASH_SIZE:
        raise OperatorError("--leaf-hash is 64 hex digits, or 43 characters of base64url")
    return held


def _not(context: typer.Context, error: GatewayError) -> NoReturn:
    if invocation(context).json:
        as_json({"ok": False, "detail": error.detail})
    else:
        line(f"NOT verified: {error.detail}")
    raise typer.Exit(NO) from error

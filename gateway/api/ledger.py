"""The ledgers, as static files would be: C2SP tlog-tiles. Public, without personal data, made to be cached."""

import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import shapes
from gateway.api.context import context, json_response
from gateway.attestation.standing import published
from gateway.errors import LedgerInvalidError, NotFoundError
from gateway.ledger.entry import timestamp as entry_time
from gateway.ledger.merkle import HASH_SIZE
from gateway.ledger.tiles import TilePath, bundle, tile_width
from gateway.store import attested, queries
from gateway.store.tables import moment

router: Final = APIRouter(tags=["ledger"])
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_BYTES: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "Bytes, as C2SP tlog-tiles describes them"}}


@router.get(
    "/ledger/{ledger}/checkpoint", summary="The newest signed checkpoint", responses=_BYTES | shapes.problems(404, 503)
)
def checkpoint(request: Request, ledger: str) -> Response:
    """With its witnesses' cosignatures, where the ledger has witnesses: the newest one that meets the policy."""
    here = context(request)
    with here.gateway.store.database.reading() as session:
        note = published(session, ledger, here.attestations.policies, here.gateway.clock())
    return Response(note, headers={"Cache-Control": "public, max-age=1"}, media_type="text/plain; charset=utf-8")


@router.get(
    "/ledger/{ledger}/tile/{path:path}",
    summary="A hash tile or an entry bundle",
    responses=_BYTES | shapes.problems(404),
)
def tile(request: Request, ledger: str, path: str) -> Response:
    """Partial resources answer with exactly the width asked for, though more may be there by now."""
    try:
        wanted = TilePath.parse(f"tile/{path}")
    except LedgerInvalidError as error:
        raise NotFoundError("no such tile") from error
    with context(request).gateway.store.database.reading() as session:
        size = queries.ledger_head(session, ledger).size
        if tile_width(size, wanted.level or 0, wanted.index) < wanted.width:
            raise NotFoundError("no such tile yet")
        if wanted.level is None:
            content = bundle(queries.leaves(session, ledger, wanted.index, wanted.width))
        else:
            content = queries.tile(session, ledger, wanted.level, wanted.index)[: wanted.width * HASH_SIZE]
    return Response(content, headers=_IMMUTABLE, media_type="application/octet-stream")


@router.get(
    "/ledger/{ledger}/timestamp",
    summary="A timestamp (RFC 3161) of a checkpoint",
    responses=shapes.answers(200, of=shapes.StampedCheckpoint) | shapes.problems(400, 404),
)
def timestamp(
    request: Request, ledger: str, index: Annotated[int | None, Query(ge=0, description="Covering this entry")] = None
) -> Response:
    """The newest one, or the earliest whose checkpoint has the entry at `index`: by then the entry was there."""
    with context(request).gateway.store.database.reading() as session:
        queries.ledger_head(session, ledger)
        found = attested.newest_timestamp(session, ledger) if index is None else None
        found = found or attested.timestamp_covering(session, ledger, 0 if index is None else index)
    return json_response(
        {
            "size": found.size,
            "time": entry_time(moment(found.stamped_at)),
            "checkpoint": found.note.decode(),
            "token": base64.b64encode(found.token).decode(),
        },
        Cache_Control="public, max-age=60",
    )

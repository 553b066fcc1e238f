"""The ledgers, as static files would be: C2SP tlog-tiles. Public, without personal data, made to be cached."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import shapes
from gateway.api.context import context
from gateway.errors import LedgerInvalidError, NotFoundError
from gateway.ledger.merkle import HASH_SIZE
from gateway.ledger.tiles import TilePath, bundle, tile_width
from gateway.store import queries

router: Final = APIRouter(tags=["ledger"])
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_BYTES: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "Bytes, as C2SP tlog-tiles describes them"}}


@router.get(
    "/ledger/{ledger}/checkpoint", summary="The newest signed checkpoint", responses=_BYTES | shapes.problems(404)
)
def checkpoint(request: Request, ledger: str) -> Response:
    with context(request).gateway.store.database.reading() as session:
        note = queries.ledger_head(session, ledger).checkpoint
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

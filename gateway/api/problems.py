"""Errors on the wire: RFC 9457 problem details with a stable `code`, JSON Pointers, and never a payload value."""

import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import CODES, GatewayError, Reason, StoreUnavailableError

PROBLEM_TYPE: Final = "application/problem+json"
_OURS: Final = 500


def language(request: Request) -> str:
    """`id` or `en`, by the first of the two that Accept-Language prefers; English when it says neither."""
    wanted: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "").split(",")[:16]:
        name, _, weight = part.strip().partition(";q=")
        primary = name.split("-")[0].lower()
        if primary in ("id", "en"):
            try:
                wanted.append((-float(weight or 1), primary))
            except ValueError:
                continue
    return min(wanted)[1] if wanted else "en"


def problem_body(
    reasons: Sequence[Reason], lang: str, *, detail: str | None = None, clause: str | None = None, **members: Any
) -> dict[str, Any]:
    """The members of a problem; `members` are extensions such as `transfer` and `receipt`."""
    code = CODES[reasons[0].code]
    body: dict[str, Any] = {
        "type": f"urn:sinergi:problem:{code.code}",
        "title": code.id if lang == "id" else code.en,
        "status": code.status,
        "code": code.code,
    }
    if detail:
        body["detail"] = detail
    body["errors"] = [reason.as_json() for reason in reasons]
    if clause is not None:
        body["clause"] = clause
    return body | {name: value for name, value in members.items() if value is not None}


def problem(request: Request, error: GatewayError) -> Response:
    """The response of an error that carries no receipt."""
    code = CODES[error.code]
    headers = {"Cache-Control": "no-store", "Content-Language": language(request)}
    if isinstance(error, StoreUnavailableError):
        headers["Retry-After"] = str(error.retry_after)
    if code.status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = 'Bearer realm="sinergi"'
    body = error_body(error, language(request))
    return Response(json.dumps(body, ensure_ascii=False), code.status, headers, PROBLEM_TYPE)


def error_body(error: GatewayError, lang: str) -> dict[str, Any]:
    """The members of a problem that carries no receipt. What went wrong inside is for the log; a caller learns the code."""
    if CODES[error.code].status >= _OURS:
        return problem_body([Reason(reason.code) for reason in error.reasons], lang)
    return problem_body(error.reasons, lang, detail=error.detail)

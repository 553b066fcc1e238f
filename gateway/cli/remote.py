"""Asking a gateway over HTTP as an auditor: one client, one way of failing."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

import httpx

from gateway.cli.output import UnreachableError
from gateway.errors import CODES, CallerError, OperatorError, Reason
from gateway.keyring import read_private


def authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Whose server certificates are believed: the system's, or only those of `ca_file`."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"{ca_file} holds no certificates") from error


class Auditor:
    """An auditor's calls. The token comes from a file that only its holder may read."""

    def __init__(self, gateway: str, token_file: Path, ca_file: Path | None = None) -> None:
        if not gateway.startswith(("http://", "https://")):
            raise OperatorError("--gateway must be an http(s) URL")
        token = read_private(token_file).decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise OperatorError(f"{token_file} holds no token")
        self._client = httpx.Client(
            base_url=gateway.rstrip("/"),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            verify=authorities(ca_file),
            timeout=30,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        return self._ask("GET", path, params=dict(query or {}))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=dict(body))

    def fetch(self, path: str) -> bytes:
        """The bytes of an answer that is no JSON. Raises as the others do."""
        response = self._request("GET", path)
        return response.content if response.is_success else self._refused(response)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Raises CallerError with the gateway's own code for a refusal, UnreachableError where nothing is known."""
        response = self._request(method, path, **options)
        return _object(response) if response.is_success else self._refused(response)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(f"the gateway cannot be reached: {type(error).__name__}") from error

    def _refused(self, response: httpx.Response) -> NoReturn:
        if response.is_server_error or response.is_redirect:
            raise UnreachableError(f"the gateway answered with status {response.status_code}")
        reasons = _reasons(_object(response))
        raise CallerError((reasons[0].detail or "") if len(reasons) == 1 else "", reasons=reasons)


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise UnreachableError("the gateway's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise UnreachableError("the gateway's answer is not an object")
    return answer


def _reasons(problem: Mapping[str, Any]) -> list[Reason]:
    """A problem document (RFC 9457) as reasons; a code that we do not know is not repeated as one."""
    told = problem.get("errors")
    members = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    detail = str(problem.get("detail") or problem.get("title") or "")
    reasons = [
        Reason(str(one["code"]), _text(one, "clause"), _text(one, "pointer"), _text(one, "detail"))
        for one in members
        if one.get("code") in CODES
    ]
    code = str(problem.get("code"))
    return reasons or [Reason(code if code in CODES else "request.malformed", detail=detail or None)]


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return None if value is None else str(value)

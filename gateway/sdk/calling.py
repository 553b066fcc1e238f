"""Calls of a gateway over HTTP: the same bytes at each retry, a fresh token each time, an answer of bounded size.

Decides when to ask again and when to give up. Leaves what an answer means to `client.py`.
"""

import asyncio
import email.utils
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import SystemRandom
from typing import Final

import httpx

from gateway.sdk.answers import AnswerError, HttpAnswer, UnreachableError

ANSWER_LIMIT: Final = 160 * 1024 * 1024
_WAIT_LIMIT: Final = 60.0
_AGAIN: Final = frozenset({500, 502, 503, 504})
_random: Final = SystemRandom()
Token = Callable[[str, str, bytes | None], str]
"""(method, path, body) → a request token for one call."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for one answer, how often to ask again, and how many seconds to wait in all."""

    timeout: float = 30.0
    retries: int = 5
    seconds: float = 60.0


class Calls:
    """One connection pool to one gateway."""

    def __init__(
        self,
        gateway_url: str,
        token: Token,
        *,
        patience: Patience,
        clock: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._token, self._patience, self._clock = token, patience, clock
        self._http = httpx.AsyncClient(base_url=gateway_url.rstrip("/"), verify=tls or True, transport=transport)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        media_type: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        token: bool = True,
        seconds: float = 0,
        expected: tuple[int, ...] = (200,),
        incomplete: Callable[[HttpAnswer], bool] = lambda _: False,
    ) -> HttpAnswer:
        """One call with its retries.

        `seconds` come on top of the time limit. What is `incomplete` is asked for again, and in the end better than nothing.
        Raises ProblemError for any status but the `expected` ones, UnreachableError after the last retry, AnswerError for an
        answer beyond ANSWER_LIMIT.
        """
        waited, detail, best = 0.0, "", None
        for attempt in range(self._patience.retries + 1):
            # No encoding: a kilobyte of gzip can be a gigabyte.
            headers = {"Accept-Encoding": "identity"} | ({} if media_type is None else {"Content-Type": media_type})
            if token:
                headers["Authorization"] = f"Bearer {self._token(method, path, content)}"
            hint: str | None = None
            timeout = self._patience.timeout + seconds
            request = self._http.build_request(
                method, path, params=query, content=content, headers=headers, timeout=timeout
            )
            try:
                answer, hint = await self._once(request)
                if answer.status in expected:
                    if not incomplete(answer):
                        return answer
                    best = answer
                elif answer.status not in _AGAIN:
                    raise answer.problem()
                detail = f"the gateway answered with status {answer.status}"
            except httpx.HTTPError as error:
                detail = f"the gateway cannot be reached: {type(error).__name__}"
            delay = _delay(attempt, hint, self._clock())
            if attempt == self._patience.retries or waited + delay > self._patience.seconds:
                break
            waited += delay
            await asyncio.sleep(delay)
        if best is not None:
            return best
        raise UnreachableError(detail)

    async def read(self, path: str) -> bytes:
        """What the gateway publishes there."""
        return (await self.call("GET", path, token=False)).body

    async def _once(self, request: httpx.Request) -> tuple[HttpAnswer, str | None]:
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > ANSWER_LIMIT:
                    raise AnswerError("the answer is larger than anything a gateway answers")
                parts.append(part)
        finally:
            await response.aclose()
        return HttpAnswer(response.status_code, b"".join(parts)), response.headers.get("retry-after")


def _delay(attempt: int, hint: str | None, now: datetime) -> float:
    """Seconds to wait: what `Retry-After` says (RFC 9110 §10.2.3), or ever longer with jitter; a minute at most."""
    if hint is not None and hint.strip().isdigit():
        return min(float(hint), _WAIT_LIMIT)
    if hint is not None:
        try:
            until = email.utils.parsedate_to_datetime(hint)
            return min(max((until - now).total_seconds(), 0.0), _WAIT_LIMIT)
        except (ValueError, TypeError):
            pass
    longest = min(_WAIT_LIMIT, 0.5 * float(1 << attempt))
    return longest * _random.uniform(0.5, 1.0)

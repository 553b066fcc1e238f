"""An agency's backend, as an agency would write it with the SDK: takes pushes, answers what it can answer, sends.

Runs as a process of its own and alone holds the agency's key. Its officers' desk (`/desk/…`) is for its own house: the
demo uses it to have messages sent and to see what arrived. `triage` decides what is answered.
"""

import asyncio
import hmac
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway import keyring
from gateway.client import Composed, GatewayClient, ProblemError, RefusedError, Sent, UnreachableError
from gateway.demo.desk import Outcome
from gateway.demo.triage import answer_to
from gateway.endpoint import AgencyEndpoint, Received
from gateway.errors import GatewayError
from gateway.message.envelope import Case, Officer
from gateway.sdk.draft import Draft

_log: Final = logging.getLogger("backend")
_AWAY_SECONDS: Final = 60.0
_ENDING_SECONDS: Final = 5.0


class _Reconnecting(httpx.AsyncHTTPTransport):
    """Asks again soon while nobody listens: the gateway is being started. Nothing was sent yet, so nothing is doubled.

    What fails later is the SDK's to repeat, with its longer waits.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                return await super().handle_async_request(request)
            except (httpx.ConnectError, AttributeError) as error:
                # AttributeError: a connection that was reset as soon as it was made, which anyio cannot describe.
                if time.monotonic() > until:
                    raise httpx.ConnectError("nobody listens") from error
            await asyncio.sleep(0.1)


class Backend:
    """Everything one agency's process holds; made from the file that the agency got when it joined."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.agency: str = configuration["agency"]
        self._agreement: str = configuration["agreement"]
        self._desk_token = keyring.read_private(Path(configuration["desk_token_file"])).strip()
        passphrase = keyring.read_passphrase(Path(configuration["passphrase_file"]))
        signer = keyring.load_signer(configuration["key"], passphrase)
        pins = {name: configuration[name] for name in ("gateway_id", "gateway_keys", "sender_keys")}
        vkeys = configuration["ledger_vkeys"]
        self.client = GatewayClient(
            configuration["gateway_url"], self.agency, signer, ledger_vkeys=vkeys, transport=_Reconnecting(), **pins
        )
        self.endpoint = AgencyEndpoint(
            self.agency, signer, public_url=configuration["endpoint"], handler=self.take, **pins
        )
        self._arrived: list[dict[str, Any]] = []
        self._answering: set[asyncio.Task[None]] = set()

    def application(self) -> Starlette:
        routes = [
            Route("/sinergi", self.endpoint),
            Route("/desk/send", self.send, methods=["POST"]),
            Route("/desk/drafts", self.draft, methods=["POST"]),
            Route("/desk/drafts/send", self.send_draft, methods=["POST"]),
            Route("/desk/received", self.received),
            Route("/desk/transfers/{transfer}", self.follow),
            Route("/healthz", self.health),
        ]
        return Starlette(routes=routes, lifespan=self.life)

    @asynccontextmanager
    async def life(self, _app: Starlette) -> AsyncIterator[None]:
        async with self.client:
            yield
            if self._answering:
                await asyncio.wait(self._answering, timeout=_ENDING_SECONDS)

    # What the gateway pushes.

    async def take(self, item: Received) -> None:
        """Keeps the message, so that the SDK may sign `delivered`; the answer is made after that."""
        claims = item.claims
        self._arrived.append(
            {
                "transfer": item.transfer,
                "sender": claims.iss,
                "type": claims.type,
                "in_reply_to": claims.in_reply_to,
                "body": item.body,
                "withheld": list(item.withheld),
                "text": item.text,
                "at": time.time(),
            }
        )
        _log.info(
            "received transfer=%s type=%s from=%s attempt=%d", item.transfer, claims.type, claims.iss, item.attempt
        )
        task = asyncio.create_task(self._answer(item))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, item: Received) -> None:
        reply = answer_to(self.agency, item)
        if reply is None:
            return
        try:
            sent = await self.client.send(
                self.client.compose(
                    item.claims.iss,
                    reply.type,
                    reply.body,
                    agreement=self._agreement,
                    purpose=reply.purpose,
                    classification=item.claims.classification,
                    disclosable=reply.disclosable,
                    in_reply_to=item.transfer,
                )
            )
            await self.client.acknowledge(item, "processed")
        except GatewayError:
            # The message stays delivered and not processed, which the sender and an auditor can see.
            _log.exception("no answer to transfer=%s", item.transfer)
            return
        _log.info("answered transfer=%s with transfer=%s type=%s", item.transfer, sent.transfer, reply.type)

    # The officers' desk.

    async def send(self, request: Request) -> JSONResponse:
        self._require_officer(request)
        return await self._sent(self.client.compose(**self._wording(await request.json())))

    async def draft(self, request: Request) -> JSONResponse:
        """Every word fixed, nothing signed: for officers to approve with keys that are not in this process."""
        self._require_officer(request)
        return JSONResponse({"draft": self.client.draft(**self._wording(await request.json())).text()})

    async def send_draft(self, request: Request) -> JSONResponse:
        self._require_officer(request)
        asked = await request.json()
        return await self._sent(self.client.compose_draft(Draft.read(asked["draft"]), asked["approvals"]))

    def _wording(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the SDK's `compose` and `draft`, from JSON."""
        case, officer = asked.get("case"), asked.get("officer")
        given = {"agreement": self._agreement} | asked
        return given | {
            "case": None if case is None else Case(**case),
            "officer": None if officer is None else Officer(**officer),
        }

    async def _sent(self, composed: Composed) -> JSONResponse:
        outcome = await self._outcome(composed)
        _log.info("sent transfer=%s decision=%s code=%s", outcome.transfer, outcome.decision, outcome.code)
        return JSONResponse(outcome.as_json())

    async def _outcome(self, composed: Composed) -> Outcome:
        try:
            sent = await self.client.send(composed)
        except RefusedError as error:
            return _outcome(error.sent, error.http_status, error)
        except ProblemError as error:
            return Outcome(error.http_status, None, composed.text, error.code, reasons=error.reasons)
        except UnreachableError as error:
            raise HTTPException(503, error.detail) from error
        return _outcome(sent, 200 if sent.retried else 202)

    async def received(self, request: Request) -> JSONResponse:
        self._require_officer(request)
        return JSONResponse({"items": self._arrived})

    async def follow(self, request: Request) -> JSONResponse:
        self._require_officer(request)
        return JSONResponse(await self.client.transfer(request.path_params["transfer"]))

    async def health(self, _request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    def _require_officer(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._desk_token):
            raise HTTPException(401)


def _outcome(sent: Sent, status: int, refusal: RefusedError | None = None) -> Outcome:
    return Outcome(
        status,
        sent.decision,
        sent.message.text,
        None if refusal is None else refusal.code,
        sent.transfer,
        sent.receipt_text,
        sent.proof_text,
        sent.retried,
        () if refusal is None else refusal.reasons,
    )


def main() -> None:
    """`backend CONFIGURATION`, until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # uvicorn raises the signal once more when it has stopped: that is an end like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configuration = json.loads(keyring.read_private(Path(sys.argv[1])))
    backend = Backend(configuration)
    uvicorn.run(
        backend.application(),
        host="127.0.0.1",
        port=configuration["port"],
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(_ENDING_SECONDS),
    )


if __name__ == "__main__":
    main()

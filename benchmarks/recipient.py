"""The recipient of the push arm, a process of its own: takes a page, signs `processed` for every message, answers.

`python -m benchmarks.recipient PORT AGENCY GATEWAY KEYFILE [SECONDS_A_PAGE]`. It believes what it is sent: checking is
the recipient's own cost and not the gateway's. Signatures are real, because the gateway verifies them.
"""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

import uvicorn
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import sd_hash
from gateway.statements.receipt import Acknowledgement, sign_acknowledgement


class Recipient:
    def __init__(self, agency: str, gateway: str, signer: KeyringSigner, pause: float) -> None:
        self.agency, self.gateway, self.signer, self.pause = agency, gateway, signer, pause
        self.arrivals: list[tuple[str, float]] = []

    async def take(self, request: Request) -> Response:
        page = json.loads(await request.body())
        arrived = time.time()
        self.arrivals += [(item["transfer"], arrived) for item in page["items"]]
        if self.pause:
            await asyncio.sleep(self.pause)
        signed = [self.sign(item["transfer"], item["message"]) for item in page["items"]]
        return JSONResponse({"acknowledgements": signed})

    def sign(self, transfer: str, message: str) -> str:
        receipt = Acknowledgement(
            iss=self.agency,
            aud=self.gateway,
            iat=int(time.time()),
            jti=secrets.token_urlsafe(12),
            transfer=transfer,
            event="delivered",
            sd_hash=sd_hash(message),
        )
        return sign_acknowledgement(receipt, self.signer)

    async def seen(self, _request: Request) -> Response:
        return JSONResponse(self.arrivals)


def main() -> None:
    port, agency, gateway, key = sys.argv[1:5]
    private = load_pem_private_key(Path(key).read_bytes(), None)
    recipient = Recipient(agency, gateway, signer_for(private), float(sys.argv[5]) if len(sys.argv) > 5 else 0.0)
    app = Starlette(routes=[Route("/push", recipient.take, methods=["POST"]), Route("/seen", recipient.seen)])
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

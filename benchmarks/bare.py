"""The bare endpoint: FastAPI, the raw body, the sender's signature verified, nothing stored, a small answer.

`python -m benchmarks.bare PORT JWK`, served as the gateway is: uvicorn with uvloop and httptools, one process.
"""

import json
import sys

import uvicorn
from cryptography.exceptions import InvalidSignature
from fastapi import FastAPI, Request, Response

from gateway.jose import b64decode, public_key_from_jwk


def application(jwk: str) -> FastAPI:
    app = FastAPI(openapi_url=None)
    key = public_key_from_jwk(json.loads(jwk))

    @app.get("/readyz")
    async def ready() -> Response:
        return Response(status_code=200)

    @app.post("/v1/messages")
    async def take(request: Request) -> Response:
        raw = await request.body()
        signed, _, signature = raw.partition(b"~")[0].rpartition(b".")
        try:
            key.key.verify(b64decode(signature.decode("ascii"), "signature"), signed)
        except InvalidSignature:
            return Response(status_code=401)
        return Response(b'{"decision":"accepted"}', 202, media_type="application/json")

    return app


def main() -> None:
    port, jwk = sys.argv[1:]
    uvicorn.run(
        application(jwk), port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()

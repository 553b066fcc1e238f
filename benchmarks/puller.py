"""The recipient of the pull arm: `python -m benchmarks.puller BASE AGENCY GATEWAY KEYFILE`.

Asks for pages of 100 with a long poll and signs for every message, until it is ended.
"""

import asyncio
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pyreqwest.client import ClientBuilder

from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import sd_hash
from gateway.statements.receipt import Acknowledgement, sign_acknowledgement
from gateway.statements.request_token import sign_request_token


async def pull(base: str, agency: str, gateway: str, signer: KeyringSigner) -> None:
    def bearer(method: str, path: str) -> str:
        return f"Bearer {sign_request_token(signer, agency, gateway, method, base + path, datetime.now(UTC))}"

    async with ClientBuilder().build() as client:
        while True:
            inbox = client.get(f"{base}/v1/inbox?limit=100&wait=5").header("authorization", bearer("GET", "/v1/inbox"))
            answer = await inbox.build().send()
            if answer.status != 200:
                # Its token became too old while this arm had to wait for its turn.
                await asyncio.sleep(0.05)
                continue
            page = await answer.json()
            signed = [
                sign_acknowledgement(
                    Acknowledgement(
                        iss=agency,
                        aud=gateway,
                        iat=int(time.time()),
                        jti=secrets.token_urlsafe(12),
                        transfer=item["transfer"],
                        event="delivered",
                        sd_hash=sd_hash(item["message"]),
                    ),
                    signer,
                )
                for item in page["items"]
            ]
            if not signed:
                continue
            path = "/v1/acknowledgements"
            receipts = client.post(base + path).header("authorization", bearer("POST", path))
            await (await receipts.body_json({"acknowledgements": signed}).build().send()).bytes()


def main() -> None:
    base, agency, gateway, key = sys.argv[1:]
    private = load_pem_private_key(Path(key).read_bytes(), None)
    uvloop.run(pull(base, agency, gateway, signer_for(private)))


if __name__ == "__main__":
    main()

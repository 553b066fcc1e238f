"""An authority's own service for tests: its revocation list at /ca.crl, OCSP at /ocsp. It can be taken away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.certificates.authority import Authority


@dataclass
class Responder:
    """`lists` signs the list, `answers` the OCSP answers; `issued` are the certificates that may be asked about."""

    lists: Authority
    answers: Authority
    issued: list[x509.Certificate] = field(default_factory=list)
    revoked: dict[int, datetime] = field(default_factory=dict)
    down: bool = False
    url: str = ""

    def reply(self, path: str, body: bytes) -> bytes | None:
        at = datetime.now(UTC) - timedelta(seconds=1)
        if self.down:
            return None
        if path == "/ca.crl":
            return self.lists.crl(at=at, until=at + timedelta(hours=1))
        serial = ocsp.load_der_ocsp_request(body).serial_number
        certificate = next((one for one in self.issued if one.serial_number == serial), None)
        if certificate is None:
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED).public_bytes(
                Encoding.DER
            )
        since = self.revoked.get(serial)
        status = ocsp.OCSPCertStatus.GOOD if since is None else ocsp.OCSPCertStatus.REVOKED
        return self.answers.answer(certificate, status=status, at=at, until=at + timedelta(hours=1), since=since)


@contextmanager
def serving(responder: Responder) -> Iterator[Responder]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, body: bytes) -> None:
            content = responder.reply(self.path, body)
            self.send_response(503 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    responder.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield responder
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


SETTINGS = """
[certificates]
roots_file = "{roots}"
every_seconds = 0.5
budget_seconds = 6
timeout = 2
subjects = {{ polda-banten = "{subject}" }}

[[certificates.lists]]
url = "{url}/ca.crl"
networks = ["127.0.0.0/8"]

[[certificates.responders]]
url = "{url}/ocsp"
networks = ["127.0.0.0/8"]
"""

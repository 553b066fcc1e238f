"""A timestamp authority of a test's own: OpenSSL behind a small HTTP server."""

import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl, which plays the timestamp authority, is not here")
_CONFIG = """
[tsa1]
serial = {0}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[v3]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
"""
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    """Answers `POST /` with a timestamp; `spoil` changes an answer, `away` makes it a 503."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.away, self.spoil = folder, False, False
        folder.mkdir()
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder))
        (folder / "serial").write_text("01\n")
        self._openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Root")
        self._openssl("req", *_KEY, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Authority")
        self._openssl(
            "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "tsa.cnf", "-extensions", "v3", "-out", "tsa.pem",
        )  # fmt: skip
        self.roots = folder / "ca.pem"

    def answer(self, question: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            asked, told = Path(place) / "q.tsq", Path(place) / "r.tsr"
            asked.write_bytes(question)
            self._openssl(
                "ts", "-reply", "-queryfile", str(asked), "-config", "tsa.cnf", "-section", "tsa1", "-signer", "tsa.pem",
                "-inkey", "tsa.key", "-out", str(told),
            )  # fmt: skip
            return told.read_bytes()

    def _openssl(self, *words: str) -> None:
        assert OPENSSL is not None
        subprocess.run([OPENSSL, *words], cwd=self.folder, capture_output=True, check=True, timeout=30)

    def __enter__(self) -> Self:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = self.rfile.read(int(self.headers["content-length"]))
                if authority.away:
                    self.send_error(503)
                    return
                answer = authority.answer(question)
                if authority.spoil:
                    answer = answer[:-1] + bytes([answer[-1] ^ 1])
                self.send_response(200)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

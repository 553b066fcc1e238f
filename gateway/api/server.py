"""Serving: uvicorn with our settings, TLS, and a stop that loses nothing."""

import asyncio
import gc
import resource
import signal
import socket
import ssl
from types import FrameType
from typing import Any, Final

import structlog
import uvicorn

from gateway.api.app import create_app
from gateway.api.context import Context
from gateway.api.protocol import bounded
from gateway.errors import OperatorError
from gateway.key_management.recovery import tell_of_recoveries
from gateway.settings import ServerSettings, Settings
from gateway.store.clocks import require_clock
from gateway.telemetry import configure_logging
from gateway.wiring import open_gateway

# Connections beyond the bound that still hear a 503; further ones are cut.
_TOLD_BUSY: Final = 256
_OWN_FILES: Final = 256
# Containers made and not yet freed before the collector looks again. A message under way holds hundreds of them, and with
# Python's own 700 each would be looked at several times before it is answered; with 50,000 one look would keep everybody waiting
# for 20 ms.
_YOUNG: Final = 10_000
# libuv takes one connection a turn of the event loop from a listening socket, and under load a turn takes 10 ms: of a thousand
# senders who come at once the last would wait ten seconds for its turn to be heard. So many handles of the one socket are heard.
_DOORS: Final = 16
_log = structlog.get_logger("sinergi.server")


class _Server(uvicorn.Server):
    """Tells long polls to end as soon as a stop is asked for; uvicorn then waits for what is under way."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop, config = asyncio.get_running_loop(), self.config

        def connection() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        for listening in [one for server in self.servers for one in server.sockets]:
            for _ in range(_DOORS - 1):
                again = await loop.create_server(
                    connection, sock=listening.dup(), ssl=config.ssl, backlog=config.backlog
                )
                self.servers.append(again)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._context.draining = True
        self._context.inbox.drain()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM.

    The order of a stop: no new connections; long polls end; running requests get their answers; the worker ends its
    page; the recorder commits what is waiting; the newest checkpoints are written beside the database.
    """
    configure_logging(settings.log)
    with open_gateway(settings) as gateway:
        require_clock(gateway.store.database, gateway.clock())
        for told in tell_of_recoveries(gateway.store):
            _log.warning("look_at_this", detail=told)
        app = create_app(gateway)
        config = uvicorn.Config(
            app,
            host=settings.server.host,
            port=settings.server.port,
            loop="uvloop",
            # uvicorn's own bound on connections answers without Retry-After, and the probes as well.
            http=bounded(settings.server.header_timeout, settings.server.connections + _TOLD_BUSY),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=settings.server.graceful_timeout,
            **_tls(settings.server),
        )
        _log.info("serving", host=settings.server.host, port=settings.server.port, tls=config.is_ssl)
        server = _Server(config, app.state.context)
        app.state.context.admission.connections = lambda: len(server.server_state.connections)
        _allow_files(settings.server.connections + _TOLD_BUSY)
        # uvicorn raises the signal once more when it has stopped: by then it must not end the process, because the
        # recorder and the checkpoint files come after.
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: None)
        _settle()
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve())
        _log.info("stopped")


def _settle() -> None:
    """What is here now stays: the collector of cyclic garbage need not go through modules, tables and schemas ever again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def _allow_files(connections: int) -> None:
    """As many open files as connections want, as far as the system lets us; deploy/sinergi.service lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _log.warning("few_files", allowed=allowed, wanted=wanted)


def _tls(server: ServerSettings) -> dict[str, Any]:
    if server.tls_certificate is None or server.tls_key is None:
        if server.require_client_certificate or server.tls_certificate is not None:
            raise OperatorError("TLS needs both server.tls_certificate and server.tls_key")
        return {}
    options: dict[str, Any] = {"ssl_certfile": str(server.tls_certificate), "ssl_keyfile": str(server.tls_key)}
    if server.client_ca is not None:
        options["ssl_ca_certs"] = str(server.client_ca)
        options["ssl_cert_reqs"] = ssl.CERT_REQUIRED if server.require_client_certificate else ssl.CERT_OPTIONAL
    elif server.require_client_certificate:
        raise OperatorError("require_client_certificate needs server.client_ca")
    return options

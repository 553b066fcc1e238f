"""What the routers share: the gateway, the delivery side, the figures. Made in `app.py`, found on the app's state."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.admission import Admission
from gateway.attestation.collector import Collector
from gateway.delivery.acknowledge import Acknowledgements
from gateway.delivery.inbox import Inbox
from gateway.delivery.worker import Worker
from gateway.key_management.confirmation import Confirmation
from gateway.store.patrol import Patrol
from gateway.telemetry import Metrics
from gateway.wiring import Gateway


@dataclass(slots=True)
class Context:
    gateway: Gateway
    acknowledgements: Acknowledgements
    inbox: Inbox
    worker: Worker
    attestations: Collector
    patrol: Patrol
    certificates: Confirmation
    metrics: Metrics
    admission: Admission
    draining: bool = False


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def json_response(content: Any, status: int = 200, **headers: str) -> Response:
    """Compact JSON; never cached unless the caller says so."""
    sent = {"Cache-Control": "no-store"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(to_json(content), status, sent, "application/json")

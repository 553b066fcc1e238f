"""Logs and metrics. Their vocabulary is closed: no payload value, no identifier of a person, no unbounded label."""

import logging
import sys
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.errors import CODES
from gateway.settings import LogSettings

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(settings: LogSettings) -> None:
    """One line an event on stderr; libraries' own records go the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    json_lines = settings.format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, _tracebacks if json_lines else _keep, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[settings.level], logging.WARNING))


# Without the frames' locals: they hold whatever was being worked on.
_tracebacks: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _keep(_logger: Any, _name: str, event: Any) -> Any:
    return event


class Metrics:
    """Figures of this process; each node is scraped by itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_messages()
        self._of_ledgers()
        self._of_the_recorder()
        self._of_deadlines()
        self._of_witnesses()
        self._of_keys()

    def _of_messages(self) -> None:
        """What comes in, what becomes of it, and what waits to go out."""
        self.messages = Counter(
            "sinergi_messages", "Messages by what became of them", ["decision"], registry=self.registry
        )
        self.refusals = Counter(
            "sinergi_refusals", "Reasons of refused or malformed messages", ["code"], registry=self.registry
        )
        self.accept_seconds = Histogram(
            "sinergi_accept_seconds",
            "From the last byte of a message to its receipt",
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.requests = Counter("sinergi_http_requests", "HTTP requests", ["route", "status"], registry=self.registry)
        self.busy = Counter("sinergi_busy", "Requests refused for lack of room", ["lack"], registry=self.registry)
        self.acknowledgements = Counter(
            "sinergi_acknowledgements", "Acknowledgements by result", ["status"], registry=self.registry
        )
        self.backlog = Gauge("sinergi_outbox_waiting", "Messages waiting", ["recipient"], registry=self.registry)

    def _of_ledgers(self) -> None:
        """How large each is, and whether it was found sound."""
        self.ledger_size = Gauge("sinergi_ledger_entries", "Entries of a ledger", ["ledger"], registry=self.registry)
        self.ledger_sound = Gauge(
            "sinergi_ledger_sound", "0 when the audit found a ledger altered", ["ledger"], registry=self.registry
        )
        self.ledger_audited = Gauge(
            "sinergi_ledger_audited_timestamp_seconds",
            "When this process last found a ledger sound from its first entry on",
            ["ledger"],
            registry=self.registry,
        )

    def _of_the_recorder(self) -> None:
        """What waits for its commit, and what became of commits."""
        self.recorder_waiting = Gauge("sinergi_recorder_waiting", "Jobs waiting", registry=self.registry)
        self.recorder_commits = Gauge("sinergi_recorder_commits", "Commits since the start", registry=self.registry)
        self.recorder_jobs = Gauge("sinergi_recorder_jobs", "Jobs since the start", registry=self.registry)
        self.recorder_unknown = Gauge(
            "sinergi_recorder_unknown_commits", "Commits whose outcome was unknown", registry=self.registry
        )

    def _of_deadlines(self) -> None:
        """What should have been done by now."""
        self.escalations = Counter(
            "sinergi_escalations", "Deadlines that passed unanswered", ["type"], registry=self.registry
        )
        self.overdue = Gauge(
            "sinergi_deadlines_overdue", "Deadlines that have passed and are still open", registry=self.registry
        )
        self.past_retention = Gauge(
            "sinergi_retention_past_day",
            "Messages that are past their last day and still stored, whatever stands against it",
            registry=self.registry,
        )

    def _of_witnesses(self) -> None:
        """How far others have confirmed each ledger: cosignatures and timestamps."""
        self.witnessed_age = Gauge(
            "sinergi_witnessed_age_seconds",
            "Since the newest witnessed checkpoint was cosigned",
            ["ledger"],
            registry=self.registry,
        )
        self.unwitnessed_entries = Gauge(
            "sinergi_unwitnessed_entries", "Entries that lack their witnesses", ["ledger"], registry=self.registry
        )
        self.unwitnessed_seconds = Gauge(
            "sinergi_unwitnessed_seconds",
            "Since the first entry that lacks its witnesses was recorded; 0 when none does",
            ["ledger"],
            registry=self.registry,
        )
        self.witness_cosignatures = Counter(
            "sinergi_witness_cosignatures", "Cosignatures obtained", ["witness"], registry=self.registry
        )
        self.witness_failures = Counter(
            "sinergi_witness_failures", "Cosignatures not obtained", ["witness", "kind"], registry=self.registry
        )
        self.unstamped_seconds = Gauge(
            "sinergi_unstamped_seconds",
            "Since the first entry under no timestamp was recorded; 0 when there is none",
            ["ledger"],
            registry=self.registry,
        )
        self.timestamp_failures = Counter(
            "sinergi_timestamp_failures", "Timestamps not obtained", ["kind"], registry=self.registry
        )

    def _of_keys(self) -> None:
        """When what somebody signs with ends."""
        self.key_ends = Gauge(
            "sinergi_key_ends_timestamp_seconds",
            "When the next key or token of a kind (agency, gateway, officer, auditor) ends; 0 for an agency without a key",
            ["kind", "owner"],
            registry=self.registry,
        )
        self.certificate_confirmed = Gauge(
            "sinergi_certificate_confirmed_timestamp_seconds",
            "When the authorities last confirmed the certified key of an agency that they confirmed longest ago; 0 never",
            ["agency"],
            registry=self.registry,
        )
        self.certificate_failures = Counter(
            "sinergi_certificate_failures",
            "Questions to authorities without an answer",
            ["kind"],
            registry=self.registry,
        )
        self.ready = Gauge("sinergi_ready", "1 when /readyz answers 200", registry=self.registry)
        # A child kept in a variable costs a third of a look-up; the labels are our own codes.
        self._refusal = {code: self.refusals.labels(code) for code in CODES}
        self._decision = {name: self.messages.labels(name) for name in ("accepted", "refused", "again", "unproven")}

        # Templates of routes and statuses that were answered: both are few.
        self._request: dict[tuple[str, int], Counter] = {}

    def request(self, route: str, status: int) -> None:
        """`route` is a template, never a path that a caller wrote."""
        counter = self._request.get((route, status))
        if counter is None:
            counter = self._request[route, status] = self.requests.labels(route, str(status))
        counter.inc()

    def message(self, decision: str, codes: tuple[str, ...] = ()) -> None:
        self._decision[decision].inc()
        for code in codes:
            self._refusal[code].inc()

"""A gateway's collector, from its settings: the one place where its collaborators are joined."""

from datetime import timedelta

from gateway.attestation.collector import Collector
from gateway.attestation.policy import STOP, Policies, Policy, WitnessPlace
from gateway.attestation.stamping import Stamper
from gateway.errors import LedgerInvalidError, OperatorError
from gateway.keys.directory import parse_endpoint
from gateway.ledger.cosignature import Quorum
from gateway.ledger.note import NoteVerifier
from gateway.ledger.timestamp import read_roots
from gateway.settings import Settings, TimestampSettings, WitnessSettings
from gateway.telemetry import Metrics
from gateway.wiring import Gateway


def read_policies(settings: Settings) -> Policies:
    """Raises OperatorError for a policy that nobody could meet, and for a key or URL that is none."""
    return _policies(settings.witness, settings.timestamp)


def collector(gateway: Gateway, metrics: Metrics) -> Collector:
    """Raises OperatorError, before anything is served, for a policy, endpoint or file of roots that cannot be used."""
    settings, store = gateway.settings, gateway.store
    return Collector(
        policies=read_policies(settings),
        database=store.database,
        recorder=store.recorder,
        keys=store.keys.checkpoint,
        gate=gateway.exchange.gate,
        metrics=metrics,
        clock=gateway.clock,
        interval=settings.witness.interval_seconds,
        timeout=settings.witness.timeout,
        long_lived=store.keys.long_lived_keys.cosigners,
        stamper=_stamper(settings.timestamp),
    )


def _stamper(settings: TimestampSettings) -> Stamper | None:
    if settings.url is None or settings.roots_file is None:
        return None
    try:
        roots = read_roots(settings.roots_file.read_bytes())
    except (OSError, LedgerInvalidError) as error:
        raise OperatorError("timestamp.roots_file holds no certificate that can be read") from error
    return Stamper(parse_endpoint(settings.url, settings.networks, settings.ca_file), roots, settings.timeout)


def _policies(witness: WitnessSettings, timestamp: TimestampSettings) -> Policies:
    places = []
    for entry in witness.witnesses:
        try:
            verifier = NoteVerifier.parse(entry.vkey.strip())
        except LedgerInvalidError as error:
            raise OperatorError(f"witness.witnesses: {error.detail}") from error
        places.append(WitnessPlace(verifier, parse_endpoint(entry.url.rstrip("/"), entry.networks, entry.ca_file)))
    names = [place.name for place in places]
    if len(set(names)) != len(names):
        raise OperatorError("witness.witnesses: two witnesses have the same name")
    if timestamp.url is not None and timestamp.roots_file is None:
        raise OperatorError("timestamp.roots_file is missing: without roots no timestamp can be verified")
    every = _policy(places, witness.quorum, witness.when_missing, witness.budget_seconds, "witness.quorum")
    own = {}
    for ledger, given in witness.ledgers.items():
        where = f"witness.ledgers.{ledger}"
        chosen = names if given.witnesses is None else list(given.witnesses)
        if unknown := set(chosen) - set(names):
            raise OperatorError(f"{where}.witnesses: {len(unknown)} names are not in witness.witnesses")
        own[ledger] = _policy(
            [place for place in places if place.name in chosen],
            witness.quorum if given.quorum is None else given.quorum,
            given.when_missing or witness.when_missing,
            witness.budget_seconds if given.budget_seconds is None else given.budget_seconds,
            f"{where}.quorum",
        )
    return Policies(
        every=every,
        own=own,
        places=tuple(places),
        stamp_period=None if timestamp.url is None else timedelta(seconds=timestamp.period_seconds),
        stamp_stops=timestamp.when_missing == STOP,
        stamp_budget=timedelta(seconds=timestamp.budget_seconds),
    )


def _policy(places: list[WitnessPlace], count: int, when_missing: str, budget: float, where: str) -> Policy:
    try:
        quorum = Quorum(tuple(place.verifier for place in places), count)
    except LedgerInvalidError as error:
        raise OperatorError(f"{where}: {error.detail}") from error
    return Policy(quorum, when_missing, timedelta(seconds=budget))

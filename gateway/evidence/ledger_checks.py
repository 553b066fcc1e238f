"""Checks 1, 2 and 11: the list of the files, the ledgers that the entries are in, the clock that saw them."""

from dataclasses import replace

from gateway.errors import GatewayError
from gateway.evidence.bundle import manifest
from gateway.evidence.court import ENTRIES, TIMESTAMPS, Court, Proven
from gateway.evidence.findings import Refuted, found, of, refuted, shown, unchecked
from gateway.ledger.checkpoint import open_checkpoint
from gateway.ledger.entry import decode
from gateway.ledger.merkle import leaf_hash, verify_inclusion
from gateway.ledger.proof import parse_proof
from gateway.ledger.succession import stated
from gateway.review.words import Words

_DECISIONS = ("transfer.accepted", "transfer.refused")


def listed(court: Court) -> Words:
    """1: every file is the one that the gateway listed and signed."""
    told = manifest(court.bundle, court.trust.gateway)
    return found("listed", count=len(told.digests), transfer=told.transfer, moment=told.made_at)


def proven(court: Court) -> Words:
    """2: every ledger entry is in a ledger that its key signed, and enough witnesses saw it."""
    entries = [name for name in court.bundle.below(ENTRIES) if name.endswith(".json")]
    # A later checkpoint key is believed for the signature of the one before it, wherever that is found.
    said = [one for name in entries if (one := stated(court.bundle.read(name))) is not None]
    ledgers = {origin: trust.learn(said) for origin, trust in court.trust.ledgers.items()}
    court.trust = replace(court.trust, ledgers=ledgers)
    witnesses: set[str] = set()
    for name in entries:
        entry, names = _proven(court, name)
        court.entries.append(entry)
        witnesses |= names
    subjects = [one for one in court.entries if one.entry["kind"] in _DECISIONS]
    if len(subjects) != 1:
        raise refuted("no-subject", count=len(subjects))
    court.decided = subjects[0]
    known = {one.name for trust in court.trust.ledgers.values() for one in trust.quorum.witnesses}
    if witnesses:
        seen = found("seen", names=", ".join(sorted(witnesses)))
    else:
        seen = found("unseen", known=len(known)) if known else found("unasked")
    return found("proven", count=len(court.entries), seen=seen)


def _proven(court: Court, name: str) -> tuple[Proven, frozenset[str]]:
    leaf = court.bundle.read(name)
    proof = parse_proof(court.bundle.text(f"{name.removesuffix('.json')}.tlog-proof"))
    origin = proof.checkpoint.partition(b"\n")[0].decode()
    if origin not in court.trust.ledgers:
        raise refuted("no-ledger-key", file=name, origin=origin)
    try:
        trust = court.trust.ledgers[origin]
        checkpoint = trust.open(proof.checkpoint)
        verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.hashes, checkpoint.root)
        entry = decode(leaf)
    except GatewayError as error:
        raise Refuted(of(error, name)) from error
    seen = trust.quorum.among(checkpoint.note.signatures)
    return Proven(name, origin, proof.index, leaf, entry, proof.checkpoint), seen


def timed(court: Court) -> Words:
    """11: an authority's clock saw the ledger with the entry in it."""
    tokens = [name for name in court.bundle.below(TIMESTAMPS) if name.endswith(".tsr")]
    if not tokens:
        raise unchecked("no-timestamp")
    if court.trust.stamped is None:
        raise unchecked("no-authority")
    told = []
    for name in tokens:
        data = court.bundle.read(f"{name.removesuffix('.tsr')}.checkpoint")
        told.append(shown(court.trust.stamped(court.bundle.read(name), data)))
        _require_covering(court, name, data)
    return found("timed", moments=", ".join(told))


def _require_covering(court: Court, name: str, note: bytes) -> None:
    """That the stamped checkpoint is the ledger's, has the entry, and is the one that the entry was proved under.

    Whose cosignatures it needs is check 2's: a stamp may be older than some of them.
    """
    subject = court.subject()
    trust = court.trust.ledgers[subject.origin]
    checkpoint = open_checkpoint(note, trust.origin, (*trust.keys, *trust.quorum.witnesses))
    if checkpoint.size <= subject.index:
        raise refuted("stamped-before", name=name)
    if note.partition(b"\n\n")[0] != subject.checkpoint.partition(b"\n\n")[0]:
        raise refuted("stamped-other", name=name)

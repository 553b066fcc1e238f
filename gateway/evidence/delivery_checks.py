"""Checks 9 and 10: what the recipient got, and what it signed for."""

import hashlib
from collections.abc import Iterable, Sequence

from gateway.evidence.court import ACKNOWLEDGEMENTS, MESSAGE, RELEASE, RELEASED, Court
from gateway.evidence.findings import found, joined, refuted, unchecked
from gateway.message.disclosure import digest_of
from gateway.message.envelope import sd_hash
from gateway.review.words import Words
from gateway.statements.receipt import parse_acknowledgement, verify_acknowledgement


def released(court: Court) -> Words:
    """9: what was released is part of the message, and what was withheld is named."""
    message, subject = court.message(), court.subject()
    if subject.entry["kind"] != "transfer.accepted":
        raise unchecked("not-released")
    text = court.bundle.text(RELEASED)
    release = court.release()
    jwt, *disclosures = text.split("~")
    sent = {disclosure.encoded for disclosure in message.disclosures}
    if jwt != message.jwt or disclosures[-1:] != [""] or not set(disclosures[:-1]) <= sent:
        raise refuted("no-part", name=RELEASED, whole=MESSAGE)
    about = (subject.entry["transfer"], message.claims.aud, sd_hash(text))
    if (release.transfer, release.aud, release.sd_hash) != about:
        raise refuted("other-subject", name=RELEASE, others=RELEASED)
    if list(release.withheld) != list(subject.entry.get("withheld", ())):
        raise refuted("other-withheld", name=RELEASE, file=subject.file)
    kept = {digest_of(encoded) for encoded in disclosures[:-1]}
    shown = {place.pointer for place in message.placed if place.disclosure.digest in kept}
    if wrong := sorted(one for one in shown if _within(one, release.withheld)):
        raise refuted("not-withheld", name=RELEASED, field=wrong[0])
    return found("released", fields=", ".join(release.withheld) or found("nothing"))


def acknowledged(court: Court) -> Words:
    """10: the recipient's acknowledgements are signed by the recipient, and in the ledger."""
    message, subject = court.message(), court.subject()
    names = court.bundle.below(ACKNOWLEDGEMENTS)
    recorded = {one.entry["receipt_digest"]: one for one in court.of("transfer.acknowledged")}
    if not names and not recorded:
        raise unchecked("unacknowledged")
    told = []
    for name in names:
        text = court.bundle.text(name)
        entry = recorded.pop(hashlib.sha256(text.encode()).hexdigest(), None)
        if entry is None:
            raise refuted("not-recorded", name=name)
        parsed = parse_acknowledgement(text)
        said = verify_acknowledgement(parsed, court.key(parsed.jws.kid))
        court.held(message.claims.aud, parsed.jws.kid, entry.time)
        about = (said.iss, said.transfer, said.event, said.sd_hash)
        expected = (message.claims.aud, subject.entry["transfer"], entry.entry["event"])
        if about != (*expected, sd_hash(court.bundle.text(RELEASED))):
            raise refuted("other-subject", name=name, others=RELEASED)
        told.append(found("acknowledged", event=found(said.event), moment=entry.time))
    if recorded:
        raise refuted("left-out")
    return joined(told)


def _within(pointer: str, others: Sequence[str] | Iterable[str]) -> bool:
    return any(pointer == other or pointer.startswith(f"{other}/") for other in others)

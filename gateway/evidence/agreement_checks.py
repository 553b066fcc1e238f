"""Checks 7 and 8: what was in force: the published message type, and the agreement with its signatures and its rule."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.evidence.court import AGREEMENT, SCHEMA, SIGNATURES, Court, Proven
from gateway.evidence.findings import Refuted, found, of, refuted, unchecked
from gateway.jose import parse_jws, strict_json, verify_jws
from gateway.review.words import Words

_AGREEMENT_TYP: Final = "agreement+jwt"


def typed(court: Court) -> Words:
    """7: the message type was published, and is the one that is enclosed."""
    until = court.subject().time
    type_ = court.subject().entry.get("type") if court.erased() else court.message().claims.type
    published = sorted(
        (one for one in court.of("schema.published") if one.entry["type"] == type_ and one.time <= until),
        key=lambda one: one.index,
    )
    if not published and SCHEMA not in court.bundle.files:
        raise unchecked("unknown-type")
    digest = hashlib.sha256(court.bundle.read(SCHEMA)).hexdigest()
    if not published or published[-1].entry["digest"] != digest:
        raise refuted("other-schema", name=SCHEMA)
    return found("typed", type=type_, digest=digest[:16])


def agreed(court: Court) -> Words:
    """8: the agreement was signed by all its parties and in force, and has the rule."""
    subject = court.subject()
    if "agreement_version" not in subject.entry:
        raise unchecked("no-agreement")
    data = court.bundle.read(AGREEMENT)
    document = strict_json(data, AGREEMENT)
    digest = hashlib.sha256(data).hexdigest()
    said = (document["id"], document["version"])
    if said != (subject.entry["agreement"], subject.entry["agreement_version"]):
        raise refuted("other-version", name=AGREEMENT)
    activated = [
        one for one in court.of("agreement.activated")
        if (one.entry["agreement"], one.entry["version"], one.entry["digest"]) == (*said, digest)
    ]  # fmt: skip
    if not activated or activated[0].time > subject.time:
        raise refuted("not-in-force", name=AGREEMENT)
    signers = {
        _signer(court, name, said, digest, activated[0].time) for name in court.bundle.below(SIGNATURES)
    }  # fmt: skip
    if missing := sorted(document["parties"].keys() - signers):
        raise refuted("not-signed", names=", ".join(missing), name=AGREEMENT)
    rule = _ruled(document, subject)
    return found("agreed", agreement=said[0], version=said[1], names=", ".join(sorted(signers)), rule=rule)


def _signer(court: Court, name: str, said: tuple[str, int], digest: str, at: datetime) -> str:
    try:
        jws = parse_jws(court.bundle.text(name), _AGREEMENT_TYP, 1)
        agency = str(jws.payload["iss"])
        claims = verify_jws(jws, court.key(jws.kid)).payload
        court.held(agency, jws.kid, at)
    except GatewayError as error:
        raise Refuted(of(error, name)) from error
    if (claims["agreement"], claims["version"], claims["digest"]) != (*said, digest):
        raise refuted("other-document", name=name)
    return agency


def _ruled(document: Mapping[str, Any], subject: Proven) -> Words:
    named = subject.entry.get("rule")
    if named is None:
        return found("no-rule")
    rules = [rule for rule in document["rules"] if rule["id"] == named]
    if not rules or rules[0]["clause"] != subject.entry["clause"]:
        raise refuted("other-rule", name=AGREEMENT, rule=named)
    return found("rule", clause=rules[0]["clause"], rule=named)

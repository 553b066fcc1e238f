"""Checks 3 to 6: the message, whose key signed it, what the ledger and the receipt say of it."""

import hmac

from gateway.evidence.court import MESSAGE, RECEIPT, RELEASED, Court
from gateway.evidence.findings import found, refuted, unchecked
from gateway.jose import b64encode
from gateway.ledger.entry import commitment
from gateway.ledger.merkle import leaf_hash
from gateway.message.envelope import parse, sd_hash, verify
from gateway.review.words import Words


def signed(court: Court) -> Words:
    """3: the message is signed by its sender, and nothing in it is hidden."""
    if gone := court.erased():
        raise unchecked("erased", **gone)
    name = RELEASED if court.as_released else MESSAGE
    parsed = parse(court.bundle.read(name))
    court.sent = message = verify(parsed, court.key(parsed.jws.kid), complete=name == MESSAGE)
    claims = message.claims
    rest = "" if name == MESSAGE else found("as-released")
    return found("signed", type=claims.type, sender=claims.iss, recipient=claims.aud, key=message.kid, rest=rest)


def keyed(court: Court) -> Words:
    """4: the sender's key was the sender's, and valid, when the gateway received the message."""
    subject = court.subject()
    if court.erased():
        return court.held(str(subject.entry["sender"]), str(subject.entry["key"]), subject.time)
    message = court.message()
    return court.held(message.claims.iss, message.kid, subject.time)


def committed(court: Court) -> Words:
    """5: the ledger's entry is about this very message."""
    message, subject = court.message(), court.subject()
    claims, entry = message.claims, subject.entry
    opening = court.release() if court.as_released else court.receipt()
    key = bytes.fromhex(opening.commitment_key)
    if not hmac.compare_digest(commitment(key, message.jwt), str(entry["commitment"])):
        raise refuted("other-message", file=subject.file, name=MESSAGE)
    stated = {
        "recipient": claims.aud,
        "type": claims.type,
        "purpose": claims.purpose,
        "agreement": claims.agreement,
    }
    said = {"sender": claims.iss, "key": message.kid}
    said |= {name: value for name, value in stated.items() if name in entry}
    for name, value in said.items():
        if entry.get(name) != value:
            raise refuted("other-claim", file=subject.file, name=name)
    return found("committed", index=subject.index, origin=subject.origin, moment=subject.time, kind=entry["kind"])


def receipted(court: Court) -> Words:
    """6: the gateway's receipt says the same."""
    message, subject = court.message(), court.subject()
    if court.as_released and RECEIPT not in court.bundle.files:
        raise unchecked("no-receipt")
    receipt = court.receipt()
    expected = (
        subject.entry["transfer"], str(subject.entry["kind"]).removeprefix("transfer."), message.claims.iss,
        subject.origin, subject.index, b64encode(leaf_hash(subject.leaf)),
    )  # fmt: skip
    actual = (receipt.transfer, receipt.event, receipt.aud, receipt.origin, receipt.index, receipt.leaf_hash)
    if actual != expected or receipt.sd_hash != sd_hash(court.bundle.text(MESSAGE)):
        raise refuted("other-subject", name=RECEIPT, others=f"{MESSAGE}, {subject.file}")
    return found("receipted", issuer=receipt.iss, event=receipt.event)

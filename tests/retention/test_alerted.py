"""Attacks on who has heard of a lost key: rows that say that somebody was told, so that nobody is."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert
from sqlmodel import select

from gateway.errors import KeyAwayError
from gateway.jose import parse_jws
from gateway.key_management.renewal import RenewAlerts
from gateway.keyring import KeyringSigner, signer_for
from gateway.ledger.entry import AlertIssued
from gateway.statements.alert import ALERT_TYP, Alert, sign_alert
from gateway.store.identity import new_transfer_id
from gateway.store.jobs.alerts import AlertAbout, LostKey
from gateway.store.jobs.deliveries import StopDoubtful
from gateway.store.tables import AlertRow, micros
from tests.functional.flow import IMIGRASI, POLDA, Flow, Secrets
from tests.retention.test_owed import own_key
from tests.retention.test_rows import faults


def lies(flow: Flow, shared: Secrets, said: Alert) -> Mapping[str, str]:
    """What may lie in the row of an alert without the gateway having told anybody; `said` is what it would say."""
    stranger = signer_for(Ed25519PrivateKey.generate())
    head, _, signature = sign_alert(replace(said, transfers=(new_transfer_id(flow.clock()),)), shared.sign).split(".")
    return {
        "no alert at all": "x",
        "by a stranger": sign_alert(said, stranger),
        "by us, altered": ".".join((head, sign_alert(said, shared.sign).split(".")[1], signature)),
        "by us, about another key": sign_alert(replace(said, kid=flow.keys[POLDA].kid), shared.sign),
        "by us, about another agency's": sign_alert(replace(said, agency=POLDA), shared.sign),
        "by us, to somebody else": sign_alert(replace(said, aud=IMIGRASI), shared.sign),
    }


def told(flow: Flow, lost: LostKey, transfers: list[str]) -> set[str]:
    """Whom alerts of this moment name."""
    before = set(alerts(flow))
    flow.recorder.submit(AlertAbout("test", transfers, lost, flow.clock())).result(10)
    fresh = [text for id_, text in alerts(flow).items() if id_ not in before]
    return {one for text in fresh for one in parse_jws(text, ALERT_TYP, 2).payload["transfers"]}


def alerts(flow: Flow) -> dict[str, str]:
    with flow.database.reading() as session:
        return dict(session.exec(select(AlertRow.id, AlertRow.jws)).all())


def test_nobody_is_kept_from_an_alert_by_a_row_that_says_he_was_told(flow: Flow, shared: Secrets) -> None:
    """What is unsigned, or another's, or the gateway's own about something else, is no alert about this; and it stops nothing."""
    kid = flow.keys[IMIGRASI].kid
    lost = LostKey(
        "gw-test",
        IMIGRASI,
        kid,
        flow.clock(),
        lambda alert: sign_alert(alert, shared.sign),
        {shared.sign.kid: shared.sign.public},
    )
    now = flow.clock()
    said = Alert("gw-test", POLDA, 0, "", "key-compromised", IMIGRASI, kid, int(now.timestamp()), ())
    said = replace(said, iat=int(now.timestamp()), jti=new_transfer_id(now))
    sent: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for name in lies(flow, shared, replace(said, transfers=(new_transfer_id(now),))):
        sent[name], id_ = flow.accepted("plain").transfer, new_transfer_id(flow.clock())
        text = lies(flow, shared, replace(said, jti=id_, transfers=(sent[name],)))[name]
        row = {"id": id_, "ledger": "test", "recipient": POLDA, "kid": kid, "jws": text, "acknowledgement": "a.b.c"}
        rows.append(row | {"received_at": micros(now), "expires_at": micros(now)})
    with flow.database.write.begin() as connection:
        connection.execute(insert(AlertRow), rows)
    named = told(flow, lost, list(sent.values()))
    assert {name for name, transfer in sent.items() if transfer not in named} == set()
    assert told(flow, lost, list(sent.values())) == set()
    issued = [entry for entry in flow.entries("test") if entry["kind"] == AlertIssued.kind]
    assert len(issued) == 1


class Silent:
    """A signing key that lies elsewhere and answers so many times more."""

    def __init__(self, signer: KeyringSigner) -> None:
        self.signer, self.answers = signer, 0

    def __call__(self, alert: Alert) -> str:
        self.answers -= 1
        if self.answers < 0:
            raise KeyAwayError("no answer")
        return sign_alert(alert, self.signer)


@pytest.mark.parametrize("job", [AlertAbout, StopDoubtful])
def test_a_key_that_falls_silent_between_two_alerts_leaves_neither(
    flow: Flow, shared: Secrets, job: type[AlertAbout]
) -> None:
    """What was changed until then is in no commit, and no audit finds the half of it: the run is repeated."""
    own_key(flow, shared.sign, "sign")
    sent, now, sign = [flow.accepted(name).transfer for name in ("plain", "paper")], flow.clock(), Silent(shared.sign)
    lost = LostKey("gw-test", IMIGRASI, flow.keys[IMIGRASI].kid, now, sign, {})
    sign.answers = 1
    with pytest.raises(KeyAwayError):
        flow.recorder.submit(job("test", sent, lost, now)).result(10)
    assert (alerts(flow), faults(flow, shared)) == ({}, {})
    sign.answers = 2
    flow.recorder.submit(job("test", sent, lost, now)).result(10)
    assert (len(alerts(flow)), faults(flow, shared)) == (2, {})


def test_a_key_that_falls_silent_signs_no_alert_anew(flow: Flow, shared: Secrets) -> None:
    """The first of two had its signature already, and its entry was taken back: so is that, and both are as they were."""
    own_key(flow, shared.sign, "sign")
    sign, now = Silent(shared.sign), flow.clock()
    lost = LostKey("gw-test", IMIGRASI, flow.keys[IMIGRASI].kid, now, sign, {})
    sign.answers = 3
    for _ in range(2):
        flow.recorder.submit(AlertAbout("test", [flow.accepted("plain").transfer], lost, now)).result(10)
    told = alerts(flow)
    issued = {entry["alert"]: entry for entry in flow.entries("test") if entry["kind"] == AlertIssued.kind}
    later = now + timedelta(seconds=5)
    again = RenewAlerts("test", [*issued], issued, shared.sign.public, "gw-test", sign, later)
    with pytest.raises(KeyAwayError):
        flow.recorder.submit(again).result(10)
    assert (alerts(flow), faults(flow, shared)) == (told, {})

"""Clause 1: what the police hear of a passport application depends on the case, and so does how often they may ask."""

from typing import Any

from gateway.demo import story
from gateway.demo.province import IMIGRASI, NAMES, POLDA
from gateway.demo.stage import Stage
from gateway.demo.story import passports, wanted

_FREELY = 3  # queries about one person in 30 days, as the agreement says


def fishing(stage: Stage) -> None:
    """An applicant is named only where there is a case; and nobody is asked about for ever without one that names them."""
    _anomaly(stage)
    for _ in range(_FREELY):
        asked = _ask(stage)
        stage.expect("a query is accepted", asked.decision, "accepted")
    again = _ask(stage)
    stage.expect_refusal(again, POLDA, "rule.repeated-subject", "1")
    body = wanted.notice(passports.HANDLER, passports.report())
    notice = stage.polda.send(
        to=IMIGRASI,
        type=wanted.NOTICE,
        body=body,
        disclosable=wanted.DISCLOSABLE[wanted.NOTICE],
        purpose="INVESTIGATION",
        classification="R",
        case=passports.report(),
    )
    stage.wanted = stage.expect_accepted(
        "the police put him on the list of wanted persons", notice, POLDA, "2"
    ).transfer
    stage.expect("now the case names him, and the same query is accepted", _ask(stage).decision, "accepted")


def _anomaly(stage: Stage) -> None:
    body = passports.anomaly()
    members: dict[str, Any] = {
        "to": POLDA,
        "type": passports.ANOMALY,
        "body": body,
        "disclosable": passports.DISCLOSABLE,
        "purpose": "PREVENTION",
        "classification": "R",
    }
    bare = stage.imigrasi.send(**members)
    receipt = stage.expect_accepted("an odd application, without a case", bare, IMIGRASI, "1")
    arrived = stage.arrival(stage.polda, receipt.transfer)
    stage.screen.side_by_side(body, arrived.body, (f"sent by {NAMES[IMIGRASI]}", f"received by {NAMES[POLDA]}"))
    stage.expect(
        "an age band and a district arrive; applicant and sponsor do not",
        (sorted(arrived.withheld), arrived.body["applicant_age_band"]),
        (sorted(passports.DISCLOSABLE), body["applicant_age_band"]),
    )
    stage.expect_nothing_of(passports.SECRETS, arrived.text)
    named = stage.imigrasi.send(**members, case=passports.information())
    receipt = stage.expect_accepted("the same under an intelligence report (LI)", named, IMIGRASI, "1")
    told = stage.arrival(stage.polda, receipt.transfer)
    stage.expect("now the applicant is named", told.body.get("applicant"), body["applicant"])


def _ask(stage: Stage) -> Any:
    return stage.polda.send(
        to=IMIGRASI,
        type=story.QUERY,
        body=passports.query(),
        disclosable=story.DISCLOSABLE[story.QUERY],
        purpose="INVESTIGATION",
        classification="R",
        case=passports.report(),
    )

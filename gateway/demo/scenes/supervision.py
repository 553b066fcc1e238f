"""Clause 3: immigration's investigators report to their coordinator at the police, and get help under that report only."""

from typing import Any

from gateway.demo.province import IMIGRASI, NAMES, POLDA
from gateway.demo.stage import Stage
from gateway.demo.story import investigation


def supervision(stage: Stage) -> None:
    """A notice that comes late is taken and flagged; without one there is no assistance."""
    case = investigation.warrant()
    common: dict[str, Any] = {"to": POLDA, "classification": "R", "case": case}
    request = common | {
        "type": investigation.REQUEST,
        "body": investigation.request(),
        "disclosable": investigation.DISCLOSABLE[investigation.REQUEST],
        "purpose": "INVESTIGATION",
    }
    stage.expect_refusal(stage.imigrasi.send(**request), IMIGRASI, "rule.condition", "3")

    notice = stage.imigrasi.send(
        **common,
        type=investigation.SPDP,
        body=investigation.spdp(),
        disclosable=investigation.DISCLOSABLE[investigation.SPDP],
        purpose="SUPERVISION",
    )
    receipt = stage.expect_accepted("the notice that an investigation has begun (SPDP)", notice, IMIGRASI, "3")
    flags = [flag["code"] for flag in stage.entry(receipt).get("flags", ())]
    stage.expect("nine days after the warrant is late: the ledger says so", flags, ["rule.condition"])
    arrived = stage.arrival(stage.polda, receipt.transfer)
    stage.expect(
        "the investigators' names arrive; their civil-service numbers, which tell birth dates, do not",
        [member.get("nip") for member in arrived.body["investigators"]],
        [None, None],
    )
    stage.expect_nothing_of(investigation.SECRETS, arrived.text)

    asked = stage.imigrasi.send(**request, in_reply_to=receipt.transfer)
    receipt = stage.expect_accepted("the same request, which now refers to the notice", asked, IMIGRASI, "3")
    answer = stage.answer(stage.imigrasi, receipt.transfer)
    stage.expect(
        f"{NAMES[POLDA]} answered as coordinator (Korwas): {answer.body['decision']}",
        (answer.type, answer.body["decision"]),
        (investigation.DECISION, "APPROVED"),
    )

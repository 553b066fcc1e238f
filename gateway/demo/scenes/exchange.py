"""What the gateway is for: a warning crosses, a query is judged, a place is judged."""

from gateway.demo import story
from gateway.demo.province import IMIGRASI, NAMES, POLDA
from gateway.demo.stage import DifferenceError, Stage
from gateway.statements.receipt import parse_acknowledgement, verify_acknowledgement


def early_warning(stage: Stage) -> None:
    """Sent, judged, stripped of the reporter, pushed, signed for, triaged, answered."""
    body = story.warning()
    sent = stage.imigrasi.send(
        to=POLDA,
        type=story.WARNING,
        body=body,
        disclosable=story.DISCLOSABLE[story.WARNING],
        purpose="EARLY_WARNING",
        classification="T",
    )
    receipt = stage.receipt(sent, IMIGRASI)
    arrived = stage.arrival(stage.polda, receipt.transfer)
    stage.warning = sent
    stage.screen.side_by_side(body, arrived.body, (f"sent by {NAMES[IMIGRASI]}", f"received by {NAMES[POLDA]}"))
    stage.expect(f"accepted under clause {receipt.clause}: rule {receipt.rule}", sent.decision, "accepted")
    stage.expect(
        f"{NAMES[IMIGRASI]} holds a receipt signed by the gateway, with a proof of entry {receipt.index} of the ledger",
        receipt.event,
        "accepted",
    )
    stage.expect(
        "withheld: reporter (pelapor), recruiter and narrative; the sender's signature still verifies",
        sorted(arrived.withheld),
        sorted(story.DISCLOSABLE[story.WARNING]),
    )
    stage.expect_nothing_of(story.SECRETS, arrived.text)

    triage = stage.answer(stage.imigrasi, receipt.transfer)
    stage.expect(
        f"{NAMES[POLDA]} answered by itself: {triage.body['triage']}, {triage.body.get('assigned_unit')}",
        (triage.sender, triage.type, triage.body["triage"]),
        (POLDA, story.TRIAGE, "ACCEPTED"),
    )
    _expect_receipts(stage, receipt.transfer)


def _expect_receipts(stage: Stage, transfer: str) -> None:
    """The sender follows its transfer, and believes the recipient's signature only."""
    wanted = {"accepted", "delivered", "processed"}

    def all_there() -> list[dict[str, str]] | None:
        receipts: list[dict[str, str]] = stage.imigrasi.follow(transfer)["receipts"]
        return receipts if {held["event"] for held in receipts} == wanted else None

    receipts = stage.until(f"receipts of {transfer}", all_there)
    key = stage.province.agency_keys[POLDA]
    signed = {
        verify_acknowledgement(parse_acknowledgement(held["receipt"]), key).event
        for held in receipts
        if held["event"] != "accepted"
    }
    stage.expect(
        f"{NAMES[POLDA]} signed for it: delivered (diterima) and processed (ditindaklanjuti)",
        signed,
        {"delivered", "processed"},
    )


def border_crossing(stage: Stage) -> None:
    """No case, no answer; with a case, the answer comes."""
    question = {
        "to": IMIGRASI,
        "type": story.QUERY,
        "body": story.query(),
        "disclosable": story.DISCLOSABLE[story.QUERY],
        "purpose": "INVESTIGATION",
        "classification": "R",
    }
    refused = stage.polda.send(**question)
    stage.expect_refusal(refused, POLDA, "rule.case-required", "1")
    stage.expect(
        f"{NAMES[IMIGRASI]} never saw the query",
        [item for item in stage.imigrasi.received() if item.transfer == refused.transfer],
        [],
    )

    case = story.case()
    asked = stage.polda.send(**question, case=case)
    receipt = stage.receipt(asked, POLDA)
    stage.expect(f"accepted with the case {case['number']}", (asked.decision, receipt.clause), ("accepted", "1"))
    answer = stage.answer(stage.polda, receipt.transfer)
    crossings = answer.body.get("crossings", [])
    stage.screen.table(
        ("direction", "at", "TPI", "carrier", "voyage"),
        [
            [str(one.get(name, "")) for name in ("direction", "at", "checkpoint", "carrier", "voyage")]
            for one in crossings
        ],
    )
    stage.expect(
        f"{NAMES[IMIGRASI]} answered: {answer.body['match_status']}, {len(crossings)} crossings",
        (answer.sender, answer.type, answer.body["match_status"], len(crossings)),
        (IMIGRASI, story.RESPONSE, "MATCHED", 2),
    )


def out_of_jurisdiction(stage: Stage) -> None:
    """A warning about a village of another police is refused, and says which field was the reason."""
    sent = stage.imigrasi.send(
        to=POLDA,
        type=story.WARNING,
        body=story.warning(story.TELUKNAGA),
        disclosable=story.DISCLOSABLE[story.WARNING],
        purpose="EARLY_WARNING",
        classification="T",
    )
    stage.expect_refusal(sent, IMIGRASI, "rule.out-of-jurisdiction", "1")
    stage.expect("the reason points at the village", [one.pointer for one in sent.reasons], ["/body/region_code"])


def the_warning(stage: Stage) -> tuple[str, str]:
    """Transfer id and text of the first scene's message. Raises DifferenceError when that scene did not get so far."""
    if stage.warning is None or stage.warning.transfer is None:
        raise DifferenceError("the early warning of scene 1: it was never accepted")
    return stage.warning.transfer, stage.warning.message

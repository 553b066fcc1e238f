"""Clause 4: rooms and courses are shared, and no case slips in with them."""

from typing import Any

from gateway.demo import story
from gateway.demo.province import IMIGRASI, NAMES, POLDA
from gateway.demo.stage import Stage
from gateway.demo.story import capacity


def capacity_building(stage: Stage) -> None:
    """A classroom is asked for and lent; a course is announced, and two colleagues are enrolled."""
    room: dict[str, Any] = {
        "to": POLDA,
        "type": capacity.FACILITY_REQUEST,
        "body": capacity.facility_request(),
        "disclosable": capacity.DISCLOSABLE[capacity.FACILITY_REQUEST][:1],
        "purpose": "CAPACITY_BUILDING",
        "classification": "B",
    }
    stage.expect_refusal(stage.imigrasi.send(**room, case=story.case()), IMIGRASI, "rule.condition", "4")
    receipt = stage.expect_accepted("the same request without a case", stage.imigrasi.send(**room), IMIGRASI, "4")
    answer = stage.answer(stage.imigrasi, receipt.transfer)
    stage.expect(
        f"{NAMES[POLDA]} lends {answer.body['facility_id']}: {answer.body['decision']}",
        (answer.type, answer.body["decision"]),
        (capacity.FACILITY_RESPONSE, "APPROVED"),
    )

    course = stage.polda.send(
        to=IMIGRASI,
        type=capacity.ANNOUNCEMENT,
        body=capacity.announcement(),
        disclosable=capacity.DISCLOSABLE[capacity.ANNOUNCEMENT][1:],
        purpose="CAPACITY_BUILDING",
        classification="B",
    )
    announced = stage.expect_accepted("a course for investigators is announced", course, POLDA, "4").transfer
    enrolled = stage.imigrasi.send(
        to=POLDA,
        type=capacity.ENROLMENT,
        body=capacity.enrolment(),
        disclosable=("/body/nominees", "/body/nominees/0/nip", "/body/contact_officer/nip"),
        purpose="CAPACITY_BUILDING",
        classification="B",
        in_reply_to=announced,
    )
    receipt = stage.expect_accepted("two colleagues are enrolled", enrolled, IMIGRASI, "4")
    arrived = stage.arrival(stage.polda, receipt.transfer)
    stage.expect(
        "their names arrive, and no civil-service number",
        [(member["name"], "nip" in member) for member in arrived.body["nominees"]],
        [("Bayu Rekaan", False), ("Tuti Rekaan", False)],
    )
    stage.expect_nothing_of(capacity.SECRETS, arrived.text)

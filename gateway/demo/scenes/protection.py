"""Clause 2: a wanted man is found until the notice ends, and a victim's name crosses only when everything has come together."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.demo.officers import BUDI, SARI
from gateway.demo.province import IMIGRASI, NAMES, POLDA
from gateway.demo.stage import DifferenceError, Stage
from gateway.demo.story import passports, victim, wanted


def victim_referral(stage: Stage) -> None:
    """Referred under a token; named once the unit has taken note of the secrecy and two officers have approved."""
    body = victim.referral()
    words: dict[str, Any] = {
        "to": POLDA,
        "type": victim.REFERRAL,
        "body": body,
        "disclosable": victim.DISCLOSABLE,
        "purpose": "VICTIM_PROTECTION",
        "classification": "R",
    }
    first = stage.imigrasi.send(**words)
    receipt = stage.expect_accepted("referred without an approval", first, IMIGRASI, "2")
    arrived = stage.arrival(stage.polda, receipt.transfer)
    stage.expect(
        "the unit learns a token, the needs and the risk; identity, shelter and health stay behind",
        (sorted(arrived.withheld), arrived.body["victim_token"]),
        (sorted(victim.CONFIDENTIAL), body["victim_token"]),
    )
    stage.expect_nothing_of(victim.SECRETS, arrived.text)

    noted = stage.polda.send(
        to=IMIGRASI,
        type=victim.NOTED,
        body=victim.noted(body),
        purpose="VICTIM_PROTECTION",
        classification="R",
        officer=victim.PPA_OFFICER,
        in_reply_to=receipt.transfer,
    )
    note = stage.expect_accepted("an officer of the unit takes note of the secrecy", noted, POLDA, "2").transfer

    first_draft, draft = (stage.imigrasi.draft(**words, in_reply_to=note) for _ in range(2))
    early, sari, budi = _approvals(stage, (SARI, first_draft), (SARI, draft), (BUDI, draft))
    one = stage.imigrasi.send_draft(first_draft, [early])
    receipt = stage.expect_accepted("sent with one approval", one, IMIGRASI, "2")
    alone = stage.arrival(stage.polda, receipt.transfer)
    stage.expect("one officer alone releases nothing", sorted(alone.withheld), sorted(victim.CONFIDENTIAL))

    both = stage.imigrasi.send_draft(draft, [sari, budi])
    receipt = stage.expect_accepted("sent with the approvals of two", both, IMIGRASI, "2")
    told = stage.arrival(stage.polda, receipt.transfer)
    stage.screen.side_by_side(body, told.body, (f"approved at {NAMES[IMIGRASI]}", f"received by {NAMES[POLDA]}"))
    words_told = {name: value for name, value in told.body.items() if name != "approvals"}
    stage.expect("everything arrives, and the sender's signature verifies", (told.withheld, words_told), ((), body))
    entry = stage.entry(receipt)
    officers = sorted(stage.province.officers[name].kid for name in (SARI, BUDI))
    stage.expect(
        "the ledger names both keys that approved, and the note that was taken",
        (sorted(entry["approvals"]), entry["notice"]),
        (officers, note),
    )


def _approvals(stage: Stage, *asked: tuple[str, str]) -> list[str]:
    """For each officer and draft: made by a command of its own, with a key that no backend has."""
    with TemporaryDirectory(dir=stage.folder / IMIGRASI) as held, ThreadPoolExecutor() as pool:

        def approve(number: int, officer: str, draft: str) -> str:
            file = Path(held) / f"{number}.draft"
            file.write_text(draft)
            code, approval = stage.province.officers[officer].approve(stage.processes, file, victim.CONFIDENTIAL)
            if code:
                raise DifferenceError(f"an approval by {officer}: sinergi approve ended with {code}")
            return approval

        officers, drafts = zip(*asked, strict=True)
        return list(pool.map(approve, range(len(asked)), officers, drafts))


def wanted_person(stage: Stage) -> None:
    """A hit refers to a notice that stands; after the cancellation there is none."""
    notice = wanted.notice(passports.HANDLER, passports.report())
    found = _hit(stage, notice)
    stage.expect_accepted("at Merak an officer has found him, and looked twice", found, IMIGRASI, "2")
    ended = stage.polda.send(
        to=IMIGRASI,
        type=wanted.CANCELLATION,
        body=wanted.cancellation(notice),
        disclosable=wanted.DISCLOSABLE[wanted.CANCELLATION],
        purpose="INVESTIGATION",
        classification="R",
        case=passports.report(),
        in_reply_to=stage.wanted,
    )
    stage.expect_accepted("he is arrested, and the police end the notice", ended, POLDA, "2")
    stage.expect_refusal(_hit(stage, notice), IMIGRASI, "rule.condition", "2")


def _hit(stage: Stage, notice: dict[str, Any]) -> Any:
    return stage.imigrasi.send(
        to=POLDA,
        type=wanted.HIT,
        body=wanted.hit(notice),
        disclosable=wanted.DISCLOSABLE[wanted.HIT],
        purpose="BORDER_CONTROL",
        classification="R",
        in_reply_to=stage.wanted,
    )

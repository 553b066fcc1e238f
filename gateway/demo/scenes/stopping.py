"""What a stop may cost: nothing. Every message that was sent is accepted once, handled once and answered once."""

from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from gateway.demo import story
from gateway.demo.desk import Desk, Outcome
from gateway.demo.province import AGREEMENT, IMIGRASI, NAMES, POLDA, start_gateway
from gateway.demo.stage import Stage
from gateway.ledger.source import HttpSource
from gateway.ledger.verify import audit

_WARNINGS: Final = 24
_AT_ONCE: Final = 6
_BEFORE_THE_STOP: Final = 4


def graceful_stop(stage: Stage) -> None:
    """SIGTERM during a burst, then a start; the agencies' programs notice nothing but a delay."""
    ledger = stage.province.ledgers[AGREEMENT]
    trusted = stage.checkpoint(ledger).checkpoint
    villages = list(story.VILLAGES)
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        sending = [pool.submit(_warn, stage, villages[at % len(villages)]) for at in range(_WARNINGS)]
        before = _wait_for_some(sending)
        code = stage.processes.stop("gateway")
        answered = sum(one.done() for one in sending)
        start_gateway(stage.processes, stage.province)
        stage.processes.wait_ready("gateway", f"{stage.province.base}/readyz")
        outcomes = [one.result() for one in sending]
    finally:
        # After a failure nobody waits for what is still being repeated: the agencies' programs are stopped next.
        pool.shutdown(wait=False, cancel_futures=True)
    stage.screen.note(
        f"stopped after {before} of {_WARNINGS} answers, {answered} were given by the end of the stop, the rest after it"
    )
    stage.expect("told to stop, the gateway ended by itself with exit code 0", code, 0)
    receipts = {stage.receipt(outcome, IMIGRASI).transfer for outcome in outcomes}
    stage.expect(
        f"all {_WARNINGS} warnings are accepted and signed for: what had no answer yet was sent again",
        (len(receipts), {outcome.decision for outcome in outcomes}),
        (_WARNINGS, {"accepted"}),
    )
    handled = _settled(stage, stage.polda, receipts, answers=False)
    stage.expect(f"{NAMES[POLDA]} handled each of them, and none twice", set(handled.values()), {1})
    answers = _settled(stage, stage.imigrasi, receipts, answers=True)
    stage.expect(f"{NAMES[IMIGRASI]} has one answer to each", set(answers.values()), {1})
    report = audit(HttpSource(stage.http, ledger.url), ledger.origin, [ledger.verifier], trusted=trusted)
    failed = [check.title for check in report.checks if not check.ok]
    stage.expect("the ledger verifies, and extends the checkpoint from before the stop", failed, [])


def _warn(stage: Stage, village: str) -> Outcome:
    return stage.imigrasi.send(
        to=POLDA,
        type=story.WARNING,
        body=story.warning(village, severity=2),
        disclosable=story.DISCLOSABLE[story.WARNING],
        purpose="EARLY_WARNING",
        classification="T",
    )


def _wait_for_some(sending: list[Future[Outcome]]) -> int:
    """Until the burst is well under way."""
    pending = set(sending)
    while len(sending) - len(pending) < _BEFORE_THE_STOP:
        _, pending = wait(pending, return_when=FIRST_COMPLETED)
    return len(sending) - len(pending)


def _settled(stage: Stage, desk: Desk, transfers: set[str], *, answers: bool) -> Counter[str]:
    """How often each transfer arrived, or was answered, once all were."""

    def look() -> Counter[str] | None:
        abouts = [item.in_reply_to if answers else item.transfer for item in desk.received()]
        found = Counter(about for about in abouts if about is not None and about in transfers)
        return found if found.keys() == transfers else None

    return stage.until(f"{len(transfers)} {'answers' if answers else 'messages'} arrive", look)

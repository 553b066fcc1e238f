"""Many messages in one request, over real HTTP: each is judged alone, and answered as if it had come alone."""

import asyncio
import itertools
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from gateway.api import batches, messages
from gateway.api.context import Context
from gateway.errors import MalformedError, StoreUnavailableError
from gateway.message import batch
from tests.province import Province


def post(province: Province, *lines: str | bytes, media_type: str = batch.MEDIA_TYPE) -> httpx.Response:
    raw = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    return httpx.post(
        f"{province.base}/v1/messages:batch", content=raw, headers={"content-type": media_type}, timeout=60
    )


def results(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def test_every_line_has_the_answer_that_it_would_have_had_alone(province: Province) -> None:
    """Good, refused, malformed, empty, forged, too large and ended by CRLF in one batch: one answer each, in their order."""
    sender = province.imigrasi
    good, other, refused = sender.message(), sender.message(), sender.query(case=None)
    forged = sender.message(signer=province.polda.signer)
    answers = results(
        post(province, good, refused, "no message", "", f"{other}\r", forged, b"\xff~", "a" * 1_100_000, other)
    )
    assert [answer["status"] for answer in answers] == [202, 403, 400, 400, 400, 401, 400, 413, 202]
    assert [answer.get("code") for answer in answers[1:-1]] == [
        "rule.none",
        *["envelope.malformed"] * 3,
        "key.unknown",
        "envelope.malformed",
        "envelope.too-large",
    ]
    recorded = [answer for answer in answers if "receipt" in answer]
    assert [answer["decision"] for answer in recorded] == ["accepted", "refused", "accepted"]
    # Signed for and proved as alone; and what came alone is answered from the same record.
    for text, answer in ((good, answers[0]), (other, answers[-1])):
        alone = sender.post(text)
        assert alone.status_code == 200
        assert alone.json()["receipt"] == answer["receipt"]
        assert alone.json().keys() == answer.keys() - {"status"}


def test_a_retried_batch_gets_its_first_receipts(province: Province) -> None:
    """The same bytes again, in another order too: 200 and the receipts of the first time; nothing is recorded twice."""
    lines = [province.imigrasi.message() for _ in range(5)]
    first = {line: answer["receipt"] for line, answer in zip(lines, results(post(province, *lines)), strict=True)}
    again = lines[::-1]
    answers = results(post(province, *again))
    assert [answer["status"] for answer in answers] == [200] * 5
    assert {line: answer["receipt"] for line, answer in zip(again, answers, strict=True)} == first


def test_a_line_that_stands_twice_is_one_message(province: Province) -> None:
    """Twins in one batch share a receipt; a `jti` used for other bytes is a replay, in the same batch as well."""
    sender = province.imigrasi
    line = sender.message(jti="batch-twins-1")
    thief = sender.message(jti="batch-twins-1", correlation_id="other-bytes")
    first, second, third, replay = results(post(province, line, line, line, thief))
    assert sorted(answer["status"] for answer in (first, second, third)) == [200, 200, 202]
    assert first["receipt"] == second["receipt"] == third["receipt"]
    assert (replay["status"], replay["code"], replay["decision"]) == (409, "envelope.replayed", "refused")


def test_a_batch_is_delivered_message_by_message(new_province: Any) -> None:
    """What was accepted of a batch reaches the inbox, all of it, once, in the order of its lines."""
    province = new_province().start()
    lines = [province.imigrasi.message() for _ in range(40)]
    answers = results(post(province, *lines))
    assert {answer["status"] for answer in answers} == {202}
    assert sorted(answer["ledger"]["index"] for answer in answers) == [answer["ledger"]["index"] for answer in answers]
    assert {item["transfer"] for item in province.polda.inbox(100)} == {answer["transfer"] for answer in answers}


@pytest.mark.parametrize(
    ("lines", "media_type", "status", "code"),
    [
        (["a"] * (batch.MESSAGES_LIMIT + 1), batch.MEDIA_TYPE, 413, "envelope.too-large"),
        (["a" * batch.BYTES_LIMIT], batch.MEDIA_TYPE, 413, "envelope.too-large"),
        ([], batch.MEDIA_TYPE, 400, "request.malformed"),
        (["a"], "application/sd-jwt", 415, "request.media-type"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(
    province: Province, lines: list[str], media_type: str, status: int, code: str
) -> None:
    """Too many lines, too many bytes, no line, another media type: one problem, and no message of it is looked at."""
    response = post(province, *lines, media_type=media_type)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_the_limits_are_published(province: Province) -> None:
    """A sender can learn how much goes into a batch."""
    limits = httpx.get(f"{province.base}/.well-known/sinergi-gateway").json()["limits"]
    assert (limits["batch_messages"], limits["batch_bytes"]) == (batch.MESSAGES_LIMIT, batch.BYTES_LIMIT)


def test_half_of_the_store_failing_costs_the_other_half_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 for the lines whose commit failed, with a Retry-After; 500 for what nobody expected; receipts for the rest."""

    async def take(_here: Context, raw: bytes) -> Any:
        await asyncio.sleep(0)
        match int(raw) % 4:
            case 0:
                raise StoreUnavailableError("the database refused the batch: secret", retry_after=7)
            case 1:
                raise MalformedError("not a message")
            case 2:
                raise RuntimeError("secret")
        return raw

    monkeypatch.setattr(messages, "take", take)
    monkeypatch.setattr(messages, "answer", lambda outcome, _lang: (202, {"receipt": outcome.decode()}))
    here: Any = SimpleNamespace()
    answers, retry_after = asyncio.run(batches._judged(here, [str(number).encode() for number in range(40)], "en"))
    assert [answer["status"] for answer in answers] == [503, 400, 500, 202] * 10
    assert [answer["receipt"] for answer in answers if "receipt" in answer] == [str(n) for n in range(3, 40, 4)]
    assert {answer["code"] for answer in answers if answer["status"] >= 500} == {
        "store.unavailable",
        "gateway.internal",
    }
    assert retry_after == 7
    assert "secret" not in json.dumps(answers)


def test_a_batch_lets_other_requests_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long batch is judged the loop still turns: others wait for a few of its lines, not for all."""
    seen: list[int] = []
    judged = 0

    async def take(_here: Context, raw: bytes) -> Any:
        nonlocal judged
        judged += 1
        return raw

    monkeypatch.setattr(messages, "take", take)
    monkeypatch.setattr(messages, "answer", lambda _outcome, _lang: (202, {}))

    async def both() -> None:
        async def other() -> None:
            while judged < batch.MESSAGES_LIMIT:
                seen.append(judged)
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        here: Any = SimpleNamespace()
        await batches._judged(here, [b"a"] * batch.MESSAGES_LIMIT, "en")
        await task

    asyncio.run(both())
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 32

"""Early warnings over real HTTP: answered in time, answered late, not answered; told to liaisons; counted."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from gateway.cli.main import run
from gateway.keys.directory import parse_endpoint
from gateway.ledger.entry import decode
from gateway.ledger.source import HttpSource
from gateway.ledger.verify import audit
from gateway.operations.agencies import change_agency
from gateway.statements.notice import read_notice
from gateway.statements.request_token import parse_request_token
from gateway.store import queries
from gateway.wiring import open_store
from tests.functional.early_warnings import ANOMALY, answer, body, hasty, overdue_entries, send
from tests.functional.servers import eventually, serving
from tests.province import AGREEMENT, IMIGRASI, POLDA, WARNING, Province, example
from tests.published import gateway_key, ledger_verifier


def test_a_warning_that_nobody_answers_is_escalated_and_both_liaisons_are_told(
    new_province: Callable[..., Province], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Late: one verified ledger entry, a signed notice to each liaison, a figure; the late answer then counts as late."""
    province = new_province()
    hasty(province)
    notices: list[tuple[str, bytes, str]] = []

    def take(path: str, got: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        notices.append((path.strip("/"), got, headers["authorization"]))
        return 204, b""

    with serving(take) as port:
        with open_store(province.settings) as store:
            for agency in (IMIGRASI, POLDA):
                liaison = parse_endpoint(f"http://127.0.0.1:{port}/{agency}", ["127.0.0.1/32"])
                change_agency(store, agency, liaison=liaison, why="T-1", who="tester")
        province.start()
        late = send(province.imigrasi, province.imigrasi.message(body=body()))
        calm = send(province.imigrasi, province.imigrasi.message(body=body(severity=1)))
        (item,) = [item for item in province.polda.inbox() if item["transfer"] == late]
        province.polda.acknowledge(province.polda.acknowledgement(item))  # delivered: a machine's
        eventually(lambda: len(notices) == 2)

    key = gateway_key(province)
    assert sorted(agency for agency, _, _ in notices) == [IMIGRASI, POLDA]
    for agency, got, authorization in notices:
        notice = read_notice(json.loads(got)["notice"], key)
        assert (notice.aud, notice.event, notice.transfer) == (agency, "overdue", late)
        assert (notice.recipient, notice.type, notice.severity) == (POLDA, WARNING, 4)
        claims = parse_request_token(authorization.removeprefix("Bearer ")).claims
        assert (claims.aud, claims.htm) == (agency, "POST")
    (entry,) = overdue_entries(province)
    assert (entry["transfer"], entry["recipient"]) == (late, POLDA)
    origin, verifier = ledger_verifier(province)
    with httpx.Client(base_url=f"{province.base}/ledger/{AGREEMENT}/") as client:
        assert audit(HttpSource(client), origin, [verifier]).ok
    scraped = httpx.get(f"{province.base}/metrics", timeout=10).text
    assert f'sinergi_escalations_total{{type="{WARNING}"}} 1.0' in scraped
    assert "sinergi_deadlines_overdue 1.0" in scraped
    assert late in province.log()

    # A monitor asks: there is something, so the command ends with 1.
    token = tmp_path / "bpk.token"
    token.touch(0o600)
    token.write_text(province.auditor_token)
    command = ["transfers", "overdue", "--gateway", province.base, "--token-file", str(token)]
    assert run([*command, "--json"]) == 1
    assert [found["transfer"] for found in json.loads(capsys.readouterr().out)["items"]] == [late]
    assert run(command) == 1
    assert late in capsys.readouterr().out
    assert run([*command, "--type", ANOMALY]) == 0
    page = province.audit("/v1/transfers", overdue="true").json()
    assert [found["transfer"] for found in page["items"]] == [late]
    assert province.audit("/v1/transfers", overdue="false").status_code == 400

    summary = province.audit("/v1/early-warnings/summary").json()
    assert summary["total"]["by_severity"] == {"1": 1, "4": 1}
    assert (summary["total"]["open_past_deadline"], summary["total"]["without_outcome"]) == (1, 2)
    assert summary["total"]["response_seconds"] is None
    assert answer(
        province.polda, late, triage="ACCEPTED", assigned_unit="RENAKTA_POLDA_BANTEN", next_action="-"
    ).is_success
    assert answer(province.polda, calm).is_success
    total = province.audit("/v1/early-warnings/summary").json()["total"]
    assert (total["acknowledged_late"], total["acknowledged_in_time"], total["open_past_deadline"]) == (1, 1, 0)
    assert total["response_seconds"]["max"] >= 1
    assert run(command) == 0
    assert len(overdue_entries(province)) == 1


def test_a_warning_that_is_answered_in_time_is_escalated_by_nobody(new_province: Callable[..., Province]) -> None:
    """An answer, or a receipt that says processed, before the deadline: no entry, no figure, nothing overdue."""
    province = new_province()
    hasty(province, 6)
    province.start()
    answered = send(province.imigrasi, province.imigrasi.message(body=body()))
    handled = send(province.imigrasi, province.imigrasi.message(body=body()))
    unanswered = send(province.imigrasi, province.imigrasi.message(body=body()))
    assert answer(province.polda, answered).is_success
    items = {item["transfer"]: item for item in province.polda.inbox()}
    province.polda.acknowledge(province.polda.acknowledgement(items[handled], "processed"))
    assert [entry["transfer"] for entry in eventually(lambda: overdue_entries(province))] == [unanswered]
    total = province.audit("/v1/early-warnings/summary").json()["total"]
    assert (total["acknowledged_in_time"], total["open_past_deadline"], total["by_outcome"]) == (2, 1, {"UNFOUNDED": 1})


def test_a_duplicate_names_an_earlier_warning_between_the_two(province: Province) -> None:
    """Nothing else can be called the original: not a made-up id, not another type, not the warning itself."""
    first = send(province.imigrasi, province.imigrasi.message())
    second = send(province.imigrasi, province.imigrasi.message())
    other = send(province.polda, province.polda.query())
    for wrong in (other, second, "019a9c5e-7a10-7cc3-8a2e-0d6f6f1b2c3d"):
        refused = answer(province.polda, second, triage="DUPLICATE", duplicate_of=wrong)
        assert (refused.status_code, refused.json()["code"]) == (403, "rule.condition"), refused.text
    before = province.audit("/v1/early-warnings/summary").json()["total"]
    assert answer(province.polda, second, triage="DUPLICATE", duplicate_of=first).is_success
    after = province.audit("/v1/early-warnings/summary").json()["total"]
    assert after["duplicates"] == before["duplicates"] + 1
    assert after["count"] == before["count"]


def test_figures_are_by_village_and_by_unit_and_only_for_those_whom_they_concern(province: Province) -> None:
    """Agencies see what they sent or received, auditors everything, and their reading is recorded; no text of a message."""
    tamanjaya = example(WARNING, "valid-tamanjaya-umrah")
    unit = "DITPOLAIRUD_BANTEN"
    taken = send(province.imigrasi, province.imigrasi.message(body=tamanjaya))
    assert answer(province.polda, taken, triage="ACCEPTED", assigned_unit=unit, next_action="Patroli.").is_success
    sneaky = send(province.imigrasi, province.imigrasi.message(body=tamanjaya))
    number = "Bripka Rekaan 081200000042"
    refused = answer(province.polda, sneaky, triage="ACCEPTED", assigned_unit=number, next_action="-")
    assert (refused.status_code, refused.json()["code"]) == (422, "schema.violated")

    seen = province.audit("/v1/early-warnings/summary")
    summary = seen.json()
    (village,) = [one for one in summary["villages"] if one["region_code"] == tamanjaya["region_code"]]
    assert village["count"] >= 2
    assert village["response_seconds"]["median"] >= 0
    (figures,) = [one for one in summary["units"] if one["assigned_unit"] == unit]
    assert (figures["count"], figures["by_outcome"]) == (1, {"ACCEPTED": 1})
    assert sum(one["count"] for one in summary["units"]) == summary["total"]["count"]
    assert "0812" not in seen.text  # a person in the place of a unit
    assert "Karangantu" not in seen.text

    own = province.polda.get("/v1/early-warnings/summary").json()
    assert own["total"]["count"] == summary["total"]["count"]
    assert province.audit("/v1/early-warnings/summary", sender=POLDA).json()["total"]["count"] == 0
    day = province.audit("/v1/early-warnings/summary", to="2020-01-01T00:00:00Z").json()
    assert (day["total"]["count"], day["villages"]) == (0, [])
    for wrong in ({"from": "x"}, {"sender": "nobody"}, {"severity": "4"}, {"from": "2020-01-01T00:00:00Z"}):
        assert province.audit("/v1/early-warnings/summary", **wrong).json()["code"] == "request.malformed", wrong
    assert httpx.get(f"{province.base}/v1/early-warnings/summary", timeout=10).json()["code"] == "token.missing"
    with open_store(province.settings) as store, store.database.reading() as session:
        size = queries.ledger_head(session, "gateway").size
        entry = decode(queries.leaf(session, "gateway", size - 1))
    assert (entry["kind"], entry["what"], entry["auditor"]) == ("audit.read", "early-warnings.summary", "bpk")

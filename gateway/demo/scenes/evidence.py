"""What stays: transfers that an auditor finds, and ledgers that anybody can check."""

import json
from typing import Any, Final

from gateway.demo import story
from gateway.demo.province import AGREEMENT, IMIGRASI, NAMES, OWN_LEDGER, POLDA
from gateway.demo.scenes.exchange import the_warning
from gateway.demo.stage import DifferenceError, Stage
from gateway.ledger.source import HttpSource
from gateway.ledger.verify import audit
from gateway.statements.receipt import parse_acknowledgement, read_gateway_receipt, verify_acknowledgement

_REFUSALS: Final = (
    "envelope.replayed",
    "rule.case-required",
    "rule.condition",
    "rule.out-of-jurisdiction",
    "rule.repeated-subject",
)


def auditor(stage: Stage) -> None:
    """Search, one transfer with its receipts, the refusals on the command line; and the auditor's own trail."""
    transfer, _ = the_warning(stage)
    stage.expect("without a token nothing is shown", _ask(stage, "/v1/transfers", token=None)["code"], "token.missing")
    token = stage.province.token_file.read_text().strip()
    page = _ask(stage, "/v1/transfers", token, sender=IMIGRASI, type=story.WARNING, decision="accepted")
    listed = [item["transfer"] for item in page["items"]]
    stage.expect("GET /v1/transfers finds the warning of scene 1", transfer in listed)
    shown = _ask(stage, f"/v1/transfers/{transfer}", token)
    _show(stage, shown)
    stage.expect(
        "every receipt is there, and each verifies under the key of its signer",
        _signers(stage, shown["receipts"]),
        {"accepted": stage.province.gateway_id, "delivered": POLDA, "processed": POLDA},
    )
    told = json.dumps(shown)
    stage.expect(
        "what an auditor sees names no person: metadata and reasons, no payload",
        [secret for secret in story.SECRETS if secret in told],
        [],
    )

    arguments = ("--gateway", stage.province.base, "--token-file", str(stage.province.token_file))
    command = ("transfers", "search", *arguments, "--decision", "refused", "--json")
    code, printed = stage.processes.run("sinergi-transfers", *command)
    refusals = json.loads(printed)["items"] if code == 0 else []
    codes = sorted({item["reasons"][0]["code"] for item in refusals})
    stage.expect(
        "`sinergi transfers search --decision refused` lists what was refused in the scenes before",
        (code, codes),
        (0, list(_REFUSALS)),
    )
    reads = [json.loads(leaf) for leaf in stage.leaves(stage.province.ledgers[OWN_LEDGER])]
    trail = [entry["what"] for entry in reads if entry["kind"] == "audit.read" and entry["auditor"] == "bpk-banten"]
    stage.expect(
        "the gateway's own ledger says what the auditor read",
        trail,
        ["transfers.search", "transfers.show", "transfers.search"],
    )


def _ask(stage: Stage, path: str, token: str | None, **filters: str) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer: dict[str, Any] = stage.http.get(f"{stage.province.base}{path}", params=filters, headers=headers).json()
    return answer


def _show(stage: Stage, shown: dict[str, Any]) -> None:
    names = ("received_at", "sender", "recipient", "type", "purpose", "rule", "clause", "status", "retain_until")
    facts = {name: str(shown.get(name, "")) for name in names}
    facts["withheld"] = " ".join(shown.get("withheld", ()))
    facts["receipts"] = ", ".join(f"{held['event']} (entry {held['index']})" for held in shown["receipts"])
    stage.screen.line()
    stage.screen.facts(facts)
    stage.screen.line()


def _signers(stage: Stage, receipts: list[dict[str, Any]]) -> dict[str, str]:
    """Who signed which event. Raises a GatewayError for a receipt that does not verify."""
    found = {}
    for held in receipts:
        if held["event"] == "accepted":
            found["accepted"] = read_gateway_receipt(held["receipt"], stage.province.gateway_key).iss
        else:
            signed = verify_acknowledgement(parse_acknowledgement(held["receipt"]), stage.province.agency_keys[POLDA])
            found[signed.event] = signed.iss
    return found


def ledger(stage: Stage) -> None:
    """Both ledgers, every byte, against the key and an earlier checkpoint."""
    for name, held in stage.province.ledgers.items():
        trusted = stage.opening[name].checkpoint
        report = audit(HttpSource(stage.http, held.url), held.origin, [held.verifier], trusted=trusted)
        if name == AGREEMENT:
            stage.screen.facts({"source": held.url, "vkey": held.vkey})
            stage.screen.audit(report.checks)
        failed = [check.title for check in report.checks if not check.ok]
        size = 0 if report.checkpoint is None else report.checkpoint.size
        stage.expect(f"{name}: {size} entries verified, and they extend what was signed before scene 1", failed, [])
    published = b"".join(leaf for held in stage.province.ledgers.values() for leaf in stage.leaves(held))
    if not published:
        raise DifferenceError("entries to look through: there are none")
    stage.expect(
        f"nothing in them names a person: not the reporter, not the suspect that {NAMES[POLDA]} asked about",
        [secret for secret in (*story.SECRETS, story.PASSPORT, "Rekaan") if secret.encode() in published],
        [],
    )

"""The pages about agreements say what the program does."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from gateway.agreement import terms
from gateway.agreement.conditions import _ANY, _KEYWORDS
from gateway.agreement.document import agreement_from_json, parse_agreement
from gateway.decision.decide import Facts, decide
from gateway.errors import AgreementInvalidError, Reason
from gateway.statements.approval import Approval, digests_of
from tests.agreement.making import (
    EARLIER,
    IMIGRASI,
    NOW,
    ROOT,
    Draft,
    agreement,
    earlier,
    judged,
    message,
    real,
    rule,
)

HOWTO = (ROOT / "docs" / "howto" / "write-a-rule.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "agreement.md").read_text(encoding="utf-8")
SHIPPED = (ROOT / "agreements" / "pks-banten-2025.yaml").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", HOWTO, re.DOTALL)
    assert found is not None
    return found.group(1)


def with_rule(text: str) -> str:
    """The shipped document, version 2, with this rule in the place of the one for the same type."""
    start = SHIPPED.index("  - id: passport-application-anomaly")
    end = SHIPPED.index("  - id: border-crossing-query")
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    return SHIPPED[:start].replace("version: 1", "version: 2") + indented + SHIPPED[end:]


def confidential() -> Any:
    """The second YAML block, in a rule of its own."""
    text = re.findall(r"```yaml\n(.*?)```", HOWTO, re.DOTALL)[1]
    withhold = yaml.safe_load(text)["withhold"]
    return agreement(rule(purposes=["VICTIM_PROTECTION", "PREVENTION"], withhold=withhold))


def plain(line: str) -> str:
    return re.sub(r"/rules/\d+|line \d+: ", "", line).strip()


def test_the_rule_of_the_guide_is_a_rule() -> None:
    """The example parses, and refuses as the page shows, word for word."""
    one = parse_agreement(with_rule(block("yaml")))
    body = {"severity": 1}
    draft = Draft(
        type="passport-application.anomaly/1", sender=IMIGRASI, purpose="PREVENTION", agreement=one.id, body=body
    )
    assert judged(one, draft).as_json() == json.loads(block("json"))


def test_the_faults_of_the_guide_are_the_parsers() -> None:
    """Both messages on the page are what the parser says, but for the lines of the reader's own file."""
    shown = [plain(line) for line in block("text").splitlines()]
    for text, expected in (
        (with_rule(block("yaml").replace("minimum:", "minimun:")), shown[0]),
        (SHIPPED + "".join(f"  {line}\n" for line in block("yaml").splitlines()), shown[1]),
    ):
        with pytest.raises(AgreementInvalidError) as caught:
            parse_agreement(text)
        assert expected in [plain(f"{reason.pointer} {reason.detail}") for reason in caught.value.reasons]


def test_the_confidential_example_does_what_its_table_says() -> None:
    """Row by row: released, withheld for each missing piece, refused for a false approval and a name in clear."""
    body = {"victim_token": "V-1", "identity": {"full_name": "Siti Aminah"}}
    draft = Draft(
        purpose="VICTIM_PROTECTION", body=body, disclosable=["/body/identity"], claims={"in_reply_to": EARLIER}
    )
    sent = message(draft)
    whole = digests_of(sent, "/body/identity")
    two = tuple(Approval(f"key-{number}", "HEAD_OF_UNIT", whole) for number in (1, 2))
    notice = earlier(type="confidentiality.acknowledgement/1", view={"body": {"reference": "V-1"}})
    complete, one = Facts(notice, approvals=two), confidential()
    released = decide(one, sent, complete, NOW)
    assert (released.withheld, released.approved_by, released.notice) == ((), ("key-1", "key-2"), EARLIER)
    for missing in (
        {"approvals": two[:1]},
        {"approvals": (two[0], two[0])},
        {"approvals": (two[0], replace(two[1], role="CLERK"))},
        {"in_reply_to": None},
        {"in_reply_to": replace(notice, view={"body": {"reference": "V-2"}})},
    ):
        assert decide(one, sent, replace(complete, **missing), NOW).withheld == ("/body/identity",)
    elsewhere = message(replace(draft, purpose="PREVENTION"))
    assert decide(one, elsewhere, complete, NOW).withheld == ("/body/identity",)
    false = replace(complete, approval_faults=(Reason("rule.approval", pointer="/body/approvals/0"),))
    assert [reason.code for reason in decide(one, sent, false, NOW).reasons] == ["rule.approval"]
    named = message(replace(draft, body={**body, "narrative": "oleh Siti Aminah"}))
    assert [(reason.code, reason.detail) for reason in decide(one, named, Facts(), NOW).reasons] == [
        ("rule.field-not-disclosable", "reveals what is withheld")
    ]


def test_the_snippet_of_the_guide_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From the top of a checkout, as the page says."""
    monkeypatch.chdir(ROOT)
    exec(compile(block("python"), "write-a-rule.md", "exec"), {})  # noqa: S102 - the page's own code
    assert capsys.readouterr().out.split() == ["pks-banten-2025", "1", real().digest]


def test_the_reference_has_every_key_and_keyword() -> None:
    """No key without a description, for every term and every keyword of conditions."""
    keys = {
        field
        for term in vars(terms).values()
        if isinstance(term, type) and issubclass(term, terms.Term)
        for field in term.model_fields
    }
    words = {word for quoted in re.findall(r"`([^`]+)`", REFERENCE) for word in re.findall(r"[\w+-]+", quoted)}
    assert keys - words == set()
    assert {*_ANY, *_KEYWORDS, *(word for words_ in _KEYWORDS.values() for word in words_)} - words == set()


def test_the_shipped_document_survives_its_canonical_form() -> None:
    """What is packaged as YAML and what is stored as JSON is one agreement."""
    assert agreement_from_json(real().canonical()).digest == real().digest

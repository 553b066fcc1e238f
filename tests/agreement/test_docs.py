"""The pages about agreements say what the program does."""

import json
import re

import pytest

from gateway import terms
from gateway.agreement import agreement_from_json, parse_agreement
from gateway.conditions import _ANY, _KEYWORDS
from gateway.errors import AgreementInvalidError
from tests.agreement.making import IMIGRASI, ROOT, Draft, judged, real

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

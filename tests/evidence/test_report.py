"""The report in plain words: complete in both languages, text stays text, and nothing of the message's content is in it."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.cli.verifier import verdict
from gateway.evidence.account import account
from gateway.evidence.bundle import Bundle, unpack
from gateway.evidence.checks import check
from gateway.evidence.findings import FINDINGS
from gateway.evidence.report import LANGUAGES, page
from gateway.evidence.report_pdf import data, pdf
from gateway.evidence.report_wording import CHECKS, LIMITS, PURPOSES, WORDS
from tests.evidence.cases import Case, failed

NAMES = {f"report.{language}.{form}" for language in LANGUAGES for form in ("html", "pdf")}
HEADINGS = ("about", "what", "withheld", "checks", "limits", "trust", "sent-at", "legal-basis")
PLACES = re.compile(r"\{\w+\}")
HOSTILE = '<script>alert(1)</script>\u202e#eval("1+1")#import'


def test_both_languages_say_every_section_and_every_check(case: Case) -> None:
    """The bundle has all four files; each page has its language, each heading, check and limit, and runs nothing."""
    files = unpack(case.accepted).files
    assert files.keys() >= NAMES
    for language in LANGUAGES:
        told = files[f"report.{language}.html"].decode()
        said = [*(WORDS[name] for name in HEADINGS), *CHECKS.values(), *LIMITS, WORDS["no-proof"]]
        assert f'<html lang="{language}">' in told
        assert "<script" not in told
        assert not [one for one in said if page_text(getattr(one, language)) not in told]
        assert "/body/reporter" in told
        assert ("Tidak pernah dibuka", "Never released")[language == "en"] in told, "the reason in the page's language"
        assert files[f"report.{language}.pdf"].startswith(b"%PDF-")


def page_text(text: str) -> str:
    from html import escape

    return escape(text)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, str):
        yield value


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_no_word_of_english_is_left_in_the_indonesian_findings(case: Case) -> None:
    """Each finding, passed, open or failed, is told in the page's language; what it quotes is the same in both."""
    files = unpack(case.accepted).files
    bundles = [Bundle(dict(files)), unpack(case.refused)]
    bundles += [Bundle({**files, name: b"x"}) for name in files]
    bundles += [Bundle({one: data for one, data in files.items() if one != name}) for name in files]
    english = re.compile(r"\b(the|is|was|of|not|no|by|and|entry|signed|with|another|does)\b", re.IGNORECASE)
    for bundle in bundles:
        for one in check(bundle, case.trust).checks:
            assert one.detail.en != "", one
            quoted = one.detail.id.replace("transfer.accepted", "").replace("transfer.refused", "")
            assert not english.search(quoted), one
    for code, words in FINDINGS.items():
        assert set(PLACES.findall(words.en)) == set(PLACES.findall(words.id)), code
        assert words.en != words.id or code == "acknowledged", code


def test_no_value_of_the_message_is_in_a_report(case: Case) -> None:
    """Neither what was released nor what was withheld: pages, and all that the PDF is made from."""
    bundle = unpack(case.accepted)
    jwt, *disclosures = bundle.text("message.sd-jwt").split("~")
    body = [decoded(jwt.split(".")[1])["body"], *(decoded(one)[-1] for one in disclosures if one)]
    values = {one for one in leaves(body) if len(one) > 7}
    assert len(values) > 5
    results = check(bundle, case.trust)
    for language in LANGUAGES:
        told = json.dumps(
            json.loads(data(account(bundle, results, case.trust, language, "gateway"))), ensure_ascii=False
        )
        html = bundle.text(f"report.{language}.html")
        assert not [one for one in values if one in told or one in html]


def test_a_hostile_name_is_shown_as_text(case: Case) -> None:
    """Markup of HTML and of Typst stays letters, and a mark that turns the writing is shown as its number."""
    bundle = unpack(case.accepted)
    results = check(bundle, case.trust)
    agreement = json.loads(bundle.read("agreement.json"))
    for party in agreement["parties"].values():
        party["name"] = {"en": HOSTILE, "id": HOSTILE}
    forged = Bundle({**bundle.files, "agreement.json": json.dumps(agreement).encode()})
    told = account(forged, results, case.trust, "en", "verifier")
    html = page(told)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[U+202E]#eval(" in html
    assert "<script" not in html
    assert "\u202e" not in html
    assert (pdf(told) or b"").startswith(b"%PDF-")
    assert pdf(told) == pdf(told)


def test_titles_are_quoted_only_from_what_was_proved(case: Case) -> None:
    """An altered agreement has no say in the report, which says that it is not verified."""
    bundle = unpack(case.accepted)
    altered = Bundle({**bundle.files, "agreement.json": bundle.read("agreement.json").replace(b"Banten", b"Bantem")})
    told = page(account(altered, check(altered, case.trust), case.trust, "en", "verifier"))
    assert "Bantem" not in told
    assert "NOT verified" in told
    nothing = check(bundle, replace(case.trust, ledgers={}))
    assert WORDS["unproven"].en in page(account(bundle, nothing, case.trust, "en", "verifier"))


def test_an_altered_report_is_named(case: Case) -> None:
    """The signed list covers the reports."""
    files = unpack(case.accepted).files
    for name in NAMES:
        assert name in failed(check(Bundle({**files, name: files[name] + b" "}), case.trust))[1]


def test_the_verifier_writes_its_own_report(case: Case, tmp_path: Path) -> None:
    """Four files that say who checked; what is there is not overwritten. A refusal has its reasons."""
    bundle, folder = tmp_path / "case.zip", tmp_path / "report"
    bundle.write_bytes(case.refused)
    assert verdict(bundle, case.trust, json_=False, report_to=folder) == 0
    assert {one.name for one in folder.iterdir()} == NAMES
    told = (folder / "report.id.html").read_text()
    assert WORDS["by-verifier"].id in told
    assert "rule.case-required" in told


def test_purposes_are_said_in_the_words_of_the_code_list() -> None:
    """The verifier has no catalogue; its words are the catalogue's."""
    codes = json.loads((Path(__file__).parents[2] / "schemas/codes/purpose.json").read_text())["codes"]
    assert {one["code"]: (one["en"], one["id"]) for one in codes} == {
        code: (words.en, words.id) for code, words in PURPOSES.items()
    }

"""The report of a bundle as files: a page in each language, and a PDF in each where the library for it is at hand.

Pure: a bundle, the results of its checks and the keys that were trusted in, bytes out. Decides the page's layout; every
text is escaped where it enters, and the page loads nothing. Leaves what is said to `account.py`.
"""

from collections.abc import Iterator
from typing import Final

from gateway.evidence.account import Account, Author, Language, Section, account
from gateway.evidence.bundle import Bundle
from gateway.evidence.checks import Report
from gateway.evidence.court import Trust
from gateway.evidence.report_pdf import pdf
from gateway.review.markup import Html, document, element

LANGUAGES: Final[tuple[Language, ...]] = ("en", "id")


def reports(bundle: Bundle, results: Report, trust: Trust, author: Author) -> dict[str, bytes]:
    """The files by name: `report.en.html`, `report.en.pdf`, and the same in Indonesian. No PDF without its library."""
    files = {}
    for language in LANGUAGES:
        told = account(bundle, results, trust, language, author)
        files[f"report.{language}.html"] = page(told).encode()
        printed = pdf(told)
        if printed is not None:
            files[f"report.{language}.pdf"] = printed
    return files


def page(told: Account) -> str:
    """One self-contained HTML page: no script, nothing loaded, and it prints."""
    parts = [part for section in told.sections for part in _section(section)]
    verdict = element("p", element("strong", told.verdict))
    return document(told.title, told.language, element("h1", told.title), verdict, *parts)


def _section(section: Section) -> Iterator[Html]:
    yield element("h2", section.heading)
    for paragraph in section.paragraphs:
        yield element("p", paragraph)
    if section.facts:
        yield element("dl", *(part for name, values in section.facts for part in _fact(name, values)))
    if section.table:
        head, *rows = section.table
        yield element(
            "table",
            element("caption", section.heading),
            element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))),
            element("tbody", *(_row(row) for row in rows)),
        )


def _fact(name: str, values: tuple[str, ...]) -> Iterator[Html]:
    yield element("dt", element("bdi", name))
    for value in values:
        yield element("dd", element("bdi", value), class_="digest", style="grid-column:2")


def _row(row: tuple[str, ...]) -> Html:
    first, *middle, last = row
    cells = [element("td", cell) for cell in middle]
    return element(
        "tr", element("th", first, scope="row"), *cells, element("td", element("bdi", last), class_="digest")
    )

"""A little HTML, made so that nothing enters a page unescaped: a text becomes markup only through these functions."""

from collections.abc import Iterable
from html import escape
from typing import Final

STYLE: Final = """
body{font:11pt/1.5 Georgia,'Times New Roman',serif;color:#111;background:#fff;max-width:52rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.25rem;margin-top:2.5rem;border-bottom:2px solid #111}
h3{font-size:1.05rem;margin-top:1.75rem}dl{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;gap:.35rem 1rem}
dt{font-weight:bold}dd{margin:0}dd ul{margin:0;padding-left:1.2rem}code{font-size:.85em;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9em}th,td{border:1px solid #555;padding:.3rem .5rem;text-align:left;
vertical-align:top}.source{font-size:.85em;color:#333}.open{font-weight:bold}.rule{break-inside:avoid}
.sign td{height:6rem;width:50%}.digest{overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:10pt}h2{break-after:avoid}}
"""


class Html(str):
    """Text that is markup already; any other text is escaped when it enters an element."""

    __slots__ = ()


def element(name: str, *content: object, **attributes: str) -> Html:
    """One element. Content that is not `Html` is escaped; `class_` stands for `class`."""
    given = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    inner = "".join(part if isinstance(part, Html) else escape(str(part)) for part in content)
    return Html(f"<{name}{given}>{inner}</{name}>")


def document(title: str, language: str, *content: object) -> str:
    """One self-contained page, which loads nothing; its content is in `main`."""
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', *content)), lang=language)}\n"


def items(entries: Iterable[object]) -> Html:
    return element("ul", *(element("li", entry) for entry in entries))


def lines(entries: Iterable[str]) -> Html:
    return Html("<br>".join(escape(entry) for entry in entries))

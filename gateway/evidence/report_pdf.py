"""The report as a PDF, through Typst. Texts go in as data (`sys.inputs`) and are never part of the markup.

Decides the layout. The fonts are those inside the library; no system font, file, package or network is used.
"""

import json
from dataclasses import asdict
from typing import Final

from gateway.evidence.account import Account

# The number of a check is that of its row: two digits are the widest. Keys and digests break anywhere, words do not.
_LAYOUT: Final = rb"""
#let told = json(bytes(sys.inputs.told))
#let grey = luma(110)
#let numbered = told.page.split("{page}")
#let of = numbered.at(1).split("{pages}")
#set document(title: told.title)
#set page(
  paper: "a4",
  margin: (x: 2.2cm, top: 2.2cm, bottom: 2.4cm),
  footer: context {
    set text(size: 8pt, fill: grey)
    told.footer
    h(1fr)
    numbered.at(0) + counter(page).display() + of.at(0) + str(counter(page).final().first()) + of.at(1)
  },
)
#set text(lang: told.language, font: "Libertinus Serif", size: 10.5pt, hyphenate: false)
#set par(leading: 0.62em, spacing: 0.9em)
#show regex("[A-Za-z0-9+/=_-]{24,}"): it => it.text.clusters().join(sym.zws)
#show heading.where(level: 1): set text(size: 17pt)
#show heading.where(level: 2): set text(size: 12.5pt)
#show heading.where(level: 2): set block(above: 1.7em, below: 0.8em, sticky: true)
#heading(level: 1, told.title)
#block(
  width: 100%, inset: 9pt, above: 1.1em, below: 0.4em, radius: 2pt,
  stroke: if told.ok { 0.8pt + black } else { 2pt + black },
  strong(told.verdict),
)
#for section in told.sections {
  heading(level: 2, section.heading)
  for paragraph in section.paragraphs { par(paragraph) }
  if section.facts.len() > 0 {
    grid(
      columns: (5.2cm, 1fr), column-gutter: 0.5cm, row-gutter: 1em,
      ..section.facts.map(fact => (
        strong(fact.at(0)),
        stack(spacing: 0.6em, ..fact.at(1).map(value => par(value))),
      )).flatten()
    )
  }
  if section.table.len() > 0 {
    let rows = section.table
    set text(size: 9pt)
    set par(leading: 0.55em)
    show table.cell.where(y: 0): strong
    table(
      columns: (1cm, 2.1cm, 1fr, 1fr),
      inset: (x: 5pt, y: 5.5pt),
      stroke: (x, y) => (top: if y < 2 { 0.8pt } else { 0.3pt + grey }, bottom: 0.8pt),
      table.header(..rows.at(0).map(cell => text(cell))),
      ..rows.slice(1).map(row => row.map(cell => table.cell(breakable: false, text(cell)))).flatten(),
    )
  }
}
"""


def pdf(told: Account) -> bytes | None:
    """A tagged PDF (PDF/UA-1), the same bytes for the same account; None where Typst is not installed."""
    try:
        import typst
    except ModuleNotFoundError:
        return None
    compiler = typst.Compiler(_LAYOUT, ignore_system_fonts=True, sys_inputs={"told": data(told)})
    made = compiler.compile(format="pdf", pdf_standards="ua-1", timestamp=0)
    assert isinstance(made, bytes)
    return made


def data(told: Account) -> str:
    """All that the layout gets to see."""
    return json.dumps(asdict(told))

"""The report as a PDF, through Typst. Texts go in as data (`sys.inputs`) and are never part of the markup.

Decides the layout. The fonts are those inside the library; no system font, file, package or network is used.
"""

import json
from dataclasses import asdict
from typing import Final

from gateway.evidence.account import Account

_LAYOUT: Final = rb"""
#let told = json(bytes(sys.inputs.told))
#set document(title: told.title)
#set page(paper: "a4", margin: 2cm, numbering: "1")
#set text(lang: told.language, font: "Libertinus Serif", size: 10pt)
#set par(leading: 0.6em)
#show heading: set block(above: 1.4em, below: 0.7em)
#heading(level: 1, told.title)
#strong(told.verdict)
#for section in told.sections {
  heading(level: 2, section.heading)
  for paragraph in section.paragraphs { par(paragraph) }
  for fact in section.facts {
    block(below: 0.7em)[#strong(fact.at(0))#for value in fact.at(1) { linebreak(); text(value) }]
  }
  if section.table.len() > 0 {
    let rows = section.table
    set text(size: 8.5pt)
    table(
      columns: (1.8cm, 2cm, 1fr, 1fr),
      table.header(..rows.at(0).map(cell => strong(cell))),
      ..rows.slice(1).flatten().map(cell => text(cell)),
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

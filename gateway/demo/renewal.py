"""The agreement as the demo's two agencies sign it: the draft that comes with the program, renewed once its term is over.

Decides the last day, and nothing else of the text. The draft ends on 18 November 2028; a demo of a later day plays the same
words with a later last day, and says so.
"""

import re
from datetime import date, timedelta
from typing import Final

_TERM: Final = 3  # years, as the draft's own
_LEFT: Final = timedelta(days=90)  # what is said on the stage may be about the weeks to come
_UNTIL: Final = re.compile(r"^valid_until:\n  date: (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def in_force(text: str, today: date) -> tuple[str, date | None]:
    """The agreement's text, and its new last day where the written one is over, or nearly: None where it stands."""
    written = _UNTIL.search(text)
    if written is None:
        return text, None
    until = date.fromisoformat(written[1])
    if today + _LEFT <= until:
        return text, None
    while until < today + _LEFT:
        until = until.replace(year=until.year + _TERM)
    return f"{text[: written.start(1)]}{until}{text[written.end(1) :]}", until

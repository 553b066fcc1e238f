"""An erasure before its day: what two officers sign so that evidence may go before its retention ends (`two_officers.py`).

The person is named by the gateway's keyed token of the identifier, as the operator's dry run shows it: the statement tells
nobody who it is, and covers whatever names the person under it, in the number of the request and on the ground that are named.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from gateway.statements.statement import CODE, SHA256


@dataclass(frozen=True, slots=True)
class EarlyErasure:
    """What is to be erased at the gateway `aud`. `why` is the request's number, `ground` the law; both are codes."""

    typ: ClassVar[str] = "early-erasure+jwt"
    forms: ClassVar[Mapping[str, re.Pattern[str]]] = {"subject": SHA256, "why": CODE, "ground": CODE}
    otherwise: ClassVar[str] = "nothing is erased before its day"
    aud: str
    subject: str
    why: str
    ground: str

    @property
    def members(self) -> Mapping[str, str]:
        return asdict(self)

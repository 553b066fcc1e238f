"""The end of a legal hold: what two officers sign so that what it protects may be erased again (`two_officers.py`)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

from gateway.message.envelope import TRANSFER_ID
from gateway.statements.statement import CODE


@dataclass(frozen=True, slots=True)
class HoldRelease:
    """What is to end: a hold of the gateway `aud`. `why` is a code, which the ledger will have."""

    typ: ClassVar[str] = "hold-release+jwt"
    forms: ClassVar[Mapping[str, re.Pattern[str]]] = {"hold": TRANSFER_ID, "why": CODE}
    otherwise: ClassVar[str] = "the hold stays"
    aud: str
    hold: str
    why: str

    @property
    def members(self) -> Mapping[str, str]:
        return asdict(self)

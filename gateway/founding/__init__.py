"""The founding of a gateway, and what it and every later act of an operator ask alike: codes for names, one key for one thing."""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.errors import OperatorError
from gateway.ledger.entry import recordable


class RefusedError(OperatorError):
    """The act is well-formed and not possible as things stand: already there, not there, ended, too old."""

    answers_no: Final = True


def require_own_keys(gateway: Mapping[str, str], operators: Iterable[str]) -> None:
    """Key ids of the gateway by role, and of its operators: one private key is one party's, for one thing. Raises OperatorError.

    A gateway with an operator's key could sign as that operator, and one person would then be two.
    """
    held = dict.fromkeys(operators, "an operator's")
    for role, kid in gateway.items():
        if held.setdefault(kid, f"the {role} key") != f"the {role} key":
            raise OperatorError(f"the {role} key is {held[kid]} already: use another key")


def require_code(text: str, what: str) -> str:
    """`text`, if it may stand in the ledger for ever. Raises OperatorError for a sentence or sixteen digits in a row."""
    if recordable(text) is None:
        raise OperatorError(f"{what} must be a code without spaces, such as an account or a ticket number")
    return text

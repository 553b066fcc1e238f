"""Approvals: the signed word of a named officer that certain fields of one message may be released.

Decides what a valid approval is and which digests it stands for. Leaves to `decide.py` how many approvals a field needs
and of which roles.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Approval:
    """A verified approval: `officer` is the id (RFC 7638 thumbprint) of the officer's key, pseudonymous.

    `disclosures` are SD-JWT digests (RFC 9901 §4.2.3) of what the officer approved for release.
    """

    officer: str
    role: str
    disclosures: frozenset[str]

"""Who may run which command, and how many persons it takes: the least that each one needs.

Decides nothing for a gateway without operators of its own: there a name is enough. Where operators are enrolled, a command that
changes something wants the key of one, and what needs two is only proposed by it (`operations/acts.py` refuses it otherwise, for
every caller). docs/reference/roles.md is made from this table; a command that is not in it does not run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

HOST: Final = "host"
OPERATOR: Final = "operator"
OFFICER: Final = "officer"
AGENCY: Final = "agency"
AUDITOR: Final = "auditor"
WITNESS: Final = "witness"
ANYONE: Final = "anyone"
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        HOST: "whoever holds the gateway's settings, key files and passphrase; no key of a person is asked for",
        OPERATOR: "an operator of the gateway, by a key of their own (`--operator-key`)",
        OFFICER: "a named officer of an agency, by a key of their own",
        AGENCY: "an agency's backend, by the agency's key",
        AUDITOR: "an auditor or data-protection officer, by a token",
        WITNESS: "whoever runs a witness, elsewhere",
        ANYONE: "anyone: it needs no gateway, or only what is public",
    }
)


@dataclass(frozen=True, slots=True)
class Duty:
    """`persons`: how many must act with their keys or tokens; 0 where none is asked for. `how` says what is not plain."""

    role: str
    persons: int
    how: str = ""

    @property
    def needs_operator(self) -> bool:
        return self.role == OPERATOR and self.persons > 0


_READS: Final = Duty(HOST, 0)
_ONE: Final = Duty(OPERATOR, 1)
_TWO_OFFICERS: Final = "and the signatures of two officers"
DUTIES: Final[Mapping[str, Duty]] = MappingProxyType(
    {
        "init": Duty(HOST, 0, "with `--operator-statement` it enrols the first two operators"),
        "migrate": _READS,
        "serve": _READS,
        "takeover": Duty(HOST, 0, "only in a gateway that has neither agencies nor operators yet"),
        "demo": Duty(ANYONE, 0),
        "doctor": _READS,
        "send": Duty(AGENCY, 1),
        "receive": Duty(AGENCY, 1),
        "draft": Duty(AGENCY, 0, "signs nothing"),
        "approve": Duty(OFFICER, 1, "how many officers a release needs is in the agreement"),
        "agencies add": Duty(OPERATOR, 1, "without an endpoint, which takes two: `agencies set`"),
        "agencies list": _READS,
        "agencies set": Duty(
            OPERATOR, 1, "a new endpoint, and the end of a suspension, take two: one proposes, another approves"
        ),
        "agencies keys propose": Duty(OPERATOR, 2, "one proposes, another approves; the agency signed it before"),
        "agencies keys approve": Duty(OPERATOR, 2, "the second of the two"),
        "agencies keys list": _READS,
        "agencies keys waiting": _READS,
        "agencies officers enrol": Duty(OFFICER, 1),
        "agencies officers add": Duty(OPERATOR, 2, "one proposes, another approves; the officer signed it before"),
        "agencies officers approve": Duty(OPERATOR, 2, "the second of the two"),
        "agencies officers list": Duty(OPERATOR, 1, "it can open sealed names"),
        "agencies officers revoke": _ONE,
        "operators enrol": Duty(OPERATOR, 1, "needs no gateway"),
        "operators consent": Duty(AGENCY, 1, "needs no gateway"),
        "operators found": Duty(
            HOST,
            0,
            "two new operators sign; where some were before and fewer than two are left, every agency with keys consents",
        ),
        "operators add": Duty(OPERATOR, 2, "one proposes, another approves; the new one signed it before"),
        "operators list": _READS,
        "operators revoke": Duty(OPERATOR, 1, "one is enough, because it must be fast"),
        "operators proposals": _READS,
        "operators show": _READS,
        "operators sign": Duty(OPERATOR, 1, "needs no gateway"),
        "operators approve": Duty(OPERATOR, 2, "the second of the two"),
        "operators withdraw": _ONE,
        "keys generate": Duty(ANYONE, 0),
        "keys public": Duty(ANYONE, 0),
        "keys statement": Duty(AGENCY, 1, "needs no gateway"),
        "keys submit": Duty(AGENCY, 1, "the key in use signs the call"),
        "keys import": Duty(OPERATOR, 2, "not by this command: `agencies keys propose` and `approve`"),
        "keys list": _READS,
        "keys retire": _ONE,
        "keys revoke": Duty(OPERATOR, 1, "one is enough, because it must be fast; with `--since` two"),
        "keys compromised": Duty(OPERATOR, 2, "one proposes, another approves; of the gateway's own keys as well"),
        "keys status": _READS,
        "keys nodes": _READS,
        "keys history": _READS,
        "keys rotate": Duty(OPERATOR, 2, "one proposes, another approves"),
        "keys withdraw": Duty(OPERATOR, 1, "one is enough: the key in use goes on"),
        "keys rewrap": Duty(OPERATOR, 1, "two signed for the rotation that it finishes"),
        "keys reindex": Duty(OPERATOR, 1, "two signed for the rotation that it finishes"),
        "keys ceremony create": Duty(OPERATOR, 2, "needs no gateway; both sign the record"),
        "keys ceremony recover": Duty(
            OPERATOR, 2, "needs no gateway; both sign the record, and the holders of shares are there"
        ),
        "keys ceremony record": Duty(OPERATOR, 1, "two signed the record"),
        "keys ceremony split": Duty(HOST, 0),
        "keys ceremony verify": Duty(ANYONE, 0),
        "schemas list": Duty(ANYONE, 0),
        "schemas show": Duty(ANYONE, 0),
        "schemas check": Duty(ANYONE, 0),
        "schemas diff": Duty(ANYONE, 0),
        "schemas publish": _ONE,
        "agreement show": Duty(ANYONE, 0),
        "agreement sign": Duty(AGENCY, 1),
        "agreement activate": Duty(OPERATOR, 1, "and the signature of every party to the agreement"),
        "agreement list": _READS,
        "agreement explain": Duty(ANYONE, 0, "with `--message` the agency that sends"),
        "agreement check": Duty(ANYONE, 0),
        "agreement diff": Duty(ANYONE, 0),
        "agreement render": Duty(ANYONE, 0),
        "agreement matrix": Duty(ANYONE, 0),
        "auditors issue": _ONE,
        "auditors list": _READS,
        "auditors revoke": _ONE,
        "transfers search": Duty(AUDITOR, 1),
        "transfers overdue": Duty(AUDITOR, 1),
        "transfers show": Duty(AUDITOR, 1, "or the sender or recipient, by its key"),
        "transfers redeliver": _ONE,
        "ledger list": _READS,
        "ledger verify": Duty(ANYONE, 0),
        "ledger report": Duty(ANYONE, 0),
        "ledger export": _READS,
        "ledger prove": Duty(ANYONE, 0),
        "ledger check-proof": Duty(ANYONE, 0),
        "ledger check-timestamp": Duty(ANYONE, 0),
        "ledger fsck": _READS,
        "ledger accept-clock": _ONE,
        "witness init": Duty(WITNESS, 0),
        "witness add-log": Duty(WITNESS, 0),
        "witness serve": Duty(WITNESS, 0),
        "witness status": Duty(WITNESS, 0),
        "evidence export": Duty(AUDITOR, 1, "with the role `dpo`"),
        "evidence verify": Duty(ANYONE, 0),
        "retention run": _ONE,
        "retention repeat": _ONE,
        "retention verify": _READS,
        "retention agreed": Duty(OPERATOR, 1, "and the agreement of both agencies, in two accepted messages"),
        "holds add": _ONE,
        "holds list": _READS,
        "holds approve": Duty(OFFICER, 1),
        "holds release": Duty(OPERATOR, 1, _TWO_OFFICERS),
        "subjects list": _READS,
        "subjects show": _ONE,
        "subjects find": _ONE,
        "subjects approve": Duty(OFFICER, 1),
        "subjects trail": _ONE,
        "subjects correct": _ONE,
        "subjects erase": Duty(OPERATOR, 1, "before the end of retention the signatures of two officers as well"),
    }
)

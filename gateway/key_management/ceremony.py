"""Ceremonies: two operators make the gateway's keys together, or rebuild the storage key, and sign what they did.

Decides what the record says: which key of which role lies where, by which hash of its public half it is known, how the storage
key's recovery secret was split, who was there and when. Both operators sign the same record. It holds no secret, and needs no
gateway, database or network. Leaves asking and showing to `cli/ceremony.py`.
"""

import contextlib
import glob
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import rfc8785

from gateway import keyring
from gateway.errors import GatewayError, KeyringError, MalformedError, OperatorError
from gateway.founding import require_own_keys
from gateway.jose import sign_jws, strict_json, verify_jws
from gateway.keyring import shares
from gateway.keyring.held import KeyringSigner
from gateway.keys.keychain import CHECKPOINT, INDEX, LONG_LIVED, REQUEST, SIGN, STORAGE
from gateway.ledger.entry import OperatorAct
from gateway.statements.appointment import Appointment, sign_appointment, verify_founders
from gateway.statements.statement import CODE, read_statement

RECORD_TYP: Final = "ceremony+jwt"
CREATED: Final = "created"
RECOVERED: Final = "recovered"
PERSONS: Final = 2
_ALGORITHMS: Final = {SIGN: "EdDSA", REQUEST: "EdDSA", CHECKPOINT: "EdDSA", STORAGE: "X25519", INDEX: "X25519"}
_SECRETS: Final = (STORAGE, INDEX)
_RECORD: Final = frozenset({"v", "what", "gateway", "time", "why", "keys", "passphrase_file", "shares", "operators"})
_FOUNDING: Final = "ceremony"
_COPY: Final = ".recovered-"
_ROLE: Final = re.compile(r"[a-z_]{1,32}")


@dataclass(frozen=True, slots=True)
class Present:
    """An operator at the table, with their own key."""

    id: str
    signer: KeyringSigner


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: files in `directory`, but for the roles of which a key is `given` by its URI."""

    gateway: str
    directory: Path
    operators: tuple[Present, ...]
    threshold: int
    count: int
    given: Mapping[str, str]
    passphrase_file: Path | None = None
    ml_dsa: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A verified record: what it says, and who signed it."""

    members: Mapping[str, Any]
    operators: tuple[Appointment, ...]
    statements: tuple[str, ...]

    @property
    def gateway(self) -> str:
        return str(self.members["gateway"])

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical record."""
        return hashlib.sha256(rfc8785.dumps(dict(self.members))).hexdigest()

    @property
    def uris(self) -> dict[str, str]:
        return {role: key["uri"] for role, key in self.members["keys"].items()}

    def entry(self) -> OperatorAct:
        """What the ledger remembers: both keys, why, and which record it is."""
        return OperatorAct(
            time=datetime.fromisoformat(self.members["time"]),
            who="+".join(one.operator for one in self.operators),
            what=f"keys.ceremony/{self.members['what']}",
            why=self.members["why"],
            about=self.gateway,
            approvals=tuple(one.key.kid for one in self.operators),
            digest=self.digest,
        )

    @property
    def passphrase_file(self) -> Path | None:
        named = self.members["passphrase_file"]
        return None if named is None else Path(named)


def create(
    plan: Plan, now: datetime, keep: Callable[[Sequence[str]], Sequence[str]], publish: Callable[[str], None]
) -> str:
    """Makes the keys and gives the signed record's text. `keep` gets the shares once, and says where each went; `publish` writes
    the record down.

    What a failure leaves is removed, `publish`'s own included: keys that no record speaks of found no gateway. Raises
    KeyringError or OperatorError.
    """
    _require_two(plan.operators)
    algorithms = _ALGORITHMS | ({LONG_LIVED: keyring.LONG_LIVED} if plan.ml_dsa else {})
    if unknown := plan.given.keys() - algorithms.keys():
        raise OperatorError(f"{min(unknown)} is not a key of a gateway: {', '.join(algorithms)}")
    with _undone_on_failure() as made:
        passphrase_file = plan.passphrase_file or plan.directory / "passphrase"
        if plan.passphrase_file is None:
            keyring.write_private(passphrase_file, secrets.token_urlsafe(32).encode() + b"\n")
            made.append(passphrase_file)
        passphrase = keyring.read_passphrase(passphrase_file)
        uris = {role: keyring.absolute(uri) for role, uri in plan.given.items()}
        for role, algorithm in algorithms.items():
            if role not in uris:
                path = plan.directory / f"{role}.pem"
                keyring.generate(path, algorithm, passphrase)
                made.append(path)
                uris[role] = f"file:{quote(str(path.absolute()))}"
        keys = {role: _known_by(role, uris[role], passphrase) for role in algorithms}
        require_own_keys({role: key["hash"] for role, key in keys.items()}, (one.signer.kid for one in plan.operators))
        split: Mapping[str, Any] | None = None
        if uris[STORAGE].startswith("file:"):
            words = shares.split(uris[STORAGE], passphrase, plan.threshold, plan.count)
            split = {"of": STORAGE, "threshold": plan.threshold, "count": plan.count, "places": list(keep(words))}
        text = _signed(
            CREATED, plan.gateway, keys, passphrase_file, why=_FOUNDING, split=split, operators=plan.operators, now=now
        )
        publish(text)
        return text


def recover(
    gateway: str, path: Path, words: Sequence[str], passphrase_file: Path, operators: Sequence[Present], *, now: datetime,
    why: str, first: Record | None, publish: Callable[[str], None], changed: bool = False,
) -> str:  # fmt: skip
    """Rebuilds the storage key's file from shares and gives the signed record's text, which `publish` writes down.

    `first` is the record of the ceremony that made the key: another key is not kept, and other operators than its are refused
    unless they are said to have `changed` since. A copy of the record stays beside the key's file: whoever opens the gateway next
    tells its ledger (`recovery.py`). Raises KeyringError or OperatorError.
    """
    _require_two(operators)
    if not CODE.fullmatch(why):
        raise OperatorError("the reason is a code or a ticket number, and no sentence")
    if first is not None:
        if first.gateway != gateway:
            raise OperatorError(f"the record is of {first.gateway}, not of {gateway}")
        known = {one.operator: one.key.kid for one in first.operators}
        if not changed and known != {one.id: one.signer.kid for one in operators}:
            raise OperatorError(
                f"the record names {' and '.join(known)} with other keys or persons: answer operators_changed with yes if they"
                " changed since"
            )
    expected = None if first is None else first.members["keys"][STORAGE]["hash"]
    passphrase = keyring.read_passphrase(passphrase_file)
    with _undone_on_failure() as made:
        shares.rebuild(path, words, passphrase)
        made.append(path)
        key = _known_by(STORAGE, f"file:{quote(str(path.absolute()))}", passphrase)
        if expected is not None and key["hash"] != expected:
            raise KeyringError(f"the shares give the key {key['hash']}, not {expected}")
        text = _signed(
            RECOVERED, gateway, {STORAGE: key}, passphrase_file, why=why, split=None, operators=operators, now=now
        )
        copy = path.with_name(f"{path.name}{_COPY}{read_record(text).digest[:12]}.json")
        keyring.write_private(copy, text.encode())
        made.append(copy)
        publish(text)
        return text


def copies(path: Path) -> list[Path]:
    """Records of recoveries of this key file that no ledger was told of."""
    return sorted(path.parent.glob(f"{glob.escape(path.name + _COPY)}*.json"))


def _require_two(operators: Sequence[Present]) -> None:
    persons, keys = {one.id for one in operators}, {one.signer.kid for one in operators}
    if len(operators) != PERSONS or len(persons) != PERSONS or len(keys) != PERSONS:
        raise OperatorError("a ceremony needs two operators: two persons, each with a key of their own")


@contextmanager
def _undone_on_failure() -> Iterator[list[Path]]:
    """Removes what was listed as made. A file that was there before is never listed: making one refuses to replace it."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in made:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        raise


def _known_by(role: str, uri: str, passphrase: bytes) -> dict[str, str]:
    """Where a key lies, and what it is known by: RFC 7638's hash of its public half; of a secret the id that rows name."""
    if role in _SECRETS:
        found = keyring.load_secret(uri, passphrase, role).id
    elif role == LONG_LIVED:
        found = keyring.load_long_lived(uri, passphrase).kid
    else:
        found = keyring.load_signer(uri, passphrase).kid
    return {"uri": uri, "hash": found}


def _signed(
    what: str, gateway: str, keys: Mapping[str, Any], passphrase_file: Path, *, why: str, split: Mapping[str, Any] | None,
    operators: Sequence[Present], now: datetime,
) -> str:  # fmt: skip
    members = {
        "v": 1,
        "what": what,
        "gateway": gateway,
        "time": now.isoformat(timespec="seconds"),
        "why": why,
        "keys": keys,
        "passphrase_file": str(passphrase_file.absolute()),
        "shares": split,
        "operators": {one.id: one.signer.kid for one in operators},
    }
    statements = [
        sign_appointment(one.id, gateway, key=one.signer.public, signer=one.signer, now=now) for one in operators
    ]
    signatures = [sign_jws(members, RECORD_TYP, one.signer) for one in operators]
    return json.dumps({"record": members, "statements": statements, "signatures": signatures}, indent=2)


def read_record(text: str, now: datetime | None = None) -> Record:
    """In numbered steps:

    1. it is JSON of a record, statements and signatures, and nothing else
    2. each statement is an operator's own, of another person with another key; with `now`, of the last 7 days
    3. each signature is by one of these keys, over this very record, one for each person that it names

    Raises MalformedError or SignatureInvalidError.
    """
    try:
        members = strict_json(text.encode(), "the record", 6)
        record, statements, signatures = (members[name] for name in ("record", "statements", "signatures"))
        if members.keys() != {"record", "statements", "signatures"} or record.keys() != _RECORD:
            raise MalformedError("a ceremony's file has exactly record, statements and signatures")
        gateway, named = record["gateway"], dict(record["operators"])
        if not all(_ROLE.fullmatch(role) and key.keys() == {"uri", "hash"} for role, key in record["keys"].items()):
            raise MalformedError("a record's keys have a uri and a hash each")  # 1
        if not CODE.fullmatch(record["why"]):
            raise MalformedError("a record's why is a code")
        moment = now or datetime.fromisoformat(record["time"])
        operators = verify_founders(statements, gateway, moment)  # 2
        if {one.operator: one.key.kid for one in operators} != named:
            raise MalformedError("the statements are not those of the operators that the record names")
        if len(signatures) != len(operators):
            raise MalformedError("each operator signs the record once")
        for one, signature in zip(operators, signatures, strict=True):  # 3
            jws = read_statement(signature, RECORD_TYP, {}, _RECORD)
            verify_jws(jws, one.key)
            if rfc8785.dumps(dict(jws.payload)) != rfc8785.dumps(record):
                raise MalformedError("a signature is over another record")
    except GatewayError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedError("it is not the record of a ceremony") from error
    return Record(record, operators, tuple(statements))


def require_keys(record: Record) -> None:
    """Each key lies where the record says and is the one that it says. Raises KeyringError, naming the role."""
    passphrase = keyring.read_passphrase(record.passphrase_file)
    for role, key in record.members["keys"].items():
        if _known_by(role, key["uri"], passphrase) != key:
            raise KeyringError(f"the {role} key is not the one of the ceremony")

"""The operator behind a command: shown by a key, not by a name.

Decides who acts where the gateway has operators of its own: the holder of an active operator's key, which signs a challenge.
Leaves to `duties.py` which command needs one, and to `operations/` what needs a second.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.output import as_json, line, message
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.countersigning import Wanted
    from gateway.keyring import KeyringSigner
    from gateway.wiring import Store

KEY_VARIABLE: Final = "SINERGI_OPERATOR_KEY"
PASSPHRASE_VARIABLE: Final = "SINERGI_OPERATOR_PASSPHRASE_FILE"
CHALLENGE_TYP: Final = "operator-challenge+jwt"


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, proven a moment ago."""

    id: str
    signer: "KeyringSigner"


def acting(store: "Store", key: str | None, passphrase_file: Path | None, command: str) -> Acting | None:
    """None where the gateway has no operators. Raises OperatorError without a key, RefusedError for one that is no operator's."""
    from gateway.errors import GatewayError
    from gateway.founding import RefusedError
    from gateway.jose import parse_jws, sign_jws, verify_jws
    from gateway.store import queries

    with store.database.reading() as session:
        directory = queries.load_directory(session, 0)
    if not directory.operators:
        return None
    uri = key or os.environ.get(KEY_VARIABLE)
    if not uri:
        raise OperatorError(
            f"this gateway has operators: `{command}` needs the key of one of them (--operator-key URI, or ${KEY_VARIABLE})"
        )
    signer = open_key(uri, passphrase_file)
    try:
        operator = directory.operator_for(signer.kid)
        # A key service could show one key and hold another: the directory's copy of the public half decides.
        challenge = {"gateway": store.settings.gateway.id, "command": command, "nonce": secrets.token_urlsafe(16)}
        verify_jws(parse_jws(sign_jws(challenge, CHALLENGE_TYP, signer), CHALLENGE_TYP, 2), operator.key)
    except GatewayError as error:
        raise RefusedError(f"{error.detail}: {signer.kid}") from error
    return Acting(operator.id, signer)


def open_key(uri: str, passphrase_file: Path | None) -> "KeyringSigner":
    """An operator's private key. Its passphrase file may be named by the environment; the passphrase itself never is."""
    from gateway.keyring import load_signer, read_passphrase

    named = os.environ.get(PASSPHRASE_VARIABLE)
    file = passphrase_file or (Path(named) if named else None)
    if file is None and uri.startswith("file:"):
        raise OperatorError(
            f"name the file with the key's passphrase: --operator-passphrase-file, or ${PASSPHRASE_VARIABLE}"
        )
    return load_signer(uri, read_passphrase(file, {}) if file is not None else b"")


def propose(store: "Store", who: Acting, wanted: "Wanted", *, json: bool) -> None:
    """Signs and keeps it, and says what is next."""
    from gateway.operations.proposals import propose as keep
    from gateway.statements.proposal import sign_proposal

    one = wanted.proposal
    id_ = keep(store, one, sign_proposal(one, who.signer), attachment=wanted.attachment)
    if json:
        as_json({"proposal": id_, "what": one.what, "about": one.about, "expires": one.expires.isoformat()})
        return
    line(id_)
    message(f"{who.id} proposes {one.what} of {one.about}. Nothing is done until another operator approves it:")
    message(f"  sinergi operators approve {id_[:12]}")
    message(f"It can be approved until {one.expires.isoformat()}.")

"""Named officers of an agency, with keys of their own: who may approve that a confidential field is released.

Does in one process what officers and the operator do with `sinergi agencies officers enrol` and `add`. An approval is
made by the command `sinergi approve`, in a process of its own: neither the demo nor the agency's backend holds such a key.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import keyring
from gateway.demo.processes import Processes
from gateway.operations.officers import add_officer
from gateway.statements.enrolment import Person, sign_enrolment
from gateway.wiring import Store, now

SARI: Final = "sari"
BUDI: Final = "budi"
_UNIT: Final = "Seksi Inteldakim Kantor Imigrasi Serang"
_PERSONS: Final = {
    SARI: Person("NIP-REKAAN-1", "Sari Rekaan", "VICTIM_PROTECTION_OFFICER", _UNIT),
    BUDI: Person("NIP-REKAAN-2", "Budi Rekaan", "SUPERVISOR", _UNIT),
}


@dataclass(frozen=True, slots=True)
class Approver:
    """What is public of an officer, and where the officer keeps the rest. `kid` is what the ledger knows."""

    kid: str
    role: str
    folder: Path

    def approve(self, processes: Processes, draft: Path, fields: tuple[str, ...]) -> tuple[int, str]:
        """`sinergi approve` with this officer's key: exit code, and the approval. It shows the officer every value."""
        chosen = [argument for field in fields for argument in ("--field", field)]
        key = (self.folder / "key.pem").as_uri()
        arguments = ("--key", key, "--passphrase-file", str(self.folder / "passphrase"), *chosen, "--yes")
        code, printed = processes.run("sinergi-approve", "approve", str(draft), *arguments, log=False)
        return code, printed.strip()


def appoint(store: Store, folder: Path, agency: str, *, who: str) -> Mapping[str, Approver]:
    """Keys under `folder`, one folder an officer; each signs an enrolment, and the operator admits it."""
    folder.mkdir(mode=0o700)
    return {name: _appoint(store, folder / name, agency, person, who) for name, person in _PERSONS.items()}


def _appoint(store: Store, folder: Path, agency: str, person: Person, who: str) -> Approver:
    folder.mkdir(mode=0o700)
    passphrase = secrets.token_urlsafe(32).encode()
    keyring.write_private(folder / "passphrase", passphrase + b"\n")
    keyring.generate(folder / "key.pem", "EdDSA", passphrase)
    signer = keyring.load_signer((folder / "key.pem").as_uri(), passphrase)
    gateway = store.settings.gateway.id
    statement = sign_enrolment(person, agency, gateway, key=signer.public, signer=signer, now=now())
    add_officer(store, statement, why="demo", who=who)
    return Approver(signer.kid, person.role, folder)

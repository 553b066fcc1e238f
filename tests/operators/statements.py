"""Keys of two agencies, statements about them, and somebody who signs in another's name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.jose import Signer
from gateway.keyring import KeyringSigner, signer_for
from gateway.keys.directory import ACTIVE, Agency, AgencyKey, Directory, RecoveryKey, directory
from gateway.statements.key_statement import SIGN, sign_statement

NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)


GATEWAY, POLDA, IMIGRASI = "sinergi-banten", "polda-banten", "imigrasi-banten"


OLD, NEW, SPARE, OTHERS = (signer_for(Ed25519PrivateKey.generate()) for _ in range(4))


NEWEST = signer_for(generate_private_key(SECP256R1()))


def known(
    *, status: str = ACTIVE, recovery: str | None = ACTIVE, ends: int = 30, spare: tuple[int, int] = (-300, 900)
) -> Directory:
    """Polda has a key and a recovery key, which counts between two days from now, Imigrasi a key."""
    window = {"not_before": NOW - timedelta(days=300), "not_after": NOW + timedelta(days=ends)}
    begins, over = (NOW + timedelta(days=days) for days in spare)
    keys = [
        AgencyKey(POLDA, OLD.public, status=status, changed_at=NOW, **window),
        AgencyKey(IMIGRASI, OTHERS.public, **window),
    ]
    held = [] if recovery is None else [RecoveryKey(POLDA, SPARE.public, begins, over, status=recovery)]
    return directory([Agency(POLDA, "Polda"), Agency(IMIGRASI, "Imigrasi")], keys, recovery=held)


def statement(signer: KeyringSigner = NEW, endorser: Signer | None = OLD, **changes: Any) -> str:
    members: dict[str, Any] = {
        "agency": POLDA, "gateway": GATEWAY, "use": SIGN, "key": signer.public, "not_before": NOW,
        "not_after": NOW + timedelta(days=365), "now": NOW,
    }  # fmt: skip
    members |= changes
    return sign_statement(
        members.pop("agency"), members.pop("gateway"), members.pop("use"), signer=signer, endorser=endorser, **members
    )


@dataclass(frozen=True)
class Pretender:
    """Signs with its own key and says that it is another's."""

    real: KeyringSigner
    kid: str

    @property
    def alg(self) -> str:
        return self.real.alg

    def sign(self, message: bytes) -> bytes:
        return self.real.sign(message)

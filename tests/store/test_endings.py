"""Which keys and tokens end of themselves: nobody is surprised by one, and nobody is warned of one that has a successor."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keyring import signer_for
from gateway.keys.directory import Agency, AgencyKey, Officer, directory
from gateway.keys.keychain import OwnKey
from gateway.store import endings as module
from gateway.store.tables import micros

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def public() -> Any:
    return signer_for(Ed25519PrivateKey.generate()).public


@dataclass
class Known:
    own: tuple[OwnKey, ...] = ()
    keys: tuple[AgencyKey, ...] = ()
    officers: tuple[Officer, ...] = ()
    auditors: tuple[Any, ...] = ()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> Callable[[Known], set[tuple[str, int | None]]]:
    def look(known: Known) -> set[tuple[str, int | None]]:
        monkeypatch.setattr(module.queries, "auditors", lambda _session: known.auditors)
        picture = directory([Agency("polda-banten", "Polda")], known.keys, officers=known.officers)
        found = module.endings(None, known.own, picture, "gw", NOW)  # type: ignore[arg-type]
        return {(one.kind, one.within(NOW)) for one in found}

    return look


def officer(person: str, ends: datetime, status: str = "active") -> Officer:
    return Officer("polda-banten", person, "PPA", "unit", public(), days(-10), ends, status)


def test_the_last_key_counts_and_not_one_that_is_followed(
    warned: Callable[[Known], set[tuple[str, int | None]]],
) -> None:
    """At 30, 7 and 1 days, of agencies, officers, auditors and of the gateway; an agency without a key is told as well."""
    soon, later = (
        AgencyKey("polda-banten", public(), days(-300), days(5)),
        AgencyKey("polda-banten", public(), NOW, days(200)),
    )
    assert warned(Known()) == {("agency", None)}
    assert warned(Known(keys=(soon,))) == {("agency", 7)}
    assert warned(Known(keys=(soon, later))) == {("agency", None)}
    by_officers = Known(
        keys=(later,),
        officers=(
            officer("p1", days(0.5)),
            officer("p2", days(3)),
            officer("p2", days(90)),
            officer("p3", days(2), "revoked"),
        ),
    )
    assert warned(by_officers) == {("agency", None), ("officer", 1), ("officer", None)}
    auditors = tuple(
        SimpleNamespace(id=name, expires_at=micros(days(ends)), revoked_at=revoked)
        for name, ends, revoked in (("bpk", 20, None), ("gone", -1, None), ("out", 3, 7))
    )
    assert warned(Known(keys=(later,), auditors=auditors)) == {("agency", None), ("auditor", 30)}
    ending = OwnKey("one", "sign", {}, None, days(-300), days(6))
    assert warned(Known(own=(ending,), keys=(later,))) == {("agency", None), ("gateway", 7)}
    followed = (ending, OwnKey("two", "sign", {}, None, days(5)))
    assert warned(Known(own=followed, keys=(later,))) == {("agency", None)}

"""Which of the gateway's own keys is used when: one at a time, none after its end, never an older one instead."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import KeyringError
from gateway.keys.keychain import SIGN, OwnKey, Ring, in_use, state

T = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Held:
    """A private key as far as a ring is concerned: its id."""

    kid: str


OLD = OwnKey("old", SIGN, {}, "file:/old", T - 90 * MINUTE, T + 10 * MINUTE)
NEW = OwnKey("new", SIGN, {}, "file:/new", T + 5 * MINUTE)
OTHER = OwnKey("other", "storage", None, "file:/other", T - MINUTE)
KNOWN = (OLD, NEW, OTHER)


@pytest.mark.parametrize(
    ("minutes", "used", "states"),
    [
        (0, "old", ("active", "pending")),
        (5, "new", ("retiring", "active")),
        (10, "new", ("retired", "active")),
    ],
)
def test_a_key_is_used_from_its_moment_until_the_next_one_begins(
    minutes: int, used: str, states: tuple[str, str]
) -> None:
    """Exactly one key of a role is used at any moment; the other is to come, counts a while longer, or is over."""
    now = T + minutes * MINUTE
    found = in_use(KNOWN, SIGN, now)
    assert found is not None
    assert found.kid == used
    assert (state(OLD, KNOWN, now), state(NEW, KNOWN, now)) == states


class Clock:
    """A clock that a test sets."""

    now = T

    def __call__(self) -> datetime:
        return self.now


def ring(clock: Clock, files: dict[str, str]) -> Ring[Held]:
    """A ring whose files hold these keys; a file that is not there does not open."""

    def load(uri: str) -> Held:
        if uri not in files:
            raise KeyringError(f"{uri} cannot be read")
        return Held(files[uri])

    return Ring(Held("old"), SIGN, load, clock)


def test_the_next_key_is_opened_before_it_begins() -> None:
    """It was learnt while it was pending, and is used from its first moment on, whatever becomes of the file."""
    clock, files = Clock(), {"file:/new": "new"}
    keys = ring(clock, files)
    keys.learn(KNOWN)
    assert (keys.faults, keys.current().kid) == ((), "old")
    files.clear()
    clock.now = T + 5 * MINUTE
    assert keys.current().kid == "new"


@pytest.mark.parametrize("files", [{}, {"file:/new": "somebody else's"}])
def test_a_key_that_does_not_open_is_told_before_it_is_needed_and_never_replaced_by_the_old_one(
    files: dict[str, str],
) -> None:
    """A node without the new file says so while the old key is still used; afterwards it signs nothing."""
    clock = Clock()
    keys = ring(clock, files)
    keys.learn(KNOWN)
    assert len(keys.faults) == 1
    assert "new" in keys.faults[0]
    assert keys.current().kid == "old"
    clock.now = T + 5 * MINUTE
    with pytest.raises(KeyringError, match=r"does not have|cannot be read"):
        keys.current()


def test_a_revoked_key_is_not_used() -> None:
    """Not even while no other is there."""
    revoked = OwnKey("old", SIGN, {}, None, T - MINUTE, None, "revoked")
    assert in_use([revoked], SIGN, T) is None
    assert state(revoked, [revoked], T) == "revoked"


def test_a_clock_that_was_set_back_is_believed_as_before() -> None:
    """What is used is asked once until a key begins or ends, and again when the time is another after all."""
    clock = Clock()
    keys = ring(clock, {"file:/new": "new"})
    keys.learn(KNOWN)
    used, counting = [], []
    for minutes in (0, 4, 5, 9, 10, 6, 0):
        clock.now = T + minutes * MINUTE
        used.append(keys.current().kid)
        counting.append([key.kid for key in keys.counting()])
    assert used == ["old", "old", "new", "new", "new", "new", "old"]
    assert counting == [["old", "new"]] * 2 + [["new", "old"]] * 2 + [["new"], ["new", "old"], ["old", "new"]]


def test_a_key_that_is_revoked_is_used_no_longer_than_until_that_is_learnt() -> None:
    """What was worked out before says nothing of what has been learnt since."""
    clock = Clock()
    clock.now = T + 6 * MINUTE
    keys = ring(clock, {"file:/new": "new"})
    keys.learn(KNOWN)
    assert keys.current().kid == "new"
    keys.learn((OLD, replace(NEW, status="revoked")))
    assert keys.current().kid == "old"
    assert [key.kid for key in keys.counting()] == ["old"]

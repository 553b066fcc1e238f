"""The claims of a message: each is there, has its form and its limits, and says when and for whom."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.message.envelope import (
    DEFAULT_LIMITS,
    staleness,
)
from tests.message.making import (
    FULL,
    ISSUED,
    OPTIONAL,
    REQUIRED,
    accept,
    claims,
    forge,
    payload,
    refuse,
)

NOW = datetime.fromtimestamp(ISSUED + 60, UTC)


@pytest.mark.parametrize("name", [*REQUIRED, "body"])
def test_every_required_claim_is_required(name: str) -> None:
    """Without it, and with null in its place."""
    members = payload({})
    error = refuse(forge({key: value for key, value in members.items() if key != name}), name)
    assert error.code == "envelope.malformed"
    refuse(forge(members | {name: None}))


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_claim_is_never_null(name: str) -> None:
    """Absent is absent; null is neither absent nor a value."""
    refuse(forge(payload({}) | {name: None}), name)
    accept(forge(payload({}) | {name: FULL[name]}))


@pytest.mark.parametrize(
    "name",
    [
        "nbf",
        "sub",
        "cnf",
        "vct",
        "status",
        "scope",
        "kid",
        "ISS",
        "iss ",
        "",
        "_sd",
        "...",
        "Body",
        "__proto__",
        "\u0131ss",
    ],
)
def test_an_unknown_claim_is_refused(name: str) -> None:
    """A claim the gateway does not judge cannot be signed past it; not even `nbf` or `cnf`."""
    refuse(forge(payload({}) | {name: "x"}), "unknown claim")


@pytest.mark.parametrize("name", ["iss", "exp", "body", "jti", "_sd_alg"])
def test_a_claim_stands_once(name: str) -> None:
    """A second one of the same name is refused, equal or not."""
    members = payload({})
    text = json.dumps(members)
    for value in (members[name], "polda-metro-jaya"):
        refuse(forge(text[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"), "twice")


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"a":{"b":[{"c":1,"c":2}]}}', '{"a":1,"\\u0061":2}'])
def test_a_member_of_the_body_stands_once(text: str) -> None:
    """At any depth: the signature would cover both, and readers would take different ones."""
    refuse(forge(json.dumps(payload({"@": 0})).replace('{"@": 0}', text)), "twice")


WRONG: dict[str, list[Any]] = {
    "iss": ["", "A", "Imigrasi", "-a", "a-", "a b", "a.b", "a/b", "a\n", "\u0430", "a" * 64, "../etc", "é", "a_b"],
    "aud": ["", "Polda", "polda-banten\n", "polda banten", "a" * 64, ["polda-banten"], "*"],
    "jti": [
        "",
        "short",
        "a" * 7,
        "a" * 129,
        "has space",
        "has/slash",
        "has\nline",
        "été-0001",
        "12345678\x00",
        "a" * 8 + "\n",
    ],
    "type": [
        "",
        "early-warning.report",
        "early-warning.report/0",
        "early-warning.report/01",
        "a/10000",
        "A.b/1",
        "a..b/1",
        ".a/1",
        "a./1",
        "a.b.c.d.e/1",
        "a/1/1",
        "../a/1",
        "a/1\n",
        "a/-1",
        "a/1.0",
        "a b/1",
        "a/\u0661",
    ],
    "agreement": ["", "PKS", "pks/2025", "../pks", "a" * 64, "pks\n", "pks-"],
    "purpose": ["", "early_warning", "1A", "A B", "A-B", "A" * 65, "A\n", "É"],
    "classification": ["", "b", "X", "T ", "BT", "SECRET", "t", "RR"],
    "handling": ["", "red", "RED ", "AMBER+", "TLP:RED", "WHITE"],
    "in_reply_to": [
        "",
        "x",
        "01960000-0000-4000-8000-000000000001",
        FULL["in_reply_to"].upper() + "A",
        "01960000-0000-7000-c000-000000000001",
        "0196000000007000800000000000000100",
        FULL["in_reply_to"] + "\n",
    ],
    "correlation_id": ["", "short", "a" * 129, "has space"],
    "case": [
        "",
        "LP",
        [],
        {},
        {"type": "LP"},
        {"number": "1"},
        {"type": "LP", "number": "1", "x": 1},
        {"type": "lp", "number": "1"},
        {"type": "LP", "number": ""},
        {"type": "LP", "number": 17},
        {"type": None, "number": "1"},
        {"type": "LP", "number": "a\nb"},
        {"type": "LP", "number": "a" * 129},
        {"type": "LP", "number": " 1"},
        [["type", "LP"]],
    ],
    "officer": [{}, {"id": "1"}, {"id": "", "role": "A"}, {"id": "1", "role": "analyst"}, {"id": 1, "role": "A"}, "me"],
    "legal_basis": [[], "UU 6/2011", {}, [""], [1], [None], [["UU"]], ["a\nb"], ["a\x7f"], ["x" * 257], ["UU"] * 17],
    "iat": [-1, 1.0, float(ISSUED), str(ISSUED), ISSUED * 1000000, [], {}, 253_402_300_800, 2**53 - 1],
    "exp": [-1, 0, 1.0, float(ISSUED + 60), str(ISSUED + 60), ISSUED, ISSUED - 1, 253_402_300_800, 2**53 - 1, []],
    "body": ["", "{}", [], [{}], 0, 1.5],
}
ANY_TYPE: list[Any] = [True, False, 0.5, [[]], {"a": {}}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, wrong in WRONG.items()
        for value in wrong + (ANY_TYPE if name != "body" else ANY_TYPE[:4])
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_claim_of_the_wrong_type_or_form_is_refused(name: str, value: Any) -> None:
    """JSON true is no number, 1.0 no whole second, and every text has its exact form; the pointer says which claim it was."""
    error = refuse(forge(payload({}) | {name: value}))
    assert error.code == "envelope.malformed"
    pointer = error.reasons[0].pointer
    assert pointer is not None
    # An `iat` that is late makes `exp` the one that is too early.
    assert pointer.split("/")[1] in {name, *({"exp"} if name == "iat" else ())}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", "a"),
        ("iss", "a" * 63),
        ("jti", "a" * 8),
        ("jti", "A.z_9~-" + "a" * 121),
        ("type", "a/1"),
        ("type", "a.b.c.d/9999"),
        ("purpose", "A" * 64),
        ("case", {"type": "LP", "number": "a" * 128}),
        ("legal_basis", ["é" * 256] * 16),
        ("iat", 0),
        ("exp", 253_402_300_799),
        ("exp", ISSUED + 1),
    ],
    ids=repr,
)
def test_a_claim_at_its_limit_is_taken(name: str, value: Any) -> None:
    """The longest, the shortest, the first and the last."""
    accept(forge(payload({}) | {name: value}))


# --- Dates and audience


def test_every_fault_of_time_and_audience_is_reported_together() -> None:
    """A message for no one here, from the future and valid for too long says all three."""
    stale = claims(aud="polda-jabar", iat=ISSUED + 3600, exp=ISSUED + 3600 + 8 * 86_400)
    assert [(reason.code, reason.pointer) for reason in staleness(stale, NOW, {"polda-banten"})] == [
        ("envelope.wrong-audience", "/aud"),
        ("envelope.not-yet-valid", "/iat"),
        ("envelope.validity-too-long", "/exp"),
    ]
    assert staleness(claims(), NOW, {"polda-banten"}) == ()


def test_the_limits_of_time_are_exact() -> None:
    """60 s of leeway at both ends and 7 days of validity, each to the second."""
    here = {"polda-banten"}
    later = int(NOW.timestamp())

    def codes(iat: int, exp: int) -> list[str]:
        return [reason.code for reason in staleness(claims(iat=iat, exp=exp), NOW, here)]

    assert codes(later + 60, later + 61) == []
    assert codes(later + 61, later + 62) == ["envelope.not-yet-valid"]
    assert codes(later - 100, later - 59) == []
    assert codes(later - 100, later - 60) == ["envelope.expired"]
    assert codes(later, later + 7 * 86_400) == []
    assert codes(later, later + 7 * 86_400 + 1) == ["envelope.validity-too-long"]
    assert codes(0, 253_402_300_799) == ["envelope.validity-too-long"]


def test_a_message_to_oneself_has_the_wrong_audience() -> None:
    """An agency does not need the gateway to talk to itself."""
    mirror = claims(aud="imigrasi-banten")
    assert [reason.code for reason in staleness(mirror, NOW, {"imigrasi-banten"})] == ["envelope.wrong-audience"]


def test_the_leeway_is_a_limit_like_others() -> None:
    """With no leeway, the second before counts."""
    exact = replace(DEFAULT_LIMITS, leeway=timedelta(0))
    late = claims(iat=ISSUED, exp=int(NOW.timestamp()))
    assert [reason.code for reason in staleness(late, NOW, {"polda-banten"}, exact)] == ["envelope.expired"]

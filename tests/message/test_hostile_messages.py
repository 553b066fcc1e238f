"""Messages that somebody spoilt: refused in known ways, without a word of what was sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CODES, MalformedError, SignatureInvalidError, TooLargeError
from gateway.jose import b64encode
from gateway.keyring import KeyringSigner
from gateway.message.disclosure import digest_of
from gateway.message.envelope import (
    issue,
    parse,
    sd_hash,
    serialise,
    verify,
)
from tests.message.making import (
    DIGEST,
    ED,
    OPTIONAL,
    OTHER,
    REQUIRED,
    accept,
    claims,
    encode,
    forge,
    header,
    hidden,
    often,
    payload,
    refuse,
    said,
    salt,
    seldom,
    values,
)

# --- What errors say


MARK = "MARK7f3a"


def marked_faults() -> list[tuple[str, bytes]]:
    """Messages that are wrong in every way there is, with the mark wherever a sender could put one."""
    faults: list[tuple[str, bytes]] = [
        (f"{name} is {value!r}", forge(payload({}) | {name: value}))
        for name in (*REQUIRED, *OPTIONAL, "_sd_alg")
        for value in (f"{MARK}\n", [f"{MARK}\n"], {MARK: MARK}, [{MARK: [MARK]}])
    ]
    faults += [
        ("unknown claim", forge(payload({}) | {MARK: MARK})),
        ("member twice", forge(f'{{"{MARK}":"{MARK}","{MARK}":"{MARK}"}}')),
        ("no JSON", forge(f'{{"iss":"{MARK}" {MARK}')),
        ("no JSON number", forge(f'{{"{MARK}":NaN}}')),
        ("no text", forge(f'{{"{MARK}":"'.encode() + b'\xff"}')),
        ("surrogate", forge(f'{{"{MARK}\\ud800":"{MARK}"}}')),
        ("no object", forge(f'"{MARK}"')),
        ("body", forge(payload() | {"body": MARK})),
        ("header member", forge(payload(), head=header(**{MARK: MARK}))),
        ("header alg", forge(payload(), head=header(alg=MARK))),
        ("header typ", forge(payload(), head=header(typ=MARK))),
        ("header kid", forge(payload(), head=header(kid=MARK))),
        ("no base64", f"{MARK}!.{MARK}.{MARK}~".encode()),
        ("no base64 in a disclosure", forge(payload(), [f"{MARK}!"])),
        ("key binding", forge(payload()) + MARK.encode()),
        ("not ASCII", MARK.encode() + b"\xff"),
        ("signature", issue(claims(), {MARK: MARK}, [], KeyringSigner(ED.public, OTHER.sign)).encode()),
        ("digest", forge(payload({MARK: {"_sd": [MARK]}}))),
        ("sd", forge(payload({MARK: {"_sd": MARK}}))),
        ("element", forge(payload({MARK: [{"...": MARK, MARK: MARK}]}))),
        ("dots", forge(payload({MARK: {"...": MARK}}))),
        ("sd_alg", forge(payload({MARK: {"_sd_alg": MARK}}))),
        ("deep", forge(payload({MARK: json.loads("[" * 40 + f'"{MARK}"' + "]" * 40)}))),
    ]
    for content in (
        [salt(), MARK, MARK, MARK],
        [MARK, MARK],
        [MARK, MARK, MARK],
        [salt(), [MARK], MARK],
        [salt(), MARK, {"_sd": [MARK]}],
        [salt(), MARK, {"...": MARK}],
        [salt(), {MARK: MARK}],
    ):
        encoded = hidden(*content)
        faults.append((f"disclosure {content}", forge(payload({"_sd": [digest_of(encoded)]}), [encoded])))
    collision = hidden(salt(), MARK, MARK)
    faults += [
        ("collision", forge(payload({MARK: 1, "_sd": [digest_of(collision)]}), [collision])),
        ("unreferenced", forge(payload({}), [collision])),
        ("twice", forge(payload({"_sd": [digest_of(collision)]}), [collision, collision])),
        ("wrong kind", forge(payload({"a": [{"...": digest_of(collision)}]}), [collision])),
        ("unopened", forge(payload({MARK: {"_sd": [DIGEST]}}))),
        ("disclosure no JSON", forge(payload({}), [encode(f'["{salt()}","{MARK}",{MARK}]')])),
    ]
    return faults


@pytest.mark.parametrize(("fault", "raw"), marked_faults(), ids=[fault for fault, _ in marked_faults()])
def test_an_error_never_repeats_what_was_sent(fault: str, raw: bytes) -> None:
    """No value, no unknown name, no digest: what an error says is fixed text and the names of claims."""
    with pytest.raises((MalformedError, TooLargeError, SignatureInvalidError)) as caught:
        accept(raw)
    assert MARK not in said(caught.value)
    assert caught.value.code in CODES
    cause = caught.value.__cause__
    assert cause is None or MARK not in str(cause)


# --- Arbitrary input


def judged(raw: bytes) -> None:
    """Parses and verifies; anything but a refusal of the three kinds fails the test."""
    try:
        message = parse(raw)
    except (MalformedError, TooLargeError):
        return
    for complete in (True, False):
        try:
            verify(message, ED.public, complete=complete)
        except (MalformedError, TooLargeError, SignatureInvalidError):
            continue


@often
@given(st.binary(max_size=200) | st.text('ey~.AZaz09_-=+/ \n{}[]":,', max_size=120).map(str.encode))
def test_arbitrary_bytes_are_refused_in_two_ways_only(raw: bytes) -> None:
    """`parse` raises MalformedError or TooLargeError, never anything else."""
    judged(raw)


VALID = issue(claims(), {"a": [1, {"b": "c"}], "d": "e"}, ["/body/a/*", "/body/d"], ED).encode()
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(VALID)), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from([b"~", b".", b"=", b"A"])
    ),
    min_size=1,
    max_size=4,
)


@often
@given(EDITS)
def test_a_mutated_message_is_refused_or_is_the_same_message(edits: list[tuple[int, int, bytes]]) -> None:
    """Bytes cut, replaced and put in at random: what is still taken has the same signed part and the same body."""
    raw = VALID
    for position, cut, put in edits:
        raw = raw[:position] + put + raw[position + cut :]
    try:
        verified = accept(raw)
    except (MalformedError, TooLargeError, SignatureInvalidError):
        return
    assert verified.jwt == accept(VALID).jwt
    assert verified.body == accept(VALID).body


@seldom
@given(
    st.dictionaries(st.sampled_from([*REQUIRED, *OPTIONAL, "_sd_alg", "body", "_sd", "x"]), values, max_size=4),
    st.lists(st.lists(st.sampled_from([salt(1), salt(2), "_sd", "..."]) | values, max_size=4), max_size=3),
)
def test_signed_nonsense_is_refused_in_known_ways_only(changes: dict[str, Any], contents: list[list[Any]]) -> None:
    """Rightly signed messages with arbitrary JSON in any claim and any disclosure."""
    disclosures = [hidden(*content) for content in contents]
    body = {"_sd": [digest_of(one) for one in disclosures], "a": [{"...": digest_of(one)} for one in disclosures[:1]]}
    judged(forge(payload(body) | changes, disclosures))


structures = st.recursive(
    st.sampled_from([1, "x", None, DIGEST, digest_of(hidden(salt(1), "n", 1)), digest_of(hidden(salt(2), [1]))]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["_sd", "...", "a", "n", "_sd_alg"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@seldom
@given(st.dictionaries(st.sampled_from(["_sd", "a", "n", "..."]), structures, max_size=3), st.integers(0, 3))
def test_any_arrangement_of_digests_is_judged_without_an_accident(body: dict[str, Any], which: int) -> None:
    """Reserved names in every place, with none, one or both of two disclosures: opened exactly, or refused."""
    both = (hidden(salt(1), "n", 1), hidden(salt(2), [1]))
    judged(forge(payload(body), [one for bit, one in enumerate(both) if which >> bit & 1]))


def test_an_unsigned_spelling_is_no_second_message() -> None:
    """Disclosures in another order are the same message: the identity is the issuer-signed JWT."""
    jwt, *disclosures = VALID.decode().split("~")[:-1]
    turned = accept(serialise(jwt, reversed(disclosures)))
    assert turned.jwt == accept(VALID).jwt
    assert turned.body == accept(VALID).body
    assert sd_hash(turned.text()) != sd_hash(VALID.decode())


def test_a_payload_in_another_spelling_needs_another_signature() -> None:
    """Blanks in the JSON are signed bytes: they may be there, and they make another JWT."""
    spaced = json.dumps(payload({"a": 1}), indent=2)
    compact = json.dumps(payload({"a": 1}), separators=(",", ":"))
    one, two = accept(forge(spaced)), accept(forge(compact))
    assert one.body == two.body
    assert one.jwt != two.jwt
    head, _, signature = one.jwt.split(".")
    refuse(f"{head}.{b64encode(compact.encode())}.{signature}~", error=SignatureInvalidError)

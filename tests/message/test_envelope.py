"""The message as a whole: what is one, who must have signed it, what is released of it, and what an error may say."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from gateway.errors import CODES, MalformedError, SignatureInvalidError, TooLargeError
from gateway.jose import b64encode
from gateway.keyring import KeyringSigner
from gateway.message.disclosure import digest_of
from gateway.message.envelope import (
    DEFAULT_LIMITS,
    MESSAGE_TYP,
    Case,
    Limits,
    Officer,
    bound,
    issue,
    open_message,
    parse,
    release,
    sd_hash,
    serialise,
    staleness,
    verify,
)
from tests.message.making import (
    DIGEST,
    EC,
    ED,
    ED25519_PRIVATE,
    FULL,
    ISSUED,
    OPTIONAL,
    OTHER,
    P256_PRIVATE,
    REQUIRED,
    SIGNERS,
    accept,
    bodies_with_places,
    canonical,
    claims,
    decoded,
    encode,
    forge,
    header,
    hidden,
    marked_bodies,
    marks,
    often,
    payload,
    refuse,
    said,
    salt,
    seldom,
    sign,
    values,
    without,
)

NOW = datetime.fromtimestamp(ISSUED + 60, UTC)
BODY = {"place": "Pulo Panjang", "reporter": {"pseudonym": "WARGA-PP-07", "contact": "+628120000001"}}


def body_pointers(places: list[str]) -> list[str]:
    return [f"/body{place}" for place in places]


# --- There and back


@seldom
@given(bodies_with_places(), st.sampled_from(SIGNERS))
def test_what_is_issued_is_what_is_verified(case: tuple[dict[str, Any], list[str]], signer: KeyringSigner) -> None:
    """Any body, any part of it disclosable, either algorithm: the gateway sees exactly what the sender said."""
    body, places = case
    text = issue(claims(), body, body_pointers(places), signer)
    verified = accept(text, signer)
    assert canonical(verified.body) == canonical(body)
    assert verified.claims == claims()
    assert verified.disclosable == set(body_pointers(places))
    assert verified.text() == text
    assert verified.kid == signer.kid


def test_every_claim_comes_back() -> None:
    """All claims, the optional ones too, and the view that conditions look at."""
    every = claims(
        case=Case("LP", "LP/B/17/XI/2026/SPKT"),
        officer=Officer("198804122012032001", "ANALYST"),
        legal_basis=("UU 6/2011 Art 120",),
        **{name: FULL[name] for name in ("in_reply_to", "correlation_id", "handling")},
    )
    verified = accept(issue(every, BODY, ["/body/reporter"], ED))
    assert verified.claims == every
    assert verified.claims.as_json() == FULL
    assert verified.view() == {**FULL, "body": BODY}


def test_the_wire_form_is_that_of_the_rfc() -> None:
    """`<JWT>~` without disclosures, `<JWT>~<disclosure>~` with one; `_sd_alg` only where it means something."""
    plain, one = issue(claims(), BODY, [], ED), issue(claims(), BODY, ["/body/reporter"], ED)
    assert plain.count("~") == 1
    assert one.count("~") == 2
    assert plain.endswith("~")
    assert one.endswith("~")
    assert "_sd_alg" not in parse(plain.encode()).jws.payload
    assert parse(one.encode()).jws.payload["_sd_alg"] == "sha-256"


def test_the_hash_of_what_was_released_covers_every_byte() -> None:
    """`sd_hash` is over JWT, disclosures and the last `~` (RFC 9901 §4.3.1): another subset has another one."""
    verified = accept(issue(claims(), BODY, ["/body/reporter", "/body/place"], ED))
    texts = {release(verified, withheld) for withheld in ((), ("/body/reporter",), ("/body/reporter", "/body/place"))}
    assert len({sd_hash(text) for text in texts}) == 3
    assert sd_hash("eyJ~") == digest_of("eyJ~") != digest_of("eyJ")


@seldom
@given(marked_bodies(), st.sampled_from(SIGNERS))
def test_what_is_withheld_is_gone_and_the_rest_still_verifies(
    case: tuple[dict[str, Any], list[str], list[str]], signer: KeyringSigner
) -> None:
    """Any subset withheld: the recipient verifies the same signature and finds no name and no value of it anywhere."""
    body, disclosable, withheld = case
    sent = accept(issue(claims(), body, body_pointers(disclosable), signer), signer)
    text = release(sent, body_pointers(withheld))
    seen = accept(text, signer, complete=False)
    remaining = without(body, frozenset(withheld))
    assert canonical(seen.body) == canonical(remaining)
    assert seen.jwt == sent.jwt
    hidden_marks = marks(body) - marks(remaining)
    readable = decoded(text)
    assert not [mark for mark in hidden_marks if mark.encode() in readable]
    assert not [mark for mark in marks(remaining) if mark.encode() not in readable]
    if withheld:
        refuse(text, "not opened", signer=signer)


@seldom
@given(marked_bodies(), st.sampled_from([(ED, ED25519_PRIVATE), (EC, P256_PRIVATE)]))
def test_an_independent_verifier_sees_what_ours_sees(
    case: tuple[dict[str, Any], list[str], list[str]], keys: tuple[KeyringSigner, Any]
) -> None:
    """PyPI's `sd-jwt` verifies every released message and reconstructs the same payload."""
    body, disclosable, withheld = case
    signer, _ = keys
    text = release(accept(issue(claims(), body, body_pointers(disclosable), signer), signer), body_pointers(withheld))
    verifier = SDJWTVerifier(text, lambda _issuer, _header: JWK(**signer.public.jwk))
    theirs = verifier.get_verified_payload()
    assert canonical(theirs) == canonical(claims().as_json() | {"body": accept(text, signer, complete=False).body})


@pytest.mark.parametrize(("signer", "private"), [(ED, ED25519_PRIVATE), (EC, P256_PRIVATE)], ids=["EdDSA", "ES256"])
def test_a_message_of_an_independent_issuer_is_taken(signer: KeyringSigner, private: Any) -> None:
    """PyPI's `sd-jwt` issues with members, elements and nested disclosures; ours opens them to the same body."""
    body = {
        "clear": [1, {"é": None}],
        SDObj("reporter"): {SDObj("contact"): "+62", "pseudonym": "WARGA-PP-07"},
        "routes": [SDObj("A"), "B", SDObj({SDObj("deep"): True})],
    }
    issued = SDJWTIssuer(
        claims().as_json() | {"body": body},
        JWK.from_pyca(private),
        sign_alg=signer.alg,
        extra_header_parameters={"typ": MESSAGE_TYP, "kid": signer.kid},
    ).sd_jwt_issuance
    verified = accept(issued, signer)
    assert verified.body == {
        "clear": [1, {"é": None}],
        "reporter": {"contact": "+62", "pseudonym": "WARGA-PP-07"},
        "routes": ["A", "B", {"deep": True}],
    }
    assert verified.disclosable == {
        "/body/reporter",
        "/body/reporter/contact",
        "/body/routes/0",
        "/body/routes/2",
        "/body/routes/2/deep",
    }
    decoys = SDJWTIssuer(
        claims().as_json() | {"body": {SDObj("a"): 1}},
        JWK.from_pyca(private),
        sign_alg=signer.alg,
        add_decoy_claims=True,
        extra_header_parameters={"typ": MESSAGE_TYP, "kid": signer.kid},
    ).sd_jwt_issuance
    refuse(decoys, signer=signer)


def test_a_field_that_was_to_be_hidden_is_never_sent_in_clear_by_mistake() -> None:
    """A pattern that is not below /body is refused by the sender's own library instead of naming nothing."""
    for pattern in ("reporter", "/reporter", "body/reporter", "/bodyreporter", "/Body/reporter", "/body", "", "/iss"):
        with pytest.raises(MalformedError, match="/body/"):
            issue(claims(), BODY, [pattern], ED)
    assert accept(issue(claims(), BODY, ["/body/absent"], ED)).disclosable == set()


# --- Signature


def test_the_key_that_is_asked_is_the_key_that_signed() -> None:
    """Another agency's key, and another key under the right name."""
    text = issue(claims(), BODY, ["/body/reporter"], ED).encode()
    with pytest.raises(SignatureInvalidError):
        verify(parse(text), OTHER.public)
    with pytest.raises(SignatureInvalidError):
        verify(parse(text), replace(OTHER.public, kid=ED.kid))
    refuse(issue(claims(), BODY, [], KeyringSigner(ED.public, OTHER.sign)), error=SignatureInvalidError)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_no_altered_byte_makes_another_message(signer: KeyringSigner) -> None:
    """At every position of a message a changed byte is malformed or unsigned; none is taken, as this message or another."""
    text = issue(claims(), {"a": 1, "b": 2}, ["/body/a"], signer)
    for position in range(len(text)):
        for other in {chr(ord(text[position]) ^ 1), "A", "~", "."} - {text[position]}:
            altered = (text[:position] + other + text[position + 1 :]).encode()
            with pytest.raises((MalformedError, SignatureInvalidError)):
                verify(parse(altered), signer.public)


def test_no_removed_or_doubled_byte_makes_another_message() -> None:
    """A byte less, or the same byte twice, at every position."""
    text = issue(claims(), {"a": 1, "b": 2}, ["/body/a"], ED).encode()
    for position in range(len(text)):
        for altered in (
            text[:position] + text[position + 1 :],
            text[:position] + text[position : position + 1] + text[position:],
        ):
            with pytest.raises((MalformedError, SignatureInvalidError)):
                verify(parse(altered), ED.public)


def test_disclosures_of_another_message_do_not_fit() -> None:
    """The same field of two messages has unrelated salts: an exchanged disclosure is named by no digest."""
    one, two = (issue(claims(jti=f"message-{n}"), BODY, ["/body/reporter"], ED).split("~") for n in range(2))
    refuse(serialise(one[0], [two[1]]), "not opened")
    refuse(serialise(one[0], [one[1], two[1]]), "not named")
    refuse(serialise(one[0], [two[1]]), "not named", complete=False)


# --- The outer form


def attach(*ends: str) -> Callable[[str], str]:
    return lambda text: text + "".join(ends)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text.removesuffix("~").rpartition("~")[0],
        lambda text: "~" + text,
        attach("~"),
        attach("~~"),
        attach("\n"),
        attach("\r\n"),
        attach(" "),
        attach("\x00"),
        attach(sign({"nonce": "1", "aud": "x", "iat": 1, "sd_hash": DIGEST}, {"alg": "EdDSA", "typ": "kb+jwt"})),
        attach("e30"),
        lambda text: " " + text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("~", "~~", 1),
        lambda text: text.replace("~", "~\n", 1),
        lambda text: text.replace("~", "~=", 1),
        lambda text: text.replace("~", "=~", 1),
        lambda text: text.replace("~", "==~", 1),
        lambda text: text[:-1] + "=~",
        lambda text: text[:-1] + "==~",
        lambda text: text.replace(".", ".\n", 1),
        lambda text: text.replace(".", "=.", 1),
        lambda text: text.replace("~", "\u02dc", 1),
        lambda text: text.replace("e", "\u0435", 1),
        lambda text: "Bearer " + text,
        lambda text: f'"{text}"',
        lambda text: json.dumps({"payload": text, "signatures": []}),
        lambda _: "~",
        lambda _: "",
        lambda _: "~~~",
        lambda _: "a.b.c~",
    ],
)
def test_a_message_has_one_outer_form(damage: Callable[[str], str]) -> None:
    """No last `~`, a key binding JWT, empty parts, blanks, line ends, padding, a mark, a wrapping: malformed."""
    refuse(damage(issue(claims(), BODY, ["/body/reporter"], ED)))


@pytest.mark.parametrize(
    "raw", [b"\xff~", b"\x00~", "é.é.é~".encode(), "~".encode("utf-16"), b"\x80" * 100, b"\xc3\xa9~"]
)
def test_what_is_not_ascii_is_no_message(raw: bytes) -> None:
    """Bytes beyond ASCII are refused before anything is decoded."""
    refuse(raw)


@pytest.mark.parametrize(
    "typ", ["sd-jwt", "exchange+SD-JWT", "vc+sd-jwt", "receipt+jwt", "release+jwt", "request+jwt", "JWT"]
)
def test_a_token_of_another_kind_is_no_message(typ: str) -> None:
    """What was signed as something else cannot be posted as a message."""
    refuse(forge(payload(), head=header(typ=typ)), "typ")


def test_a_message_of_one_mebibyte_is_the_largest() -> None:
    """The size is counted before anything is decoded; one byte more is too large."""
    bound(b"~" + b"e" * 1_048_575)
    with pytest.raises(TooLargeError):
        bound(b"~" + b"e" * 1_048_576)
    fixed = len(forge(payload({"a": ""})))
    text = forge(payload({"a": "x" * ((1_048_576 - fixed) * 3 // 4 - 3)}))
    assert 1_048_560 < len(text) <= 1_048_576
    accept(text)


@pytest.mark.parametrize(("count", "fits"), [(255, True), (256, True), (257, False)])
def test_a_message_of_256_disclosures_is_the_fullest(count: int, fits: bool) -> None:
    """One disclosure more is too large, whether or not it would be named."""
    disclosures = [hidden(salt(number), f"n{number}", number) for number in range(count)]
    message = forge(payload({"_sd": [digest_of(one) for one in disclosures]}), disclosures)
    if fits:
        assert len(accept(message).body) == count
    else:
        refuse(message, "256 disclosures", TooLargeError)


@pytest.mark.timeout(5)
def test_a_million_tildes_and_a_million_dots_cost_nothing() -> None:
    """The parts are counted before they are looked at."""
    refuse(b"~" * 1_000_000, error=TooLargeError)
    refuse(b"." * 1_000_000 + b"~")
    refuse(b"a." * 500_000 + b"~")


def test_limits_are_the_caller_s() -> None:
    """A gateway with smaller published limits holds messages to them."""
    raw = forge(payload({"a": [[1]]}))
    tight = Limits(message_bytes=len(raw), disclosures=0, depth=3)
    assert open_message(parse(raw, tight), tight).payload == {"a": [[1]]}
    for limits in (replace(tight, message_bytes=len(raw) - 1), replace(tight, depth=2)):
        with pytest.raises(TooLargeError):
            verify(parse(raw, limits), ED.public, limits)


@pytest.mark.parametrize("levels", [32, 33, 1000, 100_000])
@pytest.mark.timeout(5)
def test_a_body_is_32_levels_deep_at_most(levels: int) -> None:
    """The limit is exact, and far beyond it the answer is the same and comes at once."""
    text = json.dumps(payload({"a": "@"})).replace('"@"', "[" * (levels - 1) + "1" + "]" * (levels - 1))
    if levels == 32:
        accept(forge(text))
    else:
        refuse(forge(text), error=TooLargeError)


# --- Claims


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

"""The message as a whole: what is one, who must have signed it, what is released of it, and what an error may say."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from gateway.errors import MalformedError, SignatureInvalidError, TooLargeError
from gateway.keyring import KeyringSigner
from gateway.message.disclosure import digest_of
from gateway.message.envelope import (
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
    verify,
)
from tests.message.making import (
    DIGEST,
    EC,
    ED,
    ED25519_PRIVATE,
    FULL,
    OTHER,
    P256_PRIVATE,
    SIGNERS,
    accept,
    bodies_with_places,
    canonical,
    claims,
    decoded,
    forge,
    header,
    hidden,
    marked_bodies,
    marks,
    payload,
    refuse,
    salt,
    seldom,
    sign,
    without,
)

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

"""Selective disclosure: every must-reject of RFC 9901 §7.1, what a recipient sees, and nothing lost on the way."""

from dataclasses import dataclass
from typing import Any

import pytest

from gateway.errors import MalformedError, TooLargeError
from gateway.message.disclosure import (
    SALT_LIMIT,
    digest_of,
    open_payload,
    parse_disclosure,
)
from tests.message.making import (
    DIGEST,
    accept,
    canonical,
    encode,
    forge,
    hidden,
    look_up,
    payload,
    refuse,
    salt,
)

# --- Known answers: the examples of RFC 9901 §4.2.1, §4.2.2, §4.2.3 and §5.1


@pytest.mark.parametrize(
    ("encoded", "digest", "content"),
    [
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0",
            ("_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"),
        ),
        (
            "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0",
            "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs",
            ("lklxF5jMYlGTPUovMNIvCA", None, "FR"),
        ),
        (
            "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIlVTIl0",
            "pFndjkZ_VCzmyTa6UjlZo3dh-ko8aIKQc9DlGzhaVYo",
            ("lklxF5jMYlGTPUovMNIvCA", None, "US"),
        ),
        (
            "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
            "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
            ("2GLC42sKQveCfGfryNRN9w", "given_name", "John"),
        ),
        (
            "WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd",
            "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo",
            ("eluV5Og3gSNII8EYnsxA_A", "family_name", "Doe"),
        ),
    ],
)
def test_the_published_disclosures_have_the_published_digests(
    encoded: str, digest: str, content: tuple[str, str | None, str]
) -> None:
    """The digest is over the encoded text, and the content is read as the RFC says."""
    disclosure = parse_disclosure(encoded)
    assert digest_of(encoded) == disclosure.digest == digest
    assert (disclosure.salt, disclosure.name, disclosure.value) == content


def test_the_spellings_of_one_disclosure_have_digests_of_their_own() -> None:
    """RFC 9901 §4.2.1 allows any JSON spelling of the same content: what is hashed is the spelling."""
    spellings = (
        "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
        "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWlseV9uYW1lIiwiTcO2Yml1cyJd",
        "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNXHUwMGY2Yml1cyJd",
    )
    read = [parse_disclosure(spelling) for spelling in spellings]
    assert {(one.salt, one.name, one.value) for one in read} == {("_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius")}
    assert len({one.digest for one in read}) == 3


def test_the_payload_of_the_rfc_opens() -> None:
    """Part of the example of RFC 9901 §5.1: one claim opened, one array element opened, the rest withheld."""
    closed = {
        "_sd": [
            "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI",
            "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo",
            "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
        ],
        "nationalities": [
            {"...": "pFndjkZ_VCzmyTa6UjlZo3dh-ko8aIKQc9DlGzhaVYo"},
            {"...": "7Cf6JkPudry3lcbwHgeZ8khAv1U1OSlerP0VkBJrWZ0"},
        ],
    }
    disclosures = [
        parse_disclosure("WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIlVTIl0"),
        parse_disclosure("WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd"),
    ]
    opened = open_payload(closed, disclosures, complete=False, depth=32)
    assert opened.payload == {"family_name": "Doe", "nationalities": ["US"]}
    assert {place.pointer for place in opened.placed} == {"/family_name", "/nationalities/0"}
    with pytest.raises(MalformedError, match="not opened"):
        open_payload(closed, disclosures, complete=True, depth=32)


# --- Must-rejects of RFC 9901 §7.1: at submission and at the recipient alike


@dataclass(frozen=True)
class Bad:
    """A body, the disclosures that go with it, and what the refusal says."""

    attack: str
    body: Any
    disclosures: tuple[str, ...]
    match: str


CLAIM = hidden(salt(1), "name", "value")
TWIN = hidden(salt(2), "name", "other")
ELEMENT = hidden(salt(3), "value")
INNER = hidden(salt(4), "inner", "value")
OUTER = hidden(salt(5), "outer", {"_sd": [digest_of(INNER)]})
OUTER_LIST = hidden(salt(6), [{"...": digest_of(ELEMENT)}])
REPEATING = hidden(salt(7), "outer", {"_sd": [digest_of(INNER)], "more": {"_sd": [digest_of(INNER)]}})


def named(*content: Any) -> tuple[Any, tuple[str, ...]]:
    """A body whose `_sd` names one disclosure of this content."""
    encoded = hidden(*content)
    return {"_sd": [digest_of(encoded)]}, (encoded,)


def raw(text: str) -> tuple[Any, tuple[str, ...]]:
    """A body whose `_sd` names one disclosure of this very text."""
    encoded = encode(text)
    return {"_sd": [digest_of(encoded)]}, (encoded,)


ELEMENTS = "two or three elements"
NAME = "claim name"
SALT = "salt"
TWICE = "is there twice"
WRONG_DIGEST = "not a SHA-256"

ALWAYS = [
    # Step 3.c.ii.1 and iii.1: the wrong number of elements, or no array.
    Bad("no element", *named(), ELEMENTS),
    Bad("one element", *named(salt()), ELEMENTS),
    Bad("four elements", *named(salt(), "name", "value", "more"), ELEMENTS),
    Bad("an object", *raw('{"0":"a","1":"b","2":"c"}'), ELEMENTS),
    Bad("a string of three characters", *raw('"abc"'), ELEMENTS),
    Bad("a number", *raw("123"), ELEMENTS),
    Bad("null", *raw("null"), ELEMENTS),
    # Step 3.c.ii.2: reserved names; and names that are none.
    Bad("the name _sd", *named(salt(), "_sd", []), NAME),
    Bad("the name _sd holding digests", *named(salt(), "_sd", [DIGEST]), NAME),
    Bad("the name ...", *named(salt(), "...", DIGEST), NAME),
    Bad("the name _sd_alg", *named(salt(), "_sd_alg", "sha-256"), NAME),
    Bad("the name _sd, escaped", *raw(f'["{salt()}","\\u005fsd",[]]'), NAME),
    Bad("a number for a name", *named(salt(), 1, "value"), NAME),
    Bad("null for a name", *named(salt(), None, "value"), NAME),
    Bad("an array for a name", *named(salt(), ["name"], "value"), NAME),
    Bad("true for a name", *named(salt(), True, "value"), NAME),
    # A salt that can be guessed, and one that is a payload of its own.
    Bad("an empty salt", *named("", "name", "value"), SALT),
    Bad("a salt of 21 characters", *named("s" * 21, "name", "value"), SALT),
    Bad("a salt of 129 characters", *named("s" * (SALT_LIMIT + 1), "name", "value"), SALT),
    Bad("a number for a salt", *named(1, "name", "value"), SALT),
    Bad("null for a salt", *named(None, "name", "value"), SALT),
    Bad("an array for a salt", *named([salt()], "name", "value"), SALT),
    Bad(
        "one salt for two",
        {"_sd": [digest_of(CLAIM), digest_of(hidden(salt(1), "b", 1))]},
        (CLAIM, hidden(salt(1), "b", 1)),
        "share a salt",
    ),
    # Step 3.c.ii.3: the claim is already there.
    Bad("a name in clear already", {"name": 1, "_sd": [digest_of(CLAIM)]}, (CLAIM,), "already there"),
    Bad("a name in clear, below", {"a": [{"name": None, "_sd": [digest_of(CLAIM)]}]}, (CLAIM,), "already there"),
    Bad("a name disclosed twice", {"_sd": [digest_of(CLAIM), digest_of(TWIN)]}, (CLAIM, TWIN), "already there"),
    Bad(
        "a name already inside a disclosure",
        {"_sd": [digest_of(hidden(salt(8), "o", {"name": 1, "_sd": [digest_of(CLAIM)]}))]},
        (CLAIM, hidden(salt(8), "o", {"name": 1, "_sd": [digest_of(CLAIM)]})),
        "already there",
    ),
    # Step 4: a digest that stands more than once.
    Bad("a digest twice in one array", {"_sd": [digest_of(CLAIM)] * 2}, (CLAIM,), TWICE),
    Bad("a digest in two objects", {"_sd": [digest_of(CLAIM)], "a": {"_sd": [digest_of(CLAIM)]}}, (CLAIM,), TWICE),
    Bad("a digest twice in an array", {"a": [{"...": digest_of(ELEMENT)}] * 2}, (ELEMENT,), TWICE),
    Bad("a digest in both kinds of place", {"_sd": [DIGEST], "a": [{"...": DIGEST}]}, (), "not opened|" + TWICE),
    Bad("a digest twice inside a disclosure", {"_sd": [digest_of(REPEATING)]}, (REPEATING, INNER), TWICE),
    Bad(
        "a digest outside and inside a disclosure",
        {"_sd": [digest_of(OUTER)], "a": {"_sd": [digest_of(INNER)]}},
        (OUTER, INNER),
        TWICE,
    ),
    Bad("an unopened digest twice", {"_sd": [DIGEST, DIGEST]}, (), "not opened|" + TWICE),
    # Step 5: a disclosure that no digest names.
    Bad("a disclosure too many", {"_sd": [digest_of(CLAIM)]}, (CLAIM, INNER), "not named"),
    Bad("a disclosure and no digest at all", {}, (CLAIM,), "not named"),
    Bad("the child of a withheld parent", {"_sd": [digest_of(CLAIM)]}, (CLAIM, ELEMENT), "not named"),
    Bad("a disclosure given twice", {"_sd": [digest_of(CLAIM)]}, (CLAIM, CLAIM), "given twice"),
    Bad(
        "a digest inside a value in clear text only",
        {"note": f"the digest is {digest_of(CLAIM)}"},
        (CLAIM,),
        "not named",
    ),
    # Step 3.c.ii.1 and iii.1 again: the kind of place.
    Bad("an element's digest among claims", {"_sd": [digest_of(ELEMENT)]}, (ELEMENT,), "array element's disclosure"),
    Bad("a claim's digest in an array", {"a": [{"...": digest_of(CLAIM)}]}, (CLAIM,), "claim's disclosure"),
    Bad(
        "an element's digest among claims, inside a disclosure",
        {"_sd": [digest_of(hidden(salt(9), "o", {"_sd": [digest_of(ELEMENT)]}))]},
        (hidden(salt(9), "o", {"_sd": [digest_of(ELEMENT)]}), ELEMENT),
        "array element's disclosure",
    ),
    # Step 3.b: `_sd` is an array of strings, `...` a string that stands alone in an element.
    *(
        Bad(f"_sd is {value!r}", {"_sd": value}, (), "_sd must be an array")
        for value in (DIGEST, {"0": DIGEST}, None, 1, True)
    ),
    *(
        Bad(f"a digest is {value!r}", {"_sd": [value]}, (), WRONG_DIGEST)
        for value in (None, 1, True, [DIGEST], {"...": DIGEST}, "", DIGEST[:-1], DIGEST + "A", DIGEST + "=")
    ),
    *(
        Bad(f"an element's digest is {value!r}", {"a": [{"...": value}]}, (), WRONG_DIGEST)
        for value in (None, 1, False, [DIGEST], {"...": DIGEST}, "", DIGEST[:-1])
    ),
    Bad("a wrong digest below", {"a": {"b": [{"c": {"_sd": [None]}}]}}, (), WRONG_DIGEST),
    Bad(
        "a wrong digest inside a disclosure",
        {"_sd": [digest_of(hidden(salt(10), "o", {"_sd": [1]}))]},
        (hidden(salt(10), "o", {"_sd": [1]}),),
        WRONG_DIGEST,
    ),
    Bad("... outside an array", {"...": DIGEST}, (), "outside an array"),
    Bad("... outside an array, below", {"a": {"...": DIGEST}}, (), "outside an array"),
    Bad("... outside an array, with an array's name", {"a": [[], {"b": {"...": "x"}}]}, (), "outside an array"),
    Bad("... beside another member", {"a": [{"...": DIGEST, "b": 1}]}, (), "other members"),
    Bad("... beside _sd", {"a": [{"...": DIGEST, "_sd": []}]}, (), "other members"),
    Bad(
        "... as the value of a disclosed element",
        {"a": [{"...": digest_of(hidden(salt(11), {"...": DIGEST}))}]},
        (hidden(salt(11), {"...": DIGEST}),),
        "outside an array",
    ),
    # §4.1.1: `_sd_alg` belongs to the top of the payload alone.
    Bad("_sd_alg in the body", {"_sd_alg": "sha-256"}, (), "_sd_alg"),
    Bad("_sd_alg below, in an array", {"a": [{"_sd_alg": "sha-512"}]}, (), "_sd_alg"),
    Bad(
        "_sd_alg inside a disclosure",
        {"_sd": [digest_of(hidden(salt(12), "o", {"_sd_alg": "sha-512"}))]},
        (hidden(salt(12), "o", {"_sd_alg": "sha-512"}),),
        "_sd_alg",
    ),
    # Strictness of JSON holds inside a disclosure too.
    Bad("a member twice in a disclosed value", *raw(f'["{salt()}","name",{{"a":1,"a":2}}]'), "twice"),
    Bad("NaN in a disclosed value", *raw(f'["{salt()}","name",NaN]'), "not JSON"),
    Bad("1e999 in a disclosed value", *raw(f'["{salt()}","name",1e999]'), "not finite"),
    Bad("a huge integer in a disclosed value", *raw(f'["{salt()}","name",9007199254740992]'), "2\\^53"),
    Bad("a lone surrogate in a disclosed value", *raw(f'["{salt()}","name","\\ud800"]'), "surrogate"),
    Bad("a lone surrogate in a name", *raw(f'["{salt()}","\\udfff",1]'), "surrogate"),
    Bad("a lone surrogate in a salt", *raw(f'["{salt()}\\ud800","name",1]'), "surrogate"),
    Bad("text after a disclosure", *raw(f'["{salt()}","name",1]x'), "not JSON"),
    Bad("two arrays in a disclosure", *raw(f'["{salt()}","name",1]["a"]'), "not JSON"),
    Bad("a byte order mark", *raw(f'\ufeff["{salt()}","name",1]'), "not JSON"),
]


@pytest.mark.parametrize("complete", [True, False], ids=["submitted", "released"])
@pytest.mark.parametrize("bad", ALWAYS, ids=lambda bad: bad.attack)
def test_a_fault_of_the_rfc_is_refused(bad: Bad, complete: bool) -> None:
    """Each must-reject on its own, under a signature that is right."""
    refuse(forge(payload(bad.body), bad.disclosures), bad.match, complete=complete)


UNOPENED = [
    Bad("a withheld claim", {"_sd": [DIGEST]}, (), ""),
    Bad("a withheld element", {"a": [{"...": DIGEST}]}, (), ""),
    Bad("a decoy beside a claim", {"_sd": [digest_of(CLAIM), DIGEST]}, (CLAIM,), ""),
    Bad("a decoy beside an element", {"a": [{"...": digest_of(ELEMENT)}, {"...": DIGEST}]}, (ELEMENT,), ""),
    Bad("a withheld parent", {"a": {"b": [{"_sd": [digest_of(OUTER)]}]}}, (), ""),
    Bad("a withheld child", {"_sd": [digest_of(OUTER)]}, (OUTER,), ""),
    Bad("a withheld element of a disclosed element", {"a": [{"...": digest_of(OUTER_LIST)}]}, (OUTER_LIST,), ""),
]


@pytest.mark.parametrize("bad", UNOPENED, ids=lambda bad: bad.attack)
def test_a_digest_that_nothing_opens_is_refused_at_submission_only(bad: Bad) -> None:
    """No decoys and nothing withheld when a message comes in; at the recipient that is what withholding looks like."""
    message = forge(payload(bad.body), bad.disclosures)
    refuse(message, "not opened")
    accept(message, complete=False)


def test_an_unopened_digest_is_refused_without_any_disclosure_and_without_sd_alg() -> None:
    """The short way for messages without disclosures looks for digests as well."""
    for body in ({"_sd": [DIGEST]}, {"a": [[{"...": DIGEST}]]}):
        refuse(forge(payload(body, _sd_alg=None)), "not opened")


@pytest.mark.parametrize(
    "change",
    [
        {"_sd": [digest_of(CLAIM)]},
        {"_sd": []},
        {"...": digest_of(CLAIM)},
        {"case": {"type": "LP", "number": "1", "_sd": [digest_of(CLAIM)]}},
        {"case": {"_sd": [digest_of(CLAIM)]}},
        {"officer": {"id": "1", "role": "A", "...": digest_of(CLAIM)}},
        {"legal_basis": [{"...": digest_of(ELEMENT)}]},
        {"legal_basis": ["UU 6/2011", {"...": digest_of(ELEMENT)}]},
        {"iss": {"_sd": [digest_of(CLAIM)]}},
    ],
    ids=str,
)
def test_only_the_body_can_be_disclosed_selectively(change: dict[str, Any]) -> None:
    """A claim that the gateway decides by is never behind a digest."""
    refuse(forge(payload({}, **change), (CLAIM,)))
    refuse(forge(payload({}, **change)), complete=False)


@pytest.mark.parametrize(
    "value",
    ["sha-512", "sha-384", "SHA-256", "sha256", "sha-256 ", "md5", "none", "", 256, True, ["sha-256"], {}],
    ids=repr,
)
def test_another_digest_algorithm_is_refused(value: Any) -> None:
    """`_sd_alg` is `sha-256` in exactly this spelling, with disclosures and without."""
    body, disclosures = named(salt(), "name", "value")
    refuse(forge(payload(body, _sd_alg=value), disclosures), "_sd_alg")
    refuse(forge(payload({}, _sd_alg=value)), "_sd_alg")


def test_a_null_digest_algorithm_is_refused() -> None:
    """JSON null is not an absent member."""
    text = '{"_sd_alg":null,' + canonical(payload({}, _sd_alg=None))[1:]
    refuse(forge(text), "_sd_alg")


def test_the_digest_algorithm_may_be_absent_without_disclosures_only() -> None:
    """RFC 9901 has a default; a message that uses it says so."""
    body, disclosures = named(salt(), "name", "value")
    refuse(forge(payload(body, _sd_alg=None), disclosures), "_sd_alg")
    assert accept(forge(payload({"a": 1}, _sd_alg=None))).body == {"a": 1}
    assert accept(forge(payload({"a": 1}))).body == {"a": 1}


def test_no_digest_is_left_in_what_is_opened() -> None:
    """`_sd`, empty or not, and unopened elements are gone from the payload (RFC 9901 §7.1 steps 3.d to 3.f)."""
    body = {"_sd": [], "a": {"_sd": [digest_of(CLAIM)]}, "b": [{"...": digest_of(ELEMENT)}, {"_sd": []}]}
    assert accept(forge(payload(body), (CLAIM, ELEMENT))).body == {"a": {"name": "value"}, "b": ["value", {}]}
    assert accept(forge(payload(body)), complete=False).body == {"a": {}, "b": [{}]}


def test_undisclosed_elements_vanish_and_the_others_move_up() -> None:
    """A recipient's array is shorter, and pointers are those of what it sees."""
    hide = [hidden(salt(number), f"v{number}") for number in range(4)]
    body = {"a": ["clear", *({"...": digest_of(one)} for one in hide), "last"]}
    full = accept(forge(payload(body), hide))
    assert full.body == {"a": ["clear", "v0", "v1", "v2", "v3", "last"]}
    assert full.disclosable == {f"/body/a/{number}" for number in range(1, 5)}
    seen = accept(forge(payload(body), (hide[3], hide[1])), complete=False)
    assert seen.body == {"a": ["clear", "v1", "v3", "last"]}
    assert seen.disclosable == {"/body/a/1", "/body/a/2"}
    assert accept(forge(payload(body)), complete=False).body == {"a": ["clear", "last"]}


def test_a_disclosure_inside_a_disclosure_needs_its_parent() -> None:
    """Parent and child, parent alone, and child alone: the last is a disclosure that no digest names."""
    body = {"_sd": [digest_of(OUTER)]}
    assert accept(forge(payload(body), (INNER, OUTER))).body == {"outer": {"inner": "value"}}
    assert accept(forge(payload(body), (OUTER,)), complete=False).body == {"outer": {}}
    assert accept(forge(payload(body)), complete=False).body == {}
    refuse(forge(payload(body), (INNER,)), "not named", complete=False)


def test_where_a_disclosure_belongs_is_known() -> None:
    """Each place says which disclosure carries its digest, and a parent comes before its children."""
    opened = accept(forge(payload({"x": {"_sd": [digest_of(OUTER)]}}), (INNER, OUTER)))
    outer, inner = opened.placed
    assert (outer.pointer, outer.within) == ("/body/x/outer", None)
    assert (inner.pointer, inner.within) == ("/body/x/outer/inner", outer.disclosure)


def test_a_disclosed_null_is_there() -> None:
    """A claim whose value is null is a claim; so are false, zero and the empty ones."""
    hide = [hidden(salt(n), str(n), value) for n, value in enumerate((None, False, 0, "", [], {}))]
    opened = accept(forge(payload({"_sd": [digest_of(one) for one in hide]}), hide))
    assert canonical(opened.body) == canonical({"0": None, "1": False, "2": 0, "3": "", "4": [], "5": {}})


def chain(length: int) -> tuple[dict[str, Any], list[str]]:
    """Disclosures one inside the other, so that the payload itself is flat and what it opens to is deep."""
    value: Any = 1
    disclosures = []
    for number in range(length):
        disclosures.append(hidden(salt(number), "a", value))
        value = {"_sd": [digest_of(disclosures[-1])]}
    return value, disclosures


def test_depth_cannot_hide_in_disclosures() -> None:
    """The reconstructed payload is held to the same limit as one in clear."""
    body, disclosures = chain(32)
    opened = accept(forge(payload(body), disclosures))
    assert look_up(opened.body, "/a" * 32) == 1
    body, disclosures = chain(33)
    refuse(forge(payload(body), disclosures), "nests deeper", TooLargeError)
    body, disclosures = chain(256)
    refuse(forge(payload(body), disclosures), "nests deeper", TooLargeError)


@pytest.mark.timeout(5)
def test_a_deep_disclosure_is_refused_at_once() -> None:
    """100,000 levels inside one disclosure end in TooLargeError."""
    body, disclosures = raw(f'["{salt()}","name",' + "[" * 100_000 + "]" * 100_000 + "]")
    refuse(forge(payload(body), disclosures), "nests", TooLargeError)


@pytest.mark.timeout(10)
def test_twenty_thousand_decoys_cost_little() -> None:
    """A megabyte of digests is one pass, at the recipient and at submission."""
    body = {"_sd": [digest_of(str(number)) for number in range(15_000)]}
    message = forge(payload(body))
    assert len(message) < 1_048_576
    assert accept(message, complete=False).body == {}
    refuse(message, "not opened")

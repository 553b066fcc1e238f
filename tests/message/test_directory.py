"""The directory: which key may speak for whom, at which moment, and where an agency may be called."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import KeyRefusedError, OperatorError
from gateway.jose import PublicKey, public_key_from_jwk
from gateway.keys.directory import (
    ACTIVE,
    RETIRED,
    REVOKED,
    SUSPENDED,
    Agency,
    AgencyKey,
    directory,
    parse_endpoint,
    require_agency_id,
)
from tests.message.making import EC, ED, OTHER, often

NOW = datetime(2026, 3, 10, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
IMIGRASI, POLDA, OLD = (
    Agency("imigrasi-banten", "Imigrasi"),
    Agency("polda-banten", "Polda"),
    Agency("old", "Old", SUSPENDED),
)


def key(agency: str = IMIGRASI.id, public: PublicKey = ED.public, **changes: Any) -> AgencyKey:
    return AgencyKey(
        **({"agency": agency, "public": public, "not_before": NOW - DAY, "not_after": NOW + DAY} | changes)
    )


def refused(keys: list[AgencyKey], agency: str = IMIGRASI.id, kid: str = ED.kid, now: datetime = NOW) -> str:
    with pytest.raises(KeyRefusedError) as caught:
        directory([IMIGRASI, POLDA, OLD], keys).key_for(agency, kid, now)
    assert caught.value.status == 401
    return caught.value.code


def test_an_agency_s_valid_key_is_found() -> None:
    """Each of several keys of one agency, by its thumbprint."""
    known = directory([IMIGRASI, POLDA], [key(), key(public=EC.public), key(POLDA.id, OTHER.public)], 7)
    assert known.key_for(IMIGRASI.id, ED.kid, NOW) is ED.public
    assert known.key_for(IMIGRASI.id, EC.kid, NOW) is EC.public
    assert [mine.public for mine in known.keys_of(IMIGRASI.id)] == [ED.public, EC.public]
    assert known.keys_of("nobody") == ()
    assert known.version == 7


def test_a_stranger_and_a_stranger_s_key_look_the_same() -> None:
    """Unknown agency, unknown key, another agency's key: one code and one text, so that nobody learns who is a member."""
    keys = [key(), key(POLDA.id, OTHER.public)]
    answers = set()
    for agency, kid in (
        ("nobody", ED.kid),
        (IMIGRASI.id, EC.kid),
        (IMIGRASI.id, OTHER.kid),
        (POLDA.id, ED.kid),
        ("", ""),
    ):
        with pytest.raises(KeyRefusedError) as caught:
            directory([IMIGRASI, POLDA], keys).key_for(agency, kid, NOW)
        answers.add((caught.value.code, caught.value.detail))
    assert len(answers) == 1
    assert answers.pop()[0] == "key.unknown"


def test_a_key_of_an_agency_that_is_not_listed_is_unknown() -> None:
    """A key without its agency speaks for nobody."""
    assert refused([key("gone")], "gone") == "key.unknown"


@pytest.mark.parametrize(
    ("now", "valid"),
    [
        (NOW - DAY - TICK, False),
        (NOW - DAY, True),
        (NOW, True),
        (NOW + DAY - TICK, True),
        (NOW + DAY, False),
        (NOW + 400 * DAY, False),
    ],
)
def test_a_key_is_valid_from_its_first_moment_to_before_its_last(now: datetime, valid: bool) -> None:
    """`[not_before, not_after)`, to the microsecond."""
    if valid:
        assert key().require_valid(now) is ED.public
    else:
        assert refused([key()], now=now) == "key.not-valid"


def test_one_key_can_follow_another_without_a_gap() -> None:
    """At the moment of the roll-over exactly one of the two is valid."""
    keys = [key(not_after=NOW), key(public=EC.public, not_before=NOW)]
    assert refused(keys) == "key.not-valid"
    assert directory([IMIGRASI], keys).key_for(IMIGRASI.id, EC.kid, NOW) is EC.public
    assert directory([IMIGRASI], keys).key_for(IMIGRASI.id, ED.kid, NOW - TICK) is ED.public
    assert refused(keys, kid=EC.kid, now=NOW - TICK) == "key.not-valid"


def test_a_retired_key_is_not_valid_inside_its_window() -> None:
    """Whatever its dates say."""
    assert refused([key(status=RETIRED, changed_at=NOW)]) == "key.not-valid"


@pytest.mark.parametrize("now", [NOW - 2 * DAY, NOW, NOW + 2 * DAY])
def test_revocation_says_more_than_any_date(now: datetime) -> None:
    """Before, inside and after its window, a revoked key is called revoked."""
    assert refused([key(status=REVOKED, changed_at=NOW)], now=now) == "key.revoked"


@pytest.mark.parametrize("status", ["", "Active", "ACTIVE", "unknown", SUSPENDED, "active "])
def test_a_status_nobody_knows_is_not_active(status: str) -> None:
    """Default deny: only `active` is."""
    assert refused([key(status=status)]) == "key.not-valid"


@pytest.mark.parametrize("status", [SUSPENDED, RETIRED, "", "Active"])
def test_a_suspended_agency_s_good_key_is_not_valid(status: str) -> None:
    """Suspending an agency stops all of its keys at once."""
    with pytest.raises(KeyRefusedError) as caught:
        directory([Agency("old", "Old", status)], [key("old")]).key_for("old", ED.kid, NOW)
    assert caught.value.code == "key.not-valid"


def test_a_directory_cannot_be_changed() -> None:
    """It is a picture of one version: a change makes another one."""
    known = directory([IMIGRASI], [key()])
    with pytest.raises(TypeError):
        known.agencies["new"] = POLDA  # type: ignore[index]
    with pytest.raises(TypeError):
        known.keys["a", "b"] = key()  # type: ignore[index]


@pytest.mark.parametrize("public", [ED.public, EC.public], ids=["EdDSA", "ES256"])
def test_a_published_jwk_is_the_key_with_its_validity(public: PublicKey) -> None:
    """It reads back as the same key, has the dates in whole seconds and nothing private."""
    jwk = key(public=public, status=RETIRED).as_jwk()
    assert public_key_from_jwk(jwk).kid == public.kid
    assert (jwk["use"], jwk["status"], jwk["exp"] - jwk["nbf"]) == ("sig", "retired", 2 * 86_400)
    assert "d" not in jwk
    assert key().status == ACTIVE


# --- Endpoints


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.imigrasi.example.id/sinergi", "api.imigrasi.example.id"),
        ("http://127.0.0.1:9000/inbox", "127.0.0.1"),
        ("https://host", "host"),
        ("https://host:443/", "host"),
        ("https://HOST.example/Path", "host.example"),
        ("http://[::1]/", "::1"),
        ("http://[::1]:65535/x", "::1"),
        ("https://[2001:db8::1:0]/a/b-c_d~e%20f", "2001:db8::1:0"),
        ("http://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1"),
        ("http://host:1/", "host"),
    ],
)
def test_an_endpoint_is_an_http_url(url: str, host: str) -> None:
    """Host names and both kinds of address, with a port and a path or without; the text is kept as it was written."""
    endpoint = parse_endpoint(url, ["10.0.0.0/8", "2001:db8::/32"], "/etc/ca.pem")
    assert (endpoint.url, endpoint.host, endpoint.ca_file) == (url, host, "/etc/ca.pem")
    assert endpoint.networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


def test_an_endpoint_without_networks_may_be_called_nowhere() -> None:
    """The allow-list is empty, not absent."""
    assert parse_endpoint("https://host/", []).networks == ()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "host",
        "//host/",
        "host:443",
        "https:",
        "https:/",
        "https://",
        "https:///path",
        "https:host/path",
        "https:/host/path",
        # Other schemes.
        "file:///etc/passwd",
        "file:/etc/passwd",
        "ftp://host/",
        "gopher://host/",
        "unix:///run/docker.sock",
        "http+unix://%2Frun/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "ws://host/",
        "httpss://host/",
        # Credentials, the empty ones too.
        "https://user@host/",
        "https://user:secret@host/",
        "https://:secret@host/",
        "https://@host/",
        "https://:@host/",
        "https://good.example@evil.example/",
        "https://good.example\\@evil.example/",
        "https://good.example:443@evil.example/",
        # Query and fragment, the empty ones too.
        "https://host/?a=b",
        "https://host/?",
        "https://host?a",
        "https://host/#a",
        "https://host/#",
        "https://host#@evil.example/",
        "https://good.example#.evil.example/",
        # Ports.
        "https://host:0/",
        "https://host:/",
        "https://host:99999/",
        "https://host:65536/",
        "https://host:-1/",
        "https://host:+80/",
        "https://host: 80/",
        "https://host:8_0/",
        "https://host:0x50/",
        "https://host:http/",
        "https://host:80:80/",
        "https://host:٨٠/",
        "https://host:８０/",
        # Hosts that readers disagree about.
        "https://bücher.example/",
        "https://\u0430pi.example/",
        "https://\u212aelvin.example/",
        "https://ho\u017ft.example/",
        "https://host\u3002example/",
        "https://host\uff0fpath/",
        "https://good.example\uff03.evil.example/",
        "https://ho st/",
        "https://ho\tst/",
        "https://ho\nst/",
        "https://host/\r\nX-Injected: 1",
        "https://host/a\tb",
        " https://host/",
        "https://host/ ",
        "\x00https://host/",
        "https://host\x00.evil.example/",
        "https://host\\path",
        "https://host/\\path",
        "https://ho%73t/",
        "https://host%00/",
        "https://host_name/",
        "https://*.example/",
        "https://.example/",
        "https://-host/",
        "https://host./",
        "https://host-/",
        "https://a,b/",
        "https://" + "a" * 254 + "/",
        # Brackets.
        "https://[::1/",
        "https://::1/",
        "https://[::1]x/",
        "https://x[::1]/",
        "https://[::1][::2]/",
        "https://[]/",
        "https://[::g]/",
        "https://[1.2.3.4]/",
        "https://[v1.fe80:a]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[[::1]]/",
        # Paths.
        'https://host/"',
        "https://host/<a>",
        "https://host/{a}",
        "https://host/é",
        "https://host/[a]",
    ],
    ids=repr,
)
def test_what_another_reader_could_take_for_another_address_is_no_endpoint(url: str) -> None:
    """Every trick by which what is checked and what is called become two things."""
    with pytest.raises(OperatorError):
        parse_endpoint(url, ["0.0.0.0/0"])


@pytest.mark.parametrize(
    "networks",
    [
        [""],
        ["x"],
        ["10.0.0.1/8"],
        ["10.0.0.0/33"],
        ["10.0.0.0/-1"],
        ["10.0/8"],
        ["::1/64"],
        ["*"],
        ["host"],
        "10.0.0.0/8",
    ],
    ids=repr,
)
def test_a_network_is_one_of_addresses(networks: Any) -> None:
    """Host bits, host names, wrong lengths, and a string in the list's place."""
    with pytest.raises(OperatorError):
        parse_endpoint("https://host/", networks)


@often
@given(st.text("htps:/[]@.?#%\\a1 \n:é", max_size=24) | st.text(max_size=20).map(lambda text: f"https://{text}"))
def test_an_arbitrary_text_is_an_endpoint_or_an_operator_s_error(url: str) -> None:
    """No exception of a URL library comes out; what is taken has a host and only plain characters."""
    try:
        endpoint = parse_endpoint(url, [])
    except OperatorError:
        return
    assert endpoint.host
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(" \\@?#")


@pytest.mark.parametrize("text", ["a", "polda-banten", "a" * 63, "0", "a-0"])
def test_an_agency_id_is_a_label(text: str) -> None:
    """Lower-case letters, digits and inner hyphens."""
    assert require_agency_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "A", "-a", "a-", "a" * 64, "a.b", "a/b", "..", "a b", "a\n", "é", "\u0430", "a_b", "a~b"]
)
def test_what_could_not_stand_in_a_path_is_no_agency_id(text: str) -> None:
    """An id is part of URLs and of file names."""
    with pytest.raises(OperatorError):
        require_agency_id(text)

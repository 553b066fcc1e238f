"""Asking authorities: who is asked, what silence means, and that an older word never undoes a newer one."""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import Certificate, ocsp

from gateway.authorities import Asking, Authorities, SilentError, admit, read_authorities
from gateway.delivery.outbound import Call, Outbound, Reply
from gateway.errors import CertificateError, KeyRefusedError, OperatorError, UnconfirmedKeyError
from gateway.keys.certificate import Certified, verify_chain
from gateway.keys.directory import ACTIVE, Agency, AgencyKey, Directory, directory
from gateway.settings import CertificateSettings
from tests.certificates.authority import DAY, NOW, POLDA_ID, Authority, ec_private, pem

ROOT = Authority("Root")
BELOW = Authority("Sub", above=ROOT)
LEAF = BELOW.certify(ec_private().public_key())
CHAIN = (LEAF, BELOW.certificate)
POLDA = "polda-banten"


@pytest.fixture
def settings(tmp_path: Path) -> CertificateSettings:
    """Two lists, each by its authority; nothing is taken back."""
    (tmp_path / "roots.pem").write_bytes(pem(ROOT.certificate))
    (tmp_path / "root.crl").write_bytes(ROOT.crl())
    (tmp_path / "sub.crl").write_bytes(BELOW.crl())
    lists = [{"file": tmp_path / name} for name in ("root.crl", "sub.crl")]
    return CertificateSettings.model_validate(
        {"roots_file": tmp_path / "roots.pem", "subjects": {POLDA: POLDA_ID}, "lists": lists}
    )


def silence(settings: CertificateSettings, name: str = "sub.crl") -> None:
    lists = [source.file for source in settings.lists if source.file is not None and source.file.name == name]
    lists[0].unlink()


def put(settings: CertificateSettings, content: bytes, name: str = "sub.crl") -> None:
    for source in settings.lists:
        if source.file is not None and source.file.name == name:
            source.file.write_bytes(content)


# --- Admission


def test_a_certified_key_is_admitted_and_confirmed(settings: CertificateSettings) -> None:
    """A chain to a trusted root, for this agency, that no authority has taken back."""
    certified, at = admit(settings, POLDA, CHAIN, NOW)
    assert certified.path == (*CHAIN, ROOT.certificate)
    assert at == NOW


def test_what_was_taken_back_is_not_admitted(settings: CertificateSettings) -> None:
    """Neither the key's certificate nor the intermediate, whatever silence would mean."""
    for when_silent in ("accept", "refuse"):
        policy = settings.model_copy(update={"when_silent": when_silent})
        put(settings, BELOW.crl(LEAF))
        with pytest.raises(CertificateError, match="revoked the certificate"):
            admit(policy, POLDA, CHAIN, NOW)
        put(settings, BELOW.crl())
        put(settings, ROOT.crl(BELOW.certificate), "root.crl")
        with pytest.raises(CertificateError, match="revoked the certificate"):
            admit(policy, POLDA, CHAIN, NOW)
        put(settings, ROOT.crl(), "root.crl")


@pytest.mark.parametrize("name", ["sub.crl", "root.crl"])
def test_silence_refuses_or_is_told(settings: CertificateSettings, name: str) -> None:
    """Of one certificate of the path is enough; a stale or a false list is silence too."""
    accepting = settings.model_copy(update={"when_silent": "accept"})
    below = name == "sub.crl"
    issuer, twin = (BELOW, Authority("Sub", above=ROOT)) if below else (ROOT, Authority("Root"))
    for content in (issuer.crl(at=NOW - 9 * DAY, until=NOW - 8 * DAY), twin.crl(), b"x", None):
        if content is None:
            silence(settings, name)
        else:
            put(settings, content, name)
        with pytest.raises(SilentError) as caught:
            admit(settings, POLDA, CHAIN, NOW)
        assert caught.value.status == 503
        assert admit(accepting, POLDA, CHAIN, NOW)[1] is None


def test_only_the_agencies_of_the_settings_are_certified(settings: CertificateSettings) -> None:
    """Another agency's certificate, an agency that the settings do not name, and a gateway without authorities."""
    for agency, match in (("imigrasi-banten", "has no entry for"),):
        with pytest.raises(CertificateError, match=match):
            admit(settings, agency, CHAIN, NOW)
    other = settings.model_copy(update={"subjects": {POLDA: "NTRID-OTHER"}})
    with pytest.raises(CertificateError, match="not the one that the settings name"):
        admit(other, POLDA, CHAIN, NOW)
    with pytest.raises(OperatorError, match="no authority is trusted"):
        admit(CertificateSettings(), POLDA, CHAIN, NOW)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"roots_file": Path("/nowhere.pem")}, "cannot be read"),
        ({"lists": [{}]}, "a url or a file"),
        ({"lists": [{"url": "https://x/", "file": "/x"}]}, "a url or a file"),
        ({"lists": [{"url": "ftp://x/"}]}, "http"),
        ({"responders": [{"file": "/x"}]}, "one place, a url$"),
        ({"responders": [{"url": "http://x/", "networks": ["x"]}]}, "networks"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_the_start(
    settings: CertificateSettings, change: dict[str, Any], match: str
) -> None:
    """And not at the first question."""
    changed = CertificateSettings.model_validate(settings.model_dump() | change)
    with pytest.raises(OperatorError, match=match):
        read_authorities(changed)


# --- One process's memory


def asking(settings: CertificateSettings, act: Callable[[Asking, Certified], Any]) -> Any:
    """Runs `act` with an asker of these settings."""

    async def run() -> Any:
        authorities = read_authorities(settings)
        assert isinstance(authorities, Authorities)
        out = Outbound(timeout=5, clock=lambda: NOW)
        try:
            return await act(Asking(authorities, out), verify_chain(CHAIN, authorities.roots, NOW))
        finally:
            await out.close()

    return asyncio.run(run())


def test_an_older_list_does_not_undo_a_newer_one(settings: CertificateSettings) -> None:
    """Whoever replays yesterday's list, still fresh, does not bring a revoked key back; and silence keeps what was known."""

    async def act(asker: Asking, certified: Certified) -> None:
        issuers: tuple[Certificate, ...] = certified.path[1:]
        put(settings, BELOW.crl(LEAF, number=5))
        await asker.fetch(issuers, NOW)
        assert (await asker.standing(certified.path, NOW)).revoked_at is not None
        put(settings, BELOW.crl(number=4))
        await asker.fetch(issuers, NOW)
        assert (await asker.standing(certified.path, NOW)).revoked_at is not None
        assert asker.failures == ["a revocation list older than the one before"]
        silence(settings)
        await asker.fetch(issuers, NOW)
        assert (await asker.standing(certified.path, NOW)).revoked_at is not None
        # Past its own end it says nothing more, of nobody.
        with pytest.raises(SilentError):
            await asker.standing(certified.path, NOW + 2 * DAY)

    asking(settings, act)


def test_a_forbidden_address_is_never_called(settings: CertificateSettings) -> None:
    """A list's URL is called under the rules of every endpoint: an address outside its networks is silence."""
    changed = settings.model_copy(
        update={
            "lists": CertificateSettings.model_validate(
                {"lists": [{"url": "http://127.0.0.1:9/x.crl", "networks": ["10.0.0.0/8"]}]}
            ).lists
        }
    )

    async def act(asker: Asking, certified: Certified) -> None:
        await asker.fetch(certified.path[1:], NOW)
        assert asker.failures == ["the endpoint resolves to an address that its allow-list does not name"]

    asking(changed, act)


def test_a_responder_is_asked_with_a_nonce_where_the_settings_say_so(
    settings: CertificateSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh one each time: an answer that was overheard and is played again is silence."""
    place = {"url": "http://127.0.0.1:9/ocsp", "networks": ["127.0.0.0/8"]}
    changed = CertificateSettings.model_validate(
        settings.model_dump() | {"lists": [{"file": settings.lists[0].file}], "responders": [place], "nonce": True}
    )
    asked: list[x509.OCSPNonce] = []

    async def call(_: Outbound, __: Any, question: Call) -> Reply:
        extensions = ocsp.load_der_ocsp_request(question.body).extensions
        asked.append(extensions.get_extension_for_class(x509.OCSPNonce).value)
        return Reply(200, "application/ocsp-response", BELOW.answer(LEAF, nonce=asked[0]))

    async def act(asker: Asking, certified: Certified) -> None:
        await asker.fetch(certified.path[1:], NOW)
        path = certified.path[:2]
        assert (await asker.standing(path, NOW)).revoked_at is None
        with pytest.raises(SilentError):
            await asker.standing(path, NOW)
        assert asker.failures == ["the OCSP answer does not have the nonce of the question"]
        assert (len(asked), len({one.nonce for one in asked}), len(asked[0].nonce)) == (2, 2, 32)

    monkeypatch.setattr(Outbound, "call", call)
    asking(changed, act)


# --- What the directory makes of it


def held(confirmed_at: Any, patience: timedelta | None, **changes: Any) -> Directory:
    public = verify_chain(CHAIN, [ROOT.certificate], NOW).key
    key = AgencyKey(POLDA, public, NOW - DAY, NOW + DAY, **({"confirmed_at": confirmed_at} | changes))
    return dataclasses.replace(directory([Agency(POLDA, POLDA)], [key]), patience=patience)


def test_a_key_counts_while_its_authority_was_heard_lately() -> None:
    """Within the budget to the second; without one for ever; never heard is silent."""
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    kid = next(iter(held(NOW, None).keys))[1]
    for known in (held(NOW - hour + second, hour), held(NOW - 9 * hour, None), held(None, None)):
        assert known.key_for(POLDA, kid, NOW).x5c
    for known in (held(NOW - hour, hour), held(None, hour)):
        with pytest.raises(UnconfirmedKeyError) as caught:
            known.key_for(POLDA, kid, NOW)
        assert (caught.value.code, caught.value.status) == ("key.unconfirmed", 503)


def test_a_revoked_key_is_revoked_however_silent_its_authority_is() -> None:
    """The agency is told what will not pass by itself."""
    known = held(None, timedelta(hours=1), status="revoked")
    with pytest.raises(KeyRefusedError, match="revoked"):
        known.key_for(POLDA, next(iter(known.keys))[1], NOW)


def test_a_key_without_a_certificate_needs_nobody_s_word() -> None:
    """The policy is about certified keys alone."""
    key = verify_chain(CHAIN, [ROOT.certificate], NOW).key
    plain = AgencyKey(POLDA, dataclasses.replace(key, x5c=()), NOW - DAY, NOW + DAY, ACTIVE)
    known = dataclasses.replace(directory([Agency(POLDA, POLDA)], [plain]), patience=timedelta(seconds=1))
    assert known.key_for(POLDA, key.kid, NOW) == plain.public

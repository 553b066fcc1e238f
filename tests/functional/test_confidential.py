"""A victim's identity at a running gateway: withheld, until a notice is acknowledged and two officers have approved."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.client import Composed, Draft, GatewayClient, Received, RefusedError, Sent
from gateway.jose import b64decode
from gateway.keyring import KeyringSigner, signer_for
from gateway.message.envelope import Officer
from gateway.operations.officers import add_officer, revoke_officer
from gateway.statements.approval import sign_approval
from gateway.statements.enrolment import Person, sign_enrolment
from gateway.wiring import open_store
from tests.province import AGREEMENT, GATEWAY, IMIGRASI, POLDA, Province, example, now

REFERRAL, NOTED = "victim.referral/1", "confidentiality.acknowledgement/1"
FIELDS = (
    "identity", "guardian", "service_provider", "health_summary", "age_band", "trafficking_status", "consent_basis",
    "needs", "risk_level", "assessed_on", "services_end_on",
)  # fmt: skip
SECRET = ("identity", "service_provider", "health_summary", "guardian")
ADULT, MINOR = example(REFERRAL, "valid-adult"), example(REFERRAL, "valid-minor")
WORDS = (
    "Siti Rekaan",
    "3604084107990001",
    "X0000021",
    "+6281200000021",
    "Kampung Rekaan",
    "UPTD PPA Rekaan",
    "Luka bakar",
)
ROLES = {
    "sari": "VICTIM_PROTECTION_OFFICER",
    "budi": "SUPERVISOR",
    "tono": "LIAISON",
    "rini": "VICTIM_PROTECTION_OFFICER",
}


@dataclass
class Story:
    """Both agencies' backends at one gateway, and the officers of the sender."""

    province: Province
    officers: Mapping[str, KeyringSigner]
    imigrasi: GatewayClient
    polda: GatewayClient

    def draft(self, body: Mapping[str, Any] = ADULT, in_reply_to: str | None = None) -> Draft:
        return self.imigrasi.draft(
            POLDA, REFERRAL, body, agreement=AGREEMENT, purpose="VICTIM_PROTECTION", classification="R",
            disclosable=[f"/body/{field}" for field in FIELDS], in_reply_to=in_reply_to,
        )  # fmt: skip

    def approved(self, draft: Draft, *names: str, fields: Sequence[str] | None = None) -> Composed:
        request = draft.approval_request(fields)
        return self.imigrasi.compose_draft(
            draft, [sign_approval(request, self.officers[name], now()) for name in names]
        )

    async def received(self, client: GatewayClient, sent: Sent) -> Received:
        """What the recipient's SDK verified of this transfer; acknowledged, so that it does not come again."""
        page = await client.receive(wait=10)
        assert not page.faults
        await client.acknowledge(page.received)
        (item,) = [item for item in page.received if item.transfer == sent.transfer]
        return item

    async def acknowledged(self, body: Mapping[str, Any] = ADULT) -> str:
        """A referral without an approval, and the transfer in which the unit takes note of the secrecy."""
        first = await self.imigrasi.send(self.imigrasi.compose_draft(self.draft(body)))
        item = await self.received(self.polda, first)
        assert not set(SECRET) & item.body.keys()
        noted = {
            "notice": item.body["notice"],
            "reference": item.body["victim_token"],
            "unit": item.body["receiving_unit"],
            "acknowledged_at": now().isoformat(timespec="seconds"),
            "officer_role": "PPA_OFFICER",
        }
        answer = self.polda.compose(
            IMIGRASI, NOTED, noted, agreement=AGREEMENT, purpose="VICTIM_PROTECTION", classification="R",
            officer=Officer(id="78010203", role="PPA_OFFICER"), in_reply_to=first.transfer,
        )  # fmt: skip
        sent = await self.polda.send(answer)
        assert (await self.received(self.imigrasi, sent)).claims.in_reply_to == first.transfer
        return sent.transfer


Tell = Callable[[Callable[[Story], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def tell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tell]:
    """A gateway with officers of the sender; a story is told with both agencies connected."""
    home: Path = tmp_path_factory.mktemp("confidential")
    province = Province(home / "gateway").found()
    officers = {name: signer_for(Ed25519PrivateKey.generate()) for name in ROLES}
    with open_store(province.settings) as store:
        for name, signer in officers.items():
            person = Person(id=f"NIP-{name}", name=name.title(), role=ROLES[name], unit="Seksi Inteldakim")
            statement = sign_enrolment(person, IMIGRASI, GATEWAY, key=signer.public, signer=signer, now=now())
            add_officer(store, statement, why="T-1", who="tester")
    province.start()

    async def together(story: Callable[[Story], Awaitable[None]]) -> None:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    GatewayClient(province.base, agency.id, agency.signer, gateway_id=GATEWAY)
                )
                for agency in (province.imigrasi, province.polda)
            ]
            await story(Story(province, officers, *clients))

    yield lambda story: asyncio.run(together(story))
    province.kill()


def test_the_identity_is_released_when_everything_is_there(tell: Tell) -> None:
    """Absent before, there afterwards, to the byte; the ledger names both approvals and the acknowledged notice."""

    async def story(it: Story) -> None:
        noted = await it.acknowledged()
        message = it.approved(it.draft(in_reply_to=noted), "sari", "budi")
        assert (await it.imigrasi.preview(message))["withheld"] == []
        sent = await it.imigrasi.send(message)
        item = await it.received(it.polda, sent)
        assert item.withheld == ()
        assert {field: item.body[field] for field in SECRET if field in ADULT} == {
            field: ADULT[field] for field in SECRET if field in ADULT
        }
        entry = await it.imigrasi.entry(sent.receipt, message.text)
        assert sorted(entry["approvals"]) == sorted(it.officers[name].kid for name in ("sari", "budi"))
        assert entry["notice"] == noted
        assert "withheld" not in entry

    tell(story)


def test_every_missing_piece_leaves_the_identity_withheld(tell: Tell) -> None:
    """Accepted each time, and not one word of it reaches the recipient: a byte search over what was handed out."""

    async def story(it: Story) -> None:
        noted = await it.acknowledged()
        another = await it.acknowledged(ADULT | {"victim_token": "KRB-B3NF-R8HC-V6JP"})
        elsewhere = await it.acknowledged(ADULT | {"receiving_unit": "PPA_POLRES_LEBAK"})
        attempts = {
            "nobody approved": it.approved(it.draft(in_reply_to=noted)),
            "one officer": it.approved(it.draft(in_reply_to=noted), "sari"),
            "one officer twice": it.approved(it.draft(in_reply_to=noted), "sari", "sari"),
            "an officer in no such role": it.approved(it.draft(in_reply_to=noted), "sari", "tono"),
            "no notice acknowledged": it.approved(it.draft(), "sari", "budi"),
            "a notice about another victim": it.approved(it.draft(in_reply_to=another), "sari", "budi"),
            "a notice to another unit": it.approved(it.draft(in_reply_to=elsewhere), "sari", "budi"),
            "a harmless field approved": it.approved(
                it.draft(in_reply_to=noted), "sari", "budi", fields=["/body/age_band"]
            ),
        }
        for what, message in attempts.items():
            sent = await it.imigrasi.send(message)
            item = await it.received(it.polda, sent)
            assert {f"/body/{field}" for field in SECRET if field in ADULT} <= set(item.withheld), what
            handed_out = str(_opened(item.text)) + str(item.body) + str(item.claims)
            assert [word for word in WORDS if word in handed_out] == [], what
            entry = await it.imigrasi.entry(sent.receipt, message.text)
            assert "/body/identity" in entry["withheld"]

    tell(story)


def test_an_approved_field_is_released_alone(tell: Tell) -> None:
    """Officers who approved the health summary released the health summary."""

    async def story(it: Story) -> None:
        noted = await it.acknowledged()
        draft = it.draft(in_reply_to=noted)
        sent = await it.imigrasi.send(it.approved(draft, "sari", "budi", fields=["/body/health_summary"]))
        item = await it.received(it.polda, sent)
        assert item.body["health_summary"] == ADULT["health_summary"]
        assert set(item.withheld) == {"/body/identity", "/body/service_provider"}

    tell(story)


def test_a_child_s_identity_goes_to_a_unit_for_children_alone(tell: Tell) -> None:
    """With two approvals and an acknowledged notice still withheld from a unit that is none; released to one that is."""

    async def story(it: Story) -> None:
        assert MINOR["receiving_unit"].startswith("PPA_")
        for unit, withheld in (("DITRESKRIMUM_BANTEN", True), (MINOR["receiving_unit"], False)):
            body = MINOR | {"receiving_unit": unit}
            noted = await it.acknowledged(body)
            sent = await it.imigrasi.send(it.approved(it.draft(body, in_reply_to=noted), "sari", "budi"))
            item = await it.received(it.polda, sent)
            assert ("/body/identity" in item.withheld) is withheld
            assert ("Ani Rekaan" in str(_opened(item.text))) is not withheld

    tell(story)


def test_an_approval_that_does_not_verify_refuses_the_message(tell: Tell) -> None:
    """By a key of the agency itself: recorded, signed for, and the fault named by its place."""

    async def story(it: Story) -> None:
        draft = it.draft(in_reply_to=await it.acknowledged())
        request = draft.approval_request()
        signers = (it.officers["sari"], it.province.imigrasi.signer)
        message = it.imigrasi.compose_draft(draft, [sign_approval(request, signer, now()) for signer in signers])
        with pytest.raises(RefusedError) as refused:
            await it.imigrasi.send(message)
        assert [(reason.code, reason.pointer) for reason in refused.value.reasons] == [
            ("rule.approval", "/body/approvals/1")
        ]
        assert refused.value.http_status == 403

    tell(story)


def test_a_revoked_officer_approves_nothing_more(tell: Tell) -> None:
    """From the operator's commit on, at the gateway that keeps running: the approval was signed before."""

    async def story(it: Story) -> None:
        draft = it.draft(in_reply_to=await it.acknowledged())
        message = it.approved(draft, "sari", "rini")
        assert (await it.imigrasi.preview(message))["withheld"] == []
        with open_store(it.province.settings) as store:
            revoke_officer(store, IMIGRASI, it.officers["rini"].kid, why="MUTASI-1", who="tester")
        with pytest.raises(RefusedError) as refused:
            await it.imigrasi.send(message)
        assert [(reason.code, reason.pointer) for reason in refused.value.reasons] == [
            ("rule.approval", "/body/approvals/1")
        ]

    tell(story)


def _opened(text: str) -> list[Any]:
    """Every part of a handed-out message in plain, digests and all."""
    jwt, *disclosures = text.rstrip("~").split("~")
    parts = [*jwt.split(".")[:2], *disclosures]
    return [b64decode(part, "a part").decode() for part in parts]

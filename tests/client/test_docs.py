"""The two pages about the client side say what the code does."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import client as sdk
from gateway.client import GatewayClient
from gateway.endpoint import AgencyEndpoint
from gateway.errors import CODES
from gateway.jose import b64decode, b64encode
from gateway.keyring import signer_for
from gateway.ledger.entry import KINDS
from gateway.message import envelope
from gateway.statements import approval
from gateway.statements.receipt import GatewayReceipt, Release
from tests.client import simulator
from tests.client.simulator import BODY, PUSH_URL, SENDER, Gateway, jwks

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs/reference/protocol.md").read_text(encoding="utf-8")
HOWTO = (ROOT / "docs/howto/send-and-receive.md").read_text(encoding="utf-8")
RFC_8032_TEST_2 = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
RFC_8037_KEY = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"


def rows(title: str) -> dict[str, str]:
    """The first two columns that matter of the table under a heading: name → the rest of its row."""
    section = PROTOCOL.split(f"\n{title}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    found = {}
    for line in table[0].splitlines()[2:]:
        names, rest = line.strip("| ").split(" | ", 1)
        found |= dict.fromkeys(re.findall(r"`([a-z_]+)`", names), rest)
    return found


def test_the_claims_table_is_the_parsers() -> None:
    """Every claim the parser takes is in the table, required where it is, with the parser's own pattern."""
    table = rows("### Claims")
    assert table.keys() == envelope._REQUIRED | envelope._OPTIONAL
    assert {name for name, rest in table.items() if rest.startswith("yes")} == envelope._REQUIRED
    patterns = {
        "iss": envelope.AGENCY_ID,
        "jti": envelope.JTI,
        "type": envelope.MESSAGE_TYPE,
        "purpose": envelope._CODE,
        "case": envelope._REFERENCE,
    }
    for name, pattern in patterns.items():
        assert f"`{pattern.pattern}`" in table[name]
    assert set(re.findall(r"`([A-Z]+)`", table["classification"])) == envelope.CLASSIFICATIONS
    assert set(re.findall(r"`([A-Z+]+)`", table["handling"])) == set(envelope.HANDLINGS)


def test_the_receipt_and_the_release_have_the_members_that_the_page_names() -> None:
    """No member more, no member less than the values that are signed."""
    assert rows("### Verify the receipt").keys() == set(GatewayReceipt.__dataclass_fields__)
    sentence = PROTOCOL.split("Claims of a release:", 1)[1].split("The set of disclosures", 1)[0]
    assert set(re.findall(r"`([a-z_]+)`", sentence)) == set(Release.__dataclass_fields__)


def test_every_code_and_link_on_the_pages_exists() -> None:
    """A code that the page names is one that is answered, or a kind of ledger entry, and a page that it names is there."""
    names = "|".join(sorted({code.partition(".")[0] for code in CODES} - {"gateway"}))
    for page, where in ((PROTOCOL, "docs/reference"), (HOWTO, "docs/howto")):
        for code in re.findall(rf"[`\"]((?:{names})\.[a-z-]+)[`\"]", page):
            assert code in CODES or code in KINDS
        for link in re.findall(r"\]\(([^):]+)\)", page):
            assert (ROOT / where / link.partition("#")[0]).is_file()


def test_the_worked_example_is_right() -> None:
    """Key, salt and payload of the page give the page's digest, signature and hashes."""
    given = dict(
        re.findall(
            r"^    (disclosed|disclosure|digest|header|payload|signature|sd_hash) +(\S.*)$", PROTOCOL, re.MULTILINE
        )
    )
    signer = signer_for(Ed25519PrivateKey.from_private_bytes(b64decode(RFC_8037_KEY, "d")))
    assert b64encode(given["disclosed"].encode()) == given["disclosure"]
    assert envelope.digest_of(given["disclosure"]) == given["digest"]
    assert json.loads(given["header"])["kid"] == signer.kid
    signing_input = f"{b64encode(given['header'].encode())}.{b64encode(given['payload'].encode())}"
    assert b64encode(signer.sign(signing_input.encode())) == given["signature"]
    jwt = f"{signing_input}.{given['signature']}"
    assert envelope.sd_hash(f"{jwt}~{given['disclosure']}~") == given["sd_hash"]
    assert f"`{envelope.sd_hash(f'{jwt}~')}`" in PROTOCOL
    message = envelope.verify(envelope.parse(f"{jwt}~{given['disclosure']}~".encode()), signer.public)
    assert message.body["reporter"]["pseudonym"] == "WARGA-PP-07"


def test_the_approvals_table_is_the_parsers() -> None:
    """Every claim of an approval is in the table, and the limits are those of the code."""
    table = rows("### Approvals")
    assert table.keys() == approval._MEMBERS
    section = PROTOCOL.split("### Approvals", 1)[1].split("### Bytes", 1)[0]
    assert f"1 to {approval.APPROVALS_LIMIT} compact JWS" in section
    assert f"array of 1 to {approval.DIGESTS_LIMIT} digests" in section
    assert f"{approval.APPROVAL_LENGTH:,} characters" in section
    assert f"{approval.AGE.days} days in the past" in section


def test_the_worked_approval_is_right() -> None:
    """Key and claims of the page give the page's signature; it is about the message of the other example."""
    given = dict(re.findall(r"^    approval-(header|payload|signature) +(\S.*)$", PROTOCOL, re.MULTILINE))
    message = dict(re.findall(r"^    (payload|digest) +(\S.*)$", PROTOCOL, re.MULTILINE))
    signer = signer_for(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_8032_TEST_2)))
    claims, about = json.loads(given["payload"]), json.loads(message["payload"])
    asked = approval.ApprovalRequest(
        **{name: about[name] for name in ("iss", "aud", "jti", "type", "purpose")},
        content=approval.content_digest(about),
        disclosures=(message["digest"],),
    )
    parts = (b64encode(given["header"].encode()), b64encode(given["payload"].encode()), given["signature"])
    assert approval.sign_approval(asked, signer, datetime.fromtimestamp(claims["iat"], UTC)) == ".".join(parts)


def test_the_json_examples_are_json() -> None:
    """What is shown as a body can be parsed, and the problem's status and title are its code's."""
    blocks = re.findall(r"^    \{\n(?:^    .*\n)+?^    \}$", PROTOCOL, re.MULTILINE)
    examples = [json.loads(block) for block in blocks]
    assert len(examples) == 4
    problem = next(example for example in examples if "code" in example)
    code = CODES[problem["code"]]
    assert (problem["status"], problem["title"]) == (code.status, code.en)


def test_every_error_class_on_the_page_is_the_sdks() -> None:
    """The table of exceptions names those that exist."""
    named = re.findall(r"^\| `(\w+Error)`", HOWTO, re.MULTILINE)
    assert len(named) == 5
    assert all(hasattr(sdk, name) for name in named)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "NOW", datetime.now(UTC).replace(microsecond=0))


def test_the_examples_run(now: None, gateway: Gateway) -> None:
    """Every Python block of the page, one after the other, against a gateway."""
    stored: list[str] = []
    scope: dict[str, Any] = {
        "signer": gateway.sender,
        "recipient_signer": gateway.recipient,
        "body": BODY,
        "store": lambda transfer, *_: stored.append(transfer),
        "report": lambda *fault: pytest.fail(f"a fault: {fault}"),
        "gateway_jwks": jwks(gateway.signer),
        "imigrasi_jwks": jwks(gateway.sender),
        "ledger_vkey": gateway.ledger.signer.vkey,
        "message": GatewayClient("https://gateway.example", SENDER, gateway.sender).compose(
            "polda-banten", "a/1", BODY, agreement=simulator.AGREEMENT, purpose="P", classification="T"
        ),
    }
    blocks = re.findall(r"^```python\n(.*?)^```$", HOWTO, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        if "kept_messages" in block:
            scope["kept_messages"] = [sdk.Composed.read(text) for text in gateway.answers]
        if "kept_text" in block:
            scope["kept_text"] = next(iter(gateway.answers))
        exec(compile(block, "send-and-receive.md", "exec"), scope)  # noqa: S102 - the page is ours
    transfer, index, retried = scope["result"]
    assert (index, retried) == (5, False)
    assert scope["again"] == (transfer, True)
    assert scope["outcomes"] == ([transfer], [], [])
    assert stored == [transfer]
    assert [result.status for result in scope["results"]] == ["recorded"]
    assert scope["pinned"] == "sinergi-banten"
    assert scope["entry"]["kind"] == "transfer.accepted"
    push_to(scope["app"], gateway)
    assert len(stored) == 2


def push_to(app: AgencyEndpoint, gateway: Gateway) -> None:
    import asyncio

    content, headers = gateway.push(gateway.deliverable(), now=simulator.NOW)

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
            return await http.post(PUSH_URL, content=content, headers=headers)

    assert len(asyncio.run(post()).json()["acknowledgements"]) == 1

"""The page docs/reference/ledger-format.md says what the code does."""

import re
from pathlib import Path

import pytest

from gateway.errors import LedgerInvalidError
from gateway.ledger import merkle, proof
from gateway.ledger.entry import KINDS, decode
from gateway.ledger.member import FORMS
from tests.ledger.published import ORIGIN, leaves, publish, signer

PAGE = (Path(__file__).parents[2] / "docs/reference/ledger-format.md").read_text(encoding="utf-8")


def rows(marker: str) -> list[list[list[str]]]:
    """The table behind a marker: for each row, the code spans of each cell."""
    lines = PAGE.partition(f"<!-- {marker}: ")[2].split("\n\n", 2)[1].splitlines()[2:]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:-1]] for line in lines]


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_lists_every_kind_with_its_members() -> None:
    """Required and optional members of each kind are those of the code, no kind missing."""
    frame = {"v", "kind", "time"}
    written = {kind: (set(required), set(optional)) for (kind,), required, optional in rows("kinds")}
    held = {name: (set(kind.required) - frame, set(kind.forms) - kind.required) for name, kind in KINDS.items()}
    assert written == held


def test_the_page_explains_every_member() -> None:
    """Each member that an entry can have is explained, in order and once."""
    assert [cells[0][0] for cells in rows("members")] == sorted(FORMS)


def test_the_example_regenerates_byte_for_byte() -> None:
    """Key, leaves, hashes, sizes, checkpoint and proof of the page are what the code makes of the stated seed."""
    entries = list(leaves(3))
    source = publish(entries)
    hashes = [merkle.leaf_hash(leaf) for leaf in entries]
    assert block("vkey") == f"{signer().vkey}\n"
    assert block("leaves") == "".join(f"{leaf.decode()}\n" for leaf in entries)
    assert block("hashes") == "".join(f"{held.hex()}\n" for held in hashes)
    path = [merkle.node_hash(hashes[0], hashes[1])]
    assert block("proof") == proof.format_proof(2, path, source["checkpoint"])
    assert {name: len(data) for name, data in source.items() if name != "checkpoint"} == {
        "tile/0/000.p/3": 96,
        "tile/entries/000.p/3": 309,
    }
    assert all(f"`{name}`" in PAGE for name in source)


@pytest.mark.parametrize("number", range(3))
def test_the_example_verifies(number: int) -> None:
    """A reader who takes the page's leaves and key gets its proof to verify, for the last leaf and no other."""
    leaf = block("leaves").splitlines()[number].encode()
    assert decode(leaf)["kind"] == "transfer.expired"
    if number == 2:
        assert proof.verify_proof(block("proof"), merkle.leaf_hash(leaf), ORIGIN, [signer().verifier]).index == 2
    else:
        with pytest.raises(LedgerInvalidError):
            proof.verify_proof(block("proof"), merkle.leaf_hash(leaf), ORIGIN, [signer().verifier])

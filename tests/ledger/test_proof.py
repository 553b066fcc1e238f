"""Proof texts: one spelling, verified offline, for one entry of one ledger."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError
from gateway.ledger import merkle, proof
from gateway.ledger.checkpoint import Checkpoint, sign_checkpoint
from tests.ledger import reference
from tests.ledger.published import ORIGIN, signer

ENTRIES = [bytes([number]) for number in range(7)]
ROOT = reference.mth(ENTRIES)
NOTE = sign_checkpoint(Checkpoint(ORIGIN, 7, ROOT), [signer()])
VERIFIERS = [signer().verifier]


def text_for(index: int, extra: bytes | None = None) -> str:
    return proof.format_proof(index, reference.path(index, ENTRIES), NOTE, extra)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("extra", [None, b"opaque"])
def test_a_proof_verifies_offline(index: int, extra: bytes | None) -> None:
    """With the ledger's key and the leaf hash, the text alone proves the entry's place in the signed tree."""
    leaf = merkle.leaf_hash(ENTRIES[index])
    verified = proof.verify_proof(text_for(index, extra), leaf, ORIGIN, VERIFIERS)
    assert (verified.index, verified.leaf_hash, verified.extra) == (index, leaf, extra)
    assert (verified.checkpoint.size, verified.checkpoint.root) == (7, ROOT)


def test_the_text_is_the_one_of_the_specification() -> None:
    """Header, extra, index, hashes from the leaf up, an empty line, and the checkpoint verbatim."""
    lines = text_for(6, b"x").split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra eA==", "index 6"]
    assert len(lines[3:5]) == len(reference.path(6, ENTRIES))
    assert lines[5] == ""
    assert "\n".join(lines[6:]).encode() == NOTE


def test_the_only_entry_needs_no_hash() -> None:
    """In a tree of one, the proof is empty and the leaf hash is the root."""
    leaf = merkle.leaf_hash(b"only")
    only = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf), [signer()])
    text = proof.format_proof(0, [], only)
    assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex 0\n\n{ORIGIN}\n")
    assert proof.verify_proof(text, leaf, ORIGIN, VERIFIERS).index == 0


@given(
    st.integers(0, 2**63 - 2), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.none() | st.binary(min_size=1)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_parsing_undoes_formatting(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    """Every proof has one text, and the text leads back to it."""
    text = proof.format_proof(index, hashes, NOTE, extra)
    assert proof.parse_proof(text) == proof.UnverifiedProof(index, tuple(hashes), NOTE, extra)
    assert proof.parse_proof(text).format() == text


GOOD = text_for(3, b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.replace("@v1", "@v2"),
        GOOD.replace("c2sp.org", "C2SP.org"),
        "\n" + GOOD,
        "\ufeff" + GOOD,
        GOOD + "\n",
        GOOD[:-1],
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("extra eA==\n", "extra \n"),
        GOOD.replace("extra eA==\n", "extra eB==\n"),
        GOOD.replace("extra eA==\n", "extra eA\n"),
        GOOD.replace("extra eA==\n", "extra eA==\nextra eA==\n"),
        GOOD.replace("extra eA==\nindex 3\n", "index 3\nextra eA==\n"),
        GOOD.replace("index 3\n", ""),
        GOOD.replace("index 3", "index 03"),
        GOOD.replace("index 3", "index +3"),
        GOOD.replace("index 3", "index -3"),
        GOOD.replace("index 3", "index  3"),
        GOOD.replace("index 3", "index 3 "),
        GOOD.replace("index 3", "index ٣"),
        GOOD.replace("index 3", "index 9223372036854775807"),
        GOOD.replace("index 3", "Index 3"),
        GOOD.replace("index 3\n", "index 3\nAAAA\n"),
        GOOD.replace("index 3\n", "index 3\n" + "A" * 16 + "\n"),  # a hash of 12 bytes
        GOOD.replace("index 3\n", "index 3\n" + ("A" * 43 + "=\n") * 64),
        GOOD.replace("index 3\n", "index 3\n\n"),
        GOOD.partition("\n\n")[0],
        GOOD.partition("\n\n")[0] + "\n\n",
        GOOD.replace(ORIGIN, "\ud800", 1),
        GOOD + "x" * 2_000_000,
    ],
    ids=range(30),
)
def test_another_spelling_of_a_proof_is_refused(text: str) -> None:
    """What would not have been written like this is no proof."""
    with pytest.raises(LedgerInvalidError):
        proof.parse_proof(text)


def test_a_proof_is_for_one_entry_index_and_ledger() -> None:
    """Another leaf, another index, another origin or another key does not verify."""
    leaf = merkle.leaf_hash(ENTRIES[3])
    attempts: list[tuple[str, bytes, str, int]] = [
        (GOOD, merkle.leaf_hash(ENTRIES[2]), ORIGIN, 1),
        (GOOD.replace("index 3", "index 2"), leaf, ORIGIN, 1),
        (GOOD.replace("index 3", "index 7"), leaf, ORIGIN, 1),
        (GOOD, leaf, f"{ORIGIN}-2", 1),
        (GOOD, leaf, ORIGIN, 2),
        (GOOD, leaf[:31], ORIGIN, 1),
    ]
    for text, hash_, origin, seed in attempts:
        with pytest.raises(LedgerInvalidError):
            proof.verify_proof(text, hash_, origin, [signer(ORIGIN, seed).verifier])


def test_every_flipped_bit_is_refused() -> None:
    """No bit of a proof without extra data can change without it failing."""
    leaf = merkle.leaf_hash(ENTRIES[6])
    data = text_for(6).encode()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LedgerInvalidError):
            proof.verify_proof(flipped.decode("utf-8", "surrogateescape"), leaf, ORIGIN, VERIFIERS)


def test_a_bad_proof_is_not_written() -> None:
    """Formatting refuses what parsing would refuse."""
    for index, hashes, note, extra in (
        (-1, [], NOTE, None),
        (0, [bytes(31)], NOTE, None),
        (0, [bytes(32)] * 64, NOTE, None),
        (0, [], NOTE[:-1], None),
        (0, [], NOTE, b""),
    ):
        with pytest.raises(LedgerInvalidError):
            proof.format_proof(index, hashes, note, extra)

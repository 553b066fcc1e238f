"""Checkpoints: one spelling, the ledger's own key, and never a smaller tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerForkedError, LedgerInvalidError
from gateway.ledger import checkpoint, merkle, note
from tests.ledger.published import ORIGIN, signer

ROOT = merkle.leaf_hash(b"entry")

# The note text of the example in C2SP tlog-checkpoint.
SPECIFIED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def signed(size: int = 1, root: bytes = ROOT) -> bytes:
    return checkpoint.sign_checkpoint(checkpoint.Checkpoint(ORIGIN, size, root), [signer()])


def test_the_example_of_the_specification_is_read_and_written() -> None:
    """The specified text is this origin, size and root, and is written again byte for byte."""
    parsed = checkpoint.parse(SPECIFIED)
    assert (parsed.origin, parsed.size, parsed.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert parsed.root.hex().startswith("0ac5186a")
    assert parsed.format() == SPECIFIED


lines = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1)


@given(
    lines.filter(lambda line: len(line.encode()) <= 255),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_parsing_undoes_formatting(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    """Every checkpoint has one text, extension lines included."""
    made = checkpoint.Checkpoint(origin, size, root, tuple(extensions))
    assert checkpoint.parse(made.format()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        SPECIFIED[:-1],
        SPECIFIED + "\n",
        SPECIFIED + "\nextension\n",
        SPECIFIED.replace("example.com/behind-the-sofa", ""),
        SPECIFIED.replace("20852163", "020852163"),
        SPECIFIED.replace("20852163", "+20852163"),
        SPECIFIED.replace("20852163", "-1"),
        SPECIFIED.replace("20852163", "20_852_163"),
        SPECIFIED.replace("20852163", " 20852163"),
        SPECIFIED.replace("20852163", "٢٠"),
        SPECIFIED.replace("20852163", "0x13e2e83"),
        SPECIFIED.replace("20852163", ""),
        SPECIFIED.replace("20852163", "9223372036854775808"),
        SPECIFIED.replace("20852163", "1" + "0" * 5000),
        SPECIFIED.replace("20852163", "0"),  # an empty tree with the root of another
        SPECIFIED.replace("2I=", "2J="),  # the same bytes in other base64
        SPECIFIED.replace("=", ""),
        SPECIFIED.replace("/Xajj", "_Xajj"),
        SPECIFIED.replace("CsUYapGG", ""),
        SPECIFIED.replace("\n", "\r\n"),
        SPECIFIED + "a\tb\n",
        "é" * 128 + SPECIFIED.removeprefix("example.com/behind-the-sofa"),
    ],
)
def test_another_spelling_of_a_checkpoint_is_refused(text: str) -> None:
    """What the ledger would not have written is not a checkpoint."""
    with pytest.raises(LedgerInvalidError):
        checkpoint.parse(text)


def test_an_empty_ledger_has_a_checkpoint() -> None:
    """Size 0 is written `0`, with the hash of nothing as its root."""
    empty = checkpoint.Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)
    assert checkpoint.parse(empty.format()) == empty
    opened = checkpoint.open_checkpoint(signed(0, merkle.EMPTY_ROOT), ORIGIN, [signer().verifier])
    assert (opened.origin, opened.size, opened.root) == (ORIGIN, 0, merkle.EMPTY_ROOT)


def test_a_checkpoint_of_another_ledger_is_refused() -> None:
    """One key may sign several ledgers; a checkpoint counts only for the origin in its own first line."""
    other = f"{ORIGIN}-2"
    key = signer(other)
    data = checkpoint.sign_checkpoint(checkpoint.Checkpoint(other, 1, ROOT), [key])
    with pytest.raises(LedgerInvalidError):
        checkpoint.open_checkpoint(data, ORIGIN, [key.verifier, signer().verifier])


def test_a_witness_never_stands_in_for_the_ledger() -> None:
    """A note that only a trusted witness signed is no checkpoint of the ledger, though the note itself opens."""
    witness = signer("witness.example", 2)
    text = checkpoint.Checkpoint(ORIGIN, 1, ROOT).format()
    alone = note.sign_note(text, [witness])
    with pytest.raises(LedgerInvalidError):
        checkpoint.open_checkpoint(alone, ORIGIN, [signer().verifier, witness.verifier])
    both = note.sign_note(text, [signer(), witness])
    opened = checkpoint.open_checkpoint(both, ORIGIN, [signer().verifier, witness.verifier])
    assert [found.name for found in opened.note.signatures] == [ORIGIN, "witness.example"]


def test_a_checkpoint_is_signed_under_its_origin() -> None:
    """Signing under another name, or with no key, makes no checkpoint."""
    for signers in ([], [signer("witness.example")]):
        with pytest.raises(LedgerInvalidError):
            checkpoint.sign_checkpoint(checkpoint.Checkpoint(ORIGIN, 1, ROOT), signers)


def test_a_smaller_or_forked_tree_is_not_signed() -> None:
    """After a checkpoint is known, a rolled-back size or a second root for one size is refused; growth is signed."""
    after = checkpoint.Checkpoint(ORIGIN, 5, ROOT)
    other_root = merkle.leaf_hash(b"other")
    for size, root in ((4, ROOT), (0, merkle.EMPTY_ROOT), (5, other_root)):
        with pytest.raises(LedgerForkedError):
            checkpoint.sign_checkpoint(checkpoint.Checkpoint(ORIGIN, size, root), [signer()], after=after)
    for size, root in ((5, ROOT), (6, other_root)):
        assert checkpoint.sign_checkpoint(checkpoint.Checkpoint(ORIGIN, size, root), [signer()], after=after)
    with pytest.raises(LedgerInvalidError):
        checkpoint.sign_checkpoint(
            checkpoint.Checkpoint(ORIGIN, 6, ROOT), [signer()], after=checkpoint.Checkpoint("another", 5, ROOT)
        )


def test_every_flipped_bit_is_refused() -> None:
    """No bit of a signed checkpoint can change without it failing."""
    data = signed()
    verifiers = [signer().verifier]
    assert checkpoint.open_checkpoint(data, ORIGIN, verifiers).size == 1
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LedgerInvalidError):
            checkpoint.open_checkpoint(bytes(flipped), ORIGIN, verifiers)


@pytest.mark.parametrize(("size", "root"), [(-1, ROOT), (2**63, ROOT), (1, ROOT[:12]), (0, ROOT)])
def test_an_impossible_head_is_refused(size: int, root: bytes) -> None:
    """Sizes out of range, truncated roots and a non-empty root for no entries are not heads of any tree."""
    with pytest.raises(LedgerInvalidError):
        checkpoint.Checkpoint(ORIGIN, size, root)

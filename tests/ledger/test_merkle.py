"""The tree: roots and proofs agree with RFC 6962, and nothing else verifies."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError
from gateway.ledger import merkle
from tests.ledger import reference

# Inputs and roots published by transparency-dev/merkle in testonly/constants.go.
INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [bytes.fromhex(text) for text in (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)]  # fmt: skip


def frontier_of(entries: list[bytes]) -> merkle.Frontier:
    tree = merkle.Frontier()
    tree.extend(merkle.leaf_hash(entry) for entry in entries)
    return tree


def node_of(entries: list[bytes]) -> merkle.Node:
    """A reader that knows complete subtrees only, straight from the definition."""

    def node(level: int, index: int) -> bytes:
        part = entries[index << level : (index + 1) << level]
        assert len(part) == 1 << level, "an incomplete subtree was asked for"
        return reference.mth(part)

    return node


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(2, "big") for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """The eight-entry tree of the reference implementations has their roots at every size."""
    assert frontier_of(INPUTS[:size]).root() == ROOTS[size]
    assert reference.mth(INPUTS[:size]) == ROOTS[size]
    assert merkle.root(size, node_of(INPUTS)) == ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    """An empty tree has the root SHA-256(), as RFC 6962 says."""
    assert ROOTS[0] == merkle.EMPTY_ROOT


@given(st.lists(st.binary(max_size=4), max_size=70))
@settings(max_examples=60, deadline=None)
def test_the_frontier_agrees_with_the_definition(entries: list[bytes]) -> None:
    """Appending one by one gives the root that the recursive definition gives for the whole list."""
    assert frontier_of(entries).root() == reference.mth(entries)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_is_the_one_of_the_definition(size: int) -> None:
    """For each entry of each small tree, the proof is PATH of RFC 6962 and verifies."""
    entries = numbered(size)
    root = reference.mth(entries)
    for index, entry in enumerate(entries):
        proof = merkle.inclusion_proof(index, size, node_of(entries))
        assert proof == reference.path(index, entries)
        merkle.verify_inclusion(index, size, merkle.leaf_hash(entry), proof, root)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_consistency_proof_is_the_one_of_the_definition(size: int) -> None:
    """For each pair of small trees, the proof is PROOF of RFC 6962 and verifies."""
    entries = numbered(size)
    for old in range(1, size + 1):
        proof = merkle.consistency_proof(old, size, node_of(entries))
        assert proof == reference.proof(old, entries)
        merkle.verify_consistency(old, reference.mth(entries[:old]), size, reference.mth(entries), proof)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_inclusion_proof_verifies_for_nothing_else(data: st.DataObject) -> None:
    """Another entry, index, size, root, or a proof longer, shorter or altered is refused."""
    size = data.draw(st.integers(2, 70))
    index = data.draw(st.integers(0, size - 1))
    entries = numbered(size)
    leaf, root = merkle.leaf_hash(entries[index]), reference.mth(entries)
    proof = merkle.inclusion_proof(index, size, node_of(entries))
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index))
    broken = data.draw(st.integers(0, len(proof) - 1))
    flipped = [*proof[:broken], bytes([proof[broken][0] ^ 1]) + proof[broken][1:], *proof[broken + 1 :]]
    attempts: list[Callable[[], None]] = [
        lambda: merkle.verify_inclusion(other, size, leaf, proof, root),
        lambda: merkle.verify_inclusion(index, size, merkle.leaf_hash(entries[other]), proof, root),
        lambda: merkle.verify_inclusion(index, size, leaf, proof, merkle.EMPTY_ROOT),
        lambda: merkle.verify_inclusion(index, size, leaf, proof[:-1], root),
        lambda: merkle.verify_inclusion(index, size, leaf, [*proof, root], root),
        lambda: merkle.verify_inclusion(index, size, leaf, flipped, root),
        lambda: merkle.verify_inclusion(size, size, leaf, proof, root),
        lambda: merkle.verify_inclusion(-1, size, leaf, proof, root),
        lambda: merkle.verify_inclusion(index, size, leaf, [held[:12] for held in proof], root),
        lambda: merkle.verify_inclusion(index, size, leaf[:31], proof, root),
    ]
    for attempt in attempts:
        with pytest.raises(LedgerInvalidError):
            attempt()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_rewritten_history_is_not_consistent(data: st.DataObject) -> None:
    """When any entry of the old tree differs, no proof the log can make leads from the old root to the new one."""
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    entries = numbered(new)
    rewritten = [*entries[:changed], b"rewritten", *entries[changed + 1 :]]
    proof = merkle.consistency_proof(old, new, node_of(rewritten))
    old_root, new_root = reference.mth(entries[:old]), reference.mth(rewritten)
    with pytest.raises(LedgerInvalidError):
        merkle.verify_consistency(old, old_root, new, new_root, proof)
    for wrong in (proof[:-1], [*proof, old_root], []):
        with pytest.raises(LedgerInvalidError):
            merkle.verify_consistency(old, reference.mth(rewritten[:old]), new, new_root, wrong)


def test_consistency_at_the_edges() -> None:
    """An empty old tree and equal trees take an empty proof; a smaller new tree and two roots for one size are refused."""
    entries = numbered(5)
    root = reference.mth(entries)
    merkle.verify_consistency(0, merkle.EMPTY_ROOT, 5, root, merkle.consistency_proof(0, 5, node_of(entries)))
    merkle.verify_consistency(5, root, 5, root, merkle.consistency_proof(5, 5, node_of(entries)))
    merkle.verify_consistency(0, merkle.EMPTY_ROOT, 0, merkle.EMPTY_ROOT, [])
    refused: list[tuple[int, bytes, int, bytes, list[bytes]]] = [
        (0, root, 5, root, []),
        (0, merkle.EMPTY_ROOT, 5, root, [root]),
        (0, merkle.EMPTY_ROOT, 0, root, []),
        (5, root, 5, merkle.EMPTY_ROOT, []),
        (5, root, 5, root, [root]),
        (5, root, 4, reference.mth(entries[:4]), []),
        (4, reference.mth(entries[:4]), 5, root, []),
        (3, reference.mth(entries[:3]), 5, root, []),
        (4, reference.mth(entries[:4])[:12], 5, root, [root]),
    ]
    for case in refused:
        with pytest.raises(LedgerInvalidError):
            merkle.verify_consistency(*case)
    with pytest.raises(LedgerInvalidError):
        merkle.consistency_proof(6, 5, node_of(entries))
    with pytest.raises(LedgerInvalidError):
        merkle.inclusion_proof(5, 5, node_of(entries))


def test_a_node_cannot_pass_for_an_entry() -> None:
    """Presenting the two hashes under a node as one entry gives another root, because the prefixes differ."""
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


@given(st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_a_frontier_survives_being_stored(size: int) -> None:
    """to_bytes and from_bytes are inverse, and the copy that is read back appends to the same roots."""
    tree = frontier_of(numbered(size))
    again = merkle.Frontier.from_bytes(size, tree.to_bytes())
    copy = tree.copy()
    again.append(merkle.leaf_hash(b"next"))
    copy.append(merkle.leaf_hash(b"next"))
    assert (again.size, again.hashes, again.root()) == (copy.size, copy.hashes, copy.root())
    assert tree.size == size


@pytest.mark.parametrize(("size", "data"), [(1, b""), (2, bytes(64)), (3, bytes(63)), (0, bytes(32)), (-1, b"")])
def test_a_frontier_of_the_wrong_shape_is_refused(size: int, data: bytes) -> None:
    """A stored frontier must have exactly one hash for each 1 bit of the stored size."""
    with pytest.raises(LedgerInvalidError):
        merkle.Frontier.from_bytes(size, data)


@given(st.integers(0, 40), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_a_perfect_subtree_can_be_appended_at_once(blocks: int, level: int) -> None:
    """Where it stands aligned it is as if its leaves had come one by one; elsewhere it is refused."""
    entries = [number.to_bytes(4, "big") for number in range((blocks + 1) << level)]
    hashes = [merkle.leaf_hash(one) for one in entries]
    one_by_one, at_once = merkle.Frontier(), merkle.Frontier()
    one_by_one.extend(hashes)
    at_once.extend(hashes[: blocks << level])
    at_once.append_perfect(level, reference.mth(entries[blocks << level :]))
    assert (at_once.size, at_once.hashes) == (one_by_one.size, one_by_one.hashes)
    at_once.append(hashes[0])
    if level:
        with pytest.raises(LedgerInvalidError):
            at_once.append_perfect(level, hashes[0])

"""Tiles and bundles: C2SP tlog-tiles to the byte, growing, and answering for every size."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInvalidError
from gateway.ledger import merkle, tiles
from tests.ledger import reference


class TileTable:
    """Rows as the store keeps them: one for each (level, index), a partial one replaced by its wider version."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.reads = 0

    def read(self, level: int, index: int, _width: int) -> bytes:
        self.reads += 1
        return self.rows[level, index]

    def append(self, hashes: list[bytes]) -> tiles.TileUpdate:
        update = tiles.TileUpdate.append(self.size, self.read, hashes)
        for tile in update.tiles:
            assert tile.data.startswith(self.rows.get((tile.level, tile.index), b"")), "a stored hash was changed"
            self.rows[tile.level, tile.index] = tile.data
        self.size = update.new_size
        return update


def hash_number(number: int) -> bytes:
    return merkle.leaf_hash(number.to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("tile/0/000", (0, 0, 256)),
        ("tile/0/x001/x234/067", (0, 1234067, 256)),  # the example of the specification
        ("tile/2/000.p/1", (2, 0, 1)),
        ("tile/63/999.p/255", (63, 999, 255)),
        ("tile/entries/x001/000", (None, 1000, 256)),
        ("tile/entries/x273/000.p/112", (None, 273000, 112)),
    ],
)
def test_paths_are_those_of_the_specification(path: str, place: tuple[int | None, int, int]) -> None:
    """Level, index in groups of three digits, and width stand in the path as tlog-tiles writes them."""
    assert str(tiles.TilePath(*place)) == path
    assert tiles.TilePath.parse(path) == tiles.TilePath(*place)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**55 - 1), st.integers(1, 256))
@settings(max_examples=100, deadline=None)
def test_parsing_undoes_formatting(level: int | None, index: int, width: int) -> None:
    """Every place has one path, and the path leads back to the place."""
    place = tiles.TilePath(level, index, width)
    assert tiles.TilePath.parse(str(place)) == place


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/64/000", "tile/00/000", "tile/-1/000",
        "tile/0/x000/000", "tile/0/001/000", "tile/0/x001", "tile/0/x01/000", "tile/0/X001/000", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p", "tile/0/000/", "/tile/0/000",
        "tile/0/000\n", "tile/0/٠٠٠", "tile/entries/../000", "tile/data/000", "tile/0/000.p/1/2", "tile/ 0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_another_spelling_of_a_path_is_refused(path: str) -> None:
    """A path that the ledger would not publish names nothing."""
    with pytest.raises(LedgerInvalidError):
        tiles.TilePath.parse(path)


@pytest.mark.parametrize("place", [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)])
def test_a_place_outside_every_tree_is_refused(place: tuple[int, int, int]) -> None:
    """Levels, indices and widths have the bounds of the specification."""
    with pytest.raises(LedgerInvalidError):
        tiles.TilePath(*place)


def test_a_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    """The example of tlog-tiles: 273 full and one of 112; one full and one of 17; one of 1."""
    table = TileTable()
    table.append([hash_number(number) for number in range(70_000)])
    widths = {place: len(data) // 32 for place, data in table.rows.items()}
    expected = {(0, index): 256 for index in range(273)} | {(0, 273): 112, (1, 0): 256, (1, 1): 17, (2, 0): 1}
    assert widths == expected
    assert all(tiles.tile_width(70_000, *place) == width for place, width in expected.items())
    assert tiles.tile_width(70_000, 0, 274) == tiles.tile_width(70_000, 3, 0) == 0


def test_a_tree_of_256_has_a_full_tile_and_one_above_it() -> None:
    """The other example of tlog-tiles: a full tile of level 0 and a partial one of width 1 at level 1."""
    table = TileTable()
    table.append([hash_number(number) for number in range(256)])
    assert {place: len(data) // 32 for place, data in table.rows.items()} == {(0, 0): 256, (1, 0): 1}


def test_proofs_cross_tile_boundaries_for_every_size() -> None:
    """Past 65,536 entries, appended in uneven batches, proofs for old and new sizes verify and cost a few tiles each."""
    draw = random.Random(2026)
    table, tree, roots = TileTable(), merkle.Frontier(), {0: merkle.EMPTY_ROOT}
    while table.size < 66_200:
        batch = [hash_number(table.size + offset) for offset in range(draw.choice([1, 7, 255, 256, 257, 1000, 4096]))]
        table.append(batch)
        tree.extend(batch)
        roots[table.size] = tree.root()
    sizes = sorted(roots)
    for old in draw.sample(sizes[1:-1], 12):
        new = draw.choice([size for size in sizes if size >= old])
        index = draw.randrange(old)
        reader = tiles.TileReader(table.size, table.read)
        table.reads = 0
        path = merkle.inclusion_proof(index, old, reader.node)
        merkle.verify_inclusion(index, old, hash_number(index), path, roots[old])
        assert table.reads <= 5
        proof = merkle.consistency_proof(old, new, reader.node)
        merkle.verify_consistency(old, roots[old], new, roots[new], proof)
        assert table.reads <= 9
        assert tiles.frontier(old, table.read).root() == roots[old]
    assert tiles.frontier(table.size, table.read).hashes == tree.hashes


def test_upper_tiles_are_read_once_and_again_when_they_grew() -> None:
    """Proofs of a growing tree with kept tiles: right for every size, old ones too, and one or two reads of level 0 each."""
    draw, kept = random.Random(7), tiles.KeptTiles()
    table, tree, roots = TileTable(), merkle.Frontier(), {}
    while table.size < 66_200:
        batch = [hash_number(table.size + offset) for offset in range(draw.choice([256, 1000, 4096, 8192]))]
        table.append(batch)
        tree.extend(batch)
        roots[table.size] = tree.root()
        for size in (table.size, draw.choice(list(roots))):
            index = draw.randrange(size)
            reader = tiles.TileReader(size, table.read, kept)
            merkle.verify_inclusion(
                index, size, hash_number(index), merkle.inclusion_proof(index, size, reader.node), roots[size]
            )
    table.reads = 0
    for _ in range(50):
        size = draw.choice(list(roots))
        index = draw.randrange(size)
        reader = tiles.TileReader(size, table.read, kept)
        merkle.inclusion_proof(index, size, reader.node)
    assert table.reads <= 2 * 50 + 2


def test_what_is_kept_is_bounded_and_never_narrower_than_asked() -> None:
    """The oldest tile makes room, level 0 is not kept, and a tile that was read too narrow is not given."""
    kept = tiles.KeptTiles(limit=2)
    for index in range(3):
        kept.keep(1, index, tiles.Subtrees(bytes(32 * 5)))
    kept.keep(0, 9, tiles.Subtrees(bytes(32)))
    assert [kept.get(*place, 5) is not None for place in ((1, 0), (1, 1), (1, 2), (0, 9))] == [False, True, True, False]
    assert kept.get(1, 2, 6) is None
    kept.keep(1, 2, tiles.Subtrees(bytes(32 * 6)))
    assert kept.get(1, 2, 6) is not None
    assert kept.get(1, 1, 5) is not None, "a wider version takes the place of the narrower one"


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.data())
@settings(max_examples=30, deadline=None)
def test_tiles_do_not_depend_on_the_batches(batches: list[int], data: st.DataObject) -> None:
    """However the entries were batched, the rows are the same and the root is that of the definition."""
    total = sum(batches)
    entries = [number.to_bytes(4, "big") for number in range(total)]
    grown, at_once = TileTable(), TileTable()
    for batch in batches:
        update = grown.append([hash_number(grown.size + offset) for offset in range(batch)])
        assert (update.old_size, update.new_size) == (grown.size - batch, grown.size)
    at_once.append([hash_number(number) for number in range(total)])
    assert grown.rows == at_once.rows
    size = data.draw(st.integers(1, total))
    reader = tiles.TileReader(total, grown.read)
    assert merkle.root(size, reader.node) == reference.mth(entries[:size])


def test_nothing_appended_changes_nothing() -> None:
    """An empty batch touches no tile."""
    assert TileTable().append([]).tiles == ()


@pytest.mark.parametrize("claimed", [299, 301, 44, 556])
def test_appending_with_a_stale_size_is_refused(claimed: int) -> None:
    """When the edge tile is not as wide as the size says, the head was read stale and the append would fork the ledger."""
    table = TileTable()
    table.append([hash_number(number) for number in range(300)])
    with pytest.raises(LedgerInvalidError):
        tiles.TileUpdate.append(
            claimed, lambda level, index, _width: table.rows.get((level, index), b""), [hash_number(1)]
        )


def test_only_complete_subtrees_are_answered() -> None:
    """A reader never makes up the hash of a subtree that the tree does not have yet."""
    table = TileTable()
    table.append([hash_number(number) for number in range(300)])
    reader = tiles.TileReader(300, table.read)
    for level, index in ((0, 300), (2, 75), (8, 1), (9, 0), (-1, 0), (0, -1)):
        with pytest.raises(LedgerInvalidError):
            reader.node(level, index)
    assert reader.node(8, 0) == table.rows[1, 0]


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 43), bytes(32 * 44 + 1), bytes(32 * 257)])
def test_a_tile_of_the_wrong_length_is_refused(data: bytes) -> None:
    """A tile that is too narrow for the tree, not whole hashes, or too wide is never hashed."""
    with pytest.raises(LedgerInvalidError):
        tiles.TileReader(300, lambda _level, _index, _width: data).node(0, 299)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
@settings(max_examples=40, deadline=None)
def test_bundles_come_apart_as_they_were_put_together(leaves: list[bytes]) -> None:
    """split_bundle undoes bundle, empty and equal leaves included."""
    assert tiles.split_bundle(tiles.bundle(leaves), len(leaves)) == leaves


def test_a_bundle_is_what_the_specification_says() -> None:
    """Each entry stands behind its length as a big-endian uint16."""
    assert tiles.bundle([b"ab", b"", b"c" * 258]) == b"\x00\x02ab" + b"\x00\x00" + b"\x01\x02" + b"c" * 258
    assert len(tiles.bundle([bytes(65_535)])) == 65_537


@pytest.mark.parametrize(
    ("data", "count"),
    [(b"", 1), (b"\x00", 1), (b"\x00\x02a", 1), (b"\x00\x01ab", 1), (b"\x00\x01a", 2), (b"\x00\x01a\x00\x00", 1)],
)
def test_a_bundle_with_a_byte_too_few_or_too_many_is_refused(data: bytes, count: int) -> None:
    """A bundle holds exactly the entries that the size counts, to its last byte."""
    with pytest.raises(LedgerInvalidError):
        tiles.split_bundle(data, count)


def test_a_bundle_is_never_empty_oversized_or_overfull() -> None:
    """No entries, 257 entries, or an entry of 65,536 bytes cannot be published."""
    for leaves in ([], [b""] * 257, [bytes(65_536)]):
        with pytest.raises(LedgerInvalidError):
            tiles.bundle(leaves)
    for count in (0, 257):
        with pytest.raises(LedgerInvalidError):
            tiles.split_bundle(b"\x00\x00" * count, count)


def test_a_flipped_bit_in_a_bundle_is_another_tree() -> None:
    """Whichever bit of a bundle flips, it does not split or it leads to another root."""
    leaves = [b"satu", b"", b"tiga"]
    data = tiles.bundle(leaves)
    root = reference.mth(leaves)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = tiles.split_bundle(bytes(flipped), len(leaves))
        except LedgerInvalidError:
            continue
        assert reference.mth(found) != root

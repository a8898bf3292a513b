"""Tiles: names, growth against the compact range, proofs read from tiles, entry bundles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.canonical import MAX_ENTRY_BYTES
from biobank.transparency.tiles import (
    MAX_LEVEL,
    FullTile,
    TileError,
    TileName,
    TileNodes,
    TreeEdge,
    UpperTiles,
    decode_bundle,
    encode_bundle,
    split_tile,
    tile_names,
)
from biobank.transparency.tree import (
    CompactRange,
    consistency_proof,
    fold_perfect,
    hash_leaf,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)

SIZE = 70_000
LEAVES = [hash_leaf(n.to_bytes(4, "big")) for n in range(SIZE)]


class Grown:
    """A tree grown leaf by leaf, every full tile kept, with the root of every size asked for."""

    def __init__(self) -> None:
        self.full: dict[tuple[int, int], FullTile] = {}
        self.edge = TreeEdge()
        self.range = CompactRange()
        self.roots: dict[int, bytes] = {}
        for leaf in LEAVES:
            for tile in self.edge.append(leaf):
                assert (tile.level, tile.n) not in self.full
                self.full[tile.level, tile.n] = tile
            self.range.append(leaf)
            if self.range.size % 97 == 0 or self.range.size < 600 or self.range.size == SIZE:
                assert self.edge.peaks() == self.range.peaks, self.range.size
                self.roots[self.range.size] = self.range.root()

    def read(self, level: int, n: int, width: int) -> bytes:
        """Serve a tile as a database would: full ones as stored, partial ones from below."""
        assert 0 < width <= 256
        if (level, n) in self.full:
            return self.full[level, n].hashes[: width * 32]
        below = LEAVES[n * 256 :] if level == 0 else [self.full[level - 1, n * 256 + k].root for k in range(width)]
        return b"".join(below[:width])


@pytest.fixture(scope="module")
def grown() -> Grown:
    return Grown()


def test_a_tree_of_seventy_thousand_has_the_tiles_the_specification_counts(grown: Grown) -> None:
    names = list(tile_names(SIZE))
    assert sum(name.level == 0 and name.width == 256 for name in names) == 273
    assert [name for name in names if name.width < 256] == [
        TileName(0, 273, 112),
        TileName(1, 1, 17),
        TileName(2, 0, 1),
    ]
    assert {(n.level, n.n) for n in names if n.width == 256} == set(grown.full)
    assert list(tile_names(256)) == [TileName(0, 0, 256), TileName(1, 0, 1)]
    assert list(tile_names(0)) == []


def test_full_tiles_hold_the_hashes_and_roots_of_the_specification(grown: Grown) -> None:
    for tile in grown.full.values():
        assert tile.root == fold_perfect(split_tile(tile.hashes, 256))
    assert grown.full[0, 5].hashes == b"".join(LEAVES[5 * 256 : 6 * 256])
    assert grown.full[1, 0].hashes == b"".join(grown.full[0, n].root for n in range(256))


@given(size=st.integers(1, SIZE), data=st.data())
def test_proofs_of_any_historical_size_come_out_of_the_present_tiles(grown: Grown, size: int, data: st.DataObject) -> None:
    size = data.draw(st.sampled_from(sorted(grown.roots)))
    index = data.draw(st.integers(0, size - 1))
    node = TileNodes(SIZE, grown.read)
    verify_inclusion(index, size, LEAVES[index], inclusion_proof(index, size, node), grown.roots[size])
    older = data.draw(st.sampled_from([n for n in sorted(grown.roots) if n <= size]))
    verify_consistency(older, size, grown.roots[older], grown.roots[size], consistency_proof(older, size, node))


def test_a_proof_reads_few_tiles_and_each_of_them_once(grown: Grown) -> None:
    reads: list[tuple[int, int]] = []

    def read(level: int, n: int, width: int) -> bytes:
        reads.append((level, n))
        return grown.read(level, n, width)

    inclusion_proof(12_345, SIZE, TileNodes(SIZE, read))
    assert len(reads) == len(set(reads)) <= 6


def test_a_subtree_beyond_the_tree_is_not_invented(grown: Grown) -> None:
    node = TileNodes(1000, grown.read)
    assert node(3, 124) == fold_perfect(LEAVES[992:1000])
    for level, index in ((0, 1000), (3, 125), (10, 0)):
        with pytest.raises(ValueError, match="outside"):
            node(level, index)


def test_a_short_tile_is_noticed(grown: Grown) -> None:
    with pytest.raises(TileError):
        TileNodes(SIZE, lambda level, n, width: grown.read(level, n, width)[:-1])(0, 3)


@given(size=st.integers(0, SIZE - 300), more=st.integers(0, 300))
def test_an_edge_taken_up_again_goes_on_as_if_it_had_never_stopped(grown: Grown, size: int, more: int) -> None:
    widths = [(size >> 8 * level) % 256 for level in range(MAX_LEVEL + 1)]
    partial = [
        split_tile(grown.read(level, size >> 8 * level + 8, width), width) if width else [] for level, width in enumerate(widths)
    ]
    edge = TreeEdge(size, partial)
    other = edge.copy()
    for leaf in LEAVES[size : size + more]:
        for tile in edge.append(leaf):
            assert tile == grown.full[tile.level, tile.n]
    assert edge.size == size + more
    assert other.size == size, "a copy must not share its rows"
    check = CompactRange()
    check.extend(LEAVES[: size + more] if size + more < 600 else [])
    if check.size == edge.size:
        assert edge.root() == check.root()
    if edge.size in grown.roots:
        assert edge.root() == grown.roots[edge.size]
    assert other.peaks() == TreeEdge(size, partial).peaks()


def test_an_edge_whose_rows_do_not_fit_its_size_is_refused() -> None:
    with pytest.raises(TileError):
        TreeEdge(3, [LEAVES[:2]])
    with pytest.raises(TileError):
        TreeEdge(256, [[]])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(1, 999), "tile/1/999"),
        (TileName(0, 1000), "tile/0/x001/000"),
        (TileName(3, 1234067), "tile/3/x001/x234/067"),
        (TileName(0, 273, 112), "tile/0/273.p/112"),
        (TileName(None, 1234067, 1), "tile/entries/x001/x234/067.p/1"),
    ],
)
def test_tiles_are_named_as_the_specification_says(name: TileName, path: str) -> None:
    assert name.path() == path
    assert TileName.from_path(path) == name


@given(st.none() | st.integers(0, MAX_LEVEL), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_every_tile_name_is_read_back(level: int | None, n: int, width: int) -> None:
    name = TileName(level, n, width)
    assert TileName.from_path(name.path()) == name


@pytest.mark.parametrize(
    "path",
    [
        "tile/8/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/1000",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/300",
        "tile/0/x001",
        "/tile/0/000",
        "tile/0/000/",
        "tile/-1/000",
        "tile/0/\u0660\u0661\u0662",
        "tile/data/000",
        "tile/0/../000",
        "tile/0/" + "x001/" * 20 + "000",
        "tile/0/000\n",
    ],
)
def test_any_other_spelling_of_a_tile_name_is_refused(path: str) -> None:
    with pytest.raises(TileError):
        TileName.from_path(path)


@given(st.integers(0, 200_000))
def test_a_tree_has_exactly_the_tiles_it_lists(size: int) -> None:
    for name in tile_names(size):
        assert name.exists_in(size)
        assert not name._replace(n=name.n + 1).exists_in(size) or name.width == 256
        if name.width < 256:
            assert not name._replace(width=name.width + 1).exists_in(size)
            assert not name._replace(width=0).exists_in(size)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    bundle = encode_bundle(entries)
    assert decode_bundle(bundle) == entries
    assert len(bundle) == sum(2 + len(entry) for entry in entries)


def test_the_longest_entry_fits_a_bundle_and_a_longer_one_does_not() -> None:
    assert decode_bundle(encode_bundle([b"a" * MAX_ENTRY_BYTES])) == [b"a" * MAX_ENTRY_BYTES]
    with pytest.raises(TileError):
        encode_bundle([b"a" * (MAX_ENTRY_BYTES + 1)])


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_bundle_cut_short_is_refused(cut: int) -> None:
    bundle = encode_bundle([b"abc", b"de"])
    with pytest.raises(TileError):
        decode_bundle(bundle[:-cut] if cut < 4 else bundle[:-3])


@given(st.data())
def test_kept_upper_tiles_give_the_nodes_that_reading_anew_gives(grown: Grown, data: st.DataObject) -> None:
    upper = UpperTiles(capacity=2)
    for _ in range(4):
        size = data.draw(st.integers(1, SIZE))
        level = data.draw(st.integers(0, size.bit_length() - 1))
        index = data.draw(st.integers(0, (size >> level) - 1))
        assert TileNodes(size, grown.read, upper=upper)(level, index) == TileNodes(size, grown.read)(level, index)


def test_upper_tiles_are_read_once_while_they_are_kept(grown: Grown) -> None:
    reads: list[tuple[int, int, int]] = []

    def read(level: int, n: int, width: int) -> bytes:
        reads.append((level, n, width))
        return grown.read(level, n, width)

    upper = UpperTiles()
    for index in (1000, 2000, 3000):
        inclusion_proof(index, SIZE, TileNodes(SIZE, read, upper=upper))
    assert len([tile for tile in reads if tile[0] > 0]) == len({tile for tile in reads if tile[0] > 0})

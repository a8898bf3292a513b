"""Tiles: the tree cut into pieces of 256 hashes that never change once they are full (C2SP tlog-tiles).

The tile ``(level, n)`` holds up to 256 consecutive hashes, each the root of a perfect subtree of ``256^level`` leaves;
those of level 0 are leaf hashes. A full tile's own root is one hash of the level above. Any perfect subtree is the fold
of neighbours inside one tile, so a proof in a tree of n leaves reads about log256(n) tiles, whatever the tree's size.

Names under a log's address: ``tile/<level>/<n>`` and ``tile/entries/<n>``, where ``n`` is written in groups of three
digits, all but the last marked by an x (``x001/x234/067``); a partial tile adds ``.p/<width>``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from biobank.transparency.canonical import MAX_ENTRY_BYTES
from biobank.transparency.tree import HASH_BYTES, fold_peaks, fold_perfect, hash_node

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63 // TILE_HEIGHT
"""The highest level a tree of fewer than 2^63 leaves reaches."""

_PATH = re.compile(r"tile/(?P<level>entries|[0-7])/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?")

ReadTile = Callable[[int, int, int], bytes]
"""``(level, n, width)`` to the first ``width`` hashes of that tile, joined."""


class TileError(ValueError):
    """A tile, a bundle or the name of one is not what it must be."""


class TileName(NamedTuple):
    """A tile of hashes, or, when ``level`` is None, a bundle of entries; ``width`` is 256 unless it is partial."""

    level: int | None
    n: int
    width: int = TILE_WIDTH

    def path(self) -> str:
        """Return the name under the log's address."""
        groups = []
        rest = self.n
        while True:
            rest, group = divmod(rest, 1000)
            groups.append(f"{group:03d}")
            if not rest:
                break
        number = "/".join([f"x{group}" for group in reversed(groups[1:])] + groups[:1])
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{number}{suffix}"

    @classmethod
    def from_path(cls, path: str) -> TileName:
        """Read a name. Raises TileError for every spelling but the one ``path()`` gives."""
        match = _PATH.fullmatch(path) if len(path) <= 64 else None
        if not match:
            raise TileError("not the name of a tile")
        level = None if match["level"] == "entries" else int(match["level"])
        name = cls(level, int(match["n"].replace("x", "").replace("/", "")), int(match["width"] or TILE_WIDTH))
        if name.width > TILE_WIDTH or name.path() != path:
            raise TileError("not the one spelling of this tile's name")
        return name

    def exists_in(self, size: int) -> bool:
        """Return whether a tree of ``size`` leaves has a tile of this number with at least this many hashes."""
        hashes = size >> (TILE_HEIGHT * (self.level or 0))
        return 0 < self.width <= TILE_WIDTH and self.n * TILE_WIDTH + self.width <= hashes


def tile_names(size: int) -> Iterator[TileName]:
    """Yield every tile of hashes of a tree of ``size`` leaves, level by level, the partial one of a level last."""
    for level in range(MAX_LEVEL + 1):
        hashes = size >> (TILE_HEIGHT * level)
        for n in range(hashes // TILE_WIDTH):
            yield TileName(level, n)
        if hashes % TILE_WIDTH:
            yield TileName(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH)


def split_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile. Raises TileError unless there are exactly ``width``, at most 256."""
    if width > TILE_WIDTH or len(data) != width * HASH_BYTES:
        raise TileError("a tile has 32 bytes for every hash")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


class TileNodes:
    """A source of perfect subtree roots (``tree.NodeGetter``) for the tree of ``size`` leaves, reading tiles on demand.

    Each tile is read once; the object is meant for one question or one batch and is then thrown away. ``known`` are roots that
    are at hand already, such as the peaks of the tree: they spare reading its right edge. ``upper`` keeps tiles above the leaves
    for the next question; a tile of a number and width never changes.
    """

    def __init__(
        self,
        size: int,
        read: ReadTile,
        known: Mapping[tuple[int, int], bytes] | None = None,
        upper: UpperTiles | None = None,
    ) -> None:
        self._size = size
        self._read = read
        self._known = known or {}
        self._upper = upper
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the root of the perfect subtree ``(level, index)``. Raises ValueError when it is not in the tree."""
        if (index + 1) << level > self._size:
            raise ValueError("the subtree lies outside the tree")
        if (level, index) in self._known:
            return self._known[level, index]
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, offset = divmod(index << height, TILE_WIDTH)
        width = min(TILE_WIDTH, (self._size >> (TILE_HEIGHT * tile_level)) - n * TILE_WIDTH)
        if tile_level and self._upper is not None:
            return self._upper.node(self._read, (tile_level, n, width), height, offset)
        hashes = self._tiles.get((tile_level, n))
        if hashes is None:
            hashes = split_tile(self._read(tile_level, n, width), width)
            self._tiles[tile_level, n] = hashes
        return fold_perfect(hashes[offset : offset + (1 << height)])


class UpperTiles:
    """Tiles above the leaves, folded, the latest used ones: there are few, and every proof climbs through them.

    A tile takes about 40 kB. Where one process answers for several logs, each has its own.
    """

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._folded: OrderedDict[tuple[int, int, int], list[list[bytes]]] = OrderedDict()

    def node(self, read: ReadTile, tile: tuple[int, int, int], height: int, offset: int) -> bytes:
        """Return the root of the ``2^height`` hashes of a tile ``(level, n, width)`` from ``offset`` on."""
        rows = self._folded.get(tile)
        if rows is None:
            level, n, width = tile
            rows = [split_tile(read(level, n, width), width)]
            while len(rows[-1]) > 1:
                row = rows[-1]
                rows.append([hash_node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
            self._folded[tile] = rows
            if len(self._folded) > self._capacity:
                self._folded.popitem(last=False)
        else:
            self._folded.move_to_end(tile)
        return rows[height][offset >> height]


class FullTile(NamedTuple):
    """A tile that will never change again; ``hashes`` is 8,192 bytes."""

    level: int
    n: int
    hashes: bytes
    root: bytes


class TreeEdge:
    """The partial tiles on the right edge of a growing tree: at most 255 hashes per level.

    ``partial[level]`` are the hashes of the partial tile of that level, empty when it is full or absent.
    """

    def __init__(self, size: int = 0, partial: Sequence[Iterable[bytes]] = ()) -> None:
        self.size = size
        self.partial: list[list[bytes]] = [list(hashes) for hashes in partial]
        self.partial += [[] for _ in range(len(self.partial), MAX_LEVEL + 1)]
        for level, hashes in enumerate(self.partial):
            if len(hashes) != (size >> (TILE_HEIGHT * level)) % TILE_WIDTH:
                raise TileError(f"the partial tile of level {level} does not have the width its tree needs")

    def append(self, leaf_hash: bytes) -> list[FullTile]:
        """Add a leaf and return the tiles it filled, lowest level first."""
        full: list[FullTile] = []
        node = leaf_hash
        for level in range(MAX_LEVEL + 1):
            row = self.partial[level]
            row.append(node)
            if len(row) < TILE_WIDTH:
                break
            node = fold_perfect(row)
            full.append(FullTile(level, self.size >> (TILE_HEIGHT * (level + 1)), b"".join(row), node))
            row.clear()
        self.size += 1
        return full

    def peaks(self) -> list[bytes]:
        """Return the roots of the perfect subtrees the tree consists of, largest first, folded from the tiles alone."""
        peaks: list[bytes] = []
        for row in reversed(self.partial):
            start = 0
            for height in reversed(range(TILE_HEIGHT)):
                if len(row) & (1 << height):
                    peaks.append(fold_perfect(row[start : start + (1 << height)]))
                    start += 1 << height
        return peaks

    def root(self) -> bytes:
        """Return the root of the tree, folded from the tiles alone."""
        return fold_peaks(self.peaks())

    def copy(self) -> TreeEdge:
        """Return an independent copy."""
        return TreeEdge(self.size, self.partial)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle: every entry after its length in 2 bytes, big-endian. Raises TileError for a long entry."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise TileError(f"an entry is at most {MAX_ENTRY_BYTES} bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle. Raises TileError when it does not end with a whole entry, or has more than 256."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if len(data) < at + 2 or len(data) < end:
            raise TileError("the bundle ends inside an entry")
        if len(entries) == TILE_WIDTH:
            raise TileError("a bundle has the entries of one tile")
        entries.append(data[at + 2 : end])
        at = end
    return entries

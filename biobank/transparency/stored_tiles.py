"""Tiles as rows: reading any tile of the log from the database.

Only full tiles are rows, so that every table of the log is insert-only. A partial tile of level 0 is at most 255 rows of
``leaf``; one of a higher level is at most 255 values of ``tile.root`` one level down.

The functions take ``fetch``, a way to run one SELECT, so that the sealer's plain connection and a web request's session
share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from biobank.transparency.tiles import MAX_LEVEL, TILE_HEIGHT, TILE_WIDTH, ReadTile, TreeEdge

Fetch = Callable[[str, tuple[Any, ...]], Sequence[Sequence[Any]]]
"""SQL with ``%s`` placeholders and its values, to the rows."""

_FULL_TILE: Final = "SELECT hashes FROM tile WHERE level = %s AND n = %s"
_LEAVES: Final = "SELECT leaf_hash FROM leaf WHERE log_index >= %s AND log_index < %s ORDER BY log_index"
_TILE_ROOTS: Final = "SELECT root FROM tile WHERE level = %s AND n >= %s AND n < %s ORDER BY n"


class TileMissing(Exception):
    """The database does not hold all rows of a tile that its log must have."""


def tile_reader(fetch: Fetch) -> ReadTile:
    """Return a reader of tiles (see ``tiles.ReadTile``). It raises TileMissing when rows are absent."""

    def read(level: int, n: int, width: int) -> bytes:
        if width == TILE_WIDTH:
            found = fetch(_FULL_TILE, (level, n))
            if not found:
                raise TileMissing(f"the full tile {n} of level {level} is not stored")
            return bytes(found[0][0])
        return b"".join(_row_of_hashes(fetch, level, n * TILE_WIDTH, width))

    return read


def load_edge(fetch: Fetch, size: int) -> TreeEdge:
    """Return the right edge of the stored tree of ``size`` leaves. Raises TileMissing."""
    partial = []
    for level in range(MAX_LEVEL + 1):
        hashes = size >> (TILE_HEIGHT * level)
        width = hashes % TILE_WIDTH
        partial.append(_row_of_hashes(fetch, level, hashes - width, width) if width else [])
    return TreeEdge(size, partial)


def _row_of_hashes(fetch: Fetch, level: int, start: int, count: int) -> list[bytes]:
    """Return the hashes ``start`` up to ``start + count`` of a tile level, from the rows they are derived from."""
    end = start + count
    rows = fetch(_LEAVES, (start, end)) if level == 0 else fetch(_TILE_ROOTS, (level - 1, start, end))
    if len(rows) != count:
        raise TileMissing(f"of the hashes {start} to {start + count} of level {level}, {len(rows)} are stored")
    return [bytes(row[0]) for row in rows]

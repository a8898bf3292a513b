"""Questions to the stored log: checkpoints with their cosignatures, proofs, tiles, entries.

Everything is answered within the *published* log, the newest stored checkpoint; a head that is sealed and not yet published
is nobody's business. Every answer reads a bounded number of rows whatever the size of the log: a proof reads about two
tiles a level, each one row when it is full and at most 255 when it is the right edge of the asked size. No question scans.

The functions take ``fetch`` (see ``stored_tiles``), so that a web request, the sealer and a command share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from biobank.transparency.stored_tiles import Fetch, TileMissing, tile_reader
from biobank.transparency.tiles import TILE_WIDTH, TileName, TileNodes, UpperTiles, encode_bundle
from biobank.transparency.tree import CompactRange, consistency_proof, fold_peaks, inclusion_proof, range_nodes

_NEWEST: Final = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
_NEWEST_SIZE: Final = "SELECT size FROM checkpoint ORDER BY size DESC LIMIT 1"
_OF_SIZE: Final = "SELECT size, note FROM checkpoint WHERE size = %s"
_RECENTLY_COSIGNED: Final = """
    SELECT size FROM (SELECT size FROM cosignature WHERE size > %s ORDER BY size DESC LIMIT 64) AS recent
    GROUP BY size ORDER BY count(*) DESC, size DESC LIMIT 1
"""
_COSIGNATURES: Final = "SELECT line FROM cosignature WHERE size = %s ORDER BY key_id"
_ROOT_SIGNATURES: Final = "SELECT key_id, signature FROM root_signature WHERE size = %s ORDER BY key_id"
_HEAD: Final = "SELECT root, range FROM tree_head WHERE size = %s"
_INDEX: Final = "SELECT log_index FROM leaf WHERE leaf_hash = %s"
_ENTRIES: Final = """
    SELECT event.entry FROM leaf LEFT JOIN event ON event.leaf_hash = leaf.leaf_hash
    WHERE leaf.log_index >= %s AND leaf.log_index < %s ORDER BY leaf.log_index
"""


@dataclass(frozen=True)
class Published:
    """A checkpoint as it is handed out: ``note`` carries the log's signature lines and then those of witnesses."""

    size: int
    note: str


@dataclass(frozen=True)
class Inclusion:
    """Where a leaf stands in the tree of ``size`` leaves with the root ``root``, and the path that shows it."""

    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]


def newest_checkpoint(fetch: Fetch) -> Published | None:
    """Return the newest checkpoint with what witnesses have said about it so far; None for a log not begun."""
    return _published(fetch, fetch(_NEWEST, ()))


def checkpoint_of(fetch: Fetch, size: int) -> Published | None:
    """Return the checkpoint of exactly this size; not every size was published."""
    return _published(fetch, fetch(_OF_SIZE, (size,)))


def cosigned_checkpoint(fetch: Fetch, covering: int = 0) -> Published | None:
    """Return the checkpoint a verifier would rather have; the newest of all when no recent one is cosigned.

    Of the recent ones of more than ``covering`` entries that is the one with the most cosignatures, the newest of those.
    """
    best = fetch(_RECENTLY_COSIGNED, (covering,))
    return checkpoint_of(fetch, best[0][0]) if best else newest_checkpoint(fetch)


def root_signatures(fetch: Fetch, size: int) -> dict[bytes, bytes]:
    """Return the log's signatures under the root of a checkpoint's size, by the id of the key: two while a key is rotated."""
    return {bytes(key_id): bytes(signature) for key_id, signature in fetch(_ROOT_SIGNATURES, (size,))}


def published_size(fetch: Fetch) -> int:
    """Return how many entries the newest checkpoint covers."""
    found = fetch(_NEWEST_SIZE, ())
    return int(found[0][0]) if found else 0


def index_of(fetch: Fetch, leaf_hash: bytes) -> int | None:
    """Return the log index of a sealed leaf hash, or None."""
    found = fetch(_INDEX, (leaf_hash,))
    return int(found[0][0]) if found else None


def prove_inclusion(fetch: Fetch, index: int, size: int, upper: UpperTiles | None = None) -> Inclusion:
    """Return the proof that leaf ``index`` is in the tree of the first ``size`` leaves. ``size`` must be a stored size.

    Raises ValueError unless ``0 <= index < size``, TileMissing when the stored tree is damaged.
    """
    node = _nodes(fetch, size, upper)
    path = tuple(inclusion_proof(index, size, node))
    return Inclusion(index, size, fold_peaks([node(level, n) for level, n in range_nodes(0, size)]), path)


def prove_consistency(fetch: Fetch, old: int, new: int, upper: UpperTiles | None = None) -> list[bytes]:
    """Return the proof that the tree of ``new`` leaves begins with that of ``old``.

    Raises ValueError unless ``0 < old <= new``, TileMissing when the stored tree is damaged.
    """
    return consistency_proof(old, new, _nodes(fetch, new, upper))


def _nodes(fetch: Fetch, size: int, upper: UpperTiles | None) -> TileNodes:
    """Return the subtree roots of the tree of ``size`` leaves; of a stored head the peaks are at hand.

    A size that never was a head is rebuilt from its tiles, of which the right edge is at most 255 rows a level.
    """
    found = fetch(_HEAD, (size,))
    if not found:
        return TileNodes(size, tile_reader(fetch), upper=upper)
    root, stored = found[0]
    try:
        peaks = CompactRange.from_bytes(bytes(stored))
    except ValueError as exc:
        raise TileMissing(f"the head of size {size} is damaged") from exc
    if peaks.size != size or peaks.root() != bytes(root):
        raise TileMissing(f"the head of size {size} is damaged")
    known = dict(zip(range_nodes(0, size), peaks.peaks, strict=True))
    return TileNodes(size, tile_reader(fetch), known, upper)


def read_tile(fetch: Fetch, name: TileName) -> bytes:
    """Return the bytes of a tile of hashes, or of a bundle of entries when ``name.level`` is None.

    Raises TileMissing when rows are gone, an entry whose event was deleted included.
    """
    if name.level is not None:
        return tile_reader(fetch)(name.level, name.n, name.width)
    start = name.n * TILE_WIDTH
    rows = fetch(_ENTRIES, (start, start + name.width))
    entries = [bytes(row[0]) for row in rows if row[0] is not None]
    if len(entries) != name.width:
        raise TileMissing(f"of the entries {start} to {start + name.width}, {len(entries)} are stored")
    return encode_bundle(entries)


def _published(fetch: Fetch, found: Sequence[Sequence[Any]]) -> Published | None:
    if not found:
        return None
    size, note = found[0]
    return Published(size, note + "".join(row[0] for row in fetch(_COSIGNATURES, (size,))))

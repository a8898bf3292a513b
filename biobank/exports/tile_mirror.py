"""The log as files in the C2SP tlog-tiles layout, in a folder or a bucket.

Any static web server can serve them, and any tlog tool can read them:

    checkpoint                      the newest checkpoint with its cosignatures, replaced last
    tile/<L>/<N>[.p/W]              hashes
    tile/entries/<N>[.p/W]          entries

It is made once and then extended: full tiles never change, so a second run writes what is new. A place that already holds a
checkpoint is a witness of a kind: the log must be shown to extend it, or nothing is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from biobank.foundation.config import WeakSettings
from biobank.foundation.file_store import FileStore
from biobank.transparency import stored_log
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import split_note
from biobank.transparency.stored_tiles import Fetch
from biobank.transparency.tiles import MAX_LEVEL, TILE_HEIGHT, TILE_WIDTH, TileName, decode_bundle, split_tile
from biobank.transparency.tree import ProofError, hash_leaf, verify_consistency


class MirrorContradicted(WeakSettings):
    """The mirror holds a checkpoint that the log does not extend: one of them is another history. Keep both."""


@dataclass(frozen=True)
class Mirrored:
    """What a run did."""

    size: int
    files: int


def mirror(fetch: Fetch, store: FileStore) -> Mirrored:
    """Bring `store` to the newest checkpoint, which is replaced when all that it covers is there.

    Raises MirrorContradicted, TileMissing when the stored log is damaged, StoreAway.
    """
    newest = stored_log.newest_checkpoint(fetch)
    if newest is None:
        raise WeakSettings("The log has published no checkpoint yet. Start `biobank sealer`.")
    new = Checkpoint.from_text(split_note(newest.note)[0])
    old_size = _extended(fetch, store, new)
    files = 0
    for name in _new_tiles(old_size, new.size):
        store.put(name.path(), _checked(fetch, name), durable=False)
        files += 1
        if name.width == TILE_WIDTH:
            store.remove(f"{name.path()}.p")
    store.settle()
    store.put("checkpoint", newest.note.encode())
    return Mirrored(new.size, files)


def _extended(fetch: Fetch, store: FileStore, new: Checkpoint) -> int:
    """Return how many entries the mirror has; the log was shown to begin with them."""
    try:
        old = Checkpoint.from_text(split_note(store.get("checkpoint").decode())[0])
    except FileNotFoundError:
        return 0
    if old.origin != new.origin or old.size > new.size:
        raise MirrorContradicted(
            f"The mirror holds {old.size} entries of {old.origin}; the database has {new.size} of {new.origin}. "
            "Keep it: if the name is the same, the log was set back."
        )
    if old.size:
        try:
            proof = stored_log.prove_consistency(fetch, old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)
        except ProofError as error:
            raise MirrorContradicted(
                f"The log does not extend the {old.size} entries of the mirror ({error}). Keep it: its checkpoint and the "
                "log's are proof of two histories."
            ) from error
    return old.size


def _new_tiles(old: int, new: int) -> Iterator[TileName]:
    """Yield what a mirror of `old` entries lacks of `new`: hashes, then bundles, each level from its last full tile on."""
    for level in (*range(MAX_LEVEL + 1), None):
        shift = TILE_HEIGHT * (level or 0)
        before, hashes = old >> shift, new >> shift
        if hashes == before:
            continue
        for n in range(before // TILE_WIDTH, (hashes + TILE_WIDTH - 1) // TILE_WIDTH):
            yield TileName(level, n, min(TILE_WIDTH, hashes - n * TILE_WIDTH))


def _checked(fetch: Fetch, name: TileName) -> bytes:
    """Read a tile; a bundle is held against its leaf hashes, so that nothing false is written to the mirror."""
    data = stored_log.read_tile(fetch, name)
    if name.level is None:
        leaves = split_tile(stored_log.read_tile(fetch, TileName(0, name.n, name.width)), name.width)
        if [hash_leaf(entry) for entry in decode_bundle(data)] != leaves:
            raise MirrorContradicted(f"Entries of {name.path()} are not those that were sealed: the database was changed.")
    return data

"""The log as files: a folder in the C2SP tlog-tiles layout that any static web server can serve and any tlog tool can read.

    checkpoint                      the newest checkpoint with its cosignatures, replaced last
    tile/<L>/<N>[.p/W]              hashes
    tile/entries/<N>[.p/W]          entries

It is made once and then extended: full tiles never change, so a second run writes what is new. A folder that already holds a
checkpoint is a witness of a kind: the log must be shown to extend it, or nothing is written.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from biobank.foundation.config import WeakSettings
from biobank.transparency import stored_log
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import split_note
from biobank.transparency.stored_tiles import Fetch
from biobank.transparency.tiles import MAX_LEVEL, TILE_HEIGHT, TILE_WIDTH, TileName, decode_bundle, split_tile
from biobank.transparency.tree import ProofError, hash_leaf, verify_consistency


class MirrorContradicted(WeakSettings):
    """The folder holds a checkpoint that the log does not extend: one of them is another history. Keep both."""


@dataclass(frozen=True)
class Mirrored:
    """What a run did."""

    size: int
    files: int


def mirror(fetch: Fetch, folder: Path) -> Mirrored:
    """Bring `folder` to the newest checkpoint.

    Raises MirrorContradicted, TileMissing when the stored log is damaged, OSError.
    """
    newest = stored_log.newest_checkpoint(fetch)
    if newest is None:
        raise WeakSettings("The log has published no checkpoint yet. Start `biobank sealer`.")
    new = Checkpoint.from_text(split_note(newest.note)[0])
    old_size = _extended(fetch, folder, new)
    files = 0
    for name in _new_tiles(old_size, new.size):
        _write(folder / name.path(), _checked(fetch, name))
        files += 1
        if name.width == TILE_WIDTH:
            shutil.rmtree(folder / f"{name.path()}.p", ignore_errors=True)
    os.sync()
    _write(folder / "checkpoint", newest.note.encode(), durable=True)
    return Mirrored(new.size, files)


def _extended(fetch: Fetch, folder: Path, new: Checkpoint) -> int:
    """Return how many entries the folder has; the log was shown to begin with them."""
    try:
        old = Checkpoint.from_text(split_note((folder / "checkpoint").read_text(encoding="utf-8"))[0])
    except FileNotFoundError:
        return 0
    if old.origin != new.origin or old.size > new.size:
        raise MirrorContradicted(
            f"{folder} holds {old.size} entries of {old.origin}; the database has {new.size} of {new.origin}. "
            "Keep the folder: if the name is the same, the log was set back."
        )
    if old.size:
        try:
            proof = stored_log.prove_consistency(fetch, old.size, new.size)
            verify_consistency(old.size, new.size, old.root, new.root, proof)
        except ProofError as error:
            raise MirrorContradicted(
                f"The log does not extend the {old.size} entries in {folder} ({error}). Keep the folder: its checkpoint and the "
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


def _write(path: Path, data: bytes, *, durable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)

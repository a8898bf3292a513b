"""The frame of a bundle: one file with everything a verifier needs, written in one pass (docs/custody-log.md section 15).

A bundle is an uncompressed POSIX tar archive whose every byte is prescribed: fixed order of members, fixed metadata, so that the
same log gives the same file. Here is the format alone; `biobank.exports.bundle` reads the database, and `verify.py`, which
shares no code with the bank, reads the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from biobank.transparency.canonical import JsonValue, encode

FORMAT: Final = "biobank-bundle/2"
CHUNK: Final = 256
"""Entries of a tile, and rows of a member that lists something."""

_BLOCK: Final = 512


def header_of(name: str, size: int) -> bytes:
    """Return the 512-byte header of a member. Raises ValueError for a name or a size that has no place in it."""
    encoded = name.encode("ascii")
    if not 0 < len(encoded) <= 100 or not 0 <= size < 8**11:
        raise ValueError("a member has a name of 1 to 100 characters and less than 8 GiB")
    fields = [
        encoded.ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0",
        bytes(100),
        b"ustar\0",
        b"00",
        bytes(32),
        bytes(32),
        b"0000000\0",
        b"0000000\0",
        bytes(155),
        bytes(12),
    ]
    fields[6] = b"%06o\0 " % sum(b"".join(fields))
    return b"".join(fields)


class BundleWriter:
    """Turns members into bytes, in the order given, and remembers what `sums` must say at the end."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def member(self, name: str, data: bytes) -> bytes:
        """Return one member: header, data, zeros up to a multiple of 512 bytes."""
        head = header_of(name, len(data))
        if not name.startswith("tile/"):
            self._sum.update(head + data)
        return head + data + bytes(-len(data) % _BLOCK)

    def lines(self, name: str, values: Sequence[JsonValue]) -> bytes:
        """Return a member of canonical JSON, one value a line."""
        return self.member(name, b"".join(encode(value) + b"\n" for value in values))

    def end(self) -> bytes:
        """Return what ends a bundle: the hash of all members but the tiles, and two empty blocks."""
        return self.member("sums", self._sum.hexdigest().encode() + b"\n") + bytes(2 * _BLOCK)


def chosen_entry(index: int, entry: bytes, path: Sequence[bytes], *, cited: bool = False) -> bytes:
    """Return one entry of a bundle about a part of the log, with its inclusion proof.

    8 bytes log index, 1 byte `cited` (its stream is not in the bundle), 1 byte number of hashes, the hashes, 2 bytes length,
    the entry.
    """
    return b"".join((index.to_bytes(8, "big"), bytes([cited]), bytes([len(path)]), *path, len(entry).to_bytes(2, "big"), entry))

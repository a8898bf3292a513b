"""Bundles: the log, or what it says of one specimen or one donor, in one file that proves itself to somebody without a network.

Read from one snapshot of the database and streamed in constant memory. Nothing is repaired on the way: an entry that is gone
is written as an empty one, so that the verifier says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from biobank.acts.bank import Bank
from biobank.custody.entry import parse_entry
from biobank.custody.owner import OWNED
from biobank.custody.projection import PROJECTED
from biobank.custody.rebuild import fold
from biobank.custody.rulebook import STREAM as RULES
from biobank.exports.cut import Cut, NothingSealed
from biobank.exports.personal import PersonalData
from biobank.exports.selection import codes_of_donor
from biobank.exports.signers import entries_about_signers
from biobank.foundation.clock import now, rfc3339
from biobank.transparency.bundle import CHUNK, FORMAT, BundleWriter, chosen_entry
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import split_note
from biobank.transparency.stored_tiles import tile_reader
from biobank.transparency.tiles import TileName, TileNodes, encode_bundle, tile_names
from biobank.transparency.tree import HASH_BYTES, consistency_proof, inclusion_proof

Connection = psycopg.Connection[tuple[Any, ...]]

_CHECKPOINT: Final = "SELECT note FROM checkpoint WHERE size = %s"
_COSIGNATURES: Final = "SELECT line FROM cosignature WHERE size = %s ORDER BY key_id"
_LEAVES: Final = (
    "SELECT l.log_index, l.leaf_hash, e.entry, e.donor_code FROM leaf l LEFT JOIN event e ON e.leaf_hash = l.leaf_hash "
    "WHERE l.log_index < %s ORDER BY l.log_index"
)
_CHOSEN: Final = (
    "SELECT l.log_index, e.entry, e.donor_code, e.leaf_hash FROM event e JOIN leaf l ON l.leaf_hash = e.leaf_hash "
    "WHERE (e.stream_kind || '/' || e.stream_id) = ANY(%s) AND e.stream_kind = ANY(%s) AND e.stream_id = ANY(%s) "
    "AND l.log_index < %s ORDER BY l.log_index"
)
_CITED: Final = "SELECT l.log_index, e.entry, e.donor_code FROM event e JOIN leaf l USING (leaf_hash) WHERE leaf_hash = ANY(%s)"
# What turned out to be another person's is in that person's bundle.
_STREAMS_OF_DONOR: Final = (
    "SELECT DISTINCT stream_kind, stream_id FROM event WHERE donor_code IN ({codes}) "
    "AND (stream_kind <> 'specimen' OR stream_id IN ({owned}))"
)
_RULES: Final = "SELECT id, document FROM rule_table ORDER BY id"
_ROW_COLUMNS: Final = ("code", "seq", "head_hash", "state_seq", *PROJECTED)
_ROWS: Final = (
    f"SELECT {', '.join(_ROW_COLUMNS)}, l.log_index FROM custody LEFT JOIN leaf l ON l.leaf_hash = custody.head_hash "  # noqa: S608 - our own constants
    'WHERE %(some)s::text[] IS NULL OR code = ANY(%(some)s) ORDER BY code COLLATE "C"'
)
_STORY: Final = (
    "SELECT e.entry, e.leaf_hash FROM event e JOIN leaf l USING (leaf_hash) "
    "WHERE e.stream_kind = 'specimen' AND e.stream_id = %s AND l.log_index < %s ORDER BY e.seq"
)

MOST_OLD_SIZES: Final = 16


@dataclass(frozen=True)
class Wish:
    """What a bundle is to hold: one specimen, one donor, or (neither) the whole log.

    `size`: a published tree size, default the newest; `known_sizes`: older checkpoints of the reader's, for which consistency
    proofs are added to a bundle about a part (a whole log needs none).
    """

    specimen: str | None = None
    donor: str | None = None
    size: int | None = None
    known_sizes: tuple[int, ...] = ()

    def named(self) -> dict[str, str]:
        """The wish as the export's event keeps it."""
        given = {"specimen": self.specimen, "donor": self.donor, "size": self.size}
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def scope(self) -> dict[str, Any]:
        """The scope as the bundle says it."""
        if self.specimen is not None:
            return {"id": self.specimen, "kind": "specimen"}
        return {"kind": "log"} if self.donor is None else {"id": self.donor, "kind": "donor"}


class BundleReader:
    """One bundle being made: `chunks()` yields the file, `entries` counts what was written so far."""

    def __init__(self, bank: Bank, connection: Connection, wish: Wish, cut: Cut) -> None:
        self._bank, self._connection, self._wish, self._cut = bank, connection, wish, cut
        self._writer = BundleWriter()
        self._personal: PersonalData | None = None
        self.entries = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the bundle. Raises NothingSealed before the first of them."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            checkpoint, note = self._checkpoint()
            tables = [(bytes(row[0]), bytes(row[1])) for row in self._connection.execute(_RULES).fetchall()]
            self._personal = PersonalData(self._connection, [document for _, document in tables], checkpoint.size)
            whole = self._wish.specimen is None and self._wish.donor is None
            chosen = [] if whole else self._choose(checkpoint.size)
            yield self._beginning(checkpoint, note, checkpoint.size if whole else len(chosen), tables)
            yield from self._whole(checkpoint.size) if whole else self._part(checkpoint.size, chosen)
            yield self._writer.end()

    def _checkpoint(self) -> tuple[Checkpoint, str]:
        ((signed,),) = self._connection.execute(_CHECKPOINT, (self._cut.size,)).fetchall()
        lines = [line for (line,) in self._connection.execute(_COSIGNATURES, (self._cut.size,)).fetchall()]
        note = signed + "".join(line.rstrip("\n") + "\n" for line in lines)
        return Checkpoint.from_text(split_note(note)[0]), note

    def _beginning(self, checkpoint: Checkpoint, note: str, entries: int, tables: Sequence[tuple[bytes, bytes]]) -> bytes:
        about: dict[str, Any] = {
            "entries": entries,
            "format": FORMAT,
            "made_at": rfc3339(now()),
            "origin": checkpoint.origin,
            "scope": self._wish.scope,
            "size": checkpoint.size,
        }
        parts = [
            self._writer.member("bundle", encode(about)),
            self._writer.member("checkpoint", note.encode()),
            self._writer.member("keys", public_keys(self._bank).encode()),
        ]
        parts += [self._writer.member(f"rules/{name.hex()}", document) for name, document in tables]
        return b"".join(parts)

    def _whole(self, size: int) -> Iterator[bytes]:
        with self._connection.cursor(name="leaves") as cursor:
            cursor.itersize = 8 * CHUNK
            cursor.execute(_LEAVES, (size,))
            rows = iter(cursor)
            for n in range(-(-size // CHUNK)):
                width = min(CHUNK, size - n * CHUNK)
                yield self._tile(n, width, list(islice(rows, width)))
        read = tile_reader(self._fetch)
        for name in tile_names(size):
            if name.level:
                yield self._writer.member(name.path(), read(name.level, name.n, name.width))
        yield from self._custody(size, None)

    def _tile(self, n: int, width: int, rows: list[tuple[Any, ...]]) -> bytes:
        at = {row[0]: row for row in rows}
        held = [at.get(n * CHUNK + i, (0, bytes(HASH_BYTES), None, None)) for i in range(width)]
        self.entries += width
        written = [
            self._writer.member(TileName(0, n, width).path(), b"".join(row[1] for row in held)),
            self._writer.member(TileName(None, n, width).path(), encode_bundle(row[2] or b"" for row in held)),
        ]
        assert self._personal is not None
        said = self._personal.redactions((row[0], row[2], row[3]) for row in held if row[2])
        return b"".join(written) + (self._writer.lines(f"vault/{n}", said) if said else b"")

    def _choose(self, size: int) -> list[tuple[int, bytes, str | None, bool]]:
        """Return (index, entry, donor, cited) of every entry of a bundle about a part, in the order of the log."""
        streams = {("system", RULES)}
        if self._wish.specimen is not None:
            streams.add(("specimen", self._wish.specimen))
        if self._wish.donor is not None:
            streams.add(("donor", self._wish.donor))
            codes = sql.SQL(codes_of_donor.get()).format(donor=sql.Literal(self._wish.donor))
            asked = sql.SQL(_STREAMS_OF_DONOR).format(codes=codes, owned=sql.SQL(OWNED).format(codes=codes))
            streams.update(self._connection.execute(asked).fetchall())
        names = ([f"{k}/{i}" for k, i in streams], [k for k, _ in streams], [i for _, i in streams])
        rows = self._connection.execute(_CHOSEN, (*names, size), binary=True).fetchall()
        own = {"specimen": self._wish.specimen, "donor": self._wish.donor}
        if not any(b'"id":"%s"' % value.encode() in row[1] for row in rows for value in own.values() if value):
            raise NothingSealed("No event about this is sealed yet. Ask again in a few seconds.")
        assert self._personal is not None
        leaves = {row[3] for row in rows}
        grounds = {
            bytes.fromhex(str(line["redacted_by"]))
            for line in self._personal.redactions((row[0], row[1], row[2]) for row in rows)
            if line["redacted_by"]
        }
        cited = self._connection.execute(_CITED, (list(grounds - leaves),), binary=True).fetchall()
        signers = entries_about_signers(self._connection, [row[1] for row in [*rows, *cited]], size)
        cited += [row[:3] for row in signers if row[3] not in leaves and row[0] not in {known[0] for known in cited}]
        return sorted([(i, entry, donor, False) for i, entry, donor, _ in rows] + [(i, e, d, True) for i, e, d in cited])

    def _part(self, size: int, chosen: list[tuple[int, bytes, str | None, bool]]) -> Iterator[bytes]:
        node = TileNodes(size, tile_reader(self._fetch))
        for old in sorted({m for m in self._wish.known_sizes if 0 < m < size}):
            yield self._writer.member(f"consistency/{old}", b"".join(consistency_proof(old, size, node)))
        assert self._personal is not None
        for n in range(-(-len(chosen) // CHUNK)):
            some = chosen[n * CHUNK : (n + 1) * CHUNK]
            self.entries += len(some)
            data = b"".join(chosen_entry(i, entry, inclusion_proof(i, size, node), cited=cited) for i, entry, _, cited in some)
            yield self._writer.member(f"entries/{n}", data)
            said = self._personal.redactions((i, entry, donor) for i, entry, donor, cited in some if not cited)
            if said:
                yield self._writer.lines(f"vault/{n}", said)
        codes = {code for i, entry, _, cited in chosen if not cited and (code := _specimen_of(entry)) is not None}
        yield from self._custody(size, sorted(codes))

    def _custody(self, size: int, some: Sequence[str] | None) -> Iterator[bytes]:
        """Yield the rows of custody as they were at the checkpoint: none of them says more than the entries prove."""
        with self._connection.cursor(name="rows") as cursor:
            cursor.execute(_ROWS, {"some": some})
            rows = (row for found in cursor if (row := self._at_checkpoint(found, size)) is not None)
            n = 0
            while chunk := list(islice(rows, CHUNK)):
                yield self._writer.lines(f"custody/{n}", chunk)
                n += 1

    def _at_checkpoint(self, found: tuple[Any, ...], size: int) -> dict[str, Any] | None:
        *row, index = found
        if index is not None and index < size:
            return _row(tuple(row))
        story = self._connection.execute(_STORY, (row[0], size), binary=True).fetchall()
        if not story:
            return None
        then = fold(parse_entry(bytes(entry)) for entry, _ in story)
        return _row((row[0], then.seq, story[-1][1], then.state_seq, *then.projection.columns().values()))

    def _fetch(self, sql: str, values: tuple[int, ...]) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sql, values, binary=True).fetchall()


def _specimen_of(entry: bytes) -> str | None:
    """Return the code of the specimen whose entry this is, None when it is another stream's."""
    parsed = parse_entry(entry)
    return str(parsed["id"]) if parsed["stream"] == "specimen" else None


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    values = dict(zip(_ROW_COLUMNS, row, strict=True))
    values["head"] = bytes(values.pop("head_hash")).hex()
    return {name: str(value) if isinstance(value, UUID) else value for name, value in values.items()}


def public_keys(bank: Bank) -> str:
    """Return the public keys of the log in the syntax of a verifier's policy; whoever has them from elsewhere ignores these."""
    lines = [f"origin {bank.settings.log_origin}"]
    for word, name in (("log", "log"), ("log", "log.next"), ("receipts", "receipt")):
        path = bank.settings.secrets / f"{name}.vkey"
        if path.exists():
            lines.append(f"{word} {path.read_text().strip()}")
    return "\n".join(lines) + "\n"

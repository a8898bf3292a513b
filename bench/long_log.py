"""A long log in a file: specimens' lives written by the bank's own classes into a whole bundle, without a database.

Entries are what the ledger would write, the tree and the checkpoint are real; only the database that usually holds them is left
out, because a million events through it would take longer than what is measured.
"""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from biobank.custody.entry import Head, build_entry
from biobank.custody.event import Event, rules
from biobank.custody.events import CheckedOut, Inspected, Received, RulesAdopted, Sampled
from biobank.custody.projection import Projection
from biobank.foundation.clock import rfc3339
from biobank.registries import event_kinds
from biobank.specimens.events import Collected
from biobank.storage.events import Moved, Stored
from biobank.transparency.bundle import CHUNK, FORMAT, BundleWriter
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import Signer
from biobank.transparency.tiles import TileName, TreeEdge, encode_bundle
from biobank.transparency.tree import CompactRange, hash_leaf

assert event_kinds.MODULES

ORIGIN = "bench.example/custody"
LOG_KEY = Signer(ORIGIN, bytes(range(32)))
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
ALIVE = 3000
"""Specimens whose lives run at the same time, so that entries of one stream lie apart as they do in a real log."""

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Life:
    """One specimen and where it stands."""

    def __init__(self, dice: random.Random, number: int) -> None:
        self.code = f"AD26-{_spelt(number, 6)}{_LETTERS[number * 7 % 32]}"
        self.donor, self.harvest = f"DN-{_spelt(number // 8, 7)}", f"HV-{_spelt(number // 4, 7)}"
        self.seq, self.prev = 0, None
        self.state_seq = 0
        self.projection = Projection()
        self.steps = self._steps(dice)

    def _steps(self, dice: random.Random) -> Iterator[Event]:
        yield Collected(
            donor=self.donor,
            material="lipoaspirate",
            unit="ul_raw",
            amount=50_000,
            site="CLINIC",
            harvest=self.harvest,
            home_site="LAB",
            method="lipoaspiration",
            anatomical_site="abdomen",
            started_at=rfc3339(BEGINNING),
        )
        yield Received(site="LAB", temperature_mc=dice.randrange(2000, 8000))
        yield self._stored(dice)
        for _ in range(dice.randrange(1, 6)):
            if dice.random() < 0.3:
                yield Moved(
                    from_position=self.projection.position_code,
                    container=_place(dice, "BX"),
                    position=_place(dice, "PS"),
                    site="LAB",
                )
                continue
            yield CheckedOut(purpose=dice.choice(("testing", "inspection", "move")))
            if dice.random() < 0.5:
                yield Sampled(amount=dice.randrange(1, 500), purpose="viability")
            if dice.random() < 0.3:
                yield Inspected(container_intact=True, label_legible=True, contents_as_expected=dice.random() < 0.99)
            yield self._stored(dice)

    def _stored(self, dice: random.Random) -> Event:
        return Stored(container=_place(dice, "BX"), position=_place(dice, "PS"), site="LAB", exposure_s=dice.randrange(20, 240))


def write_long_bundle(path: Path, entries: int, seed: int = 20261125) -> None:
    """Write a whole bundle of `entries` entries to `path`."""
    dice = random.Random(seed)
    leaves: list[bytes] = []
    rows: list[dict[str, Any]] = []
    spool = path.with_suffix(".entries")
    with spool.open("wb") as file:
        for entry in _entries(dice, entries, rows):
            leaves.append(hash_leaf(entry))
            file.write(len(entry).to_bytes(2, "big") + entry)
    tree = CompactRange()
    tree.extend(leaves)
    note = Checkpoint(ORIGIN, entries, tree.root()).sign([LOG_KEY])
    about: dict[str, Any] = {
        "entries": entries,
        "format": FORMAT,
        "made_at": rfc3339(BEGINNING),
        "origin": ORIGIN,
        "scope": {"kind": "log"},
        "size": entries,
    }
    writer = BundleWriter()
    with path.open("wb") as out, spool.open("rb") as file:
        out.write(writer.member("bundle", encode(about)) + writer.member("checkpoint", note.encode()))
        out.write(writer.member("keys", f"origin {ORIGIN}\nlog {LOG_KEY.verifier.to_vkey()}\n".encode()))
        out.write(writer.member(f"rules/{rules.id}", rules.document))
        edge = TreeEdge()
        above: dict[tuple[int, int], bytes] = {}
        for n in range(-(-entries // CHUNK)):
            some = leaves[n * CHUNK : (n + 1) * CHUNK]
            for leaf in some:
                above |= {(tile.level, tile.n): tile.hashes for tile in edge.append(leaf) if tile.level}
            blob = encode_bundle(file.read(int.from_bytes(file.read(2), "big")) for _ in some)
            out.write(writer.member(TileName(0, n, len(some)).path(), b"".join(some)))
            out.write(writer.member(TileName(None, n, len(some)).path(), blob))
        for level in range(1, 8):
            for n in range(entries >> 8 * (level + 1)):
                out.write(writer.member(TileName(level, n).path(), above[level, n]))
            if edge.partial[level]:
                name = TileName(level, entries >> 8 * (level + 1), len(edge.partial[level]))
                out.write(writer.member(name.path(), b"".join(edge.partial[level])))
        rows.sort(key=lambda row: str(row["code"]))
        for n in range(-(-len(rows) // CHUNK)):
            out.write(writer.lines(f"custody/{n}", rows[n * CHUNK : (n + 1) * CHUNK]))
        out.write(writer.end())
    spool.unlink()


def _entries(dice: random.Random, count: int, rows: list[dict[str, Any]]) -> Iterator[bytes]:
    at = BEGINNING
    adopted = RulesAdopted(table=rules.id, kinds=len(rules.table), software="bench")
    yield build_entry("system", "RULES", 1, None, adopted, adopted.payload(), Head("SYSTEM", None, at, at))[0]
    alive: list[Life] = []
    born = 0
    for _ in range(count - 1):
        at += timedelta(milliseconds=dice.randrange(1, 400))
        event = None
        while event is None:
            if len(alive) < ALIVE:
                born += 1
                alive.append(Life(dice, born))
            place = dice.randrange(len(alive))
            life = alive[place]
            event = next(life.steps, None)
            if event is None:
                rows.append(_row(life))
                alive[place] = alive[-1]
                alive.pop()
        yield _recorded(dice, life, event, at)
    rows += [_row(life) for life in alive if life.seq]


def _recorded(dice: random.Random, life: Life, event: Event, at: datetime) -> bytes:
    head = Head(by=f"US-{_spelt(dice.randrange(40), 7)}", site="LAB", occurred_at=at, recorded_at=at)
    payload = event.payload()
    life.seq += 1
    entry, life.prev = build_entry("specimen", life.code, life.seq, life.prev, event, payload, head)  # type: ignore[assignment]
    effect = type(event).whole_effect()
    life.projection = life.projection.after(effect, payload, head.members())
    life.state_seq = life.seq if "state" in effect else life.state_seq
    return entry


def _row(life: Life) -> dict[str, Any]:
    assert life.prev is not None
    return life.projection.columns() | {"code": life.code, "head": life.prev.hex(), "seq": life.seq, "state_seq": life.state_seq}


def _place(dice: random.Random, prefix: str) -> str:
    return f"{prefix}-{_spelt(dice.randrange(10**9), 7)}"


def _spelt(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(_LETTERS[digit])
    return "".join(reversed(digits))


def sha256_of(path: Path) -> str:
    """Return the hash of a file, to name it in a report."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

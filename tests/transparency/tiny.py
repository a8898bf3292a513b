"""Small bundles written by hand, from a small rule table, so that every byte of one can be attacked."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from biobank.custody.event import rules
from biobank.registries import event_kinds
from biobank.transparency.bundle import FORMAT, BundleWriter, chosen_entry
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import Signer
from biobank.transparency.tiles import TileName, encode_bundle
from biobank.transparency.tree import CompactRange, consistency_proof, hash_leaf, hash_node, inclusion_proof
from biobank.transparency.verify import Evidence, Pass, Policy, Untrue, in_words, verify

assert event_kinds.MODULES

ORIGIN = "bank.example/custody"
LOG_KEY = Signer(ORIGIN, bytes(range(32)))
RECEIPT_KEY = Signer(ORIGIN + "/receipts", bytes(range(32, 64)))
KINDS = (
    "donor.erased",
    "donor.registered",
    "specimen.annotated",
    "specimen.checked_out",
    "specimen.collected",
    "specimen.dispatched",
    "specimen.found",
    "specimen.hold_placed",
    "specimen.process_started",
    "specimen.issued",
    "specimen.received",
    "specimen.reserved",
    "specimen.sampled",
    "specimen.stored",
    "system.rules_adopted",
)
INITIAL = {
    "amount": 0,
    "condition": "fresh",
    "custodian_id": None,
    "custodian_kind": "nobody",
    "offered_id": None,
    "offered_kind": None,
    "reserved_for": None,
    "shipment_code": None,
    "site_code": None,
    "state": "",
}


def table_document() -> dict[str, Any]:
    """The bank's rules of a few kinds, with the columns that they touch."""
    rows = [
        row | {"effect": {c: e for c, e in row["effect"].items() if c in INITIAL}} for row in rules.table if row["kind"] in KINDS
    ]
    return {"initial": INITIAL, "rules": rows, "terminal": ["discarded", "lost"]}


RULES = encode(table_document())
RULES_ID = hashlib.sha256(RULES).hexdigest()
POLICY = f"origin {ORIGIN}\nlog {LOG_KEY.verifier.to_vkey()}\nreceipts {RECEIPT_KEY.verifier.to_vkey()}\n"


class TinyLog:
    """A log in memory: append events, spoil what should be spoilt, write the bundle."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.heads: dict[str, tuple[int, bytes]] = {}
        self.rows: list[dict[str, Any]] = []
        self.vault: list[dict[str, Any]] = []
        self.minute = 0
        self.add("system", "RULES", "system.rules_adopted", table=RULES_ID, kinds=len(KINDS), software="0")

    def add(self, stream: str, name: str, kind: str, entry: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        """Append an event; `entry` overrides members of the head."""
        seq, prev = self.heads.get(name, (0, b""))
        self.minute += 1
        at = f"2026-11-03T12:{self.minute:02d}:00.000Z"
        made: dict[str, Any] = {
            "body": body,
            "by": "US-1234567",
            "comment": None,
            "device": None,
            "id": name,
            "kind": kind,
            "kv": next((row["version"] for row in rules.table if row["kind"] == kind), 1),
            "late": False,
            "occurred_at": at,
            "performed": [],
            "prev": prev.hex() or None,
            "recorded_at": at,
            "relies_on": [],
            "rules": RULES_ID,
            "seq": seq + 1,
            "site": "LAB",
            "source": "live",
            "stream": stream,
            "v": 1,
        } | (entry or {})
        self.put(encode(made), name, seq + 1)
        return made

    def put(self, entry: bytes, name: str, seq: int) -> None:
        """Append bytes as they are."""
        self.entries.append(entry)
        self.heads[name] = (seq, hash_leaf(entry))

    def collect(self, code: str = "AD26-000001-X", **entry: Any) -> None:
        """Begin a specimen."""
        (members,) = (row["body"] for row in rules.table if row["kind"] == "specimen.collected")
        body: dict[str, Any] = {name: [] if "array" in types and "null" not in types else None for name, types in members.items()}
        self.add(
            "specimen",
            code,
            "specimen.collected",
            entry,
            **(
                body
                | {
                    "amount": 500,
                    "anatomical_site": "abdomen",
                    "harvest": "HV-1",
                    "home_site": "LAB",
                    "markers_tested": False,
                    "material": "lipoaspirate",
                    "method": "lipoaspiration",
                    "purpose": "therapeutic",
                    "site": "CLINIC",
                    "started_at": "2026-11-03T12:00:00.000Z",
                    "unit": "ul_raw",
                }
            ),
        )

    def receive(self, code: str = "AD26-000001-X", **entry: Any) -> None:
        """It arrives."""
        self.add(
            "specimen",
            code,
            "specimen.received",
            entry,
            site="LAB",
            container_intact=True,
            label_legible=True,
            confirmed=False,
            manifest_matches=None,
            temperature_mc=4000,
        )

    def event(self, kind: str, code: str = "AD26-000001-X", **said: Any) -> None:
        """An event of any kind, with a body that has the shape of its rule."""
        shape = next(row["body"] for row in rules.table if row["kind"] == kind)
        plain: dict[str, Any] = {"null": None, "string": "x", "integer": 0, "boolean": False, "array": [], "commitment": "0" * 64}
        made = {name: plain["null" if "null" in word else word.split("|")[0]] for name, word in shape.items()}
        self.add("specimen", code, kind, **(made | said))

    def annotate(self, code: str = "AD26-000001-X", **entry: Any) -> None:
        """A remark."""
        self.add("specimen", code, "specimen.annotated", entry, topic="other")

    @property
    def leaves(self) -> list[bytes]:
        """The leaf hashes."""
        return [hash_leaf(entry) for entry in self.entries]

    def checkpoint(self, size: int | None = None, signer: Signer = LOG_KEY) -> str:
        """A signed checkpoint of the first `size` entries."""
        tree = CompactRange()
        tree.extend(self.leaves[:size])
        return Checkpoint(ORIGIN, tree.size, tree.root()).sign([signer])

    def bundle(self, **changes: Any) -> bytes:
        """The whole log as a bundle. `changes`: `note`, `entries` (bytes in the file), `leaves` (of the tile), `about`."""
        writer, size = BundleWriter(), len(self.entries)
        entries: list[bytes] = changes.get("entries", self.entries)
        leaves: list[bytes] = changes.get("leaves", self.leaves)
        about = {
            "entries": size,
            "format": FORMAT,
            "made_at": "2026-11-03T13:00:00.000Z",
            "origin": ORIGIN,
            "scope": {"kind": "log"},
            "size": size,
        } | changes.get("about", {})
        parts = self._beginning(writer, about, changes.get("note", self.checkpoint()))
        parts.append(writer.member(TileName(0, 0, len(leaves)).path(), b"".join(leaves)))
        parts.append(writer.member(TileName(None, 0, len(entries)).path(), encode_bundle(entries)))
        if self.vault:
            parts.append(writer.lines("vault/0", self.vault))
        return b"".join([*parts, *self._end(writer)])

    def part(self, kind: str, name: str, chosen: Sequence[int], cited: Sequence[int] = (), known: Sequence[int] = ()) -> bytes:
        """A bundle about a part: the entries at these indexes, each with its inclusion proof."""
        writer, size, leaves = BundleWriter(), len(self.entries), self.leaves
        about = {
            "entries": len(chosen) + len(cited),
            "format": FORMAT,
            "made_at": "2026-11-03T13:00:00.000Z",
            "origin": ORIGIN,
            "scope": {"id": name, "kind": kind},
            "size": size,
        }
        parts = self._beginning(writer, about, self.checkpoint())
        node = nodes_of(leaves)
        parts += [writer.member(f"consistency/{m}", b"".join(consistency_proof(m, size, node))) for m in known]
        data = [
            chosen_entry(i, self.entries[i], inclusion_proof(i, size, node), cited=i in cited) for i in sorted([*chosen, *cited])
        ]
        parts.append(writer.member("entries/0", b"".join(data)))
        if self.vault:
            parts.append(writer.lines("vault/0", self.vault))
        return b"".join([*parts, *self._end(writer)])

    def _beginning(self, writer: BundleWriter, about: dict[str, Any], note: str) -> list[bytes]:
        return [
            writer.member("bundle", encode(about)),
            writer.member("checkpoint", note.encode()),
            writer.member("keys", POLICY.encode()),
            writer.member(f"rules/{RULES_ID}", RULES),
        ]

    def _end(self, writer: BundleWriter) -> Iterator[bytes]:
        if self.rows:
            yield writer.lines("custody/0", self.rows)
        yield writer.end()

    def with_rows(self, *codes: str) -> "TinyLog":
        """Add the custody rows that the verifier itself would make of the entries (their being right is tested elsewhere)."""
        from biobank.transparency.verify import Record, Table, parse

        record = Record({RULES_ID: Table(RULES_ID, table_document())}, 300)
        for index, entry in enumerate(self.entries):
            record.read(index, 1, len(entry).to_bytes(2, "big") + entry, hash_leaf(entry))
        streams = record.streams["specimen"]
        self.rows = [
            parse(record.row_of(name, streams[name])) for name in sorted(streams) if not codes or name.decode()[1:-1] in codes
        ]
        return self


def nodes_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return hash_node(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def small_log() -> TinyLog:
    """Two specimens, six events."""
    log = TinyLog()
    log.collect()
    log.receive()
    log.collect("AD26-000002-Y")
    log.annotate()
    log.receive("AD26-000002-Y")
    return log.with_rows()


def judge(bundle: bytes, policy: str | None = POLICY, **evidence: list[bytes]) -> dict[str, Any]:
    """Verify bytes; also see that the verdict can be put into words."""
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".tar") as file:
        file.write(bundle)
        file.flush()
        verdict = verify(file.name, None if policy is None else Policy.read(policy), Evidence(**evidence), now=1_800_000_000)
    assert in_words(verdict)
    return verdict


def first_fault(bundle: bytes) -> Untrue | None:
    """One pass over bytes, as fast as can be: what is wrong, or None."""
    from biobank.transparency.verify import Ask

    try:
        Pass(io.BytesIO(bundle), Ask(Policy.read(POLICY))).run()
    except Untrue as untrue:
        return untrue
    return None

"""The worked example of docs/custody-log.md, read from the page and computed again; and tables that must match the code."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobank.custody.entry import Head, build_entry, parse_entry
from biobank.custody.event import parse_payload, rule_of, rules
from biobank.registries import event_kinds
from biobank.transparency.checkpoint import open_checkpoint
from biobank.transparency.note import Signer, Verifier
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.receipt import verify_acknowledgement
from biobank.transparency.tree import CompactRange, hash_leaf, verify_consistency

ORIGIN = "bank.example/custody"
PAGE = (Path(__file__).parents[2] / "docs" / "custody-log.md").read_text()
EXAMPLE = PAGE.partition("## 14. Worked example")[2].partition("## 15.")[0]
BUNDLE_EXAMPLE = PAGE.partition("## 18. Worked example")[2].partition("## 19.")[0]
SIGNATURE_EXAMPLE = PAGE.partition("## 20. Worked example")[2]
assert event_kinds.MODULES


def blocks(example: str = EXAMPLE) -> list[list[str]]:
    """The indented blocks of the example, each as its lines; an empty line inside a note belongs to the block."""
    found: list[list[str]] = []
    inside = False
    for line in example.split("\n"):
        if line.startswith("    "):
            if not inside:
                found.append([])
            found[-1].append(line[4:])
            inside = True
        elif line == "" and inside:
            found[-1].append("")
        else:
            inside = False
    return ["\n".join(block).rstrip("\n").split("\n") for block in found]


KEYS, ENTRIES, RANGE, CHECKPOINT, ACKNOWLEDGEMENT, RECEIPT = blocks()
LEAVES = [bytes.fromhex(line) for line in ENTRIES[1::2]]
LOG_KEY, RECEIPT_KEY = (Verifier.from_vkey(line) for line in KEYS)


def test_the_keys_of_the_example_are_those_of_its_seeds() -> None:
    assert Signer(ORIGIN, bytes(range(32))).verifier == LOG_KEY
    assert Signer(ORIGIN + "/receipts", bytes(range(32, 64))).verifier == RECEIPT_KEY


def test_the_entries_of_the_example_are_canonical_linked_and_what_the_ledger_would_write() -> None:
    heads: dict[str, tuple[int, str | None]] = {}
    for line, leaf in zip(ENTRIES[0::2], LEAVES, strict=True):
        data = line.encode()
        entry = parse_entry(data)
        assert hash_leaf(data) == leaf
        seq, prev = heads.get(entry["id"], (0, None))
        assert (entry["seq"], entry["prev"]) == (seq + 1, prev)
        heads[entry["id"]] = (entry["seq"], leaf.hex())
        event = parse_payload(entry["kind"], entry["kv"], entry["body"])
        assert event.payload() == entry["body"]


def test_the_members_of_an_entry_are_those_of_the_page() -> None:
    at = datetime(2026, 11, 3, tzinfo=UTC)
    event = parse_payload("specimen.annotated", 1, {"topic": "other"})
    data, _ = build_entry("specimen", "AD26-000001-X", 1, None, event, event.payload(), Head("SYSTEM", None, at, at))
    section = PAGE.partition("## 3. Entries")[2].partition("## 4.")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", section, re.M)) == set(parse_entry(data))


def test_the_members_of_a_rule_are_those_of_the_page() -> None:
    section = PAGE.partition("## 5. Rule table")[2].partition("A shape is")[0]
    named = {name for cell in re.findall(r"^\| (`[^|]+`) \|", section, re.M) for name in re.findall(r"`([a-z_]+)`", cell)}
    kind, cls = next(iter(rules.by_kind.items()))
    assert named == set(rule_of(kind, cls))


@pytest.mark.parametrize("column", ["biobank/transparency/sealing.py", "biobank/transparency/publishing.py"])
def test_every_reason_to_halt_is_on_the_page(column: str) -> None:
    source = (Path(__file__).parents[2] / column).read_text()
    reasons = set(re.findall(r'LogHalted\(\s*"([a-z_]+)"', source))
    assert reasons
    for reason in reasons:
        assert f"`{reason}`" in PAGE


def test_tree_checkpoint_acknowledgement_and_receipt_of_the_example_agree() -> None:
    tree = CompactRange()
    tree.extend(LEAVES)
    assert CompactRange.from_bytes(bytes.fromhex(RANGE[0])).peaks == tree.peaks
    note = "\n".join(CHECKPOINT) + "\n"
    checkpoint = open_checkpoint(note, ORIGIN, [LOG_KEY])
    assert (checkpoint.size, checkpoint.root) == (3, tree.root())

    acknowledged = verify_acknowledgement([RECEIPT_KEY], "\n".join(ACKNOWLEDGEMENT) + "\n")
    assert [event.leaf_hash for event in acknowledged.events] == [LEAVES[1]]

    receipt = InclusionReceipt.from_text("\n".join(RECEIPT) + "\n")
    assert receipt.checkpoint_note == note
    assert receipt.verify(LEAVES[1], ORIGIN, [LOG_KEY]) == checkpoint

    for old, proof in ((1, LEAVES[1:]), (2, LEAVES[2:])):
        before = CompactRange()
        before.extend(LEAVES[:old])
        verify_consistency(old, 3, before.root(), checkpoint.root, proof)

"""A second implementation of docs/custody-log.md, written from the page alone, on the example bundle of the page.

It shares no code with the bank or with `verify.py`: a tar reader of the standard library, hashes, JSON. That it makes the file of
the page from the lines of the page, and finds in it what the page says, shows that the page is enough.
"""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from biobank.transparency import verify
from tests.transparency.test_document import BUNDLE_EXAMPLE, SIGNATURE_EXAMPLE, blocks
from tests.transparency.test_document import ENTRIES as LOGGED

(TABLE, TABLE_ID), ENTRIES, CHECKPOINT, (HEAD, *KEYS, ROW), (SIZE, SHA256) = blocks(BUNDLE_EXAMPLE)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01", root_of(leaves[:split]), root_of(leaves[split:]))


def header(name: str, size: int) -> bytes:
    """The table of section 15."""
    head = bytearray(512)
    fields = {
        0: name.encode(),
        100: b"0000644",
        108: b"0000000",
        116: b"0000000",
        124: b"%011o" % size,
        136: b"0" * 11,
        148: b" " * 8,
        156: b"0",
        257: b"ustar",
        263: b"00",
        329: b"0000000",
        337: b"0000000",
    }
    for at, value in fields.items():
        head[at : at + len(value)] = value
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def written_from_the_page() -> bytes:
    """The file, from the lines of section 18."""
    entries = [line.encode() for line in ENTRIES[0::2]]
    members = {
        "bundle": HEAD.encode(),
        "checkpoint": "\n".join([*CHECKPOINT, ""]).encode(),
        "keys": "\n".join([*KEYS, ""]).encode(),
        f"rules/{TABLE_ID}": TABLE.encode(),
        "tile/0/000.p/3": b"".join(bytes.fromhex(line) for line in ENTRIES[1::2]),
        "tile/entries/000.p/3": b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries),
        "custody/0": ROW.encode() + b"\n",
    }
    digest = hashlib.sha256()
    made = io.BytesIO()
    for name, data in [*members.items(), ("sums", b"")]:
        data = digest.hexdigest().encode() + b"\n" if name == "sums" else data
        head = header(name, len(data))
        if not name.startswith("tile/"):
            digest.update(head + data)
        made.write(head + data + bytes(-len(data) % 512))
    return made.getvalue() + bytes(1024)


def test_the_file_of_the_page_is_made_from_the_lines_of_the_page() -> None:
    made = written_from_the_page()

    assert (str(len(made)), hashlib.sha256(made).hexdigest()) == (SIZE, SHA256)


def test_the_verifier_finds_the_file_of_the_page_true(tmp_path: Path) -> None:
    path = tmp_path / "example.tar"
    path.write_bytes(written_from_the_page())

    verdict = verify.verify(str(path), verify.Policy.read("\n".join(KEYS)), verify.Evidence())

    assert verdict["verdict"] == "true", verdict
    assert (verdict["entries"], verdict["custody"]["agree"]) == (3, 1)


def test_a_reader_written_from_the_page_finds_it_true() -> None:
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(written_from_the_page())) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            members[member.name] = file.read()

    # Sections 8 and 9: the note and its key.
    text, _, line = members["checkpoint"].decode().rpartition("\n\n")
    name, identity, material = KEYS[1].removeprefix("log ").split("+", 2)
    key = base64.b64decode(material)
    assert sha256(name.encode(), b"\n", key)[:4].hex() == identity
    signature = base64.b64decode(line.split(" ")[2])
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], (text + "\n").encode())
    origin, size, root = text.split("\n")

    # Sections 2, 3 and 6: entries, their hashes, the tree.
    blob, entries = members["tile/entries/000.p/3"], []
    while blob:
        length = int.from_bytes(blob[:2], "big")
        entries.append(blob[2 : 2 + length])
        blob = blob[2 + length :]
    leaves = [sha256(b"\x00", entry) for entry in entries]
    assert (origin, int(size)) == (name, len(entries))
    assert base64.b64decode(root) == root_of(leaves)
    assert members["tile/0/000.p/3"] == b"".join(leaves)

    # Sections 5 and 16: streams, rules, effects.
    document = json.loads(members[f"rules/{TABLE_ID}"])
    assert hashlib.sha256(members[f"rules/{TABLE_ID}"]).hexdigest() == TABLE_ID
    rules = {row["kind"]: row for row in document["rules"]}
    heads: dict[tuple[str, str], tuple[int, str | None]] = {}
    rows: dict[str, dict[str, Any]] = {}
    adopted: set[str] = set()
    for data, leaf in zip(entries, leaves, strict=True):
        entry = json.loads(data)
        assert json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data
        rule = rules[entry["kind"]]
        stream = (entry["stream"], entry["id"])
        seq, prev = heads.get(stream, (0, None))
        assert (entry["seq"], entry["prev"]) == (seq + 1, prev)
        assert set(entry["body"]) == set(rule["body"])
        if entry["kind"] == "system.rules_adopted":
            adopted.add(entry["body"]["table"])
        assert entry["rules"] in adopted
        if entry["stream"] == "specimen":
            row = rows.setdefault(entry["id"], document["initial"] | {"code": entry["id"], "state_seq": 0})
            assert rule["starts"] == (seq == 0)
            assert seq == 0 or row["state"] in rule["from"]
            for column, instruction in rule["effect"].items():
                ((verb, argument),) = instruction.items()
                if verb == "minus":
                    row[column] -= entry["body"][argument]
                else:
                    row[column] = {"set": {argument: argument}, "body": entry["body"], "entry": entry}[verb][argument]
            row |= {"seq": seq + 1, "head": leaf.hex()} | ({"state_seq": seq + 1} if "state" in rule["effect"] else {})
        heads[stream] = (seq + 1, leaf.hex())

    assert [json.loads(line) for line in members["custody/0"].splitlines()] == [rows[code] for code in sorted(rows)]


def test_the_signatures_of_the_page_are_right_and_bind_every_byte_of_the_entry() -> None:
    """Sections 19 and 20."""
    enrolment, personal, (line, leaf) = blocks(SIGNATURE_EXAMPLE)
    entry = json.loads(line)
    (signature,) = entry["signatures"]
    vouching, statement = json.loads(enrolment[0]), json.loads(personal[0])

    def spelt(value: Any) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def check(public: str, signed: str, purpose: str, said: Any) -> None:
        message = purpose.encode() + b"\x00" + spelt(said)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signed), message)

    assert sha256(b"\x00", line.encode()).hex() == leaf
    assert (entry["v"], entry["prev"], entry["body"]["signature"]) == (2, LOGGED[3], signature["id"])
    assert {name: signature[name] for name in statement} == statement
    assert (vouching["key"], vouching["user"]) == (signature["key"], entry["by"])
    assert signature["by_key"] == personal[1]

    check(vouching["enrolment"], enrolment[1], "biobank/personal-key/v1", vouching)
    check(signature["key"], signature["by_key"], "biobank/signature/v1", statement)
    check(signature["once"], signature["over"], "biobank/signed-entry/v1", entry | {"signatures": [signature | {"over": None}]})
    for changed in ({"seq": 4}, {"prev": LOGGED[1]}, {"site": None}, {"body": entry["body"] | {"reason": "other"}}):
        other = entry | changed | {"signatures": [signature | {"over": None}]}
        with pytest.raises(InvalidSignature):
            check(signature["once"], signature["over"], "biobank/signed-entry/v1", other)

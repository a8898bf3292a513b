#!/usr/bin/env python3
"""Verify a bundle of a custody log. This file is complete: copy it anywhere, it needs Python 3.11 and `cryptography`.

    python verify.py BUNDLE [--policy FILE] [--checkpoint FILE]… [--receipt FILE]… [--json] [--jobs N] [--quiet]
    python verify.py fork CHECKPOINT CHECKPOINT [--policy FILE] [--proof FILE] [--json]

BUNDLE is a file, or `-` for standard input. The policy names the keys you trust and the witnesses you demand; without it the
keys that the bundle itself brings are used, and the verdict says so. Give every checkpoint, acknowledgement and inclusion
receipt of this log that you kept: the bundle must agree with them. `fork` shows that two checkpoints are two histories.

Exit codes: 0 true, under your policy · 1 not true · 2 cannot be read, or wrong usage · 3 true, but under keys that only the
bundle vouches for · 4 true, but somebody signed as of a site that has nothing to do with it. Everything checked here is
specified byte by byte in the project's `docs/custody-log.md`.
"""

import argparse
import base64
import gc
import hashlib
import json
import os
import re
import sys
import time
import unicodedata
from binascii import hexlify
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TRUE, FALSE, UNREADABLE, UNVOUCHED, ELSEWHERE = 0, 1, 2, 3, 4
FORMATS = ("biobank-bundle/1", "biobank-bundle/2")
"""The first is from before people signed by key: a part in it brings nothing about logins."""
WIDTH = 256
SKEW_S = 300
MAX_MEMBER = 64 * 1024 * 1024
MAX_DOCUMENT = 2 * 1024 * 1024
"""Bytes of one JSON object and of the members that are texts: what is parsed takes many times its size in memory."""
MAX_TABLES = 32 * 1024 * 1024
"""Bytes of all rule tables of a bundle together, some 300 of today's size. They are kept, in ten times that, while it is read."""
MAX_ENTRY = 2**16 - 1
"""Bytes of an entry: its length is written in two."""
MOST_HASHES = 2 * 64
"""Of a consistency proof: two for each level of a tree of less than 2^63 leaves, at most."""
MAX_SAFE = 2**53 - 1
PARALLEL_FROM = 50_000
_sha256 = hashlib.sha256


class Untrue(Exception):
    """The record is not what it claims to be; `where` locates it (index, stream, id, seq, kind, member), as far as known."""

    def __init__(self, why: str, code: str = "bundle", **where: Any) -> None:
        super().__init__(why)
        self.why, self.code, self.where = why, code, where


class Unreadable(Exception):
    """A file given by the auditor cannot be read as what it should be."""


# ---- canonical JSON (profile custody/v1) -----------------------------------------------------------------------------

_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: Any) -> bytes:
    """Return the canonical bytes of a value that `parse` returned, or of a part of it."""
    return _write(value).encode()


def parse(data: bytes) -> dict[str, Any]:
    """Return the object whose one canonical spelling is `data`; raise Untrue for anything else."""
    if len(data) > MAX_DOCUMENT:
        raise Untrue(f"a JSON object of more than {MAX_DOCUMENT:,} bytes", "not_canonical")
    try:
        text = data.decode()
        value = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        _guard(value, 32)
        spelt = _write(value)
    except (ValueError, RecursionError) as error:
        raise Untrue(f"not JSON of the profile: {error}", "not_canonical") from None
    if type(value) is not dict or spelt != text:
        raise Untrue("not the one canonical spelling of a JSON object", "not_canonical")
    return value


def _refuse(_number: str) -> NoReturn:
    raise ValueError("a number with a fraction or an exponent")


def _guard(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if not value.isascii():
            categories = {unicodedata.category(character) for character in value}
            if "Cs" in categories or ("Cn" not in categories and not unicodedata.is_normalized("NFC", value)):
                raise ValueError("a string that is not Unicode in normal form C")
    elif isinstance(value, int):
        if not -MAX_SAFE <= value <= MAX_SAFE:
            raise ValueError("an integer beyond 2^53 - 1")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("nested deeper than 32 levels")
        for part in value if isinstance(value, list) else (*value, *value.values()):
            _guard(part, depth - 1)
        if isinstance(value, dict) and not all(name.isascii() for name in value):
            raise ValueError("a member name that is not ASCII")


# ---- the tree (RFC 6962) ---------------------------------------------------------------------------------------------


def leaf_of(entry: bytes) -> bytes:
    """Return the leaf hash of an entry."""
    return _sha256(b"\0" + entry).digest()


def node_of(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees."""
    return _sha256(b"\1" + left + right).digest()


def fold(row: bytes) -> bytes:
    """Return the root of a perfect subtree, given its hashes joined."""
    while len(row) > 32:
        row = b"".join([_sha256(b"\1" + row[i : i + 64]).digest() for i in range(0, len(row), 64)])
    return row


class Range:
    """A growing tree: the roots of its perfect subtrees with their heights, largest first."""

    def __init__(self) -> None:
        self.peaks: list[tuple[int, bytes]] = []

    def push(self, node: bytes, height: int = 0) -> None:
        """Add a perfect subtree on the right."""
        while self.peaks and self.peaks[-1][0] == height:
            node, height = node_of(self.peaks.pop()[1], node), height + 1
        self.peaks.append((height, node))

    def root(self, *more: bytes) -> bytes:
        """Return the root, as if the leaf hashes `more` had been added."""
        grown = Range()
        grown.peaks = list(self.peaks)
        for leaf in more:
            grown.push(leaf)
        if not grown.peaks:
            return _sha256(b"").digest()
        root = grown.peaks[-1][1]
        for _, peak in reversed(grown.peaks[:-1]):
            root = node_of(peak, root)
        return root


def _require_hashes(code: str, *hashes: bytes) -> None:
    """Refuse what is no hash: two empty ones are equal, and a longer sibling moves the border between left and right."""
    if any(len(one) != 32 for one in hashes):
        raise Untrue("a proof, its leaf and its root are hashes of 32 bytes each", code)


def check_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], root: bytes) -> None:
    """Return if `leaf` is at `index` of the tree `(size, root)`; raise Untrue if not."""
    if not 0 <= index < size:
        raise Untrue("the leaf lies outside the tree", "inclusion")
    _require_hashes("inclusion", leaf, root, *path)
    inner = (index ^ (size - 1)).bit_length()
    if len(path) != inner + (index >> inner).bit_count():
        raise Untrue("the inclusion proof has the wrong length", "inclusion")
    for height, sibling in enumerate(path):
        leaf = node_of(sibling, leaf) if height >= inner or index >> height & 1 else node_of(leaf, sibling)
    if leaf != root:
        raise Untrue("the inclusion proof does not lead to the signed root", "inclusion")


def old_root_by(old: int, new: int, new_root: bytes, old_root: bytes, proof: list[bytes]) -> bytes:
    """Return the root of the first `old` leaves of the tree `(new, new_root)` that a consistency proof shows.

    `old_root` is needed where the older tree is a perfect subtree; then it is returned or the proof is refused.
    """
    if not 0 < old <= new:
        raise Untrue("the older tree has at least one leaf and is not larger", "consistency")
    _require_hashes("consistency", new_root, *proof)
    if old == new:
        if proof:
            raise Untrue("trees of equal size need no proof", "consistency")
        return new_root
    trailing = (old & -old).bit_length() - 1
    inner = ((old - 1) ^ (new - 1)).bit_length() - trailing
    index = (old - 1) >> trailing
    perfect = old == 1 << trailing
    if not perfect and not proof:
        raise Untrue("the consistency proof is empty", "consistency")
    if perfect:
        _require_hashes("consistency", old_root)
    seed, rest = (old_root, proof) if perfect else (proof[0], proof[1:])
    if len(rest) != inner + (index >> inner).bit_count():
        raise Untrue("the consistency proof has the wrong length", "consistency")
    older = newer = seed
    for height, sibling in enumerate(rest):
        if height >= inner or index >> height & 1:
            older, newer = node_of(sibling, older), node_of(sibling, newer)
        else:
            newer = node_of(newer, sibling)
    if newer != new_root:
        raise Untrue("the consistency proof does not lead to the newer root", "consistency")
    return older


# ---- keys, notes, policies -------------------------------------------------------------------------------------------

_KEY = re.compile(r"([^\s+\x00-\x1f\x7f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_LINE = re.compile("\u2014 ([^\\s+]+) ([A-Za-z0-9+/=]+)")


def from_base64(text: str) -> bytes:
    """Decode the one canonical base64 spelling of some bytes; raise Unreadable."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise Unreadable("not base64")
    return data


class Key:
    """A public key: of a log or its receipts (Ed25519, 0x01), or of a witness (timestamped cosignature, 0x04)."""

    def __init__(self, text: str) -> None:
        match = _KEY.fullmatch(text)
        material = from_base64(match[3]) if match else b""
        if not match or material[:1] not in (b"\1", b"\4") or len(material) != 33:
            raise Unreadable("not a public key of the form name+id+base64")
        self.text, self.name, self.witness, self.public = text, match[1], material[:1] == b"\4", material[1:]
        self.id = _sha256(self.name.encode() + b"\n" + material).digest()[:4]
        if self.id.hex() != match[2]:
            raise Unreadable(f"the key id of {self.name} does not belong to this key")
        self._key = Ed25519PublicKey.from_public_bytes(material[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        return (Key, (self.text,))

    def signed(self, text: bytes, signature: bytes) -> int | None:
        """Return when (Unix seconds; 0 for a key that states no time) this key signed `text`, None if it did not."""
        at = int.from_bytes(signature[:8], "big") if self.witness else 0
        message = b"cosignature/v1\ntime %d\n" % at + text if self.witness else text
        try:
            self._key.verify(signature[8:] if self.witness else signature, message)
        except InvalidSignature:
            return None
        return at


def open_note(note: bytes, keys: Iterable[Key]) -> tuple[str, dict[str, int]]:
    """Return the text of a signed note and the keys (text form → time) that signed it; a wrong line of a known key is Untrue."""
    try:
        body, gap, tail = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise Untrue("a signed note is UTF-8", "note") from None
    lines = tail.split("\n")
    if not gap or lines.pop() or not 0 < len(lines) <= 100 or re.search(r"[\x00-\x09\x0b-\x1f]", body + tail):
        raise Untrue("not a signed note", "note")
    known = {(key.name, key.id): key for key in keys}
    signed: dict[str, int] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match:
            raise Untrue("a signature line is a dash, a name and base64", "note")
        try:
            data = from_base64(match[2])
        except Unreadable as error:
            raise Untrue(f"the signature of {match[1]} is {error}", "note") from None
        key = known.get((match[1], data[:4]))
        if key is not None:
            at = key.signed((body + "\n").encode(), data[4:])
            if at is None:
                raise Untrue(f"the signature of {key.name}+{key.id.hex()} is wrong: the note was altered", "signature")
            signed.setdefault(key.text, at)
    return body + "\n", signed


@dataclass
class Policy:
    """Whom the auditor believes. One statement a line; `#` begins a comment.

    origin NAME · log KEY [from SIZE] [to SIZE] · receipts KEY · recovery KEY (of the bank's next log, should this one be lost) ·
    witness NAME KEY [URL] · group NAME any|all|NUMBER MEMBER… · quorum NAME|none · max-age SECONDS (of a cosignature) ·
    skew SECONDS (how far a stream's clock may step back)
    """

    origin: str | None = None
    log: list[tuple[Key, int, int]] = field(default_factory=list)
    receipts: list[Key] = field(default_factory=list)
    recovery: list[Key] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = "none"
    max_age_s: int | None = None
    skew_s: int = SKEW_S

    @classmethod
    def read(cls, text: str) -> "Policy":
        """Read a policy. Raises Unreadable."""
        policy = cls()
        once: set[str] = set()
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].split() if not line.startswith("origin ") else ["origin", line[7:].strip()]
            try:
                if words:
                    if words[0] in once:
                        raise ValueError(f"{words[0]} is said twice")
                    once |= {words[0]} & {"origin", "quorum", "max-age", "skew"}
                    policy._state(*words)
            except (ValueError, TypeError, LookupError, Unreadable) as error:
                raise Unreadable(f"line {number} of the policy: {error}") from None
        own = {key.public for key, _, _ in policy.log} & {key.public for key in policy.witnesses.values()}
        if own:
            raise Unreadable("a key of the log is named as a witness: whoever keeps the log would vouch for it")
        if policy.quorum != "none" and policy.quorum not in policy.witnesses | policy.groups:
            raise Unreadable(f"the quorum {policy.quorum} is neither a witness nor a group")
        return policy

    def _state(self, word: str, *rest: str) -> None:
        if word == "origin":
            self.origin = rest[0]
        elif word == "log":
            bounds = dict(zip(rest[1::2], map(int, rest[2::2]), strict=True))
            if not set(bounds) <= {"from", "to"}:
                raise ValueError("after the key of a log come `from SIZE` and `to SIZE`")
            self.log.append((Key(rest[0]), bounds.get("from", 0), bounds.get("to", 2**63)))
        elif word in ("receipts", "recovery"):
            (text,) = rest
            (self.receipts if word == "receipts" else self.recovery).append(Key(text))
        elif word == "witness":
            name, text, *url = rest
            key = Key(text)
            if not key.witness:
                raise ValueError(f"the key of {name} is none of a witness")
            # One key under two names, or one name twice in a group, would let a single witness be a quorum of two.
            if name in self.witnesses | self.groups or key.public in {other.public for other in self.witnesses.values()}:
                raise ValueError(f"the name {name} or its key is given twice")
            self.witnesses[name] = key
            if url:
                (self.urls[name],) = url
        elif word == "group":
            name, number, *members = rest
            unknown = [m for m in members if m not in self.witnesses | self.groups]
            if unknown or not members:
                raise ValueError(f"a group has members named before it; unknown: {unknown}")
            if name in self.witnesses | self.groups or len(set(members)) < len(members):
                raise ValueError(f"the group {name} is given twice, or names somebody twice")
            needed = {"any": 1, "all": len(members)}.get(number) or int(number)
            if not 0 < needed <= len(members):
                raise ValueError("a group cannot need more members than it has")
            self.groups[name] = (needed, members)
        elif word in ("quorum", "max-age", "skew"):
            (value,) = rest
            if word == "quorum":
                self.quorum = value
            elif not re.fullmatch("[0-9]{1,12}", value):
                raise ValueError(f"{word} is a number of seconds")
            elif word == "skew":
                self.skew_s = int(value)
            else:
                self.max_age_s = int(value)
        else:
            raise ValueError(f"unknown word {word!r}")

    @property
    def note_keys(self) -> list[Key]:
        """The keys whose signatures count under checkpoints."""
        return [key for key, _, _ in self.log] + list(self.witnesses.values())

    def reached(self, name: str, present: set[str]) -> bool:
        """Say whether a witness, or a group with enough members, is among the witnesses present."""
        if name in self.witnesses:
            return name in present
        needed, members = self.groups[name]
        return sum(self.reached(member, present) for member in members) >= needed


@dataclass
class Checkpoint:
    """An opened checkpoint."""

    origin: str
    size: int
    root: bytes
    note: str
    log_keys: list[str]
    witnesses: dict[str, int]


AHEAD_S = 300
"""How far a witness's clock may be ahead of ours. A cosignature from later than that would be young enough for ever."""


def open_checkpoint(note: bytes, policy: Policy, now: float, *, quorum: bool = True) -> Checkpoint:
    """Open a checkpoint under a policy: origin, log signature, and the witnesses it demands. Raises Untrue."""
    text, signed = open_note(note, policy.note_keys)
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise Untrue("a checkpoint is three lines: origin, size, root", "note")
    try:
        root = from_base64(lines[2])
    except Unreadable:
        root = b""
    size = int(lines[1])
    if len(root) != 32 or size >= 2**63:
        raise Untrue("a checkpoint names a size below 2^63 and a root of 32 bytes", "note")
    if policy.origin is not None and lines[0] != policy.origin:
        raise Untrue(f"the checkpoint is of the log {lines[0]}, not of {policy.origin}", "origin")
    by = [key.text for key, start, end in policy.log if key.text in signed and key.name == lines[0] and start <= size <= end]
    if not by:
        raise Untrue("no key of the log that you trust at this size signed the checkpoint", "signature")
    fresh = 0 if policy.max_age_s is None else now - policy.max_age_s
    at = {name: signed[key.text] for name, key in policy.witnesses.items() if key.text in signed}
    present = {name: seconds for name, seconds in at.items() if fresh <= seconds <= now + AHEAD_S}
    if quorum and policy.quorum != "none" and not policy.reached(policy.quorum, set(present)):
        raise Untrue(
            f"the quorum {policy.quorum} of your policy is not reached; cosigned in time by: {', '.join(present) or 'nobody'}"
            + "".join(f"; the cosignature of {name} bears a time in the future" for name in at if at[name] > now + AHEAD_S),
            "quorum",
        )
    return Checkpoint(lines[0], size, root, note.decode(), by, present)


# ---- the file --------------------------------------------------------------------------------------------------------


def header_of(name: str, size: int) -> bytes:
    """Return the one header that a member of this name and size has."""
    head = b"%s0000644\x000000000\x000000000\x00%011o\x0000000000000\x00" % (name.encode().ljust(100, b"\0"), size)
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(167)
    return head + b"%06o\0 " % (sum(head) + 8 * 32 + sum(tail)) + tail


def tile_path(level: int | str, n: int, width: int = WIDTH) -> str:
    """Return the name of a tile of hashes, or (level `entries`) of a bundle of entries."""
    groups = [f"{n % 1000:03d}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


class Members:
    """The members of a bundle, in one pass; every byte of the frame is prescribed and checked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._next: tuple[str, int, bytes] | None = None
        self.sum = _sha256()
        self.read_bytes = 0
        self.last = ""

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        self.read_bytes += len(data)
        if len(data) != size:
            raise Untrue(f"the file ends at byte {self.read_bytes}, inside a member: it is cut off", "truncated")
        return data

    def peek(self) -> str:
        """Return the name of the next member; empty at the end of the archive."""
        if self._next is None:
            at = self.read_bytes
            head = self._take(512)
            if head == bytes(512):
                self._next = ("", 0, head)
            else:
                name, size = head[:100].rstrip(b"\0"), head[124:135]
                if not re.fullmatch(rb"[\x21-\x7e]+", name) or not re.fullmatch(rb"[0-7]{11}", size):
                    raise Untrue(f"no member of a bundle begins at byte {at}", "frame", byte=at)
                if head != header_of(name.decode(), int(size, 8)) or int(size, 8) > MAX_MEMBER:
                    raise Untrue(f"the header at byte {at} is not as prescribed", "frame", byte=at, member=name.decode())
                self._next = (name.decode(), int(size, 8), head)
        return self._next[0]

    def read(self, name: str, most: int = MAX_MEMBER) -> bytes:
        """Return the next member, which must have this name and at most so many bytes."""
        found = self.peek()
        if found != name:
            raise Untrue(f"where {name} should come there is {found or 'the end of the archive'}", "frame", member=name)
        assert self._next is not None
        self.last = name
        _, size, head = self._next
        if size > most:
            raise Untrue(f"{name} is larger than the {most:,} bytes that it may have", "frame", member=name)
        self._next = None
        data = self._take(size)
        padding = self._take(-size % 512)
        if padding.count(0) != len(padding):
            raise Untrue(f"the padding behind {name} is not zero", "frame", member=name)
        if not name.startswith("tile/") and name != "sums":
            self.sum.update(head)
            self.sum.update(data)
        return data

    def end(self) -> None:
        """Read what ends a bundle."""
        sums = self.sum.hexdigest()
        if self.read("sums", 65) != f"{sums}\n".encode():
            raise Untrue(
                "the members outside the tree have another SHA-256 than the bundle ends with: a byte was changed",
                "sums",
                member="sums",
            )
        if self.peek() or self._take(512) != bytes(512) or self._file.read(1):
            raise Untrue("the archive does not end as prescribed", "frame", byte=self.read_bytes)


# ---- the rules of the bank, interpreted ------------------------------------------------------------------------------

_TIME = rb"2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
_HEX = rb'"[0-9a-f]{64}"'
_TEXT = rb'"[ !#-\[\]-~]*"'
_WORD = rb'"[!#-\[\]-~]{1,64}"'
_SOURCES = rb'"(?:live|paper|instrument|import)"'
_STREAMS = ("specimen", "donor", "withdrawal", "shipment", "container", "lot", "user", "system")
_SHAPES = {
    "array": rb"\[(?:" + _TEXT + rb"(?:," + _TEXT + rb")*)?\]",
    "boolean": rb"(?:true|false)",
    "commitment": _HEX,
    "integer": rb"(?:0|-?[1-9][0-9]{0,14})",
    "null": rb"null",
    "string": _TEXT,
}
_TYPES = {"array": list, "boolean": bool, "commitment": str, "integer": int, "null": type(None), "object": dict, "string": str}
_HEAD = {
    "by": _WORD,
    "comment": rb"(?:null|" + _HEX + rb")",
    "device": rb"(?:null|" + _WORD + rb")",
    "id": _WORD,
    "kind": _WORD,
    "kv": rb"[1-9][0-9]{0,9}",
    "late": rb"(?:true|false)",
    "occurred_at": rb'"' + _TIME + rb'"',
    "performed": rb"\[(?:\{\"confirmed\":(?:true|false),\"user\":" + _WORD + rb"\},?)*(?<!,)\]",
    "prev": rb"(?:null|" + _HEX + rb")",
    "recorded_at": rb'"' + _TIME + rb'"',
    "relies_on": rb"\[(?:" + _HEX + rb"(?:," + _HEX + rb")*)?\]",
    "rules": _HEX,
    "seq": rb"[1-9][0-9]{0,9}",
    "site": rb"(?:null|" + _WORD + rb")",
    "source": _SOURCES,
    "stream": rb'"(?:' + "|".join(_STREAMS).encode() + rb')"',
    "v": b"[12]",
}
_HEAD_RE = {name: re.compile(pattern) for name, pattern in _HEAD.items()}
_ELAPSED = {"elapsed", "elapsed_until_known"}
_READ = ("id", "prev", "recorded_at", "seq")
"""What every check reads of an entry's head, in the order in which it stands there; some effects read `by` and others too."""

ERASING = ("donor.erased", "donor.contact_erased", "donor.erasure_replayed", "donor.contact_changed")
"""The acts by which personal data goes; whoever states that something was redacted names one of them."""


SEQ, HEAD, RECORDED, STATE_SEQ, LAST, AWAITS, HOLDS, SITES, COLUMNS = range(9)
"""What is known of a stream, as a list: its last event's number, leaf hash in hex and time of recording, the last change of
state, the last index in the log, a hold that must follow, active holds, the sites that it has named; from COLUMNS on what the
specimen is by now. Values are kept as their canonical JSON bytes: equal bytes are equal values, and nothing is converted."""

Stream = list[Any]

NAMING_SITES = ("clinic_site", "from_site", "home_site", "site", "to_site")
"""The members of a body that say at which sites a thing is, belongs, or goes."""
_NO_SITES: frozenset[bytes] = frozenset()


class Rule:
    """One kind of event of a rule table, made ready: a pattern that proves an entry canonical and well-formed; its effect."""

    def __init__(
        self, row: dict[str, Any], table: str, columns: dict[str, int], terminal: frozenset[bytes], states: set[bytes]
    ) -> None:
        self.kind, self.version, self.stream, self.shape = row["kind"], row["version"], row["stream"], row["body"]
        self.specimen, self.starts, self.annotates = row["stream"] == "specimen", row["starts"], row["annotates"]
        self.cold, self.act = row["cold_first"], row["blocked_by_holds_on"]
        legal = frozenset(canonical(state) for state in row["from"])
        legal |= terminal if self.annotates else frozenset()
        legal |= states - terminal if self.cold else frozenset()
        self.legal: frozenset[bytes | None] = frozenset() if self.starts else legal if self.specimen else frozenset({None})
        self.conditions = None if row["conditions"] is None else frozenset(map(canonical, row["conditions"]))
        self.places = None if row["places_hold"] is None else canonical(row["places_hold"])
        self.hold = {"specimen.hold_placed": 1, "specimen.hold_lifted": -1}.get(self.kind, 0)
        self.adopts, self.erases = self.kind == "system.rules_adopted", self.kind in ERASING
        only = row.get("reserved_from")
        self.reserved_from = None if only is None else frozenset(map(canonical, only))
        self.judged = bool(self.act or self.conditions is not None or only is not None)
        self.signed_with: list[str] = row.get("signed_with", [])
        self.signs = bool(set(SIGNATURES) & set(self.shape)) or self.kind in LOGINS
        wanted = {
            a for i in row["effect"].values() for v, a in i.items() if v in ("body", "body_or_keep", "plus", "minus", "restore")
        }
        wanted |= {"table"} if self.adopts else {"hold", "hold_kind", "blocks"} & set(self.shape) if self.hold else set()
        wanted |= {"withdrawal"} & set(self.shape) if self.act else set()
        wanted |= set(NAMING_SITES) & set(self.shape)
        self.reads = sorted(wanted)
        self.place = {name: i for i, name in enumerate(self.reads)}
        entry = {a for i in row["effect"].values() for v, a in i.items() if v == "entry"}
        verbs = {verb for step in row["effect"].values() for verb in step}
        entry |= {"occurred_at"} if verbs & _ELAPSED else set()
        entry |= {"source"} if "elapsed_until_known" in verbs else set()
        entry |= {"site"} if self.starts else set()
        self.head = sorted({*_READ, *entry})
        here = {name: len(self.reads) + i for i, name in enumerate(self.head)}
        self.at_id, self.at_prev, self.at_recorded, self.at_seq = (here[name] for name in _READ)
        self.sites = [self.place[name] for name in NAMING_SITES if name in self.place] + ([here["site"]] if self.starts else [])
        steps = [(columns[column], column, *next(iter(step.items()))) for column, step in row["effect"].items()]
        self.sets = [(c, canonical(a)) for c, _, verb, a in steps if verb == "set"]
        self.copies = [(c, self.place[a]) for c, _, verb, a in steps if verb == "body"]
        self.copies += [(c, here[a]) for c, _, verb, a in steps if verb == "entry"]
        self.others = [(c, title, verb, a) for c, title, verb, a in steps if verb not in {"set", "body", "entry", *_ELAPSED}]
        self.elapsed = [
            (c, columns[a], here["occurred_at"], here["source"] if verb == "elapsed_until_known" else None)
            for c, _, verb, a in steps
            if verb in _ELAPSED
        ]
        self.changes_state = "state" in row["effect"]
        self.special = bool(self.others or self.hold or self.places or self.adopts or self.erases)
        self.table = table
        self.streams: dict[bytes, Stream] = {}

    @cached_property
    def fullmatch(self) -> Callable[[bytes], re.Match[bytes] | None]:
        """The pattern's test, made when it is first needed; it takes nothing when a body may hold objects."""
        if any("object" in shape for shape in self.shape.values()):
            return lambda _entry: None
        return re.compile(self._pattern(), re.DOTALL).fullmatch

    def _pattern(self) -> bytes:
        members = []
        for name in sorted(self.shape):
            choice = b"(?:" + b"|".join(_SHAPES[word] for word in self.shape[name].split("|")) + b")"
            members.append(b'"%s":%s' % (name.encode(), b"(%s)" % choice if name in self.reads else choice))
        # What `prev` says is compared with the hash it must be, so the pattern need not look at it.
        head = _HEAD | {
            "kind": re.escape(canonical(self.kind)),
            "kv": b"%d" % self.version,
            "rules": canonical(self.table),
            "stream": canonical(self.stream),
            "performed": rb"\[\]",
            "v": b"1",
        }
        parts = [b'"%s":%s' % (n.encode(), b"(%s)" % p if n in self.head else p) for n, p in head.items()]
        parts[list(head).index("prev")] = rb'"prev":(?:null|"(.{64})")'
        return rb"\{\"body\":\{" + b",".join(members) + rb"\}," + b",".join(parts) + rb"\}"

    def body_fault(self, body: dict[str, Any]) -> str | None:
        """Say in what a body is not as the rule table has it."""
        if set(body) != set(self.shape):
            return f"its body has other members than the rule table allows: {sorted(set(body) ^ set(self.shape))}"
        for name, value in body.items():
            for word in self.shape[name].split("|"):
                fits = type(value) is _TYPES[word]
                if fits and (word != "commitment" or re.fullmatch("[0-9a-f]{64}", value)):
                    break
            else:
                return f"its body's member {name} is not {self.shape[name].replace('|', ' or ')}"
        return None


class Table:
    """A rule table: its rules by kind, and since when the log has adopted it."""

    def __init__(self, name: str, document: dict[str, Any]) -> None:
        self.name, self.document = name, document
        self.roles: dict[str, list[str]] = document.get("roles", {})
        self.rules: dict[bytes, Rule] = {}
        self.adopted_at: int | None = None
        self.first_used: int | None = None


# ---- who signed ------------------------------------------------------------------------------------------------------

SIGNATURES = ("first_signature", "second_signature", "signature", "signatures")
"""The members of a body that name signatures by their ids."""
COSIGNED = ("user.role_granted", "user.role_revoked", "user.enrolment_opened", "user.password_reset")
"""What somebody who co-signs roles stands behind, always."""
COSIGNS, MANAGES = "role:cosign", "user:manage"
LOGINS = (*COSIGNED, "user.of_person", "user.personal_key_set", "user.deactivated", "user.reactivated")
_LOGINS = frozenset(kind.encode() for kind in LOGINS)
USED_WITHIN_S, COMPLETED_WITHIN_S = 120, 24 * 3600
AT_ONCE_S = 60
"""An act and the end of a key or role whose entries were recorded so near each other were decided at one moment."""
_HEX32, _HEX64 = "[0-9a-f]{64}", "[0-9a-f]{128}"
_SIGNATURE = {
    "act": _HEX32,
    "by_key": _HEX64,
    "id": "[0-9a-f-]{36}",
    "key": _HEX32,
    "meaning": "[a-z_]{1,40}",
    "once": _HEX32,
    "over": _HEX64,
    "signed_at": _TIME.decode(),
    "user": "[!-~]{1,64}",
}
_PROPOSAL = {
    "act": "[a-z_.]{1,64}",
    "body_sha256": _HEX32,
    "pending_act": "[0-9a-f-]{36}",
    "proposed_at": _TIME.decode(),
    "subject": "[!-~]{1,64}",
}
_BY_KEY = ("by_key", "key", "once", "over")


def _signatures_fault(entry: dict[str, Any]) -> str | None:
    """Say in what the signatures of an entry are not made as prescribed, or not those that its body names."""
    signed = entry.get("signatures")
    if signed is None:
        return None
    if type(signed) is not list or not signed or any(type(one) is not dict for one in signed):
        return "its signatures are not a list of objects"
    for place, one in enumerate(signed):
        proposal, keyless = one.get("proposal"), one.get("key") is None
        made = {name: one.get(name) for name in _SIGNATURE if not (keyless and name in _BY_KEY)}
        whole = set(one) == {*_SIGNATURE, "proposal", "stood_at"} and not (
            keyless and any(one[name] is not None for name in _BY_KEY)
        )
        last = place == len(signed) - 1
        if not whole or not _fits(made, _SIGNATURE) or (last and (keyless or proposal is not None)):
            return "a signature of it is not as prescribed"
        stood = canonical(one["stood_at"])
        if not _HEAD_RE["site"].fullmatch(stood) or (not last and stood != b"null"):
            return "it does not say at which site its signer stood"
        if not last and (type(proposal) is not dict or set(proposal) != set(_PROPOSAL) or not _fits(proposal, _PROPOSAL)):
            return "a first signature of it stands under no proposal"
    if [one["id"] for one in signed] != ids_of(entry["body"]):
        return "its signatures are not those that its body names"
    return None


def _fits(values: dict[str, Any], patterns: dict[str, str]) -> bool:
    return all(isinstance(value, str) and re.fullmatch(patterns[name], value) for name, value in values.items())


def ids_of(body: dict[str, Any]) -> list[str]:
    """Return the ids of the signatures that a body names, in the order in which they were given."""
    named = [body[name] for name in SIGNATURES if body.get(name)]
    return [one for value in named for one in (value if isinstance(value, list) else [value])]


def _signed(public: str, signature: str, purpose: str, said: dict[str, Any]) -> bool:
    """Say whether the key signed what is said, for this purpose; keys and signatures in hex."""
    message = f"biobank/{purpose}/v1\0".encode() + canonical(said)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Span:
    """From an entry of the log until it ended, if it did: a key in force, a role held, a login shut."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.until: float | None = None

    def at(self, recorded: float) -> bool:
        """Say whether it lasts for an act recorded then, whose entry comes after both ends that are known."""
        return self.until is None or abs(recorded - self.until) <= AT_ONCE_S

    def by(self, earlier: float) -> bool:
        """Say whether it lasted at a moment before this entry."""
        return self.until is None or earlier <= self.until + AT_ONCE_S


class People:
    """What the log itself says of logins: whose keys, which roles; and whether each signature is by key and was allowed."""

    def __init__(self, tables: Iterable[Table], skew_s: int) -> None:
        self.skew_s, self.silent = skew_s, False
        self.roles_of: dict[str, set[str]] = {}
        for table in tables:
            for role, permissions in table.roles.items():
                self.roles_of.setdefault(role, set()).update(permissions)
        self.keys: dict[str, dict[str, Span]] = {}
        self.roles: dict[str, dict[tuple[str, str | None], Span]] = {}
        self.shut: dict[str, Span] = {}
        self.enrolments: dict[str, str] = {}
        self.partners: dict[str, str] = {}
        self.found = Signed()

    def judge(self, index: int, rule: Rule, table: Table, entry: dict[str, Any], sites: frozenset[bytes] | None = None) -> None:
        """Check the signatures of an entry, then take note of what it says of a login. Raises Untrue.

        `sites`: those that its stream has named by then, as JSON; None for a stream that is not in the bundle.
        """
        if self.silent:
            self.found.unchecked += bool(ids_of(entry["body"]))
            return
        by_key = "signatures" in entry
        why = self._by_key(index, rule, table, entry, sites) if by_key else self._without_key(index, rule, entry)
        if why is not None:
            where = {name: entry[name] for name in ("stream", "id", "seq", "kind")}
            raise Untrue(why, "signature_of_person", index=index, **where)
        self.note(index, entry)

    def _without_key(self, index: int, rule: Rule, entry: dict[str, Any]) -> str | None:
        """Say why an entry without a personal signature cannot be; take note of one that is from before people had keys."""
        body, subject, recorded = entry["body"], entry["id"], _moment(entry["recorded_at"])
        user, ids = entry["by"] if entry["by"] != "SYSTEM" else body.get("completed_by"), ids_of(entry["body"])
        reopened = rule.kind == "user.reactivated" and self._held(subject, COSIGNS, recorded)
        if rule.kind in COSIGNED or reopened:
            if self._others_cosign(subject):
                return "nobody who co-signs roles signed it with a personal key, and somebody could have"
            self.found.alone.append(index)
        elif ids and user in self.keys and any(span.at(recorded) for span in self.keys[user].values()):
            return f"it says that {user} signed it, who has a personal key, and no such signature is under it"
        elif ids and self._others_cosign(user):
            return f"it says that {user} signed it, who had no personal key then, while the bank's people signed by key"
        elif ids:
            self.found.without_key += 1
        return None

    def _by_key(self, index: int, rule: Rule, table: Table, entry: dict[str, Any], sites: frozenset[bytes] | None) -> str | None:
        """Say why the personal signatures of an entry do not hold."""
        *first, last = entry["signatures"]
        body, recorded = entry["body"], _moment(entry["recorded_at"])
        who = entry["by"] if entry["by"] != "SYSTEM" else body.get("completed_by")
        if last["user"] != who:
            return f"it is by {who}, and {last['user']} signed it"
        if entry["stream"] == "user" and "proposed_by" in body and entry["by"] != "SYSTEM":
            if [one["user"] for one in first] != [body["proposed_by"]] or body["completed_by"] != who:
                return "it takes two people, and those that it names did not both sign it"
            if not self._held(first[0]["user"], MANAGES, recorded, table.roles):
                return f"{first[0]['user']} held no role then that includes {MANAGES}"
        if not _signed(last["once"], last["over"], "signed-entry", entry | {"signatures": [*first, last | {"over": None}]}):
            return f"the signature of {who} is not over this entry: it stands under another act, or the entry was changed"
        why = self._statement(last, recorded, _moment(last["signed_at"]), recorded)
        for one in first:
            why = why or self._first(one, last, entry, recorded)
        if why is None:
            why = self._permission(rule, table, entry, recorded)
        self.found.by_key += why is None
        if why is None:
            self._place(index, entry, sites)
        return why

    def _first(self, one: dict[str, Any], last: dict[str, Any], entry: dict[str, Any], recorded: float) -> str | None:
        """Say why the signature of who proposed an act does not hold."""
        user, proposal = one["user"], one["proposal"]
        at = _moment(proposal["proposed_at"])
        if user == last["user"]:
            return f"{user} signed both as the first and as the second person"
        if proposal["subject"] not in (entry["id"], entry["id"].rpartition("/")[2]) and (
            canonical(proposal["subject"]) not in canonical(entry["body"])
        ):
            return f"what {user} proposed is about {proposal['subject']}, and the entry is not"
        if not -self.skew_s <= recorded - at <= COMPLETED_WITHIN_S + self.skew_s:
            return f"what {user} proposed was completed too late, or before it was proposed"
        if one["key"] is None:
            keyed = any(span.by(at) for span in self.keys.get(user, {}).values())
            if keyed or self._others_cosign(user):
                return f"it says that {user} signed first, and no signature of a personal key is under that"
            return None
        if self.partners.setdefault(one["once"], last["once"]) != last["once"]:
            return f"what {user} proposed was completed once, and this is another act"
        if not _signed(one["once"], one["over"], "signed-proposal", proposal):
            return f"the signature of {user} is not over what they are said to have proposed"
        return self._statement(one, recorded, _moment(one["signed_at"]), at)

    def _statement(self, one: dict[str, Any], recorded: float, signed_at: float, used_at: float) -> str | None:
        """Say why the key of a signature is not its signer's, or did not sign what the signature says."""
        user, span = one["user"], self.keys.get(one["user"], {}).get(one["key"])
        if span is None:
            return f"it is signed by a key that was not {user}'s by then"
        if not (span.by(used_at) if used_at < recorded else span.at(recorded)):
            return f"it is signed by a key of {user}'s that had been replaced or ended"
        said = {name: one[name] for name in ("act", "id", "meaning", "once", "signed_at", "user")}
        if not _signed(one["key"], one["by_key"], "signature", said):
            return f"the key of {user} did not sign what this signature says"
        if not -self.skew_s <= used_at - signed_at <= USED_WITHIN_S + self.skew_s:
            return f"{user} signed at another time than the act happened"
        shut = self.shut.get(user)
        if shut is not None and shut.until is None and abs(recorded - shut.since) > AT_ONCE_S:
            return f"the login of {user} was shut then"
        return None

    def _permission(self, rule: Rule, table: Table, entry: dict[str, Any], recorded: float) -> str | None:
        """Say why the signer might not do this there, by the roles that the log gave them and the rule table of the entry."""
        last, stood = entry["signatures"][-1], entry["signatures"][-1]["stood_at"]
        if not rule.signed_with:
            return None if stood is None else "it says where its signer held a role that it does not take"
        needed = " or ".join(rule.signed_with)
        places = {place for one in rule.signed_with for place in self._held(last["user"], one, recorded, table.roles)}
        of_a_role = rule.kind in ("user.role_granted", "user.role_revoked") and entry["by"] != "SYSTEM"
        site = entry["body"]["site"] if of_a_role else stood
        if None in places or (site in places and site == stood) or (places and stood is None and entry["by"] == "SYSTEM"):
            return None
        return f"{last['user']} held no role then that includes {needed}" + (
            "" if not places else " everywhere" if site is None else f" at {site}"
        )

    def _place(self, index: int, entry: dict[str, Any], sites: frozenset[bytes] | None) -> None:
        """Take note of an entry whose signer stood at a site of which its stream says nothing."""
        stood = entry["signatures"][-1]["stood_at"]
        named = (None, entry["site"], entry["body"].get("site"))
        if stood not in named and (sites is None or canonical(stood) not in sites):
            self.found.elsewhere.append(index)

    def _held(self, user: str, permission: str, recorded: float, roles: dict[str, list[str]] | None = None) -> set[str | None]:
        """Return where a login held a permission: sites, None for everywhere."""
        known: Any = roles or self.roles_of
        held = self.roles.get(user, {}).items()
        return {site for (role, site), span in held if permission in known.get(role, ()) and span.at(recorded)}

    def _others_cosign(self, but: str | None) -> bool:
        """Say whether another login has a key and a role that co-signs, and is open: the bank's word alone is then not enough."""
        return any(
            user != but
            and any(span.until is None for span in keys.values())
            and (user not in self.shut or self.shut[user].until is not None)
            and any(s.until is None and COSIGNS in self.roles_of.get(r, ()) for (r, _), s in self.roles.get(user, {}).items())
            for user, keys in self.keys.items()
        )

    def note(self, index: int, entry: dict[str, Any]) -> None:
        """Take note of what an entry says of a login: roles, keys, whether it is open. Raises Untrue for a key of nobody's."""
        kind, user, body = entry["kind"], entry["id"], entry["body"]
        if kind not in LOGINS:
            return
        at = _moment(entry["recorded_at"])
        if kind == "user.role_granted":
            self.roles.setdefault(user, {})[body["role"], body["site"]] = Span(at)
        elif kind == "user.role_revoked":
            self.roles.get(user, {}).get((body["role"], body["site"]), Span(at)).until = at
        elif kind in ("user.password_reset", "user.enrolment_opened"):
            for span in self.keys.get(user, {}).values():
                span.until = at if span.until is None else span.until
            self.enrolments[user] = body.get("enrolment", "")
        elif kind == "user.personal_key_set":
            said = {"enrolment": body["enrolment"], "key": body["key"], "user": user}
            vouched = self.enrolments.pop(user, "") == body["enrolment"]
            if not vouched or not _signed(body["enrolment"], body["vouched"], "personal-key", said):
                why = f"nothing vouches for this key of {user}: no enrolment that waited signed it"
                raise Untrue(why, "signature_of_person", index=index, stream="user", id=user, seq=entry["seq"], kind=kind)
            self.keys.setdefault(user, {})[body["key"]] = Span(at)
        elif kind == "user.deactivated":
            self.shut[user] = Span(at)
        elif kind == "user.reactivated" and user in self.shut:
            self.shut[user].until = at


@dataclass
class Signed:
    """What was found about signatures. `alone`, `elsewhere`: indexes of entries."""

    by_key: int = 0
    without_key: int = 0
    unchecked: int = 0
    alone: list[int] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)


def _moment(text: str) -> float:
    return _seconds(text.encode())


class Record:
    """Reads entries in the order of the log and judges each: canonical, well-formed, linked, legal; keeps what results.

    Worker `k` of `jobs` judges the streams whose id ends in a byte that leaves `k` when divided by `jobs`.
    """

    def __init__(self, tables: dict[str, Table], skew_s: int, k: int = 0, jobs: int = 1) -> None:
        self.tables = {name.encode(): table for name, table in tables.items()}
        self.skew_s, self.k, self.jobs = skew_s, k, jobs
        self.streams: dict[str, dict[bytes, Stream]] = {name: {} for name in _STREAMS}
        self.erasures: dict[str, dict[str, Any]] = {}
        self.wanted: dict[bytes, int | None] = {}
        self.people = People(tables.values(), skew_s)
        self.slow = 0
        documents = [table.document for table in tables.values()]
        names = sorted({column for document in documents for column in document["initial"]})
        self.columns = {name: COLUMNS + i for i, name in enumerate(names)}
        initial = [canonical(next(d["initial"][n] for d in documents if n in d["initial"])) for n in names]
        self._specimen = [0, b"", b"", 0, 0, None, None, _NO_SITES, *initial]
        self._other = [0, b"", b"", 0, 0, None, None, _NO_SITES, *(None for _ in names)]
        self._sites: dict[frozenset[bytes], frozenset[bytes]] = {}
        self.terminal = frozenset(canonical(state) for document in documents for state in document["terminal"])
        states = {canonical(s) for d in documents for row in d["rules"] for s in (*row["from"], row["to"]) if s is not None}
        for name, table in tables.items():
            for row in table.document["rules"]:
                rule = table.rules[row["kind"].encode()] = Rule(row, name, self.columns, self.terminal, states)
                rule.streams = self.streams[rule.stream]
        self._state, self._condition, self._reserved = (self.columns.get(n, 0) for n in ("state", "condition", "reserved_for"))
        self._table = next(iter(self.tables.values()), None)
        own = {"code": -1, "head": HEAD, "seq": SEQ, "state_seq": STATE_SEQ}
        self._row_order = [place for _, place in sorted((self.columns | own).items())]
        form = {"head": b'"%s"', "seq": b"%d", "state_seq": b"%d"}
        members = sorted(self.columns | own)
        self._row_form = b"{" + b",".join(b'"%s":%s' % (n.encode(), form.get(n, b"%s")) for n in members) + b"}"

    def read(self, first: int, width: int, blob: bytes, hashes: bytes) -> int:
        """Judge a bundle of entries from index `first` on, given their leaf hashes; return how many were this worker's.

        Raises IndexError when the bundle ends inside an entry, Untrue for an entry that is not true or a bundle too long.
        """
        sha256, find, jobs, k, state_at = _sha256, blob.find, self.jobs, self.k, self._state
        hexed, wanted, at, done = hexlify(hashes), self.wanted, 0, 0
        table = self._table
        rules: dict[bytes, Rule] = table.rules if table is not None else {}
        for i in range(width):
            start = at + 2
            at = start + (blob[at] << 8 | blob[at + 1])
            kind = find(b',"kind":"', start, at)
            if jobs > 1 and blob[kind - 2] % jobs != k:
                if blob[kind + 9 : find(b'"', kind + 9)] in _LOGINS:
                    self.people.note(first + i, json.loads(blob[start:at]))
                continue
            entry = blob[start:at]
            leaf = sha256(b"\0" + entry).digest()
            if leaf != hashes[32 * i : 32 * i + 32]:
                _not_the_leaf(first + i, entry)
            rule = rules.get(blob[kind + 9 : find(b'"', kind + 9)])
            match = None if rule is None else rule.fullmatch(entry)
            if match is None or rule is None or table is None:
                table, rule, values = self._parse(first + i, entry)
                rules = table.rules
            else:
                values = match.groups()
            name, prev, recorded_at = values[rule.at_id], values[rule.at_prev], values[rule.at_recorded]
            seq = int(values[rule.at_seq])
            stream = rule.streams.get(name)
            if stream is None:
                stream = self._begin(first + i, rule, name, seq, prev)
            elif (
                seq != stream[SEQ] + 1
                or prev != stream[HEAD]
                or recorded_at < stream[RECORDED]
                or stream[state_at] not in rule.legal
            ):
                self._doubt(first + i, rule, name, seq, stream, prev, recorded_at)
            if rule.judged or stream[AWAITS]:
                self._judge(first + i, rule, name, seq, stream, values)
            if table.adopted_at is None:
                self._adopt(first + i, table, rule, name, seq, values)
            stream[SEQ], stream[HEAD], stream[RECORDED], stream[LAST] = seq, hexed[64 * i : 64 * i + 64], recorded_at, first + i
            for column, since, until, source in rule.elapsed:
                if stream[self._condition] == b'"frozen"' and stream[since] != b"null":
                    known = source is not None and values[source] == b'"live"'
                    ends = max(values[until], recorded_at) if known else values[until]
                    gone = round((_seconds(ends) - _seconds(stream[since])) * 1000) // 1000
                    stream[column] = b"%d" % (int(stream[column]) + max(0, gone))
            for column, constant in rule.sets:
                stream[column] = constant
            for column, place in rule.copies:
                stream[column] = values[place]
            if rule.changes_state:
                stream[STATE_SEQ] = seq
            if rule.sites:
                self._note_sites(stream, {values[place] for place in rule.sites})
            if rule.special:
                self._special(first + i, rule, name, seq, stream, values, entry, leaf)
            if rule.signs:
                self.people.judge(first + i, rule, table, json.loads(entry), stream[SITES])
            if wanted and leaf in wanted:
                wanted[leaf] = first + i
            if jobs > 1 and name[-2] % jobs != k:
                raise Untrue("a share that does not divide", "parallel")
            done += 1
        self._table = table
        if at != len(blob):
            raise Untrue("the bundle of entries does not end with its last entry", "truncated", index=first + width)
        return done

    def _note_sites(self, stream: Stream, named: set[bytes]) -> None:
        """Keep the sites that an entry names; streams that name the same share one set."""
        if not named <= stream[SITES]:
            known = stream[SITES] | (named - {b"null"})
            stream[SITES] = self._sites.setdefault(known, known)

    def _deny(self, index: int, rule: Rule, name: bytes, seq: int, why: str, code: str) -> NoReturn:
        raise Untrue(why, code, index=index, stream=rule.stream, id=name.decode().strip('"'), seq=seq, kind=rule.kind)

    def _begin(self, index: int, rule: Rule, name: bytes, seq: int, prev: bytes | None) -> Stream:
        if seq != 1 or prev is not None:
            self._deny(index, rule, name, seq, "the first entry of this stream in the log does not begin it", "sequence")
        if rule.specimen and not rule.starts:
            self._deny(index, rule, name, seq, "a specimen's record cannot begin with this kind of event", "illegal")
        stream = rule.streams[name] = (self._specimen if rule.specimen else self._other).copy()
        return stream

    def _doubt(
        self, index: int, rule: Rule, name: bytes, seq: int, stream: Stream, prev: bytes | None, recorded_at: bytes
    ) -> None:
        """Something about the entry's place in its stream is unusual: say what is wrong, or let a clock's small step pass."""
        if seq != stream[SEQ] + 1:
            self._deny(index, rule, name, seq, f"after event {stream[SEQ]} of this stream comes event {seq}", "sequence")
        if prev != stream[HEAD]:
            self._deny(index, rule, name, seq, "it names another predecessor than the entry before it in its stream", "prev")
        if _seconds(stream[RECORDED]) - _seconds(recorded_at) > self.skew_s:
            self._deny(index, rule, name, seq, "it was recorded long before its predecessor: the clock went back", "clock")
        if rule.starts:
            self._deny(index, rule, name, seq, "this kind of event begins a stream, and the stream has begun", "illegal")
        if stream[self._state] not in rule.legal:
            was = stream[self._state].decode().strip('"')
            self._deny(index, rule, name, seq, f"not legal: the specimen was {was} then", "illegal")

    def _parse(self, index: int, entry: bytes) -> tuple[Table, Rule, tuple[Any, ...]]:
        """The long way, for entries the pattern does not take: parse, spell again, look at every member."""
        self.slow += 1
        try:
            parsed = parse(entry)
        except Untrue as untrue:
            raise Untrue(f"the entry is {untrue.why}", untrue.code, index=index) from None
        where = {"index": index} | {k: parsed.get(k) for k in ("stream", "id", "seq", "kind")}
        more = {"signatures"} if parsed.get("v") == 2 else set()
        if set(parsed) != {"body", *_HEAD} | more or type(parsed["body"]) is not dict:
            raise Untrue("its members are not those of an entry", "schema", **where)
        spelt: dict[str, Any] = {name: canonical(parsed[name]) for name in _HEAD}
        for name, pattern in _HEAD_RE.items():
            if not pattern.fullmatch(spelt[name]):
                raise Untrue(f"its member {name} is not as prescribed", "schema", **where)
        table = self.tables.get(parsed["rules"].encode())
        if table is None:
            raise Untrue("its rule table is not in the bundle", "rules", **where)
        rule = table.rules.get(parsed["kind"].encode())
        if rule is None or rule.version != parsed["kv"] or rule.stream != parsed["stream"]:
            raise Untrue("its rule table knows no such kind of event in this version on this kind of stream", "rules", **where)
        fault = rule.body_fault(parsed["body"]) or _signatures_fault(parsed)
        if fault is not None:
            raise Untrue(fault, "schema", **where)
        spelt["prev"] = None if parsed["prev"] is None else parsed["prev"].encode()
        return table, rule, (*(canonical(parsed["body"][n]) for n in rule.reads), *(spelt[n] for n in rule.head))

    def _judge(self, index: int, rule: Rule, name: bytes, seq: int, stream: Stream, values: tuple[Any, ...]) -> None:
        state = stream[self._state]
        if stream[AWAITS] and not (rule.hold == 1 and values[rule.place["hold_kind"]] == stream[AWAITS]):
            awaited = stream[AWAITS].decode()
            self._deny(index, rule, name, seq, f"the hold {awaited} that comes with the event before is missing", "illegal")
        if seq == 1 or (rule.cold and state not in self.terminal) or (rule.annotates and state in self.terminal):
            return
        if rule.conditions is not None and stream[self._condition] not in rule.conditions:
            was = stream[self._condition].decode().strip('"')
            self._deny(index, rule, name, seq, f"not legal: the specimen's condition was {was} then", "illegal")
        reserved = stream[self._reserved]
        if rule.reserved_from is not None and reserved != b"null" and state not in rule.reserved_from:
            why = f"not legal: the specimen was reserved for {reserved.decode()} and had not been issued"
            self._deny(index, rule, name, seq, why, "illegal")
        if rule.act is None:
            return
        if reserved != b"null" and "withdrawal" in rule.place and values[rule.place["withdrawal"]] not in (b"null", reserved):
            self._deny(index, rule, name, seq, f"not legal: the specimen was reserved for {reserved.decode()}", "illegal")
        for hold, blocks in (stream[HOLDS] or {}).items():
            if canonical(rule.act) in blocks:
                self._deny(index, rule, name, seq, f"not legal: the hold {hold.decode()} forbade it then", "illegal")

    def _adopt(self, index: int, table: Table, rule: Rule, name: bytes, seq: int, values: tuple[Any, ...]) -> None:
        if rule.adopts and values[0] == canonical(table.name):
            table.adopted_at = index
        elif self.jobs == 1:
            self._deny(index, rule, name, seq, "it was written under a rule table that the log had not adopted by then", "rules")
        elif table.first_used is None:
            table.first_used = index

    def _special(
        self, index: int, rule: Rule, name: bytes, seq: int, stream: Stream, values: tuple[Any, ...], entry: bytes, leaf: bytes
    ) -> None:
        """Effects that compute, holds, and the acts that the verdict names."""
        for column, title, verb, argument in rule.others:
            try:
                if verb == "body_or_keep":
                    value = values[rule.place[argument]]
                    stream[column] = stream[column] if value == b"null" else value
                elif verb == "restore":
                    restored = json.loads(values[rule.place[argument]])
                    stream[column] = canonical(restored[title]) if title in restored else stream[column]
                else:
                    by = argument if verb == "increment" else int(values[rule.place[argument]])
                    stream[column] = b"%d" % (int(stream[column]) + (-by if verb == "minus" else by))
            except ValueError:
                self._deny(index, rule, name, seq, f"its effect on {title} cannot be computed", "illegal")
        stream[AWAITS] = rule.places
        if rule.hold:
            stream[HOLDS] = stream[HOLDS] or {}
            if rule.hold == 1:
                stream[HOLDS][values[rule.place["hold"]]] = values[rule.place["blocks"]]
            else:
                stream[HOLDS].pop(values[rule.place["hold"]], None)
        if rule.erases:
            self.erasures[leaf.hex()] = erasure_of(index, json.loads(entry))
        if rule.adopts:
            adopted = self.tables.get(values[0].strip(b'"'))
            if adopted is not None and adopted.adopted_at is None:
                adopted.adopted_at = index

    def cite(self, index: int, entry: bytes, leaf: bytes) -> None:
        """Take note of an entry whose stream is not in the bundle: it is in the log and well-formed, no more."""
        table, rule, _ = self._parse(index, entry)
        if rule.erases:
            self.erasures[leaf.hex()] = erasure_of(index, json.loads(entry))
        if rule.signs:
            self.people.judge(index, rule, table, json.loads(entry))

    def row_of(self, code: bytes, stream: Stream) -> bytes:
        """Return the line that the bank's custody table must have for a specimen; `code` in quotes."""
        values = [*stream, code]
        return self._row_form % tuple([values[place] for place in self._row_order])


def _not_the_leaf(index: int, entry: bytes) -> NoReturn:
    if not entry:
        raise Untrue(
            "the bank holds only the hash of this entry: the entry itself was deleted or changed", "missing", index=index
        )
    where: dict[str, Any] = {"index": index}
    try:
        parsed = json.loads(entry)
        where |= {name: parsed.get(name) for name in ("stream", "id", "seq", "kind")}
    except (ValueError, AttributeError):
        pass
    raise Untrue("its bytes are not those whose hash stands in the log: entry or hash was changed", "leaf", **where)


def erasure_of(index: int, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a verdict says of the act by which personal data went."""
    body = entry["body"]
    ground = body.get("reason") or ", ".join(body.get("because", ())) or entry["kind"].partition(".")[2]
    return {
        "index": index,
        "subject": entry["id"],
        "kind": entry["kind"],
        "by": entry["by"],
        "first_by": body.get("first_by"),
        "ground": ground,
        "recorded_at": entry["recorded_at"],
        "redacted": 0,
    }


def _seconds(quoted: bytes) -> float:
    try:
        return datetime.fromisoformat(quoted.decode().strip('"')).timestamp()
    except ValueError:
        return 0.0  # the thirtieth of February: as a text it is still compared


# ---- reading a bundle ------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """What one pass found; a pass in parallel looks at a share of the streams and of the tiles."""

    meta: dict[str, Any]
    checkpoint: Checkpoint
    policy: Policy
    roots: dict[int, bytes] = field(default_factory=dict)
    kept_tiles: dict[int, bytes] = field(default_factory=dict)
    upper: dict[tuple[int, int], bytes] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    adopted: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    erasures: dict[str, dict[str, Any]] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)
    disclosed: int = 0
    rows: int = 0
    compared: int = 0
    slow: int = 0
    entries: int = 0
    found: dict[bytes, int | None] = field(default_factory=dict)
    consistency: dict[int, list[bytes]] = field(default_factory=dict)
    newest: str = ""
    signed: Signed = field(default_factory=Signed)
    partners: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """What the auditor brings: a policy, older checkpoints and receipts, and the hour."""

    policy: Policy | None = None
    sizes: tuple[int, ...] = ()
    leaves: tuple[bytes, ...] = ()
    now: float = 0.0
    progress: bool = False


class Pass:
    """One pass over a bundle, by worker `k` of `jobs`."""

    def __init__(self, file: BinaryIO, ask: Ask, k: int = 0, jobs: int = 1) -> None:
        self.members, self.ask, self.k, self.jobs = Members(file), ask, k, jobs
        self._told = time.monotonic()

    def run(self) -> Part:
        """Read the whole bundle. Raises Untrue at the first thing that is not true, saying in which member it stands."""
        try:
            return self._run()
        except Untrue as untrue:
            untrue.where.setdefault("member", self.members.last)
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise Untrue(f"it is not made as prescribed ({error!r})", "malformed", member=self.members.last) from error

    def _run(self) -> Part:
        members = self.members
        meta = parse(members.read("bundle", MAX_DOCUMENT))
        if meta.get("format") not in FORMATS or set(meta) != {"entries", "format", "made_at", "origin", "scope", "size"}:
            raise Untrue(f"not a bundle of a format known here: {', '.join(FORMATS)}", "frame", member="bundle")
        note = members.read("checkpoint", MAX_DOCUMENT)
        proposed = members.read("keys", MAX_DOCUMENT).decode(errors="replace")
        policy = self.ask.policy
        if policy is None:
            try:
                policy = Policy.read(proposed)
            except Unreadable as error:
                raise Untrue(f"the keys of the bundle: {error}", "frame", member="keys") from None
        checkpoint = open_checkpoint(note, policy, self.ask.now)
        if (meta["origin"], meta["size"]) != (checkpoint.origin, checkpoint.size):
            raise Untrue("the bundle names another log or size than its checkpoint", "frame", member="bundle")
        self.part = Part(meta, checkpoint, policy)
        self.record = Record(self._tables(), policy.skew_s, self.k, self.jobs)
        self.record.wanted = dict.fromkeys(self.ask.leaves)
        kind = meta["scope"].get("kind") if isinstance(meta["scope"], dict) else None
        if kind == "log":
            if meta["entries"] != checkpoint.size:
                raise Untrue(f"the checkpoint covers {checkpoint.size} entries, the bundle has {meta['entries']}", "truncated")
            self._tiles(checkpoint.size)
        elif kind in ("specimen", "donor"):
            self.record.people.silent = meta["format"] == FORMATS[0]
            self._chosen(meta["entries"])
        else:
            raise Untrue("the scope of the bundle is unknown", "frame", member="bundle")
        self._custody()
        members.end()
        part, record = self.part, self.record
        part.streams = {name: len(streams) for name, streams in record.streams.items() if streams}
        part.adopted = {name.decode(): (t.adopted_at, t.first_used) for name, t in record.tables.items()}
        part.erasures, part.found, part.slow = record.erasures, record.wanted, record.slow
        part.signed, part.partners = record.people.found, record.people.partners
        part.newest = max((s[RECORDED] for streams in record.streams.values() for s in streams.values()), default=b"").decode()
        return part

    def _tables(self) -> dict[str, Table]:
        tables: dict[str, Table] = {}
        taken = 0
        while self.members.peek().startswith("rules/"):
            name = self.members.peek()
            document = self.members.read(name, MAX_DOCUMENT)
            taken += len(document)
            if taken > MAX_TABLES:
                raise Untrue(f"the rule tables have more than {MAX_TABLES:,} bytes together", "rules", member=name)
            digest = name.removeprefix("rules/")
            if _sha256(document).hexdigest() != digest or any(digest <= other for other in tables):
                raise Untrue("a rule table is not the one its name says, or out of order", "rules", member=name)
            table = Table(digest, parse(document))
            try:
                Record({digest: table}, 0)
            except (KeyError, TypeError, AttributeError, re.error) as error:
                raise Untrue(f"a rule table cannot be interpreted: {error!r}", "rules", member=name) from None
            tables[digest] = table
        return tables

    def _tiles(self, size: int) -> None:
        for n in range(-(-size // WIDTH)):
            width = min(WIDTH, size - n * WIDTH)
            hashes = self.members.read(tile_path(0, n, width), 32 * width)
            name = tile_path("entries", n, width)
            blob = self.members.read(name, width * (2 + MAX_ENTRY))
            if len(hashes) != 32 * width:
                raise Untrue("a tile has 32 bytes for every hash", "tile", member=tile_path(0, n, width))
            try:
                self.part.entries += self.record.read(n * WIDTH, width, blob, hashes)
            except IndexError:
                raise Untrue(f"{name} ends inside an entry", "truncated", index=n * WIDTH, member=name) from None
            mine = n % self.jobs == self.k
            if mine and width == WIDTH:
                self.part.roots[n] = fold(hashes)
            if mine and (width < WIDTH or any(n * WIDTH < m <= n * WIDTH + WIDTH for m in self.ask.sizes)):
                self.part.kept_tiles[n] = hashes
            if self.members.peek() == f"vault/{n}":
                data = self.members.read(f"vault/{n}")
                if mine:
                    self._vault(data, dict(_cut(n * WIDTH, width, blob)), f"vault/{n}")
            self._tell(n * WIDTH + width, size)
        level, hashes_there = 1, size // WIDTH
        while hashes_there:
            for n in range(-(-hashes_there // WIDTH)):
                width = min(WIDTH, hashes_there - n * WIDTH)
                self.part.upper[level, n] = self.members.read(tile_path(level, n, width), 32 * width)
            level, hashes_there = level + 1, hashes_there // WIDTH

    def _chosen(self, count: int) -> None:
        """Read entries of a specimen or a donor: each with its own inclusion proof."""
        size, root = self.part.checkpoint.size, self.part.checkpoint.root
        while self.members.peek().startswith("consistency/"):
            name = self.members.peek()
            data = self.members.read(name, 32 * MOST_HASHES)
            if not re.fullmatch(r"consistency/[1-9][0-9]*", name) or len(data) % 32:
                raise Untrue("a consistency proof is whole hashes", "frame", member=name)
            self.part.consistency[int(name[12:])] = [data[i : i + 32] for i in range(0, len(data), 32)]
        seen, last = 0, -1
        for n in range(-(-count // WIDTH)):
            blob = self.members.read(f"entries/{n}", WIDTH * (12 + 32 * 255 + MAX_ENTRY))
            at, inside = 0, {}
            while at < len(blob):
                index, cited, hashes = int.from_bytes(blob[at : at + 8], "big"), blob[at + 8 : at + 9], blob[at + 9 : at + 10]
                start = at + 10 + 32 * (hashes[0] if hashes else 0)
                path = [blob[i : i + 32] for i in range(at + 10, start, 32)]
                at = start + 2 + int.from_bytes(blob[start : start + 2], "big")
                entry = blob[start + 2 : at]
                if at > len(blob) or cited not in (b"\0", b"\1") or index <= last:
                    raise Untrue("the entries are not in order, or cut off", "truncated", index=index, member=f"entries/{n}")
                leaf = leaf_of(entry)
                try:
                    check_inclusion(index, size, leaf, path, root)
                except Untrue as untrue:
                    raise Untrue(untrue.why, untrue.code, index=index) from None
                if cited == b"\1":
                    self.record.cite(index, entry, leaf)
                else:
                    self.record.read(index, 1, blob[start:at], leaf)
                inside[index], last, seen = entry, index, seen + 1
            if self.members.peek() == f"vault/{n}":
                self._vault(self.members.read(f"vault/{n}"), inside, f"vault/{n}")
        if seen != count:
            raise Untrue(f"the bundle says {count} entries and has {seen}", "truncated")
        self.part.entries = seen
        scope = self.part.meta["scope"]
        if canonical(scope.get("id")) not in self.record.streams[scope["kind"]]:
            raise Untrue("the bundle has no entries of what it is said to be about", "frame", member="bundle")

    def _vault(self, data: bytes, entries: dict[int, bytes], name: str) -> None:
        """Check what is disclosed of the documents that entries commit to, and note what is redacted."""
        for line in _lines(data):
            said = parse(line)
            index, where = said.get("index"), said.get("member")
            entry = json.loads(entries[index]) if index in entries else {}
            held = entry.get("comment") if where == "comment" else entry.get("body", {}).get(where)
            if not isinstance(held, str) or held != said.get("commit"):
                raise Untrue("the bundle speaks of a commitment that the entry does not hold", "vault", index=index, member=name)
            if set(said) == {"commit", "index", "member", "redacted_by"}:
                ground = said["redacted_by"]
                if ground is None:
                    raise Untrue(
                        f"the document behind {where} is gone, and no entry of the log says by whom and why",
                        "vault",
                        index=index,
                        stream=entry["stream"],
                        id=entry["id"],
                        seq=entry["seq"],
                        kind=entry["kind"],
                    )
                self.part.redacted[ground] = self.part.redacted.get(ground, 0) + 1
            elif set(said) == {"commit", "document", "index", "member", "salt"}:
                salt = bytes.fromhex(said["salt"])
                if _sha256(b"biobank/pii/v1\0" + salt + canonical(said["document"])).hexdigest() != held:
                    raise Untrue(
                        f"the disclosed document is not the one that {where} commits to", "vault", index=index, member=name
                    )
                self.part.disclosed += 1
            else:
                raise Untrue("a line about the vault is not as prescribed", "frame", member=name)

    def _custody(self) -> None:
        """Compare the bank's custody table with what the entries make of each specimen."""
        specimens, part, last, n = self.record.streams["specimen"], self.part, b"", 0
        while self.members.peek() == f"custody/{n}":
            for line in _lines(self.members.read(f"custody/{n}")):
                start = line.find(b'"code":"') + 7
                code = line[start : line.find(b'",', start) + 1]
                if code <= last:
                    raise Untrue("the custody rows are not in order", "frame", member=f"custody/{n}")
                last = code
                part.rows += 1
                if self.jobs > 1 and code[-2] % self.jobs != self.k:
                    continue
                stream = specimens.get(code)
                if stream is not None and line == self.record.row_of(code, stream):
                    part.compared += 1
                else:
                    self._differs(line, stream)
            n += 1
        if part.compared < len(specimens) or (self.jobs == 1 and part.compared != part.rows):
            raise Untrue("the custody table of the bank lacks specimens that the log has", "custody")

    def _differs(self, line: bytes, stream: Stream | None) -> None:
        row = parse(line)
        if stream is None:
            raise Untrue("a custody row of a specimen that has no event here", "custody", id=row.get("code"))
        rebuilt = parse(self.record.row_of(canonical(row["code"]), stream))
        names = sorted(name for name in rebuilt.keys() | row.keys() if rebuilt.get(name) != row.get(name))
        raise Untrue(
            f"the bank's custody table says otherwise than its events about: {', '.join(names)}",
            "custody",
            index=stream[LAST],
            stream="specimen",
            id=row["code"],
            seq=stream[SEQ],
        )

    def _tell(self, done: int, size: int) -> None:
        if self.ask.progress and self.k == 0 and time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            print(f"\r{done:,} of {size:,} entries", end="", file=sys.stderr, flush=True)


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines that end: all at once they would take many times the memory of a member of nothing but ends."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if end - start > MAX_DOCUMENT:
            raise Untrue(f"a line of more than {MAX_DOCUMENT:,} bytes", "not_canonical")
        yield data[start:end]
        start = end + 1


def _cut(first: int, width: int, blob: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for i in range(width):
        end = at + 2 + int.from_bytes(blob[at : at + 2], "big")
        yield first + i, blob[at + 2 : end]
        at = end


def _share(path: str, ask: Ask, k: int, jobs: int) -> Part:
    collecting = gc.isenabled()
    gc.disable()  # nothing here goes in circles, and a search for circles among all streams costs more than all checks
    try:
        with open(path, "rb", buffering=1 << 20) as file:
            return Pass(file, ask, k, jobs).run()
    finally:
        if collecting:
            gc.enable()


def _joined(parts: list[Part]) -> Part:
    """Put the shares of several workers together."""
    whole = parts[0]
    for part in parts[1:]:
        whole.roots |= part.roots
        whole.kept_tiles |= part.kept_tiles
        whole.erasures |= part.erasures
        whole.newest = max(whole.newest, part.newest)
        for name in ("entries", "compared", "disclosed", "slow"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        for ours, theirs in ((whole.streams, part.streams), (whole.redacted, part.redacted)):
            for name, number in theirs.items():
                ours[name] = ours.get(name, 0) + number
        for name in ("by_key", "without_key", "unchecked", "alone", "elsewhere"):
            setattr(whole.signed, name, getattr(whole.signed, name) + getattr(part.signed, name))
        if any(whole.partners.setdefault(first, last) != last for first, last in part.partners.items()):
            raise Untrue("the shares do not add up", "parallel")
        whole.found = {leaf: whole.found[leaf] if index is None else index for leaf, index in part.found.items()}
        for name, (adopted, used) in part.adopted.items():
            before = whole.adopted[name]
            first_uses = [index for index in (before[1], used) if index is not None]
            whole.adopted[name] = (before[0] if adopted is None else adopted, min(first_uses, default=None))
    if len(parts) > 1:
        late = any(used is not None and (adopted is None or used < adopted) for adopted, used in whole.adopted.values())
        if late or whole.entries != whole.checkpoint.size or whole.compared != whole.rows:
            raise Untrue("the shares do not add up", "parallel")
    return whole


def _root_of(part: Part, sizes: Iterable[int]) -> dict[int, bytes]:
    """Return the root of the tree the entries make, at the bundle's size and at the older sizes asked for."""
    size, tree, roots = part.checkpoint.size, Range(), {}
    wanted = sorted({*sizes, size})
    for n in range(size // WIDTH + 1):
        while wanted and wanted[0] <= n * WIDTH + WIDTH and (wanted[0] < n * WIDTH + WIDTH or n not in part.roots):
            row = part.kept_tiles.get(n, b"")[: 32 * (wanted[0] - n * WIDTH)]
            roots[wanted.pop(0)] = tree.root(*(row[i : i + 32] for i in range(0, len(row), 32)))
        if n in part.roots:
            tree.push(part.roots[n], 8)
            if wanted and wanted[0] == n * WIDTH + WIDTH:
                roots[wanted.pop(0)] = tree.root()
    return roots


def _check_upper(part: Part) -> None:
    """Compare the bundle's higher tiles with those that its entries make."""
    level, row = 1, [part.roots[n] for n in range(part.checkpoint.size // WIDTH)]
    while row:
        above = []
        for n in range(-(-len(row) // WIDTH)):
            tile = b"".join(row[n * WIDTH : n * WIDTH + WIDTH])
            if part.upper.get((level, n)) != tile:
                raise Untrue(
                    f"the tile {tile_path(level, n, len(tile) // 32)} is not made by the entries below it",
                    "tile",
                    index=n * WIDTH ** (level + 1),
                )
            if len(tile) == 32 * WIDTH:
                above.append(fold(tile))
        level, row = level + 1, above


# ---- what the auditor brings -----------------------------------------------------------------------------------------


@dataclass
class Evidence:
    """Checkpoints and receipts of the auditor: raw files, then what they say."""

    checkpoints: list[bytes] = field(default_factory=list)
    receipts: list[bytes] = field(default_factory=list)

    def notes(self) -> list[bytes]:
        """Every checkpoint note among them, those inside inclusion receipts included."""
        return self.checkpoints + [r.partition(b"\n\n")[2] for r in self.receipts if r.startswith(b"c2sp.org/tlog-proof@v1\n")]

    def sizes(self) -> tuple[int, ...]:
        """The tree sizes they speak of, before any signature is believed."""
        sizes = {int(m[1]) for note in self.notes() if (m := re.match(rb"[^\n]+\n([0-9]{1,19})\n", note))}
        return tuple(sorted(sizes))

    def leaves(self) -> tuple[bytes, ...]:
        """The leaf hashes that acknowledgements name."""
        return tuple(bytes.fromhex(m.decode()) for r in self.receipts for m in re.findall(rb" ([0-9a-f]{64})$", r, re.M))


def _check_checkpoints(part: Part, evidence: Evidence, now: float) -> list[dict[str, Any]]:
    """Compare every checkpoint of the auditor's with this history. Raises Untrue, which is then evidence of a fork."""
    ours, whole = part.checkpoint, part.meta["scope"]["kind"] == "log"
    opened = [open_checkpoint(note, part.policy, now, quorum=False) for note in evidence.notes()]
    roots = _root_of(part, [c.size for c in opened if c.size <= ours.size]) if whole else {ours.size: ours.root}
    answer = []
    for theirs in opened:
        if theirs.origin != ours.origin:
            raise Untrue(f"your checkpoint is of another log: {theirs.origin}", "origin")
        if theirs.size > ours.size:
            raise Untrue(
                f"your checkpoint covers {theirs.size} entries and this bundle {ours.size}: it is an older view than yours",
                "stale",
            )
        root = roots.get(theirs.size)
        if root is None and theirs.size in part.consistency:
            root = old_root_by(theirs.size, ours.size, ours.root, theirs.root, part.consistency[theirs.size])
        if root is not None and root != theirs.root and theirs.size:
            raise Untrue(
                f"your checkpoint of {theirs.size} entries and this bundle's are two histories, both signed by the bank",
                "fork",
                checkpoints=[theirs.note, ours.note],
            )
        answer.append({"size": theirs.size, "agrees": root is not None})
    return answer


def _check_receipts(part: Part, evidence: Evidence) -> list[dict[str, Any]]:
    """Look for every acknowledged event in this history (whole logs only)."""
    answer: list[dict[str, Any]] = []
    for raw in evidence.receipts:
        if raw.startswith(b"c2sp.org/tlog-proof@v1\n"):
            continue
        text, signed = open_note(raw, part.policy.receipts)
        lines = text.split("\n")[:-1]
        if not signed:
            raise Untrue("an acknowledgement is not signed by a receipt key that you trust", "receipt")
        if len(lines) < 5 or lines[0] != part.checkpoint.origin + "/receipts" or lines[1] != "ack v1":
            raise Untrue("an acknowledgement of another log, or none at all", "receipt")
        due = _seconds(lines[2].split(" ")[1].encode()) + int(lines[3].split(" ")[1])
        for line in lines[4:]:
            stream, name, seq, leaf = line.split(" ")
            index = part.found.get(bytes.fromhex(leaf))
            if index is None and part.meta["scope"]["kind"] == "log" and due < _seconds(part.newest.encode()):
                raise Untrue(
                    f"the bank acknowledged this event ({lines[2]}) and it is not in the log, which goes beyond the promised "
                    "delay",
                    "broken_promise",
                    stream=stream,
                    id=name,
                    seq=int(seq),
                    leaf=leaf,
                    acknowledgement=raw.decode(),
                )
            answer.append({"stream": stream, "id": name, "seq": int(seq), "index": index})
    return answer


# ---- verdict ---------------------------------------------------------------------------------------------------------


def verify(
    path: str, policy: Policy | None, evidence: Evidence, *, jobs: int = 1, progress: bool = False, now: float | None = None
) -> dict[str, Any]:
    """Verify a bundle and return the verdict as JSON-ready values. Raises OSError when the file cannot be read."""
    ask = Ask(policy, evidence.sizes(), evidence.leaves(), time.time() if now is None else now, progress)
    part: Part | None = None
    try:
        part = _read(path, ask, jobs)
        if part.meta["scope"]["kind"] == "log":
            _check_upper(part)
            if _root_of(part, ())[part.checkpoint.size] != part.checkpoint.root:
                raise Untrue(
                    "the entries and hashes agree with each other, but their tree is not the one that was signed: they were "
                    "rewritten together, or the checkpoint is of another history",
                    "root",
                )
        for ground in part.redacted:
            if ground not in part.erasures:
                raise Untrue(f"a redaction names the entry {ground} as its ground, and the bundle has no such act", "vault")
            part.erasures[ground]["redacted"] = part.redacted[ground]
        checkpoints = _check_checkpoints(part, evidence, ask.now)
        receipts = _check_receipts(part, evidence)
    except Untrue as untrue:
        return {
            "verdict": "untrue",
            "exit_code": FALSE,
            "file": path,
            "reason": untrue.code,
            "why": untrue.why,
            "first_untrue": untrue.where or None,
            "policy": policy is not None,
        }
    word, code = ("true_but_for_sites", ELSEWHERE) if part.signed.elsewhere else ("true", TRUE)
    return {
        "verdict": word if policy is not None else "true_under_its_own_keys",
        "exit_code": code if policy is not None else UNVOUCHED,
        "file": path,
        "origin": part.checkpoint.origin,
        "scope": part.meta["scope"],
        "made_at": part.meta["made_at"],
        "size": part.checkpoint.size,
        "root": base64.b64encode(part.checkpoint.root).decode(),
        "complete": part.meta["scope"]["kind"] == "log",
        "entries": part.entries,
        "newest_recorded_at": part.newest.strip('"'),
        "streams": part.streams,
        "rule_tables": sorted(part.adopted),
        "policy": policy is not None,
        "log_keys": part.checkpoint.log_keys,
        "witnesses": part.checkpoint.witnesses,
        "quorum": part.policy.quorum,
        "custody": {"rows": part.rows, "agree": part.compared},
        "signatures": {
            "by_key": part.signed.by_key,
            "without_key": part.signed.without_key,
            "unchecked": part.signed.unchecked,
            "by_the_bank_alone": sorted(part.signed.alone),
            "permitted_elsewhere": sorted(part.signed.elsewhere),
        },
        "redactions": [e for e in part.erasures.values() if e["redacted"]],
        "disclosed": part.disclosed,
        "your_checkpoints": checkpoints,
        "your_acknowledgements": receipts,
        "not_proven": _not_proven(part, policy, checkpoints),
    }


def _read(path: str, ask: Ask, jobs: int) -> Part:
    if jobs > 1 and path != "-" and os.path.isfile(path):
        try:
            with ProcessPoolExecutor(jobs) as pool:
                return _joined([f.result() for f in [pool.submit(_share, path, ask, k, jobs) for k in range(jobs)]])
        except Untrue:
            pass  # once more, in order, to find the first entry at which the record stops being true
    if path == "-":
        return Pass(sys.stdin.buffer, ask).run()
    return _share(path, ask, 0, 1)


def _not_proven(part: Part, policy: Policy | None, checkpoints: list[dict[str, Any]]) -> list[str]:
    said = ["That what was recorded is true, and that nothing happened which nobody recorded."]
    if policy is None:
        said.append("Who signed: the keys came with the bundle. Compare them with those the bank gave you by another way.")
    if part.meta["scope"]["kind"] != "log":
        said.append(
            "That nothing else, and nothing later, is recorded about this: last events may have been left out. Only a bundle of "
            "the whole log shows that."
        )
    if part.policy.quorum == "none":
        said.append(
            "That nobody was shown another history: your policy demands no witness. "
            + (
                "Your own checkpoints lie in this history."
                if any(c["agrees"] for c in checkpoints)
                else "Keep this checkpoint and compare it with those of others."
            )
        )
    if any(not c["agrees"] for c in checkpoints):
        said.append(
            "That your older checkpoints lie in this history: a part of the log cannot show it without a consistency proof."
        )
    said += _unsigned(part.signed)
    said.append(
        "That acts which nobody signs obeyed permissions, and that holds placed on more than the specimen itself were obeyed."
    )
    return said


def _unsigned(signed: Signed) -> list[str]:
    """Say what is not shown of signatures."""
    said = []
    if signed.unchecked:
        said.append(f"The signatures of {signed.unchecked:,} entries: this bundle brings nothing about logins and their keys.")
    if signed.without_key:
        said.append(
            f"That people gave the signatures which {signed.without_key:,} entries name: those are not signed by a personal key."
        )
    if signed.alone:
        said.append(
            f"Who stands behind {len(signed.alone):,} entries about logins ({_some(signed.alone)}): the bank alone made them, "
            "while nobody could sign by key."
        )
    if signed.elsewhere:
        said.append(
            f"That who signed {len(signed.elsewhere):,} entries might do so there ({_some(signed.elsewhere)}): they held the "
            "role at a site of which the record of that thing says nothing."
        )
    return said


def _elsewhere(indexes: list[int]) -> list[str]:
    """Say at once that people signed where the log gives them no such role: whether they might is not shown."""
    if not indexes:
        return []
    return [
        f"BUT FOR WHO MIGHT SIGN WHERE: who signed {len(indexes):,} entries ({_some(indexes)}) stood at a site of which the "
        "record of that thing says nothing. Ask the bank why."
    ]


def _some(indexes: list[int]) -> str:
    shown = ", ".join(map(str, sorted(indexes)[:8]))
    return f"entries {shown}" + (" …" if len(indexes) > 8 else "")


def in_words(verdict: dict[str, Any]) -> str:
    """Return the verdict in sentences for a person."""
    v = verdict
    if v["verdict"] == "untrue":
        where = v["first_untrue"] or {}
        place = [
            f"Entry {where['index']} of the log" if "index" in where else "",
            f"stream {where['stream']} {where['id']}" if where.get("stream") else str(where.get("id") or ""),
            f"event {where['seq']}" if where.get("seq") else "",
            str(where.get("kind") or ""),
            f"(in {where['member']})" if where.get("member") else "",
        ]
        lines = ["NOT TRUE. This record is not what the bank signed, or not what it claims to be.", "", f"  Why: {v['why']}."]
        if any(place):
            lines.append(f"  Where: {', '.join(p for p in place if p)}.")
        if "index" in where:
            lines.append("  It is the first entry at which the record stops being true; what stands before it was checked.")
        if v["reason"] in ("fork", "broken_promise"):
            lines.append("  This is evidence against the bank that anyone can check. Keep it: --json prints it whole.")
        return "\n".join(lines) + "\n"
    whole = v["scope"]["kind"] == "log"
    about = "the whole log" if whole else f"{v['scope']['kind']} {v['scope']['id']}"
    lines = [
        ("TRUE." if whole else "TRUE OF WHAT IS IN IT. Whether the log holds more about this, a part cannot show.")
        if v["policy"]
        else "TRUE AS FAR AS IT GOES, under keys that only the bundle itself vouches for.",
        *_elsewhere(v["signatures"]["permitted_elsewhere"]),
        "",
        f"  {v['entries']:,} entries of the log {v['origin']} ({about}), from a tree of {v['size']:,} entries.",
        f"  Newest entry recorded at {v['newest_recorded_at']}. Signed by {', '.join(k.partition('+')[0] for k in v['log_keys'])}"
        f" with key {', '.join(k.rsplit('+', 2)[1] if k.count('+') < 3 else k.split('+')[1] for k in v['log_keys'])}.",
        "",
        "Proven:",
        "  - Every entry is, byte for byte, the one that the signed tree holds at its place. Nothing was changed or moved"
        + (", left out or added." if whole else "."),
        "  - In every stream the events follow each other without a gap, each naming the one before it.",
        "  - Every event was legal under the rules in force, which the log itself had adopted by then.",
        f"  - The bank's table says of {v['custody']['agree']:,} specimens exactly what their events say.",
    ]
    if v["signatures"]["by_key"]:
        lines.append(
            f"  - The {v['signatures']['by_key']:,} entries signed by personal keys are, byte for byte, what those people "
            "signed, with keys in force and roles held then."
        )
    if v["witnesses"]:
        lines.append(f"  - Witnesses who saw this tree: {', '.join(v['witnesses'])}.")
    lines += [f"  - Your checkpoint of {c['size']:,} entries lies in this history." for c in v["your_checkpoints"] if c["agrees"]]
    found = [a for a in v["your_acknowledgements"] if a["index"] is not None]
    if found:
        lines.append(f"  - {len(found)} of {len(v['your_acknowledgements'])} events acknowledged to you are in it.")
    if v["disclosed"]:
        lines.append(f"  - {v['disclosed']} disclosed documents are the ones that the entries commit to.")
    if v["redactions"]:
        lines += ["", "Redacted (the proofs above hold without it):"]
        lines += [
            f"  - {e['redacted']} documents about {e['subject']}: {e['kind']} by {e['by']}"
            + (f" and {e['first_by']}" if e["first_by"] else "")
            + f", ground: {e['ground']}; entry {e['index']}, {e['recorded_at']}."
            for e in v["redactions"]
        ]
    lines += ["", "Not proven:", *(f"  - {sentence}" for sentence in v["not_proven"])]
    return "\n".join(lines) + "\n"


def fork(notes: list[bytes], policy: Policy, proof: list[bytes] | None) -> dict[str, Any]:
    """Say whether two checkpoints are two histories, which is evidence against the bank that anyone can check."""
    try:
        one, two = sorted((open_checkpoint(note, policy, 0, quorum=False) for note in notes), key=lambda c: c.size)
        if one.origin != two.origin:
            raise Untrue("the checkpoints are of two logs", "origin")
        shown = (
            old_root_by(one.size, two.size, two.root, one.root, proof or [])
            if one.size == two.size or proof is not None
            else None
        )
    except Untrue as untrue:
        return {"verdict": "nothing_shown", "exit_code": UNREADABLE, "why": untrue.why}
    if shown is None:
        return {
            "verdict": "nothing_shown",
            "exit_code": UNREADABLE,
            "why": "the sizes differ: give --proof (a consistency proof), or verify a whole bundle with --checkpoint",
        }
    if shown == one.root:
        return {"verdict": "one_history", "exit_code": TRUE, "why": "the larger tree begins with the smaller one"}
    return {
        "verdict": "fork",
        "exit_code": FALSE,
        "why": "both are signed by the log's key, and they are two histories",
        "evidence": {"checkpoints": [one.note, two.note], "proof": [h.hex() for h in proof or []], "keys": one.log_keys},
    }


def _file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_MEMBER)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    forking = arguments[:1] == ["fork"]
    parser = argparse.ArgumentParser(
        "verify", description="Verify a bundle of a custody log, offline.", epilog="See the top of verify.py."
    )
    parser.add_argument("files", nargs=2 if forking else 1, metavar="CHECKPOINT" if forking else "BUNDLE")
    parser.add_argument("--policy", help="file that names the keys you trust and the quorum of witnesses you demand")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    if forking:
        parser.add_argument("--proof", help="consistency proof between them: base64 hashes, one a line")
    else:
        parser.add_argument("--checkpoint", action="append", default=[], help="a checkpoint that you kept; may be repeated")
        parser.add_argument(
            "--receipt", action="append", default=[], help="an acknowledgement or inclusion receipt that you kept"
        )
        parser.add_argument("--jobs", type=int, default=0, help="processes (default: the number of processors, for large files)")
        parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    given = parser.parse_args(arguments[1:] if forking else arguments)
    try:
        policy = Policy.read(_file(given.policy).decode()) if given.policy else None
        if forking:
            if policy is None:
                raise Unreadable("say with --policy which keys are the bank's")
            proof = None if given.proof is None else [from_base64(line) for line in _file(given.proof).decode().split()]
            verdict = fork([_file(path) for path in given.files], policy, proof)
        else:
            path = given.files[0]
            large = path != "-" and os.path.getsize(path) > PARALLEL_FROM * 500
            jobs = given.jobs or (min(8, os.cpu_count() or 1) if large else 1)
            evidence = Evidence([_file(name) for name in given.checkpoint], [_file(name) for name in given.receipt])
            verdict = verify(path, policy, evidence, jobs=jobs, progress=not given.quiet)
            if not given.quiet and large:
                print(file=sys.stderr)
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        print(f"verify: {error}", file=sys.stderr)
        return UNREADABLE
    if given.json:
        print(json.dumps(verdict, indent=2, ensure_ascii=False))
    else:
        print(f"{verdict['why']}" if forking else in_words(verdict), end="\n" if forking else "")
    return int(verdict["exit_code"])


if __name__ == "__main__":
    sys.exit(main())

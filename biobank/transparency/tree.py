"""The Merkle tree of RFC 6962: hashing, a tree in a few hashes, and proofs.

A tree of ``size`` leaves is named by its root. ``CompactRange`` holds just enough to grow it: the roots of the perfect
subtrees that the size's binary digits spell out, at most 63 hashes. Proofs are built from any source of perfect
subtree roots (tiles, in practice) and are checked with nothing but the two tree heads.

What a verifier must not do is to let the prover say where the hashes go. Here the length of a proof and the side of
each hash follow from ``(index, size)`` alone, and a proof of any other length is refused.

A perfect subtree is named ``(level, index)``: it covers the leaves ``index * 2^level`` up to ``(index + 1) * 2^level``.
All hashes are 32 bytes of SHA-256. Sources: RFC 6962 section 2.1; the size-0 rules follow transparency-dev/merkle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

HASH_BYTES: Final = 32

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""

NodeGetter = Callable[[int, int], bytes]
"""``(level, index)`` of a perfect subtree that lies wholly inside the tree, to its root hash."""


class ProofError(ValueError):
    """A proof does not show what it claims to show."""


def hash_leaf(entry: bytes) -> bytes:
    """Return the leaf hash of an entry's bytes: SHA-256 over 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 over 0x01, the left hash and the right hash."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold_perfect(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the perfect subtree over ``hashes``; their number must be a power of two."""
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise ValueError("a perfect subtree has a power of two of leaves")
    row = list(hashes)
    while len(row) > 1:
        row = [hash_node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees given from left (largest) to right (smallest)."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = hash_node(peak, root)
    return root


class CompactRange:
    """A growing tree kept as the roots of its perfect subtrees, largest first.

    Its binary form, kept with every tree head, is the size as 8 bytes big-endian and then the hashes, 32 bytes each:
    as many as the size has binary ones.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if size < 0 or size >= 1 << 63:
            raise ValueError("a tree size lies between 0 and 2^63 - 1")
        if len(self.peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError("a tree has one 32-byte hash for every binary one in its size")

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf on the right."""
        if len(leaf_hash) != HASH_BYTES:
            raise ValueError("a leaf hash is 32 bytes")
        self._push(leaf_hash)

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves on the right, in order."""
        for leaf_hash in leaf_hashes:
            self.append(leaf_hash)

    def _push(self, node: bytes) -> None:
        # As in adding one to a binary number: every one that carries is a pair of equal subtrees that become one.
        size = self.size
        while size & 1:
            node = hash_node(self.peaks.pop(), node)
            size >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree; ``EMPTY_ROOT`` when it has no leaves."""
        return fold_peaks(self.peaks)

    def copy(self) -> CompactRange:
        """Return an independent copy."""
        return CompactRange(self.size, self.peaks)

    def to_bytes(self) -> bytes:
        """Return the binary form described above."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> CompactRange:
        """Read the binary form. Raises ValueError when the length does not fit the size."""
        if len(data) < 8 or (len(data) - 8) % HASH_BYTES:
            raise ValueError("a compact range is 8 bytes of size and whole hashes")
        peaks = [data[i : i + HASH_BYTES] for i in range(8, len(data), HASH_BYTES)]
        return cls(int.from_bytes(data[:8], "big"), peaks)


def range_nodes(start: int, end: int) -> list[tuple[int, int]]:
    """Return the largest perfect subtrees that cover the leaves ``start`` up to ``end``, left to right."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _subtree_root(start: int, end: int, node: NodeGetter) -> bytes:
    """Return MTH(D[start:end]) of RFC 6962 for a subtree that the recursion of the RFC visits."""
    return fold_peaks([node(level, index) for level, index in range_nodes(start, end)])


def _split(start: int, end: int) -> int:
    """Return where RFC 6962 divides a subtree: after the largest power of two smaller than its number of leaves."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def inclusion_proof(index: int, size: int, node: NodeGetter) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 6962 section 2.1.1, from the leaf upwards.

    ``node`` is asked for perfect subtrees inside the first ``size`` leaves only, so a source that has grown since
    serves every historical size. Raises ValueError unless ``0 <= index < size``.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf lies outside the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            path.append(_subtree_root(middle, end, node))
            end = middle
        else:
            path.append(_subtree_root(start, middle, node))
            start = middle
    path.reverse()
    return path


def consistency_proof(old_size: int, new_size: int, node: NodeGetter) -> list[bytes]:
    """Return PROOF(old_size, D[new_size]) of RFC 6962 section 2.1.2.

    Empty when the sizes are equal. Raises ValueError unless ``0 < old_size <= new_size``: every tree extends the
    empty one, so a proof from size 0 would show nothing.
    """
    if not 0 < old_size <= new_size:
        raise ValueError("the older tree has at least one leaf and is not larger than the newer one")
    path: list[bytes] = []
    start, end = 0, new_size
    while end != old_size:
        middle = _split(start, end)
        if old_size <= middle:
            path.append(_subtree_root(middle, end, node))
            end = middle
        else:
            path.append(_subtree_root(start, middle, node))
            start = middle
    if start:
        path.append(_subtree_root(start, end, node))
    path.reverse()
    return path


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Return if ``proof`` shows that leaf ``index`` of the tree ``(size, root)`` is ``leaf_hash``; else raise ProofError."""
    if not 0 <= index < size:
        raise ProofError("the leaf lies outside the tree")
    _require_hashes(leaf_hash, root, *proof)
    # Below the point where the paths to this leaf and to the last leaf part, the sibling may be on either side;
    # above it the node is on the right edge and only left siblings appear.
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count():
        raise ProofError("the proof has the wrong length for this leaf and size")
    if _climb(index, leaf_hash, proof, inner) != root:
        raise ProofError("the proof does not lead to the root")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if ``proof`` shows that the tree ``new`` begins with the whole tree ``old``; else raise ProofError.

    Nothing can be shown from an old size of 0 (not even to size 0), and equal sizes need equal roots and an empty proof.
    """
    if old_size < 0 or new_size < old_size:
        raise ProofError("the older tree is not larger than the newer one")
    if old_size == 0:
        raise ProofError("nothing can be shown from the empty tree")
    if old_size == new_size:
        if proof:
            raise ProofError("trees of equal size need no proof")
        if old_root != new_root:
            raise ProofError("two different trees of the same size")
        return
    _require_hashes(old_root, new_root, *proof)

    inner = ((old_size - 1) ^ (new_size - 1)).bit_length()
    trailing = (old_size & -old_size).bit_length() - 1
    inner -= trailing
    if old_size == 1 << trailing:  # the old tree is itself a perfect subtree of the new one: start from its root
        seed, rest = old_root, proof
    else:
        if not proof:
            raise ProofError("the proof is empty")
        seed, rest = proof[0], proof[1:]
    index = (old_size - 1) >> trailing
    if len(rest) != inner + (index >> inner).bit_count():
        raise ProofError("the proof has the wrong length for these sizes")
    if _climb_left_only(index, seed, rest, inner) != old_root:
        raise ProofError("the proof does not lead to the older root")
    if _climb(index, seed, rest, inner) != new_root:
        raise ProofError("the proof does not lead to the newer root")


def _climb(index: int, node: bytes, proof: Sequence[bytes], inner: int) -> bytes:
    for height, sibling in enumerate(proof):
        on_right = height >= inner or (index >> height) & 1
        node = hash_node(sibling, node) if on_right else hash_node(node, sibling)
    return node


def _climb_left_only(index: int, node: bytes, proof: Sequence[bytes], inner: int) -> bytes:
    """Climb as in the older tree, where the subtrees to the right did not exist yet."""
    for height, sibling in enumerate(proof):
        if height >= inner or (index >> height) & 1:
            node = hash_node(sibling, node)
    return node


def _require_hashes(*hashes: bytes) -> None:
    # Two hashes of odd lengths could otherwise be cut in another place and still hash to the same node.
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError("a hash is 32 bytes")

"""The Merkle tree against a naive reading of RFC 6962, against published vectors, and against altered proofs."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.tree import (
    EMPTY_ROOT,
    CompactRange,
    ProofError,
    consistency_proof,
    fold_perfect,
    hash_leaf,
    hash_node,
    inclusion_proof,
    range_nodes,
    verify_consistency,
    verify_inclusion,
)
from tests.transparency.vectors import decode, vectors

LEAVES = [hash_leaf(bytes([n % 251, n // 251])) for n in range(600)]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_of_two_below(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = largest_power_of_two_below(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = largest_power_of_two_below(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def node(level: int, index: int) -> bytes:
    """A node source over LEAVES that answers only for whole subtrees."""
    start, end = index << level, (index + 1) << level
    assert end <= len(LEAVES)
    return naive_root(LEAVES[start:end])


sizes = st.integers(1, len(LEAVES))


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=80))
def test_appending_gives_the_same_root_as_hashing_the_whole_list(leaves: list[bytes]) -> None:
    tree = CompactRange()
    for count, leaf in enumerate(leaves):
        assert tree.root() == naive_root(leaves[:count])
        tree.append(leaf)
    assert (tree.size, tree.root()) == (len(leaves), naive_root(leaves))


@given(sizes, st.data())
def test_a_range_written_and_read_back_grows_like_the_original(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size))
    tree = CompactRange()
    tree.extend(LEAVES[:first])
    again = CompactRange.from_bytes(tree.to_bytes())
    assert again.to_bytes() == tree.to_bytes()
    again.extend(LEAVES[first:size])
    assert tree.size == first, "reading back must not share state"
    assert again.root() == naive_root(LEAVES[:size])


def test_a_copied_range_is_independent() -> None:
    tree = CompactRange()
    tree.extend(LEAVES[:3])
    other = tree.copy()
    other.append(LEAVES[3])
    assert (tree.size, tree.root()) == (3, naive_root(LEAVES[:3]))
    assert (other.size, other.root()) == (4, naive_root(LEAVES[:4]))


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0" * 32, lambda b: b[:7], lambda b: b"\xff" * 8 + b[8:]])
def test_a_range_whose_length_does_not_fit_its_size_is_refused(change: object) -> None:
    tree = CompactRange()
    tree.extend(LEAVES[:5])
    assert callable(change)
    with pytest.raises(ValueError):
        CompactRange.from_bytes(change(tree.to_bytes()))


def test_a_leaf_hash_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError):
        CompactRange().append(b"short")


@given(st.integers(0, 7))
def test_folding_equals_the_root_of_a_perfect_tree(height: int) -> None:
    assert fold_perfect(LEAVES[: 1 << height]) == naive_root(LEAVES[: 1 << height])


@pytest.mark.parametrize("count", [0, 3, 6])
def test_folding_refuses_anything_but_a_power_of_two(count: int) -> None:
    with pytest.raises(ValueError):
        fold_perfect(LEAVES[:count])


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_covering_subtrees_follow_each_other_without_gap(start: int, length: int) -> None:
    at = start
    for level, index in range_nodes(start, start + length):
        assert index << level == at
        at += 1 << level
    assert at == start + length


@given(sizes, st.data())
def test_every_inclusion_proof_is_the_one_of_the_rfc_and_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    assert proof == naive_path(index, LEAVES[:size])
    verify_inclusion(index, size, LEAVES[index], proof, naive_root(LEAVES[:size]))


@given(sizes, st.data())
def test_every_consistency_proof_is_the_one_of_the_rfc_and_verifies(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, node)
    assert proof == naive_subproof(old, LEAVES[:new], True)
    verify_consistency(old, new, naive_root(LEAVES[:old]), naive_root(LEAVES[:new]), proof)


def test_all_proofs_of_all_small_trees_verify() -> None:
    roots = [naive_root(LEAVES[:n]) for n in range(71)]
    for new in range(1, 71):
        for old in range(1, new + 1):
            verify_consistency(old, new, roots[old], roots[new], consistency_proof(old, new, node))
            verify_inclusion(old - 1, new, LEAVES[old - 1], inclusion_proof(old - 1, new, node), roots[new])


@given(st.integers(1, 64), st.data())
def test_an_inclusion_proof_with_any_bit_flipped_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    root = naive_root(LEAVES[:size])
    whole = b"".join([LEAVES[index], root, *proof])
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    leaf, bad_root, *bad = cut(flip(whole, bit))
    with pytest.raises(ProofError):
        verify_inclusion(index, size, leaf, bad, bad_root)


@given(st.integers(2, 64), st.data())
def test_a_consistency_proof_with_any_bit_flipped_fails(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(old, new, node)
    whole = b"".join([naive_root(LEAVES[:old]), naive_root(LEAVES[:new]), *proof])
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    old_root, new_root, *bad = cut(flip(whole, bit))
    with pytest.raises(ProofError):
        verify_consistency(old, new, old_root, new_root, bad)


@given(st.integers(1, 64), st.data())
def test_a_proof_is_good_for_one_leaf_of_one_tree_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    root = naive_root(LEAVES[:size])
    other = data.draw(st.integers(-1, size + 1).filter(lambda n: n != index))
    with pytest.raises(ProofError):
        verify_inclusion(other, size, LEAVES[index], proof, root)
    longer = [*proof, data.draw(st.sampled_from(LEAVES[:70]))]
    with pytest.raises(ProofError):
        verify_inclusion(index, size, LEAVES[index], longer, root)
    if proof:
        with pytest.raises(ProofError):
            verify_inclusion(index, size, LEAVES[index], proof[:-1], root)


@given(st.integers(2, 64), st.data())
def test_an_inner_node_does_not_pass_for_the_leaf_below_it(size: int, data: st.DataObject) -> None:
    index = data.draw(st.sampled_from([0, size - 1]))
    proof = inclusion_proof(index, size, node)
    root = naive_root(LEAVES[:size])
    inner = LEAVES[index]
    while proof:
        sibling = proof.pop(0)
        inner = hash_node(sibling, inner) if index else hash_node(inner, sibling)
        with pytest.raises(ProofError, match="length"):
            verify_inclusion(index, size, inner, proof, root)


@pytest.mark.parametrize("old,new", [(3, 7), (3, 4), (4, 8), (5, 6), (6, 7), (7, 8)])
def test_a_tree_is_not_extended_by_claiming_a_larger_size_for_the_same_root(old: int, new: int) -> None:
    root = naive_root(LEAVES[:old])
    for proof in ([], [root]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, root, root, proof)


def test_hashes_cut_at_another_place_are_refused() -> None:
    proof = inclusion_proof(2, 4, node)
    shifted = [proof[0] + proof[1][:1], proof[1][1:]]
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(2, 4, LEAVES[2], shifted, naive_root(LEAVES[:4]))
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(3, 4, naive_root(LEAVES[:3])[1:], naive_root(LEAVES[:4]), consistency_proof(3, 4, node))


@pytest.mark.parametrize("old,new", [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_no_consistency_proof_exists_from_the_empty_or_a_larger_tree(old: int, new: int) -> None:
    with pytest.raises(ValueError):
        consistency_proof(old, new, node)
    with pytest.raises(ProofError):
        verify_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT if new == 0 else naive_root(LEAVES[:new]), [])


@pytest.mark.parametrize("index,size", [(0, 0), (5, 5), (-1, 5)])
def test_no_inclusion_proof_exists_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        inclusion_proof(index, size, node)


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = LEAVES[0], LEAVES[1]
    assert hash_leaf(left + right) != hash_node(left, right)


def test_published_inclusion_probes_agree() -> None:
    agreed = 0
    for probe in vectors("merkle/inclusion.json"):
        proof = [decode(text) for text in probe["proof"] or []]
        try:
            verify_inclusion(probe["leafIdx"], probe["treeSize"], decode(probe["leafHash"]), proof, decode(probe["root"]))
            refused = False
        except ProofError:
            refused = True
        assert refused == probe["wantErr"], probe["_file"]
        agreed += 1
    assert agreed == 98


def test_published_consistency_probes_agree() -> None:
    agreed = 0
    for probe in vectors("merkle/consistency.json"):
        proof = [decode(text) for text in probe["proof"] or []]
        try:
            verify_consistency(probe["size1"], probe["size2"], decode(probe["root1"]), decode(probe["root2"]), proof)
            refused = False
        except ProofError:
            refused = True
        assert refused == probe["wantErr"], probe["_file"]
        agreed += 1
    assert agreed == 98


def test_the_published_reference_tree_agrees() -> None:
    tree = vectors("rfc6962/reference_tree_8.json")
    levels = [[bytes.fromhex(text) for text in level] for level in tree["node_hashes_hex_by_level"]]
    assert [hash_leaf(bytes.fromhex(text)) for text in tree["leaf_inputs_hex"]] == levels[0]
    grown = CompactRange()
    for size, want in enumerate(tree["root_hashes_hex_by_size"]):
        assert grown.root().hex() == want
        if size:
            assert fold_from(levels, size) == want
        if size < len(levels[0]):
            grown.append(levels[0][size])


def test_the_published_hash_prefixes_agree() -> None:
    hasher = vectors("rfc6962/hasher.json")
    assert EMPTY_ROOT.hex() == hasher["empty_root"]
    for leaf in hasher["leaf"]:
        assert hash_leaf(leaf["data_ascii"].encode()).hex() == leaf["want"]
    for inner in hasher["node"]:
        assert hash_node(inner["left_ascii"].encode(), inner["right_ascii"].encode()).hex() == inner["want"]


def fold_from(levels: list[list[bytes]], size: int) -> str:
    """The root through the inclusion proof of the last leaf, with nodes taken from the published levels."""
    proof = inclusion_proof(size - 1, size, lambda level, index: levels[level][index])
    root = levels[0][size - 1]
    for sibling in proof:
        root = hash_node(sibling, root)
    return root.hex()


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def cut(data: bytes) -> list[bytes]:
    return [data[i : i + 32] for i in range(0, len(data), 32)]

"""Changing real shapes so that they are almost right: for tests of what a parser says to text from outside."""

from hypothesis import strategies as st


def mutated(data: st.DataObject, whole: bytes, most: int = 4) -> bytes:
    """Change, cut out, double or add a few pieces of `whole`."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, most))):
        at = data.draw(st.integers(0, max(0, len(changed) - 1)))
        length = data.draw(st.integers(0, 40))
        piece = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(changed[at : at + length]) * 2)))
        changed[at : at + length] = piece
    return bytes(changed)


def mutated_text(data: st.DataObject, whole: str, tokens: list[str]) -> str:
    """Do the same with a text; what is put in may also be one of `tokens`, words that mean something in its format."""
    changed = whole
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(changed) - 1)))
        length = data.draw(st.integers(0, 30))
        piece = data.draw(st.one_of(st.sampled_from(tokens), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
        changed = changed[:at] + piece + changed[at + length :]
    return changed

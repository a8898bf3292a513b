"""Names that look the same have one key, and keys are in the order in which people count."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biobank.foundation.names import folded, name_key, shown


@pytest.mark.parametrize(
    "other",
    [
        "box 2",
        "BOX 2",
        " Box  2 ",
        "Box2",
        "Box\u00a02",
        "Box\u20032",
        "Box\t2",
        "\u202eBox 2\u202c",
        "\u200fBox 2",
        "B\u200bo\u00adx 2",
        "\ufeffBox 2",
        "Box \uff12",
        "\uff22\uff4f\uff58 2",
        "Box \u0662",
        "Box ²",
        "Вох 2",
        "ΒΟΧ 2",
        "Box 2\u2800",
    ],
)
def test_names_that_look_the_same_have_one_key(other: str) -> None:
    assert name_key(other) == name_key("Box 2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Box 2", "Box 3"),
        ("Box 2", "Box 02"),
        ("Box 11", "Box 1 1"),
        ("LN2-1", "LN2 1"),
        ("Büro", "Buro"),
        ("50 µl", "50 ml"),
        ("Ворота", "Ворона"),
        ("Rack I", "Rack 1"),
    ],
)
def test_names_that_people_tell_apart_have_two(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_hyphens_and_joined_letters_of_every_kind_are_one() -> None:
    assert len({name_key(f"LN2{hyphen}1") for hyphen in "-\u2010\u2011\u2013\u2014\u2212\ufe63\uff0d"}) == 1
    assert name_key("ﬁle") == name_key("file")
    assert name_key("Straße") == name_key("STRASSE")
    assert name_key("Tank Å") == name_key("Tank A\u030a") == name_key("Tank \u212b")


def test_people_count_two_before_ten_and_accents_come_second() -> None:
    names = [
        "Annex",
        "Box",
        "Box 1",
        "Box 1b",
        "box 2",
        "Box 2-2",
        "Box 2-10",
        "Box 02 a",
        "Box 10",
        "Büro 2",
        "Buro 3",
        "Rack 1",
    ]

    ordered = sorted(names, key=lambda name: name_key(name).encode())

    assert ordered == ["Annex", "Box", "Box 1", "Box 1b", "box 2", "Box 2-2", "Box 2-10", "Box 02 a", "Box 10", *names[9:]]


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_numbers_count_as_numbers(one: int, other: int) -> None:
    assert (name_key(f"Box {one}") < name_key(f"Box {other}")) == (one < other)


@example("R¸")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_every_text_has_a_key_that_blanks_case_and_marks_do_not_change(text: str) -> None:
    key = name_key(text)

    assert "\0" not in key
    assert name_key(f"\u202a {text}\u200e\u00a0") == key
    assert folded(folded(text)) == folded(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_what_is_kept_of_a_name_is_what_can_be_seen_of_it(text: str) -> None:
    try:
        kept = shown(text)
    except ValueError:
        assert not folded(text)
        return
    assert kept == unicodedata.normalize("NFC", kept)
    assert kept == shown(kept)
    assert name_key(kept) == name_key(text)
    assert not {"\u202e", "\u200b", "\u200f"} & set(kept)

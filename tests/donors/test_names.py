"""Spellings of one name meet; the vault's form survives; sounds agree. Pure rules, mostly by property."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biobank.donors.names import joined, normalise, same_family_name, same_given_names, sound, tidy, words

LETTERS = st.characters(categories=("L", "M", "N"))
TEXT = st.text(st.one_of(LETTERS, st.characters(categories=("P", "Z"))), max_size=40)
LATIN = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=14)


@given(TEXT)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXT)
def test_composed_and_decomposed_spellings_are_one(text: str) -> None:
    assert normalise(unicodedata.normalize("NFC", text)) == normalise(unicodedata.normalize("NFD", text))


@given(TEXT)
def test_a_normalised_name_holds_only_letters_digits_and_single_spaces(text: str) -> None:
    name = normalise(text)
    assert name == " ".join(name.split())
    assert all(c.isalnum() or c == " " for c in name)
    assert not any(unicodedata.category(c).startswith("M") for c in name)


@given(st.text("abcdefghijklmnopqrstuvwxyzéèüñçå", min_size=1, max_size=20))
def test_capital_letters_do_not_matter(text: str) -> None:
    assert normalise(text.upper()) == normalise(text)


@given(st.lists(LATIN, min_size=1, max_size=4), st.sampled_from([" ", "-", "  ", "\u00a0", " - ", "–"]))
def test_neither_dashes_nor_spaces_part_a_family_name(parts: list[str], separator: str) -> None:
    assert joined(separator.join(parts)) == "".join(parts)
    assert words(separator.join(parts)) == parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Brien", "o’brien"),
        ("O´Brien", "OBRIEN"),
        ("Núñez", "NUNEZ"),
        ("Strauß", "Strauss"),
        ("Łukasz", "lukasz"),
        ("Øystein", "oystein"),
        ("de la Cruz", "De-La-Cruz"),
        ("St. John", "St John"),
        ("Þór", "thor"),
        ("Ｓｍｉｔｈ", "smith"),
        ("İnan", "inan"),
        ("Đorđe", "dorde"),
    ],
)
def test_spellings_of_one_name_meet(one: str, other: str) -> None:
    assert same_family_name(one, other)


@pytest.mark.parametrize(("one", "other"), [("Smith", "Smyth"), ("Li", "Lee"), ("李", "王"), ("", ""), ("-", "-")])
def test_other_names_are_other_names(one: str, other: str) -> None:
    assert not same_family_name(one, other)


def test_the_first_given_name_may_stand_alone_and_no_other_part_may() -> None:
    assert same_given_names("Mary", "Mary Ann")
    assert same_given_names("Mary-Ann", "Mary Ann")
    assert not same_given_names("Ann", "Mary Ann")
    assert not same_given_names("Mary Ann", "Mary")
    assert not same_given_names("-", "Mary")


@given(LATIN)
@example("adge")
def test_the_sound_of_a_word_is_never_empty_and_doubling_a_consonant_keeps_it(word: str) -> None:
    assert sound(word)
    doubled = "".join(c * 2 if c in "bdlmnrt" else c for c in word)
    if len(sound(word)) > 1 and sound(word) != word:
        assert sound(doubled) == sound(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("catherine", "katherine"),
        ("smith", "smyth"),
        ("meyer", "maier"),
        ("muller", "mueller"),
        ("philip", "filip"),
        ("robert", "rupert"),
        ("johansson", "johanson"),
    ],
)
def test_names_that_sound_alike_have_one_sound(one: str, other: str) -> None:
    assert sound(one) == sound(other)


@pytest.mark.parametrize(("one", "other"), [("smith", "jones"), ("li", "lu"), ("hanna", "lena"), ("wei", "wu")])
def test_names_that_do_not_sound_alike_stay_apart(one: str, other: str) -> None:
    assert sound(one) != sound(other)


@given(st.text(st.characters(categories=["Lo"]), min_size=1, max_size=6))
def test_a_word_in_another_script_is_its_own_sound(word: str) -> None:
    assert sound(word) == word


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=40))
def test_tidying_twice_changes_nothing_more_and_keeps_nfc(text: str) -> None:
    try:
        tidied = tidy(text)
    except ValueError:
        assert not unicodedata.normalize("NFC", text).split()
        return
    assert tidy(tidied) == tidied
    assert unicodedata.is_normalized("NFC", tidied)


@pytest.mark.parametrize("text", ["\x00", "Smith\x00", "Smith\x1b[31m", "\ud800", "\U000e0080", "  ", "\ue000"])
def test_what_is_no_text_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError) as error:
        tidy(text)
    assert "Smith" not in str(error.value)

"""Which people share a token, and that a token says nothing without the secret. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from biobank.donors.blind_index import LOOK_ALIKE, Named, TokenKind, index_values, tokens_of

SECRET = bytes(range(32))
NAME = st.text("abcdefghijklmnopqrstuvwxyz -'éü", min_size=1, max_size=20)
BIRTH = st.dates().map(lambda day: day.isoformat())


def warnings(one: Named, one_birth: str, other: Named, other_birth: str) -> set[str]:
    first = index_values([one], one_birth, [])
    second = index_values([other], other_birth, [])
    return {LOOK_ALIKE[kind] for kind, _ in first & second if kind in LOOK_ALIKE}


@given(NAME, NAME, BIRTH)
def test_a_token_is_a_whole_hash_that_holds_neither_name_nor_date(family: str, given_names: str, birth: str) -> None:
    tokens = tokens_of(SECRET, index_values([Named(family, given_names)], birth, []))
    assert all(len(t) == 32 for t in tokens)
    assert not any(birth.encode() in t for t in tokens)


@given(NAME, NAME, BIRTH)
def test_another_secret_shares_no_token(family: str, given_names: str, birth: str) -> None:
    values = index_values([Named(family, given_names)], birth, [("CITY", "1")])
    assert not set(tokens_of(SECRET, values)) & set(tokens_of(SECRET[::-1], values))


@given(NAME, NAME, BIRTH)
def test_spelling_never_changes_the_index(family: str, given_names: str, birth: str) -> None:
    plain = index_values([Named(family, given_names)], birth, [])
    assert index_values([Named(family.upper(), f"  {given_names} ")], birth, []) == plain


@given(NAME, NAME, BIRTH, BIRTH)
def test_exchanged_names_are_the_same_name(family: str, given_names: str, birth: str, other: str) -> None:
    one, exchanged = Named(family, given_names), Named(given_names, family)
    if index_values([one], None, []) and index_values([exchanged], None, []):
        assert "same_name" in warnings(one, birth, exchanged, other)


@given(st.lists(st.tuples(NAME, NAME), min_size=2, max_size=4), BIRTH)
def test_a_former_name_is_found_like_the_present_one(names: list[tuple[str, str]], birth: str) -> None:
    everything = index_values([Named(*name) for name in names], birth, [])
    assert all(index_values([Named(*name)], birth, []) <= everything for name in names)


def test_a_shared_birth_date_or_family_name_alone_is_no_warning() -> None:
    assert warnings(Named("Smith", "Mary"), "1980-01-02", Named("Jones", "Robert"), "1980-01-02") == set()
    assert warnings(Named("Smith", "Mary"), "1980-01-02", Named("Smith", "Robert"), "1981-01-02") == set()


def test_each_way_of_being_taken_for_another_has_its_warning() -> None:
    mary = Named("Smith", "Mary")
    assert warnings(mary, "1980-01-02", Named("SMITH", "mary"), "1999-09-09") == {"same_name", "similar_name"}
    assert warnings(mary, "1980-01-02", Named("Smyth", "Marie"), "1999-09-09") == {"similar_name"}
    assert warnings(mary, "1980-01-02", Named("Smyth", "Joan"), "1980-01-02") == {"similar_family_name_and_birth_date"}
    assert "same_family_name_and_birth_date" in warnings(mary, "1980-01-02", Named("Smith", "Joan"), "1980-01-02")


def test_an_identifier_is_found_however_it_is_spaced() -> None:
    one = index_values([], None, [("CITY-HOSPITAL", "MRN 123-45")])
    assert one == index_values([], None, [("CITY-HOSPITAL", "mrn12345")])
    assert one != index_values([], None, [("OTHER-HOSPITAL", "mrn12345")])
    assert {kind for kind, _ in one} == {TokenKind.EXTERNAL}

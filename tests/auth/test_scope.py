"""A scope by itself: what it covers, and when there is nothing in it."""

import pytest

from biobank.auth.scope import ANYWHERE, EVERYWHERE, WHOLE, Place, Scope

SOME = Scope(everywhere=False, sites=frozenset({"LAB", "CLINIC"}))
NONE = Scope(everywhere=False, sites=frozenset())


def test_a_scope_is_empty_only_when_it_reaches_no_site_at_all() -> None:
    assert (bool(WHOLE), bool(SOME), bool(NONE)) == (True, True, False)


@pytest.mark.parametrize(
    ("place", "covered"),
    [
        ("LAB", True),
        ("NORTH", False),
        (("NORTH", "CLINIC"), True),
        (("NORTH", None), False),
        (None, False),
        (ANYWHERE, True),
        (EVERYWHERE, False),
    ],
)
def test_some_sites_cover_themselves_and_nothing_that_has_no_site(place: Place, covered: bool) -> None:
    assert SOME.covers(place) is covered
    assert WHOLE.covers(place)
    assert not NONE.covers(place)

"""A list of breached passwords that the bank keeps itself: searched in place, however long, and asked for every new password."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.auth.breaches import is_breached
from biobank.foundation.errors import Unavailable
from tests.conftest import Api
from tests.people.test_sign_in import NEW, change, outcome, sign_in


def line(password: str, count: int = 3) -> bytes:
    return hashlib.sha1(password.encode()).hexdigest().upper().encode() + b":%d" % count


def written(path: Path, passwords: list[str], end: bytes = b"\r\n") -> Path:
    path.write_bytes(b"".join(sorted(line(one, n) + end for n, one in enumerate(passwords))))
    return path


@given(st.lists(st.text(min_size=1, max_size=9), unique=True, max_size=40), st.text(min_size=1, max_size=9))
def test_a_list_holds_what_was_written_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, known: list[str], other: str
) -> None:
    listed = written(tmp_path_factory.mktemp("list") / "breached", known)
    assert all(is_breached(one, listed) for one in known)
    assert is_breached(other, listed) == (other in known)


def test_a_list_in_small_letters_without_counts_serves_as_well(tmp_path: Path) -> None:
    path = tmp_path / "breached"
    path.write_text("".join(sorted(hashlib.sha1(one.encode()).hexdigest() + "\n" for one in ("a river", "b river", "c river"))))
    assert [is_breached(one, path) for one in ("a river", "b river", "c river", "d river")] == [True] * 3 + [False]


def test_a_list_that_cannot_be_read_lets_nobody_choose(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        is_breached("anything", tmp_path / "missing")


@pytest.fixture
def listing(make_bank: Callable[..., Any], serve: Callable[[Any], str], tmp_path: Path) -> Any:
    """A bank that keeps a list."""
    bank = make_bank(breached_passwords=tmp_path / "breached")
    api = Api(serve(bank), bank)
    yield api
    api.close()


def test_a_password_from_a_breach_is_not_chosen(listing: Api, tmp_path: Path) -> None:
    token = sign_in(listing).json()["access_token"]
    assert outcome(change(listing, token)) == (503, "unavailable"), "the list is not there"
    written(tmp_path / "breached", [NEW, "another one"])
    refused = change(listing, token)
    assert outcome(refused) == (409, "weak_password")
    assert refused.json()["reason"] == "breached"
    assert change(listing, token, new="eleven rivers of slow lamps").status_code == 204

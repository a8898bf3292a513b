"""The pager: whatever the order, every row is on one page, those without a value come last, and a total is bounded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlmodel import Session

from biobank.auth.models import User
from biobank.foundation import paging
from biobank.foundation.db import table_of
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.paging import CursorUnknown, Page, Paging, read_page
from biobank.specimens.models import Specimen
from biobank.specimens.queries import ORDERS as SPECIMEN_ORDERS
from tests.conftest import TestBank
from tests.factories import make_specimen

specimen = table_of(Specimen)
ORDERS = {name: SPECIMEN_ORDERS[name] for name in ("created_at", "code", "donor")} | {"expires_at": specimen.c.expires_at}


def seven(bank: TestBank) -> list[str]:
    """Seven specimens; three expire, two of them at the same instant."""
    act = bank.act("lab_tech")

    def work(session: Any) -> list[str]:
        codes = [make_specimen(session, act).code for _ in range(7)]
        for code, day in zip(codes, (3, 1, 1), strict=False):
            at = datetime(2030, 1, day, tzinfo=UTC)
            session.execute(update(specimen).where(specimen.c.code == code).values(expires_at=at))
        return codes

    codes: list[str] = bank.write(work)
    return codes


def ask(bank: TestBank, asked: Paging) -> Page:
    def query(session: Session) -> Page:
        return read_page(session, select(specimen), asked, key=specimen.c.code, orders=ORDERS, default="-created_at")

    page: Page = bank.write(query)
    return page


def pages(bank: TestBank, sort: str | None, size: int = 2) -> list[str]:
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        page = ask(bank, Paging(cursor, size, sort, count=True))
        seen += [row.code for row in page.rows]
        assert page.total == 7
        cursor = page.next
        if cursor is None:
            return seen
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("sort", [None, *(sign + name for name in ORDERS for sign in ("", "-"))])
def test_in_every_order_each_row_is_on_one_page(bank: TestBank, sort: str | None) -> None:
    codes = seven(bank)
    found = pages(bank, sort)
    assert sorted(found) == sorted(codes)
    assert len(found) == 7


def test_rows_without_a_value_come_last_whichever_way_the_list_runs(bank: TestBank) -> None:
    codes = seven(bank)
    first, pair = codes[0], sorted(codes[1:3])
    assert pages(bank, "expires_at")[:3] == [*pair, first]
    assert pages(bank, "-expires_at")[:3] == [first, *reversed(pair)]


def test_a_cursor_of_another_order_is_refused(bank: TestBank) -> None:
    seven(bank)
    by_expiry = ask(bank, Paging(None, 2, "expires_at")).next
    newest = ask(bank, Paging(None, 2)).next
    for cursor, sort in (
        (by_expiry, None),
        (by_expiry, "code"),
        (newest, "expires_at"),
        ("x", None),
        ("1~", "code"),
    ):
        with pytest.raises(CursorUnknown):
            ask(bank, Paging(cursor, 2, sort))
    with pytest.raises(MalformedRequest, match="not sorted that way"):
        ask(bank, Paging(sort="unit"))


def test_a_total_is_counted_up_to_a_bound_and_one_more(bank: TestBank, monkeypatch: pytest.MonkeyPatch) -> None:
    seven(bank)
    monkeypatch.setattr(paging, "COUNTED", 4)
    asked = Paging(None, 2, count=True)
    page = bank.write(lambda s: read_page(s, select(specimen), asked, key=specimen.c.code, orders=ORDERS, default="-created_at"))
    assert page.total == 5


def test_a_value_with_any_sign_in_it_makes_a_cursor_that_is_read_again(bank: TestBank) -> None:
    user = table_of(User)
    bank.write(lambda s: s.execute(text("UPDATE app_user SET username = 'a~!é b' WHERE code = (SELECT min(code) FROM app_user)")))

    def page(asked: Paging) -> Page:
        orders = {"code": user.c.code, "username": user.c.username}
        found: Page = bank.write(lambda s: read_page(s, select(user), asked, key=user.c.code, orders=orders, default="code"))
        return found

    first = page(Paging(None, 1, "username"))
    rest = page(Paging(first.next, 50, "username"))
    assert first.next is not None
    assert first.next.isascii()
    assert " " not in first.next
    assert {row.code for row in [*first.rows, *rest.rows]} == {row.code for row in page(Paging(None, 50)).rows}

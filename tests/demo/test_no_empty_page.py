"""No page of the example bank's menu is empty: whoever looks sees what each page is for."""

from collections.abc import Callable

import pytest
from rich.console import Console
from sqlalchemy import text

from biobank.demo import data
from biobank.demo.people import PEOPLE
from biobank.pages.ui.nav import SECTIONS
from tests.conftest import TestBank
from tests.pages.visitor import BROWSER, Visitor
from tests.sealing import seal

PASSWORD = "amber-basil-cedar-delta-ember-42"
EMPTY = {
    "/scan": "a list that begins empty: it is scanned",
    "/viability": "how forecasts held: the worker makes them while the bank runs",
    "/webhooks": "the settings of the example list no other system",
    "/api-clients": "no program calls the example",
    "/closings": "no bank of the example closes",
    "/messages/failed": "the example has no mail server",
}
"""Pages of the menu that are empty, with why."""


def sealed(bank: TestBank) -> None:
    """Bring the log up to date."""
    seal(bank)


def test_no_page_of_the_example_banks_menu_is_empty(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "DONORS", 24)
    bank = make_bank()
    # The example begins before there is anybody: nobody from quality who would have to sign for its first logins.
    bank.write(lambda s: s.execute(text("DELETE FROM user_role WHERE role = 'quality'")))
    data.fill(bank.bank, dict.fromkeys(PEOPLE, PASSWORD), Console(quiet=True), lambda: sealed(bank))
    url = serve(bank)
    filled: dict[str, bool] = {}
    for name in PEOPLE:
        with Visitor(base_url=url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
            visitor.log_in(name, PASSWORD)
            for address in [part.href for section in SECTIONS for part in section.parts if not filled.get(part.href)]:
                answer = visitor.get(address)
                if answer.status_code == 200:
                    filled[address] = 'class="empty"' not in answer.text
    assert set(filled) == {part.href for section in SECTIONS for part in section.parts}
    assert {address for address, full in filled.items() if not full} == set(EMPTY)

"""Nothing of the machine reaches a page: every page of the walk is read, as each role sees it."""

import re
from pathlib import Path

import pytest

from tests import seed
from tests.browser.furnished import Furnished
from tests.browser.walk import STOPS
from tests.pages.plain_words import lines_of, signs_in
from tests.pages.visitor import BROWSER, Visitor

HELP = Path(__file__).parents[2] / "docs" / "help"
pytestmark = pytest.mark.browser

SAID_BY_PEOPLE = (*seed.USERS, "COLD_EXPRESS")
"""Names that people gave: logins and a courier's code."""
OF_ITS_OWN: dict[str, str] = {
    "/styleguide": "shows the components, for those who write pages",
    "/imports/{upload}": "quotes the file as it is, and names the parts that a text is put together from",
    "/log/verification": "names the files that an auditor checks with a program of their own",
    "/log/exports": "names the format of a copy and its digest, which the receiver compares",
    "/log": "offers the log in the formats that programs read",
}
"""Pages whose subject is a file or a program, and what of it."""


@pytest.mark.parametrize("role", sorted({role for stop in STOPS for role in stop.roles} | {""}))
def test_no_page_says_anything_in_words_of_the_program(furnished: Furnished, role: str) -> None:
    found: set[str] = set()
    with Visitor(base_url=furnished.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        if role:
            visitor.log_in(role)
        for stop in STOPS:
            if stop.path in OF_ITS_OWN or role not in (stop.roles or ("",)):
                continue
            for line in lines_of(visitor.get(stop.path.format(**furnished.things)).text):
                found |= {f"{stop.path}: {sign}" for sign in signs_in(line, *SAID_BY_PEOPLE)}
    assert not found, "\n".join(sorted(found))


def test_what_the_help_calls_by_name_stands_on_the_pages_just_so(furnished: Furnished) -> None:
    read: set[str] = set()
    for role in sorted({role for stop in STOPS for role in stop.roles}):
        with Visitor(base_url=furnished.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
            visitor.log_in(role)
            for stop in STOPS:
                if role in stop.roles and not stop.path.startswith("/help"):
                    read |= set(lines_of(visitor.get(stop.path.format(**furnished.things)).text))
    pages = "\n".join(read)
    lost = {
        f"{path.name}: {name}"
        for path in HELP.glob("*.md")
        for name in re.findall(r"\*\*(.+?)\*\*", path.read_text("utf-8"))
        if name not in pages
    }
    assert not lost, "\n".join(sorted(lost))


def test_a_page_of_its_own_is_one_of_the_walk() -> None:
    assert set(OF_ITS_OWN) <= {stop.path for stop in STOPS}


@pytest.mark.parametrize(
    "line",
    [
        "You decide on all 1 specimens.",
        "Say why in `reason`",
        "POST /signatures first",
        "Choose clinic_staff",
        "Null: everywhere.",
        "It was 2026-11-03T14:05:00Z",
        "until 2026-11-03",
        "Done: approve.",
        "should match pattern",
    ],
)
def test_what_is_looked_for_is_found(line: str) -> None:
    assert list(signs_in(line))
    assert list(signs_in(re.sub(r"\W", " ", "Choose one of the list, 11 specimens at 14:05"))) == []

"""A view of a list is kept, called by what it asks, shared with the people of a site, and forgotten by its owner alone."""

import re
from html import unescape

from biobank.pages.ui.listing import LISTINGS
from biobank.pages.ui.nav import SECTIONS
from biobank.pages.ui.templating import TEMPLATES_DIR
from biobank.registries.routes import PAGES
from tests.conftest import Api
from tests.pages.test_lists import tubes
from tests.pages.visitor import Visit, Visitor

assert PAGES.routes
VIEW = "/specimens?state=stored&sort=expires_at&col=code&col=lot"
CALLED = "Stored · by expires · 2 columns"
NO_LISTS = {
    "/": "what waits, of every kind, under headings",
    "/calendar": "a month of days",
    "/figures": "drawings, each with its table",
    "/set-up": "steps, each with what is there already",
    "/scan": "the bench's own list of scans",
    "/scan/sheet": "a sheet to print",
    "/scan/scanner": "a sheet to print",
    "/viability": "a report of several parts",
    "/stations": "a form that makes this browser a station, over those of the reader's sites",
    "/storage": "a tree; the same as a list stands beside it",
    "/donors": "a search that is kept by nobody, with who was looked at last",
    "/labels": "templates with an example of each",
    "/log/gaps": "kinds of gap, each with its own lines",
    "/log/verification": "a report",
    **dict.fromkeys(
        ("/confirmations", "/material-limits", "/register-rules", "/split-storage", "/imports/new", "/look-backs"), "a form"
    ),
    **dict.fromkeys(("/paper-forms/new", "/ending-rules", "/jurisdictions", "/reporting-rules", "/labels/batch"), "a form"),
}
"""Pages of the menu that are no list, with what they are."""


def links(page: str) -> dict[str, str]:
    """What the views of a page are called, and their addresses."""
    part = re.split(r"</svg>Views", page)[1].split("</details>")[0]
    found = re.findall(r'<li><a href="([^"]+)"[^>]*>([^<]+)</a>', part)
    return {unescape(title): unescape(href) for href, title in found}


def keep(visitor: Visitor, view: str, **more: str) -> None:
    kept = visitor.submit("/views", more, draw=view)
    assert kept.status_code == 200 and "The view is kept." in kept.text, kept.text[:2000]


def test_a_view_is_shared_with_the_people_of_a_site_by_an_address_that_shows_the_same(api: Api, visit: Visit) -> None:
    tubes(api, 1)
    tech = visit("lab_tech")
    keep(tech, VIEW, for_site="LAB")
    assert links(visit("lab_tech2").get_page("/specimens"))[CALLED] == VIEW
    assert CALLED not in links(visit("other_clinician").get_page("/specimens"))
    theirs, own = visit("lab_tech2").get_page(VIEW), tech.get_page(VIEW)
    heads = re.compile(r"<th[^>]*>(?:<a[^>]*>)?([A-Z][a-z ]+)")
    assert heads.findall(theirs) == heads.findall(own) and "Donor" not in heads.findall(own)
    assert "/forget" in own and "/forget" not in theirs


def test_a_view_is_its_owners_alone_unless_it_is_shared_and_forgotten_by_nobody_else(api: Api, visit: Visit) -> None:
    tech, other = visit("lab_tech"), visit("lab_tech2")
    keep(tech, "/specimens?material=adsc")
    assert len(links(tech.get_page("/specimens"))) == 1
    assert not links(other.get_page("/specimens"))
    (address,) = re.findall(r'action="(/views/[0-9a-f-]{36}/forget)"', tech.get_page("/specimens"))
    form = {"csrf_token": other.get_page("/specimens").split('name="csrf-token" content="')[1].split('"')[0]}
    assert other.post(address, data=form | {"idempotency_key": "a", "list": "/specimens"}).status_code == 404
    gone = tech.submit(address, {}, draw="/specimens")
    assert "The view is forgotten." in gone.text and not links(tech.get_page("/specimens"))


def test_only_what_the_list_can_show_is_kept_and_only_where_one_works(api: Api, visit: Visit) -> None:
    tech = visit("lab_tech")
    form = {"csrf_token": tech.get_page("/specimens").split('name="csrf-token" content="')[1].split('"')[0]}

    def kept(key: str, **said: str) -> int:
        return tech.post("/views", data=form | {"idempotency_key": key} | said).status_code

    assert kept("a", list="/specimens", state="nowhere") == 422
    assert kept("b", list="/specimens", sort="-password") == 422
    assert kept("c", list="/secrets") == 404
    assert kept("d", list="/specimens", state="stored", for_site="CLINIC") == 403
    assert kept("e", list="/log", specimen="Mary Quillfeather") == 422


def test_a_filter_of_the_log_is_such_a_view(visit: Visit) -> None:
    auditor = visit("auditor")
    keep(auditor, "/log?kind=specimen.received&site=LAB&days=7")
    assert list(links(auditor.get_page("/log"))) == ["7 days · Specimen: received · LAB"]
    assert not links(visit("quality").get_page("/log"))


def test_every_list_of_the_menu_is_a_listing_and_no_page_draws_a_table_of_its_own() -> None:
    menu = {part.href for section in SECTIONS for part in section.parts}
    assert menu - set(LISTINGS) == set(NO_LISTS)
    assert {one.address for one in LISTINGS.values() if not any(column.sort for column in one.columns)} == set()
    # The other is the map of a box.
    drawn = {str(path.relative_to(TEMPLATES_DIR)) for path in TEMPLATES_DIR.rglob("*.html") if "<table" in path.read_text()}
    assert drawn == {"ui/tables.html", "ui/custody.html"}

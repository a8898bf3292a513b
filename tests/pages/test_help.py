"""Help: a page for each job, served from the file that the manual has, and linked from the pages that it explains."""

import re
from pathlib import Path

import pytest

from biobank.foundation.carried_files import carried
from biobank.pages.help.jobs import help_pages
from biobank.pages.ui.nav import ELSEWHERE, SECTIONS, job_of
from tests.conftest import Api
from tests.pages.visitor import Visit

FOLDER = Path(__file__).parents[2] / "docs" / "help"
PARTS = [part for section in SECTIONS for part in section.parts]


def test_every_page_of_the_menu_has_its_help_and_no_help_is_for_no_page() -> None:
    jobs = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert jobs == {part.job for part in PARTS} | set(ELSEWHERE.values()) - {""}
    assert set(help_pages()) == jobs
    assert carried("help", in_checkout="docs/help") == FOLDER


@pytest.mark.parametrize("job", sorted(help_pages()))
def test_a_help_page_is_drawn_with_links_that_lead_somewhere(api: Api, visit: Visit, job: str) -> None:
    visitor = visit("quality")
    page = visitor.get_page(f"/help/{job}")
    assert f"<h1>{help_pages()[job].title}</h1>" in page
    said = page.partition("<main")[2].partition("</main")[0]
    for href in sorted(set(re.findall(r'href="(/[^"]*)"', said))):
        assert visitor.get(href).status_code == 200, href
    assert ".md" not in said and "**" not in said


def test_every_job_stands_in_the_list_and_in_the_manual(visit: Visit) -> None:
    page, manual = visit("lab_tech").get_page("/help"), (FOLDER / "README.md").read_text()
    for job, one in help_pages().items():
        assert f'href="/help/{job}">{one.title}</a>' in page
        assert f"({job}.md)" in manual


@pytest.mark.parametrize(
    ("path", "job"),
    [
        ("/kits/new", "kits"),
        ("/specimens/AD26-0000000/decision", "specimens"),
        ("/log/near-misses", "log"),
        ("/account/choices", "account"),
        ("/", "today"),
        ("/help", ""),
    ],
)
def test_a_page_knows_its_help(path: str, job: str) -> None:
    assert job_of(path) == job


def test_a_page_leads_to_its_help_and_the_help_back_to_the_pages_it_explains(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    assert '<a href="/help/kits">Help with this page</a>' in visitor.get_page("/kits")
    page = visitor.get_page("/help/kits")
    assert '<a href="/kits">Kits</a>' in page and '<a href="/harvests">Harvests</a>' in page
    assert "Help with this page" not in page
    assert visitor.get("/help/flying").status_code == 404
    assert '<a href="/users">Users</a>' not in visitor.get_page("/help/users-and-sites"), "what does not open is not offered"

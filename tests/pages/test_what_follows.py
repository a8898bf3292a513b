"""After an act its page leads to what comes next: nobody stands before a page that says what to do and has no way to it."""

import re
from html import unescape

from tests.conftest import Api
from tests.pages.visitor import Visit, Visitor
from tests.specimens import stories as lab


def link(visitor: Visitor, path: str, name: str) -> str | None:
    """The address behind a link of a page."""
    icon = "(?:<svg(?:(?!</svg>).)*</svg>)?"
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{icon}{re.escape(name)}</a>', visitor.get_page(path), re.DOTALL)
    return None if found is None else unescape(found[1])


def test_a_harvest_leads_to_sending_it_to_its_bank_with_its_containers_until_it_is_sent(api: Api, visit: Visit) -> None:
    made = lab.made(lab.harvest(api.clinician, lab.donor(api)))
    clinic, path = visit("clinician"), f"/harvests/{made['harvest']}"
    href = link(clinic, path, "Send them to the bank")
    assert href is not None
    form = clinic.get_page(href)
    codes = [one["code"] for one in made["specimens"]]
    listed = form.partition('name="specimens"')[2].partition(">")[2].partition("<")[0]
    assert sorted(listed.split()) == sorted(codes)
    assert '<option value="LAB" selected>' in form
    for one in made["specimens"]:
        lab.received(api.lab_tech, one)
    assert link(clinic, path, "Send them to the bank") is None


def test_a_volume_of_the_log_is_shown_in_the_unit_that_people_use(api: Api, visit: Visit) -> None:
    made = lab.made(lab.harvest(api.clinician, lab.donor(api)))
    page = visit("clinician").get_page(f"/specimens/{made['specimens'][0]['code']}")
    assert "ul raw" not in page and "50\u202fmL raw" in page

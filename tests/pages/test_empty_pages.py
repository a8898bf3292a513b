"""Where there is nothing yet stands the button of the act that begins it, for whoever may do it."""

import re

import pytest

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.pages.ui.nav import nav_for
from tests.conftest import Api
from tests.donors.stories import identified, register
from tests.pages.visitor import Visit, Visitor
from tests.specimens import stories as lab

NOTHING_FOR_A_CLINIC = {
    *("/storage", "/storage/places", "/counts", "/all-in-one-place", "/excursions", "/sensors", "/place-limits"),
    *("/workstations", "/bench-sessions", "/alarms", "/rotas"),
}


def buttons_of_empty(visitor: Visitor, address: str) -> list[str]:
    """The links in every part of a page that says that there is nothing."""
    found = re.findall(r'<div class="empty">(.*?)</div>', visitor.get_page(address), re.S)
    return [href for part in found for href in re.findall(r'<a [^>]*href="([^"]+)"', part)]


def menu_of(role: Role, site: str) -> set[str]:
    actor = Actor("US-TEST", frozenset({RoleGrant(role, site)}))
    return {href for item in nav_for(actor, "/") for _, href, _ in item.parts}


@pytest.mark.parametrize(
    ("address", "who", "leads", "without"),
    [
        ("/kits", "lab_tech", "/kits/new", "clinician"),
        ("/harvests", "clinician", "/harvests/new", "quality"),
        ("/donors", "clinician", "/donors/new", "lab_tech"),
        ("/withdrawals", "clinician", "/withdrawals/new", "lab_tech"),
        ("/shipments", "lab_tech", "/shipments/new", None),
    ],
)
def test_an_empty_list_has_the_button_of_its_head_for_those_alone_who_have_it(
    api: Api, visit: Visit, address: str, who: str, leads: str, without: str | None
) -> None:
    assert buttons_of_empty(visit(who), address) == [leads]
    if without is not None:
        assert buttons_of_empty(visit(without), address) == []


def test_a_list_that_a_filter_made_empty_offers_nothing_to_begin(api: Api, visit: Visit) -> None:
    assert buttons_of_empty(visit("lab_tech"), "/kits?unused=false") == []


def test_a_donor_without_anything_is_begun_from_the_empty_tables_as_under_next(api: Api, visit: Visit) -> None:
    donor = register(api.clinician)
    here = f"/donors/{donor}"
    found = buttons_of_empty(visit("clinician"), here)
    assert f"{here}/consent" in found and f"{here}/agreement" in found
    assert not [href for href in found if href.startswith("/harvests")], "a harvest waits for the consent"
    assert buttons_of_empty(visit("auditor"), here) == []


def test_a_harvest_from_the_page_of_a_donor_is_into_the_kit_that_was_bound_to_them(api: Api, visit: Visit) -> None:
    donor, other = lab.donor(api), lab.donor(api)
    kit = lab.kit(api)["kit"]
    identified(api, donor, "harvest", kit=kit)
    nurse = visit("clinician")
    for code, filled in ((donor, [kit]), (other, [])):
        href = re.search(r'href="(/harvests/new[^"]*)"', nurse.get_page(f"/donors/{code}"))
        assert href is not None
        form = nurse.get_page(href[1].replace("&amp;", "&"))
        assert re.findall(r'type="hidden" name="kit" value="([^"]*)"', form) == filled
        assert re.findall(r'name="donor"[^>]* value="([^"]*)"', form) == [code]


def test_the_menu_of_a_clinic_has_nothing_that_can_never_be_there_for_it() -> None:
    for role in (Role.CLINICIAN, Role.CLINIC_STAFF):
        shown = menu_of(role, "CLINIC")
        assert shown.isdisjoint(NOTHING_FOR_A_CLINIC) and "/specimens" in shown
    for role in (Role.LAB_TECH, Role.QUALITY, Role.AUDITOR):
        assert menu_of(role, "LAB") >= NOTHING_FOR_A_CLINIC

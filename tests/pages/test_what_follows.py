"""After an act its page leads to what comes next: nobody stands before a page that says what to do and has no way to it."""

import re
from html import unescape

from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit, Visitor
from tests.signing import signed
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


def test_a_new_donor_is_asked_for_consent_before_a_harvest_and_a_withdrawal(api: Api, visit: Visit) -> None:
    person = {"family_name": "Okafor", "given_names": "Adaeze", "date_of_birth": "1980-02-29", "sex": "female"}
    donor = api.clinician.post("/donors", json=person | {"clinic_site": "CLINIC"}).json()["donor"]
    clinic, path = visit("clinician"), f"/donors/{donor}"
    page = clinic.get_page(path)
    assert "consent to banking first" in page and link(clinic, path, "Record a harvest") is None
    main = re.findall(r'<a class="button[^"]*main[^"]*" href="([^"]+)"', page)
    assert main == [f"{path}/consent"], "one act comes first"
    consented = lab.donor(api)
    assert link(clinic, f"/donors/{consented}", "Record a harvest") is not None


def test_the_second_person_finds_on_today_the_page_where_they_sign(api: Api, visit: Visit) -> None:
    path = f"/users/{seed.USERS['lab_tech'].code}/roles"
    proposed = signed(api.admin, "role_change", path, {"role": "clinic_staff", "site": "CLINIC"})
    assert api.admin.post(path, json=proposed).status_code == 200
    (waiting,) = api.quality.get("/pending-acts").json()["items"]
    today = visit("quality").get_page("/")
    assert f'href="/pending/{waiting["id"]}"' in today and "Give a role, proposed by" in today
    page = visit("quality").get_page(f"/pending/{waiting['id']}")
    assert waiting["needs"] not in page and "Signed by somebody who may" in page


def test_what_only_a_dry_shipper_has_is_folded_away_until_it_is_said(api: Api, visit: Visit) -> None:
    form = visit("lab_tech").get_page("/shipments/new")
    folded = re.search(r"<details>\s*<summary>In a dry shipper</summary>(.*?)</details>", form, re.DOTALL)
    assert folded is not None
    for name in ("shipper", "qualification", "charge_g", "cold_until"):
        assert f'name="{name}"' in folded[1], name
    assert 'name="seal"' not in folded[1]

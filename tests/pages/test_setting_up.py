"""The first day of a bank, in the browser: from a service without a site to a prepared kit, and who did each step."""

import re
from datetime import timedelta
from html import unescape

from sqlalchemy import text

from biobank.foundation import clock
from biobank.foundation.terms import words
from tests import seed
from tests.conftest import Api
from tests.enrolling import by_two
from tests.granting import also
from tests.labels.test_batches import HOST
from tests.pages.visitor import Visit, Visitor
from tests.signing import signed
from tests.storage.test_every_way_of_placing import a_tube, stored
from tests.storage.test_storing import a_box


def emptied(api: Api) -> None:
    """Leave nothing but the people: the sites are shut, and what stands in the registers is retired."""
    api.test_bank.write(lambda s: s.execute(text("UPDATE site SET active = false")))
    api.test_bank.write(lambda s: s.execute(text("UPDATE register_entry SET retired_at = now() WHERE kind <> 'reason'")))


def standing(page: str) -> dict[str, bool]:
    """What the page says of each thing: whether it is there."""
    lines = re.findall(r'<li class="task">.*?<span>(There|Missing)</span>.*?<p>([^<]+)</p>', page, re.DOTALL)
    return {what: said == "There" for said, what in lines}


def missing(page: str) -> set[str]:
    return {what for what, there in standing(page).items() if not there}


def button(page: str, what: str) -> str:
    """The address that the button beside a thing leads to."""
    line = next(part for part in page.split('<li class="task">') if f"<p>{what}</p>" in part)
    found = re.search(r'<a class="button[^"]*" href="([^"]+)"', line)
    assert found is not None, line
    return unescape(found[1])


def fill(visitor: Visitor, what: str, fields: dict[str, str]) -> str:
    """Do what a step asks, from its button; return the page that one comes back to."""
    href = button(visitor.get_page("/set-up"), what)
    answer = visitor.submit(href.partition("?")[0], fields, draw=href, follow_redirects=True)
    assert answer.url.path == "/set-up", (answer.status_code, str(answer.url), answer.text[-3000:])
    return answer.text


def lay_out(visitor: Visitor, what: str, fields: dict[str, str]) -> str:
    """Look at a plan and make it."""
    href = button(visitor.get_page("/set-up"), what)
    shown = visitor.submit(href.partition("?")[0], fields, draw=href)
    assert shown.status_code == 200, shown.text[-2000:]
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text.partition("<main")[2]))
    made = visitor.post("/storage/new", data=fields | hidden, follow_redirects=True)
    assert made.url.path == "/set-up", made.text[-2000:]
    return made.text


def test_a_bank_is_set_up_from_nothing_and_the_page_says_what_is_there_and_by_whom(api: Api, visit: Visit) -> None:
    emptied(api)
    admin, quality, tech = visit("admin"), visit("quality"), visit("lab_tech")
    page = admin.get_page("/set-up")
    assert {"A bank, which keeps specimens", "Boxes with places for tubes", "A procedure", "A kit"} <= missing(page)

    page = fill(
        admin, "A bank, which keeps specimens", {"code": "FIRST", "name": "First", "kind": "bank", "timezone": "Europe/London"}
    )
    assert "A bank, which keeps specimens" not in missing(page) and seed.USERS["admin"].code in page
    clinic = {"code": "DOCTOR", "name": "Doctors", "kind": "clinic", "timezone": "Europe/London"}
    assert "A clinic, which sees donors" not in missing(fill(admin, "A clinic, which sees donors", clinic))

    boxes = {"site": "FIRST", "kind": "box", "name": "Box", "rows": "3", "cols": "3", "temperature_class": "minus_80"}
    page = lay_out(admin, "Boxes with places for tubes", boxes)
    assert missing(page) & {"Boxes with places for tubes", "A cold place, of which is known how cold"} == set()
    shelf = {"site": "FIRST", "kind": "shelf", "name": "Quarantine", "purpose": "quarantine"}
    page = lay_out(admin, "A quarantine place, which takes anything", shelf)
    assert "A quarantine place, which takes anything" not in missing(page)

    assert "Somebody else does this: whoever may decide for quality." in page
    for what, name in (
        ("A procedure", "SOP 900"),
        ("A laboratory that tests", "Far Lab"),
        ("A test method", "Plate count"),
        ("A workstation", "Cabinet 1"),
    ):
        assert what not in missing(fill(quality, what, {"kind": standing_kind(what), "name": name}))

    role = {"role": "lab_tech", "site": "FIRST"}
    by_two(api.admin, api.quality, f"/users/{seed.USERS['lab_tech'].code}/roles", role, "role_change")
    page = fill(tech, "A medium", {"kind": "medium", "name": "Transport", "site": "FIRST", "expires_on": "31 Dec 2098"})
    assert "A medium" not in missing(page)
    for what, kind in (("A reagent lot", "reagent_lot"), ("Equipment, such as a freezer or an incubator", "equipment")):
        assert what not in missing(fill(tech, what, {"kind": kind, "name": words(kind), "site": "FIRST"}))
    medium = api.lab_tech.get("/registers", params={"kind": "medium", "site": "FIRST"}).json()["items"][0]["entry"]
    kit = {"site": "DOCTOR", "home_site": "FIRST", "hair_labels": "0", "adipose_labels": "2", "media_lots": medium}
    page = fill(tech, "A kit", kit | {"expires_at": f"{clock.now() + timedelta(days=9):%d.%m.%Y} 12:00"})
    assert "A kit" not in missing(page) and seed.USERS["lab_tech"].code in page

    assert "Under whose law each site works" in missing(page)
    for site in ("FIRST", "DOCTOR"):
        path = f"/sites/{site}/jurisdiction"
        told = api.quality.post(path, json=signed(api.quality, "decided", path, {"site": site, "jurisdiction": "EU"}))
        assert told.status_code == 200, told.text
    page = tech.get_page("/set-up")
    begun = {"A harvest", "A tube in its place"}
    assert missing(page) == {"A label that was printed", "A label that was scanned back"} | begun
    box = api.admin.get("/storage-containers", params={"site": "FIRST", "kind": "box"}).json()["items"][0]["code"]
    href = button(admin.get_page("/set-up"), "A label that was printed")
    assert href == f"/labels/{box}?then=set-up"
    how = {"template": "box-50x25", "reason": "first_print", "format": "pdf", "dpi": "300"}
    printed = admin.submit(f"/labels/{box}", how, draw=href, follow_redirects=True)
    assert printed.url.path == f"/labels/{box}" and "Ready to print." in printed.text, "it is still to be scanned back"
    assert '<a class="button" href="/set-up">' in printed.text
    (serial,) = re.findall(r'<option value="(\d+)" selected>', printed.text.partition('id="verify"')[2])
    page = admin.get_page("/set-up")
    assert missing(page) == {"A label that was scanned back"} | begun
    again = button(page, "A label that was scanned back")
    read = {"serial": serial, "scanned": f"{HOST}{box}-01"}
    back = admin.submit(f"/labels/{box}/verify", read, draw=again, follow_redirects=True)
    assert back.url.path == "/set-up" and missing(back.text) == begun, back.text[-2000:]
    stored(api, a_tube(api), "", a_box(api), lambda: None)
    whole = admin.get_page("/set-up")
    assert missing(whole) == set() and "Everything is there." in whole
    assert 'href="/sites?kind=clinic"' in whole and 'href="/kits"' not in whole.partition("<main")[2], (
        "only what the reader opens"
    )


def line_of(page: str, what: str) -> str:
    return next(part for part in page.split('<li class="task">') if f"<p>{what}</p>" in part)


def test_each_thing_names_who_recorded_the_first_of_it_and_not_of_its_like(api: Api, visit: Visit) -> None:
    emptied(api)
    also(api, "quality2", "admin", None)
    for code, kind, who in (("ONE", "bank", api.admin), ("TWO", "clinic", api.quality2)):
        made = who.post("/sites", json={"code": code, "name": f"House {code}", "kind": kind, "timezone": "Europe/London"})
        assert made.status_code == 201, made.text
    page = visit("admin").get_page("/set-up")
    assert seed.USERS["admin"].code in line_of(page, "A bank, which keeps specimens")
    clinic = line_of(page, "A clinic, which sees donors")
    assert seed.USERS["quality2"].code in clinic and seed.USERS["admin"].code not in clinic


def test_a_login_on_its_way_is_said_at_each_step_and_its_slip_waits_at_today(api: Api, visit: Visit) -> None:
    made = api.admin.post("/users", json={"username": "newcomer", "printed_name": "Nora Newcomer"}).json()["code"]
    admin = visit("admin")
    assert f'href="/users/{made}/roles/give?then=set-up"' in line_of(admin.get_page("/set-up"), f"{made} has no role")
    path, body = f"/users/{made}/roles", {"role": "clinician", "site": "CLINIC"}
    half = api.admin.post(path, json=signed(api.admin, "role_change", path, body)).json()
    assert "Waits for quality to sign: 1." in line_of(admin.get_page("/set-up"), "Clinician")
    whole = body | {"pending_act": half["pending_act"]}
    slip = api.quality.post(path, json=signed(api.quality, "role_change", path, whole)).json()["slip"]["id"]
    page = admin.get_page("/set-up")
    assert f"{made} has no role" not in page and "Not signed in yet: 1;" in line_of(page, "Clinician")
    assert f'href="/slips/{slip}"' in visit("quality").get_page("/")
    assert f'href="/slips/{slip}"' not in visit("quality2").get_page("/")
    assert api.quality.post(f"/slips/{slip}/draw").status_code == 200
    assert f'href="/slips/{slip}"' not in visit("quality").get_page("/")


def test_a_thing_of_the_registers_is_asked_for_by_its_kind_alone(api: Api, visit: Visit) -> None:
    quality, tech = visit("quality"), visit("lab_tech")
    which = quality.get_page("/registers/new")
    assert 'name="kind"' in which and 'name="gtin"' not in which
    assert 'value="procedure"' in which and 'value="procedure"' not in tech.get_page("/registers/new"), "the bench enters none"
    chosen = tech.submit("/registers/new", {"kind": "medium", "choosing": "yes"}, draw="/registers/new?then=set-up")
    assert str(chosen.url).endswith("/registers/new?kind=medium&then=set-up")
    names = {
        kind: {name for name in ("gtin", "holds_h", "result_within_days") if f'name="{name}"' in page}
        for kind in ("medium", "shipper", "test_method", "procedure")
        for page in [quality.get_page(f"/registers/new?kind={kind}")]
    }
    assert names == {"medium": {"gtin"}, "shipper": {"holds_h"}, "test_method": {"result_within_days"}, "procedure": set()}
    own = quality.submit("/registers/new", {"kind": "reason", "name": "Found on the floor"}, draw="/registers/new?kind=reason")
    assert own.status_code == 200 and "Found on the floor" in own.text


def standing_kind(what: str) -> str:
    return {
        "A procedure": "procedure",
        "A laboratory that tests": "laboratory",
        "A test method": "test_method",
        "A workstation": "workstation",
    }[what]


def test_who_sets_nothing_up_does_not_see_the_page_and_has_no_way_to_it(api: Api, visit: Visit) -> None:
    for name in ("clinic_staff", "auditor"):
        assert visit(name).get("/set-up").status_code == 403
        assert 'href="/set-up"' not in visit(name).get_page("/")
    assert 'href="/set-up"' in visit("admin").get_page("/")


def test_one_more_like_it_opens_the_form_again_with_what_the_next_has_in_common_and_still_leads_back(
    api: Api, visit: Visit
) -> None:
    admin = visit("admin")
    first = {"code": "THIRD", "name": "Third", "kind": "clinic", "timezone": "Asia/Tokyo", "one_more": "yes"}
    more = admin.submit("/sites/new", first, draw="/sites/new?then=set-up", follow_redirects=True)
    assert (more.status_code, more.url.path) == (200, "/sites/new"), more.text[-2000:]
    assert {"kind": "clinic", "timezone": "Asia/Tokyo", "then": "set-up"}.items() == dict(more.url.params).items()
    form = more.text.partition("<main")[2]
    assert (
        'value="Asia/Tokyo"' in form and '<option value="clinic" selected>' in form and "Third" not in form.partition("<form")[2]
    )
    assert "Do it, then one more like this" in form
    assert api.admin.get("/sites/THIRD").status_code == 200
    done = admin.submit(
        "/sites/new",
        first | {"code": "FOURTH", "name": "Fourth", "one_more": ""},
        draw="/sites/new?then=set-up",
        follow_redirects=True,
    )
    assert done.url.path == "/set-up"


def test_a_page_that_was_left_leads_back_too_and_to_nowhere_else(api: Api, visit: Visit) -> None:
    page = visit("admin").get_page("/sites/new?then=set-up")
    assert '<a class="button" href="/set-up">Cancel</a>' in page and 'name="then" value="set-up"' in page
    form = {"code": "OTHERS", "name": "Others", "kind": "bank", "timezone": "Europe/London", "then": "https://evil.example"}
    answer = visit("admin").submit("/sites/new", form)
    assert answer.url.path == "/sites"

"""Pages over HTTP: the session, its cookie and token, headers, refusals. What a browser does is in tests/browser."""

import io
import re
from collections.abc import Callable
from datetime import timedelta

import qrcode
from qrcode.image.pil import PilImage

from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, TestBank
from tests.enrolling import enrolled
from tests.factories import make_box, make_received
from tests.pages.visitor import BROWSER, Visit, Visitor
from tests.sealing import seal
from tests.withdrawals.stories import a_donor, everyone


def a_tube(api: Api) -> str:
    """A received specimen at LAB."""
    act = everyone(api.test_bank)
    return api.test_bank.write(lambda s: make_received(s, act).code)  # type: ignore[no-any-return]


def test_a_stranger_is_sent_to_the_door_and_then_on_to_the_page(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit()
    door = visitor.get(f"/S/{tube}")
    assert door.url.path == "/login" and door.status_code == 200
    after = visitor.submit(f"{door.url.path}", {"username": "lab_tech", "password": seed.PASSWORD}, draw=str(door.url))
    assert after.url.path == f"/specimens/{tube}" and after.status_code == 200


def test_the_door_sends_nobody_to_another_site(api: Api, visit: Visit) -> None:
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example", "/logout"):
        visitor = visit()
        page = visitor.get("/login", params={"next": target}).text
        assert 'name="next" value="/"' in page


def test_a_wrong_password_stays_at_the_door(visit: Visit) -> None:
    answer = visit().log_in("lab_tech", "wrong wrong wrong")
    assert answer.status_code == 401 and answer.url.path == "/login"
    assert "Wrong login or password" in answer.text and "wrong wrong" not in answer.text


def test_a_log_in_from_another_site_is_refused(api: Api, visit: Visit) -> None:
    visitor = visit()
    visitor.get("/login")
    answer = visitor.post("/login", data={"username": "lab_tech", "password": seed.PASSWORD, "csrf_token": "x"})
    assert answer.status_code == 403 and "session" not in visitor.cookies


def test_the_cookie_is_out_of_reach_of_scripts_and_bound_to_the_host_under_tls(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]
) -> None:
    for secure, name in ((False, "session"), (True, "__Host-session")):
        url = serve(make_bank(secure_cookies=secure))
        with Visitor(base_url=url, headers=BROWSER) as visitor:
            page = visitor.get("/login")
            door = page.headers["set-cookie"].split(";")[0]
            token = door.split("=")[1]
            answer = visitor.post(
                "/login",
                data={"username": "lab_tech", "password": seed.PASSWORD, "csrf_token": token},
                headers={"Cookie": door},
            )
        cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{name}="))
        assert answer.status_code == 303
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Domain" not in cookie
        assert ("Secure" in cookie) is secure


def test_a_form_without_its_token_changes_nothing(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("lab_tech")
    fields = {"scope_kind": "specimen", "kind": "quality", "reason": "spilled", "idempotency_key": "one"}
    for token in ({}, {"csrf_token": "guessed"}):
        answer = visitor.post(f"/specimens/{tube}/hold", data=fields | token)
        assert answer.status_code == 403 and "Form not accepted" in answer.text
    assert api.lab_tech.get(f"/specimens/{tube}").json()["holds"] == []


def test_a_form_sent_twice_is_one_act(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("lab_tech")
    page = visitor.get_page(f"/specimens/{tube}/hold")
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.split('class="form"')[1]))
    for _ in range(2):
        fields = hidden | {"scope_kind": "specimen", "kind": "quality", "reason": "spilled"}
        assert visitor.post(f"/specimens/{tube}/hold", data=fields).status_code == 200
    assert len(api.lab_tech.get(f"/specimens/{tube}").json()["holds"]) == 1


def test_an_idle_page_locks_itself(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    clock.set_offset(timedelta(minutes=16), test_mode=True)
    page = visitor.get("/specimens?state=stored")
    assert (page.url.path, page.status_code) == ("/locked", 200)
    assert seed.USERS["lab_tech"].code in page.text
    refused = visitor.submit("/locked", {"password": "not this one at all"}, draw=str(page.url))
    assert refused.status_code == 403 and "wrong" in refused.text
    assert visitor.get("/specimens").url.path == "/locked"
    opened = visitor.submit("/locked", {"password": seed.PASSWORD}, draw=str(page.url))
    assert (opened.url.path, opened.url.query, opened.status_code) == ("/specimens", b"state=stored", 200)


def test_a_lock_opens_for_nobody_else_and_for_no_form_from_elsewhere(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    clock.set_offset(timedelta(minutes=16), test_mode=True)
    forged = visitor.post("/locked", data={"password": seed.PASSWORD, "csrf_token": "x"})
    assert forged.status_code == 403 and visitor.get("/specimens").url.path == "/locked"
    assert visit().get("/locked").url.path == "/login"
    stranger = visit().post("/locked", data={"password": seed.PASSWORD})
    assert stranger.url.path == "/login"
    visitor.log_in("quality")
    assert seed.USERS["quality"].code in visitor.get_page("/")


def test_a_page_that_is_worked_on_stays_open(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    for minutes in (10, 20, 30):
        clock.set_offset(timedelta(minutes=minutes), test_mode=True)
        assert visitor.get("/alive").status_code == 204
    clock.set_offset(timedelta(minutes=50), test_mode=True)
    assert visitor.get("/alive", headers={"Accept": "application/json"}).status_code == 401


def test_logging_out_ends_the_session(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    cookie = visitor.cookies["session"]
    visitor.submit("/logout", {}, draw="/")
    visitor.cookies.set("session", cookie)
    assert visitor.get("/").url.path == "/login"


def test_a_one_time_code_opens_one_page_only(api: Api, visit: Visit) -> None:
    _, first = enrolled(api, "newcomer")
    visitor = visit()
    assert visitor.log_in("newcomer", first).url.path == "/first-login"
    assert visitor.get("/").url.path == "/first-login"
    weak = {"current_password": first, "new_password": "short", "repeat_password": "short"}
    assert "at least 12 characters" in visitor.submit("/first-login", weak).text
    chosen = "a long walk by the river"
    strong = {"current_password": first, "new_password": chosen, "repeat_password": chosen}
    assert visitor.submit("/first-login", strong).url.path == "/"


def test_another_sites_specimen_is_a_page_that_knows_nothing(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("north_tech")
    page = visitor.get_page(f"/specimens/{tube}", 404)
    assert "What to do now" in page and "Log out" in page
    visitor.get_page(f"/S/{tube}", 404)
    visitor.get_page(f"/find?q={tube}", 404)


def test_every_page_of_every_role_has_the_policy_and_a_title_without_people(api: Api, visit: Visit) -> None:
    donor = a_donor(api)
    tube = a_tube(api)
    act = api.test_bank.act("admin")
    box = api.test_bank.write(lambda s: make_box(s, act).code)
    paths = [
        "/",
        "/find",
        "/specimens",
        f"/specimens/{tube}",
        f"/specimens/{tube}/store",
        f"/specimens/{tube}/hold",
        f"/specimens/{tube}/record/inspected",
        f"/specimens/{tube}/decision",
        "/storage",
        f"/storage/{box}",
        "/donors",
        f"/donors/{donor}",
        "/donors/new",
        "/withdrawals",
        "/withdrawals/new",
        f"/withdrawals/new?donor={donor}",
        "/log",
        "/users",
        "/nowhere",
        "/styleguide",
    ]
    for role in ("lab_tech", "clinician", "clinic_staff", "quality", "auditor", "admin"):
        visitor = visit(role)
        for path in paths:
            answer = visitor.get(path)
            assert answer.status_code in (200, 403, 404), (role, path, answer.text)
            assert "script-src 'self'" in answer.headers["content-security-policy"], path
            assert answer.headers["cache-control"] == "no-store", path
            assert "<style" not in answer.text and " style=" not in answer.text and " onclick" not in answer.text, path


def test_the_menu_holds_only_doors_that_open(api: Api, visit: Visit) -> None:
    for role in ("lab_tech", "clinician", "clinic_staff", "quality", "auditor", "north_auditor", "admin"):
        visitor = visit(role)
        page = visitor.get_page("/")
        doors = re.findall(r'<li><a href="([^"]+)"', page.split('class="sections"')[1].split("</nav>")[0])
        assert doors[0] == "/"
        for door in dict.fromkeys(doors):
            assert door in visitor.get_page(door), (role, door)


def test_the_identity_is_shown_once_and_that_it_was_is_recorded(api: Api, visit: Visit) -> None:
    donor = a_donor(api)
    visitor = visit("clinician")
    assert "Family name" not in visitor.get_page(f"/donors/{donor}")
    shown = visitor.submit(f"/donors/{donor}/identity", {}, draw=f"/donors/{donor}")
    assert shown.status_code == 200 and "Family name" in shown.text
    assert "Family name" not in visitor.get_page(f"/donors/{donor}")
    log = api.auditor.get("/custody-log", params={"donor": donor, "kind": "donor.identity_read"}).json()["items"]
    assert [event["by"] for event in log] == [seed.USERS["clinician"].code]


def test_finding_says_what_to_do_with_what_it_does_not_know(api: Api, visit: Visit) -> None:
    visitor = visit("lab_tech")
    tube = a_tube(api)
    assert visitor.get("/find", params={"q": f"HTTPS://BANK.EXAMPLE/S/{tube}"}).url.path == f"/specimens/{tube}"
    assert visitor.get("/find", params={"q": tube.partition("-")[2]}).url.path == f"/specimens/{tube}"
    foreign = visitor.get("/find", params={"q": f"HTTPS://OTHER.EXAMPLE/S/{tube}"})
    assert foreign.status_code == 409 and "Another organisation" in foreign.text
    unknown = visitor.get("/find", params={"q": "FX0012345678"})
    assert unknown.status_code == 404 and "Where to put the tube now" in unknown.text
    assert visitor.submit("/find", {"q": tube}).url.path == f"/specimens/{tube}"
    named = visitor.submit("/find", {"q": "Erika Mustermann"})
    assert str(named.url).endswith("/find"), "a name stands in no address"
    assert named.status_code == 404 and "These are words, not a code" in named.text
    assert "quarantine" not in named.text
    kept = api.auditor.get("/attempts", params={"limit": 3}).json()["items"]
    assert [one["path"] for one in kept] == ["/find"] * 3 and "Erika" not in str(kept)
    broken = visitor.get("/find", params={"q": tube[:-1] + ("0" if tube[-1] != "0" else "1")})
    assert broken.status_code == 422 and "Misread code" in broken.text


def test_a_mistyped_form_comes_back_with_what_was_typed_and_why(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("lab_tech")
    typed = {"scope_kind": "specimen", "kind": "quality", "reason": "Not A Code!"}
    answer = visitor.submit(f"/specimens/{tube}/hold", typed)
    assert answer.status_code == 422
    assert 'value="Not A Code!"' in answer.text and 'href="#f-reason"' in answer.text


def test_the_log_is_downloaded_with_the_filters_of_its_page(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    visitor = visit("auditor")
    page = visitor.get_page(f"/log?specimen={tube}")
    assert page.count(tube) >= 2
    seal(api.test_bank)
    file = visitor.get(f"/log/export?format=csv&specimen={tube}")
    assert file.status_code == 200 and file.headers["content-type"].startswith("text/csv")
    assert len(file.text.strip().splitlines()) == 3  # heading, collected, received
    assert visit("clinician").get("/log/export").status_code == 403
    assert visitor.get("/log?from=someday").status_code == 422


def test_a_camera_frame_is_decoded_for_the_page_session_and_its_token_only(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    frame = io.BytesIO()
    label = qrcode.make(f"HTTPS://BANK.EXAMPLE/S/{tube}", image_factory=PilImage).get_image()
    label.convert("L").save(frame, "JPEG")
    visitor = visit("lab_tech")
    token = re.search(r'name="csrf-token" content="([^"]+)"', visitor.get_page("/"))
    assert token is not None
    headers = {"Content-Type": "image/jpeg", "Accept": "application/json"}
    proved = headers | {"X-CSRF-Token": token[1]}
    answer = visitor.post("/scans/decode", content=frame.getvalue(), headers=proved)
    assert answer.json()["text"] == f"HTTPS://BANK.EXAMPLE/S/{tube}"
    assert visitor.post("/scans/decode", content=frame.getvalue(), headers=headers).status_code == 403
    assert visit().post("/scans/decode", content=frame.getvalue(), headers=proved).status_code == 401

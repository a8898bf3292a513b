"""Signing in by badge and PIN at a station: what it opens, what it never opens, and every way around that was thought of."""

import re
from datetime import timedelta

import httpx
import psycopg
import pytest
from sqlalchemy import select, text

from biobank.auth.badges import BY_BADGE
from biobank.auth.models import login_session, user_role
from biobank.auth.permissions import Permission as P
from biobank.auth.pins import ALLOWED, BadgeStopped, NoPin, WeakPin, WrongPin
from biobank.auth.station_models import badge_pin
from biobank.auth.station_models import station as stations
from biobank.auth.stations import NoStation
from biobank.benches.stations import NoRoleHere, StationCopied, StationRetired, WorkstationNotInUse
from biobank.custody.snapshots import load
from biobank.foundation import clock
from tests import seed
from tests.auth.route_table import TABLE, World
from tests.benches.badges import PIN, browser, code_of, ended, enrolled, scan, set_pin
from tests.benches.stories import workstation
from tests.conftest import Api, Client
from tests.enrolling import reset
from tests.factories import make_box, make_specimen
from tests.pages.visitor import Visit, Visitor
from tests.specimens import stories as lab
from tests.specimens.stories import donor, raw_fat
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_storing import a_box

TECH = seed.USERS["lab_tech"].code


@pytest.fixture
def station(api: Api, visit: Visit) -> Visitor:
    """A station at LAB; both technicians have a PIN."""
    set_pin(visit("lab_tech"))
    set_pin(visit("lab_tech2"), "736204")
    return browser(api, enrolled(api, workstation(api, "Cabinet 3"))[1])


def events(api: Api, stream: str) -> list[str]:
    """The kinds on a stream, oldest first."""
    found = text("SELECT convert_from(entry, 'UTF8')::json->>'kind' FROM event WHERE stream_id = :id ORDER BY seq")
    return list(api.test_bank.write(lambda s: s.execute(found, {"id": stream}).scalars().all()))


def shows(at: Visitor, session: str) -> None:
    """Let a browser show the cookie of a session that it was not given."""
    if "session" in at.cookies:
        at.cookies.delete("session")
    at.cookies.set("session", session)


CODES = {
    one.code: one.title
    for one in (WrongPin, BadgeStopped, StationCopied, NoRoleHere, NoStation, NoPin, WeakPin, StationRetired, WorkstationNotInUse)
}


def refused(answer: httpx.Response, code: str) -> bool:
    """Whether a page says this refusal."""
    return answer.status_code >= 400 and CODES[code] in answer.text


def test_an_administrator_enrols_a_browser_there_and_retires_it(api: Api, visit: Visit) -> None:
    bench, admin = workstation(api, "Cabinet 4"), visit("admin")
    wrong = admin.submit("/stations/enrol", {"workstation": bench, "password": "not it at all"}, draw="/stations")
    assert wrong.status_code == 403 and "station" not in admin.cookies
    done = admin.submit("/stations/enrol", {"workstation": bench, "password": seed.PASSWORD}, draw="/stations")
    assert "This browser is a station" in done.text and len(admin.cookies["station"]) == 43
    assert events(api, bench)[-1] == "system.station_enrolled"
    assert visit("lab_tech").get("/stations").status_code == 403

    set_pin(visit("lab_tech"))
    here = browser(api, admin.cookies["station"])
    assert "By badge at Cabinet 4" in scan(here, "lab_tech").text
    form = done.text.split('action="/stations/retire"')[1].split("</form>")[0]
    token, one = re.findall(r' value="([^"]+)"', form)
    assert admin.post("/stations/retire", data={"csrf_token": token, "station": one}).status_code == 200
    assert events(api, bench)[-1] == "system.station_ended"
    again = admin.post("/stations/retire", data={"csrf_token": token, "station": one})
    assert refused(again, "station_retired")
    assert here.get("/").url.path == "/login", "whoever was signed in there is out, and it is no station any more"


def test_one_scan_changes_the_person_and_the_account_lists_it(api: Api, station: Visitor, visit: Visit) -> None:
    assert station.get("/").url.path == "/station"
    first = scan(station, "lab_tech")
    assert "By badge at Cabinet 3" in first.text and TECH in first.text
    before = station.cookies["session"]
    account = visit("lab_tech")
    assert "Cabinet 3" in account.get_page("/account").split('id="sessions"')[1]
    led = station.get("/find", params={"q": seed.USERS["lab_tech2"].code})
    assert led.url.path == "/station" and seed.USERS["lab_tech2"].code in led.text
    second = scan(station, "lab_tech2", "736204")
    assert seed.USERS["lab_tech2"].code in second.text
    shows(station, before)
    assert station.get("/").url.path == "/station", "the one before is signed out"


def test_it_reads_and_stores_at_its_site(api: Api, station: Visitor) -> None:
    bank = api.test_bank
    tube = raw_fat(api, donor(api))["code"]
    box = bank.write(lambda s: make_box(s, bank.act("admin"), temperature_class="ambient")).code
    scan(station, "lab_tech")
    assert tube in station.get_page(f"/specimens/{tube}")
    stored = station.submit(f"/specimens/{tube}/store", {"container": box, "slot_unknown": "true"})
    assert stored.status_code == 200, stored.text
    assert events(api, tube)[-1] == "specimen.stored"
    elsewhere = bank.write(lambda s: make_specimen(s, bank.act("acts_here"), site="CLINIC", home_site="CLINIC")).code
    assert station.get(f"/specimens/{elsewhere}").status_code == 404


def test_what_is_signed_leads_to_the_full_sign_in_and_back(api: Api, station: Visitor) -> None:
    scan(station, "lab_tech")
    for path in ("/account", "/account/choices", "/account/messages", "/first-login", "/stations", "/users", "/log"):
        answer = station.get(path)
        assert (answer.status_code, code_of(answer)) == (403, "full_sign_in_needed"), path
    assert 'href="/login?next=/account"' in station.get("/account").text.replace("%2F", "/")
    full = station.submit("/login", {"username": "lab_tech", "password": seed.PASSWORD})
    assert "Log out" in full.text and "By badge" not in full.text


def calling(api: Api, who: str) -> Client:
    """A client with what no route gives: a token of the session that somebody has by badge."""
    found = select(login_session.c.id).where(login_session.c.station_id.is_not(None), login_session.c.revoked_at.is_(None))
    token = api.test_bank.bank.tokens.issue(who, api.test_bank.write(lambda s: s.execute(found).scalar_one()))[0]
    return Client(base_url=f"{api.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)


def outcomes(client: Client, world: World, url: str) -> dict[str, tuple[int, str]]:
    """What every call of the API answers."""
    found = {}
    for row in TABLE:
        path = row.route.format(**row.path(world))
        path = path.removeprefix("/api/v1") if path.startswith("/api/") else url + path
        if row.image is not None:
            answer = client.request(row.method, path, content=row.image, headers={"Content-Type": "image/jpeg"})
        else:
            answer = client.request(row.method, path, json=None if row.body is None else row.body(world))
        code = answer.json().get("code", "") if "problem" in answer.headers.get("content-type", "") else ""
        found[f"{row.method} {row.route}"] = answer.status_code, code
    return found


def test_on_every_route_a_session_by_badge_signs_nothing_and_reads_nobody(api: Api, visit: Visit) -> None:
    """No route gives such a session a token. One is made here all the same, for somebody who has every role at the site."""
    bank, who = api.test_bank, seed.USERS["acts_here"].code
    set_pin(visit("acts_here"))
    here = browser(api, enrolled(api, workstation(api))[1])
    scan(here, "acts_here")
    whose = donor(api)
    tube = lab.received(api.lab_tech, lab.made(lab.harvest(api.clinician, whose))["specimens"][0])
    last = api.lab_tech.get(f"/specimens/{tube['code']}/custody").json()["items"][-1]["leaf_hash"]
    box = bank.write(lambda s: make_box(s, bank.act("admin"))).code
    seq = lambda: int(bank.write(lambda s: load(s, [tube["code"]])[tube["code"]].seq))  # noqa: E731
    world = World(tube["code"], whose, last, box, "LAB", seq)
    with calling(api, who) as client:
        by_badge_said = outcomes(client, world, api.url)
    fully = outcomes(api.acts_here, world, api.url)

    needs_more = {f"{row.method} {row.route}" for row in TABLE if row.permission is not None and row.permission not in BY_BADGE}
    wrong = {name: by_badge_said[name] for name in needs_more if by_badge_said[name][0] not in (403, 404)}
    assert wrong == {}
    signed = {name for name, (_, code) in fully.items() if code == "signature_required"}
    assert {name: by_badge_said[name] for name in signed if by_badge_said[name][1] != "full_sign_in_needed"} == {}
    assert by_badge_said["POST /api/v1/signatures"][1] == "full_sign_in_needed"
    about_oneself = ("POST /api/v1/auth/", "GET /api/v1/auth/", "POST /api/v1/messages/own")
    own = {name for name in by_badge_said if name.startswith(about_oneself)}
    own -= {"GET /api/v1/auth/me", "POST /api/v1/auth/logout", "GET /api/v1/auth/passkey-challenge"}
    assert {name: by_badge_said[name] for name in own if by_badge_said[name][1] != "full_sign_in_needed"} == {}
    assert len(needs_more) > 100 and len(signed) > 10
    assert sum(status < 300 for status, _ in by_badge_said.values()) > 50, "it opens the bench"


def test_the_second_of_two_people_is_nobody_with_a_pin(api: Api, station: Visitor) -> None:
    """Two count, two pick, one hands over and another takes: a PIN that somebody saw would make one person two."""
    box = a_box(api)
    assert api.lab_tech.post(f"/storage-containers/{box}/counts", json={"scanned": [a_tube(api)]}).status_code == 201
    scan(station, "lab_tech2", "736204")
    with calling(api, seed.USERS["lab_tech2"].code) as client:
        again = client.post(f"/storage-containers/{box}/counts", json={"scanned": []})
        assert (again.status_code, again.json()["code"]) == (403, "full_sign_in_needed")
    assert BY_BADGE.isdisjoint({P.HANDOVER_TAKE, P.WITHDRAWAL_PICK, P.WITHDRAWAL_ISSUE, P.WITHDRAWAL_RECEIVE})
    assert api.lab_tech2.post(f"/storage-containers/{box}/counts", json={"scanned": []}).status_code == 201


def test_no_call_for_a_token_takes_a_badge(api: Api, station: Visitor) -> None:
    for form in ({"username": TECH, "password": PIN}, {"username": "lab_tech", "password": PIN}):
        answer = httpx.post(f"{api.url}/api/v1/auth/token", data=form, cookies={"station": station.cookies["station"]})
        assert answer.status_code == 401
    scan(station, "lab_tech")
    assert station.get("/api/v1/specimens", headers={"Accept": "application/json"}).status_code == 401


def test_a_pin_opens_its_own_badge_and_only_at_a_station_of_a_site_with_a_role(api: Api, station: Visitor, visit: Visit) -> None:
    assert refused(scan(station, "lab_tech", "736204"), "wrong_pin"), "the PIN of another badge"
    assert refused(scan(station, "lab_tech", "000000"), "wrong_pin")
    assert refused(scan(station, "quality"), "wrong_pin"), "no PIN"
    assert refused(station.submit("/station", {"badge": seed.EQUIPMENT, "password": PIN}), "wrong_pin")
    set_pin(visit("north_tech"))
    assert refused(scan(station, "north_tech"), "no_role_here")
    assert browser(api, None).get("/station").url.path == "/login"
    assert browser(api, "x" * 43).get("/station").url.path == "/login"


def test_a_session_goes_on_only_at_its_own_station(api: Api, station: Visitor) -> None:
    other = browser(api, enrolled(api, workstation(api, "Cabinet 9"))[1])
    scan(station, "lab_tech")
    shows(other, station.cookies["session"])
    assert other.get("/").url.path == "/station", "the cookie of another station"
    bare = browser(api, None)
    shows(bare, station.cookies["session"])
    assert bare.get("/").url.path == "/login", "no station at all"
    assert "By badge at Cabinet 3" in station.get_page("/")


def test_a_copied_key_of_a_station_is_noticed_and_ends_it_for_both(api: Api, station: Visitor) -> None:
    thief = browser(api, station.cookies["station"])
    bench = api.test_bank.write(lambda s: s.execute(select(stations.c.workstation)).scalar_one())
    scan(station, "lab_tech")
    shows(thief, station.cookies["session"])
    assert thief.get("/").url.path == "/station", "a copy from before the sign-in is not what came with it"
    scan(station, "lab_tech2", "736204")
    found = scan(thief, "lab_tech")
    assert refused(found, "station_copied") and found.status_code == 403
    assert events(api, bench)[-1] == "system.station_ended"
    assert station.get("/").url.path == "/login"


def test_the_same_form_sent_again_opens_nothing_without_its_token(api: Api, station: Visitor) -> None:
    page = station.get_page("/station")
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    form = {"badge": TECH, "password": PIN, "csrf_token": token}
    other = browser(api, None)
    other.cookies.set("station", station.cookies["station"])
    assert "open for too long" in other.post("/station", data=form).text, "sent from another page than ours"


def test_five_wrong_pins_stop_the_badge_here_and_nothing_else(api: Api, station: Visitor, visit: Visit) -> None:
    other = browser(api, enrolled(api, workstation(api, "Cabinet 9"))[1])
    for _ in range(ALLOWED):
        assert refused(scan(station, "lab_tech", "111222"), "wrong_pin")
    assert refused(scan(station, "lab_tech"), "badge_stopped"), "the right one too"
    assert "By badge" in scan(other, "lab_tech").text and "By badge" in scan(station, "lab_tech2", "736204").text
    failed = "SELECT count(*) FROM login_attempt WHERE NOT succeeded"
    assert api.test_bank.write(lambda s: s.execute(text(failed)).scalar()) == ALLOWED
    assert visit("lab_tech"), "the password opens, as ever"
    assert "By badge" in scan(station, "lab_tech").text, "and with it the badge again"


def test_a_station_where_many_pins_are_wrong_waits(api: Api, station: Visitor) -> None:
    strangers = [name for name in seed.USERS if not name.startswith("lab_tech")]
    answers = [scan(station, name, "111222").status_code for name in strangers for _ in range(ALLOWED)]
    assert answers.index(429) == 30 and set(answers) == {401, 429}
    assert scan(station, "lab_tech").status_code == 429


@pytest.mark.parametrize("how", ["role", "reset", "pin", "badge", "workstation", "idle", "end"])
def test_it_ends_when_what_it_rests_on_does(api: Api, visit: Visit, how: str) -> None:
    bank, owner = api.test_bank, visit("lab_tech")
    set_pin(owner)
    bench = workstation(api, "Cabinet 3")
    one, cookie = enrolled(api, bench)
    here = browser(api, cookie)
    scan(here, "lab_tech")
    assert "By badge" in here.get_page("/")
    if how == "role":
        bank.write(lambda s: s.execute(user_role.delete().where(user_role.c.user_code == TECH)))
    elif how == "reset":
        reset(api, TECH)
        assert "user.pin_cleared" in events(api, TECH)
    elif how == "pin":
        owner.submit("/account/pin/clear", {}, draw="/account")
        assert events(api, TECH)[-2:] == ["user.pin_cleared", "user.credentials_set"]
    elif how == "badge":
        answer = api.admin.post("/label-sheets", json={"things": [TECH], "template": "badge-86x54", "reason": "first_print"})
        assert answer.status_code in (200, 201), answer.text
    elif how == "workstation":
        gone = api.lab_tech.post(f"/registers/{bench}/changes", json={"change": "retired"})
        assert gone.status_code in (200, 201), gone.text
    elif how == "idle":
        clock.set_offset(timedelta(seconds=bank.bank.settings.badge_idle_s + 1), test_mode=True)
    else:
        ended(api, one)
    assert here.get("/").url.path in ("/station", "/login")
    if how in ("reset", "pin", "workstation", "end"):
        assert here.get("/station").url.path == "/login" or refused(scan(here, "lab_tech"), "wrong_pin")


def test_a_pin_is_chosen_with_the_password_and_follows_no_rule(api: Api, visit: Visit) -> None:
    tech = visit("lab_tech")
    for weak in ("12345", "123456789", "111111", "123456", "987654", "121212", "123123", "112211", "12a456"):
        assert refused(set_pin(tech, weak), "weak_pin"), weak
    assert set_pin(tech, password="not it at all").status_code == 403
    assert "user.pin_set" not in events(api, TECH)
    assert set_pin(tech).status_code == 200 and "Set on" in tech.get_page("/account").split('id="pin"')[1]
    assert events(api, TECH)[-2:] == ["user.pin_set", "user.credentials_set"]
    tech.submit("/account/pin/clear", {}, draw="/account")
    token = re.findall(r'name="csrf_token" value="([^"]+)"', tech.get_page("/account"))[0]
    assert refused(tech.post("/account/pin/clear", data={"csrf_token": token}), "no_pin")
    set_pin(tech)
    kept = api.test_bank.write(lambda s: s.execute(select(badge_pin.c.pin)).scalar_one())
    assert PIN.encode() not in bytes(kept) and b"argon2" not in bytes(kept)


def test_a_browser_is_enrolled_only_where_the_register_says_that_one_works(api: Api, station: Visitor, visit: Visit) -> None:
    gone = workstation(api, "Cabinet 8")
    assert api.lab_tech.post(f"/registers/{gone}/changes", json={"change": "retired"}).status_code in (200, 201)
    admin = visit("admin")
    for code, said in ((gone, "workstation_not_in_use"), (seed.REAGENT, "not_a_workstation"), ("EQ-0000000", "not_found")):
        answer = admin.submit("/stations/enrol", {"workstation": code, "password": seed.PASSWORD}, draw="/stations")
        assert answer.status_code in (404, 409) and "station" not in admin.cookies, said
    page = station.get_page("/station")
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    station.cookies.delete("station")
    assert refused(station.post("/station", data={"badge": TECH, "password": PIN, "csrf_token": token}), "no_station")


def test_a_sign_in_by_badge_is_no_sign_in_that_a_password_unlocks(api: Api, station: Visitor) -> None:
    scan(station, "lab_tech")
    clock.set_offset(timedelta(seconds=api.test_bank.bank.settings.badge_idle_s + 1), test_mode=True)
    asked = station.get("/alive", headers={"Accept": "application/json"})
    assert (asked.status_code, asked.json()["code"]) == (401, "station_left")
    assert station.get("/locked").url.path == "/login"


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ("UPDATE login_session SET station_site = 'LAB' WHERE station_id IS NULL", "who_signed_in_by_badge_is_at_a_station"),
        ("UPDATE station SET ended_at = now()", "a_station_ends_by_an_event"),
    ],
)
def test_the_database_holds_sessions_and_stations_together(api: Api, station: Visitor, wrong: str, rule: str) -> None:
    assert station.cookies["station"]
    with psycopg.connect(api.test_bank.dsn()) as connection, pytest.raises(psycopg.errors.CheckViolation, match=rule):
        connection.execute(wrong)

"""Near misses and overrides, counted by step, place and time: what the page shows and what the API says are one question."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from biobank.acts.models import attempt
from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.custody import near_misses
from biobank.custody.near_misses import step_of
from biobank.foundation import clock
from biobank.pages.overview.figures import read_figures
from tests import seed
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story, later


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/api/v1/withdrawals/WD26-KH0KJQL/picks", "withdrawals: pick"),
        ("/withdrawals/WD26-KH0KJQL/confirm", "withdrawals: pick"),
        ("/api/v1/withdrawals/WD26-KH0KJQL/bedside-checks", "withdrawals: check"),
        ("/withdrawals/WD26-KH0KJQL/check", "withdrawals: check"),
        ("/api/v1/specimens/AD26-KH0KJQL/events", "specimens: events"),
        ("/processings/0a4f6a52-6b0e-4d2f-9a38-0f5f1c3f7a10/finish", "processings: finish"),
        ("/api/v1/holds", "holds"),
        ("/", "home"),
    ],
)
def test_an_address_names_its_step_whoever_came_by_it(path: str, step: str) -> None:
    assert step_of(path) == step


def test_refusals_and_overrides_are_counted_by_step_place_and_time(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("thaw")
    stranger = donors.band(api, a_story(api).donor)
    for _ in range(2):
        assert story.check(wristband=stranger).status_code == 409
    later(api, days=8)

    counted = api.auditor.get("/attempt-counts", params={"days": 30, "each": "week"}).json()["items"]

    (wrong,) = [one for one in counted if one["why"] == "wrong_recipient"]
    assert (wrong["what"], wrong["step"], wrong["times"], wrong["site"]) == ("near_miss", "withdrawals: check", 2, "CLINIC")
    assert {one["why"] for one in counted if one["what"] == "override"} == {"withdrawal.remainder_accepted"}
    assert api.auditor.get("/attempt-counts", params={"days": 7}).json()["items"] == []
    begins = clock.now() - timedelta(days=8)
    assert wrong["begins"][:10] == f"{begins - timedelta(days=begins.weekday()):%Y-%m-%d}"
    assert api.clinic_staff.get("/attempt-counts").status_code == 403
    page = visit("auditor").get_page("/log/counts?days=30")
    assert "withdrawals: check" in page.lower() and "Wrong recipient" in page
    causes = {one["cause"]: one["times"] for one in api.quality.get("/bedside-compliance").json()["items"]}
    assert causes["stopped_wrong_wristband"] == 2
    assert "Stopped wrong wristband" in visit("quality").get_page("/withdrawals/compliance")


def kept(api: Api, code: str, *, site: str | None, subject: str | None = None) -> None:
    row = {"at": clock.now(), "path": "/api/v1/specimens/X/events", "status": 409, "detail": "No.", "evidence": False}
    row |= {"actor_code": seed.USERS["north_tech"].code, "method": "POST", "code": code, "site_code": site, "subject": subject}
    api.test_bank.write(lambda session: session.execute(insert(attempt).values(**row)))


def test_what_is_counted_is_what_the_list_of_near_misses_shows_its_reader(api: Api) -> None:
    tube = a_story(api).vials[0]
    kept(api, "wrong_place", site="NORTH", subject=tube)
    kept(api, "wrong_tube", site="NORTH")
    listed = {one["code"] for one in api.lab_quality.get("/attempts").json()["items"]}
    counted = {one["why"] for one in api.lab_quality.get("/attempt-counts").json()["items"]}
    assert listed == counted == {"wrong_place"}


def test_a_near_miss_without_a_site_is_counted_where_the_tube_stood_and_not_where_it_went(api: Api) -> None:
    story = a_story(api).up_to("pick")
    assert story.pick().json()["code"] == "already_picked"  # at LAB; the refusal itself names no site
    for step in (story.confirm, story.issue, story.receive):
        assert step().status_code in (200, 201)
    counted = api.auditor.get("/attempt-counts").json()["items"]
    assert [one["site"] for one in counted if one["why"] == "already_picked"] == ["LAB"]


def test_one_step_is_one_count_however_many_things_it_was_about(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = donors.band(api, a_story(api).donor)
    for story in [a_story(api).up_to("thaw") for _ in range(3)]:
        assert story.check(wristband=stranger).status_code == 409
    monkeypatch.setattr(near_misses, "MOST_COUNTS", 3)
    answer = api.auditor.get("/attempt-counts")
    assert answer.status_code == 200, answer.text
    # The story tries names until it finds one that nobody has.
    counted = [one for one in answer.json()["items"] if one["why"] != "identifier_taken"]
    assert [(one["why"], one["times"]) for one in counted if one["why"] == "wrong_recipient"] == [("wrong_recipient", 3)]
    assert len(counted) == 3, "what was refused and set aside at approval is one count each, too"
    monkeypatch.setattr(near_misses, "MOST_COUNTS", 0)
    refused = api.auditor.get("/attempt-counts")
    assert (refused.status_code, refused.json()["code"]) == (422, "malformed_request"), "a part is not shown as the whole"


def test_by_day_a_year_is_counted_and_no_more(api: Api) -> None:
    for days, each, status in ((366, "day", 200), (367, "day", 422), (3650, "week", 200)):
        assert api.auditor.get("/attempt-counts", params={"days": days, "each": each}).status_code == status, (days, each)


def test_a_lost_address_is_no_near_miss_in_the_figures_either(api: Api) -> None:
    auditor = Actor(code=seed.USERS["auditor"].code, grants=frozenset({RoleGrant(Role.AUDITOR, None)}))

    def drawn() -> int:
        figures = api.test_bank.write(lambda session: read_figures(session, auditor, ZoneInfo("UTC")))
        (figure,) = [one for one in figures if one.title == "Near misses"]
        return sum(one["tube"] + one["other"] for one in figure.rows)

    kept(api, "not_found", site="LAB")
    assert drawn() == 0
    kept(api, "wrong_place", site="LAB")
    assert drawn() == 1


def test_what_was_given_is_counted_as_kept_to(api: Api) -> None:
    a_story(api).up_to("administer")
    items = api.clinician.get("/bedside-compliance").json()["items"]
    assert items == [{"site": "CLINIC", "cause": "given_after_two_scans", "kept": True, "times": 1}]
    assert api.other_clinician.get("/bedside-compliance").json()["items"] == []


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_what_is_counted_by_the_day_begins_at_its_readers_midnight(api: Api, visit: Visit, zone: str) -> None:
    kept(api, "wrong_place", site="NORTH")
    assert api.clinician.get(f"/donors/{donors.register(api.clinician)}/identity").status_code == 200
    day, page = f"{clock.now().astimezone(ZoneInfo(zone)):%Y-%m-%d}", visit("quality")
    page.submit("/account/choices", {"timezone": zone, "language": "en", "bell": "due"})
    assert f"{day} 00:00:00" in page.get_page("/log/counts?each=day")
    assert f'<time datetime="{day}">' in page.get_page("/identity-readings")

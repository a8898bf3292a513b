"""A login whose password was reset is seen: by its owner, by whoever approves, at the bedside; the console by quality."""

from datetime import timedelta

import httpx

from biobank.foundation import clock
from tests.conftest import Api
from tests.enrolling import by_two, reset
from tests.pages.visitor import Visit
from tests.people.test_one_time_codes import made_at_console, proven
from tests.people.test_sign_in import NEW, change, sign_in
from tests.people.test_users import CODES
from tests.withdrawals.stories import a_story


def test_a_person_who_is_reset_sees_it_at_today_and_quality_sees_the_console(api: Api, visit: Visit) -> None:
    code = reset(api, CODES["lab_tech"])
    assert change(api, sign_in(api, password=code).json()["access_token"], code, NEW).status_code == 204
    console = made_at_console(api.test_bank, proven(api.test_bank, "quality"))
    owner = visit()
    owner.log_in("lab_tech", NEW)

    mine = owner.get_page("/")

    assert "Password reset" in mine
    assert "One-time code used" in mine
    assert CODES["admin"] in mine
    assert console in visit("quality").get_page("/")
    assert "Password reset" not in visit("lab_tech2").get_page("/")
    clock.set_offset(timedelta(days=15), test_mode=True)
    owner.log_in("lab_tech", NEW)
    assert "Password reset" not in owner.get_page("/")


def test_a_reset_of_who_acts_in_a_case_stands_on_the_approval_and_at_the_bedside(api: Api, visit: Visit) -> None:
    asked = a_story(api).up_to("request")
    at_bedside = a_story(api).up_to("thaw")
    review = f"/withdrawals/{asked.code}/approve"
    assert "Password reset" not in visit("quality").get_page(review)

    reset(api, CODES["clinician"])

    assert "Password reset" in visit("quality").get_page(review)
    assert "Password reset" in visit("clinician2").get_page(f"/withdrawals/{at_bedside.code}/check")


def test_the_slip_is_drawn_in_the_browser_once_and_says_whose_it_is(api: Api, visit: Visit) -> None:
    user, quality = CODES["lab_tech"], visit("quality")
    admin = visit("admin")
    password = {"password": "correct horse battery staple"}
    assert admin.submit(f"/users/{user}/reset", password).url.path == f"/users/{user}"
    waiting = quality.get("/pending").text.split('href="/pending/')[1].split('"')[0]

    slip = quality.submit(f"/pending/{waiting}/sign", password, draw=f"/pending/{waiting}")

    assert slip.url.path.startswith("/slips/")
    drawn = quality.submit(slip.url.path, {})
    assert drawn.headers["Cache-Control"] == "no-store"
    assert "sealed" in drawn.text or "seal it" in drawn.text
    assert user in drawn.text
    second = shown(drawn)
    assert sign_in(api, password=second).status_code == 401
    quality.get_page(slip.url.path, 409)
    assert "Draw your half of the code" in admin.get_page(f"/users/{user}")
    assert slip.url.path in admin.get_page("/")
    first = shown(admin.submit(slip.url.path, {}))
    assert slip.url.path not in admin.get_page("/") + quality.get_page("/")
    assert sign_in(api, password=f"{first} {second}").json()["must_change_password"]
    assert second not in quality.get_page(f"/users/{user}")


def shown(drawn: httpx.Response) -> str:
    return str(drawn.text.split("one-time-code code")[1].split(">")[1].split("<")[0])


def test_a_slip_is_no_page_for_anybody_but_the_two_who_signed(api: Api, visit: Visit) -> None:
    done = by_two(api.admin, api.quality, f"/users/{CODES['lab_tech']}/password-reset", {}, "approved")

    for other in ("quality2", "lab_quality", "lab_tech2"):
        visit(other).get_page(f"/slips/{done.json()['slip']['id']}", 404)

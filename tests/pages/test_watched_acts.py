"""Roles, resets and holds that were lifted are told to those whom they concern, and listed."""

from tests import seed
from tests.conftest import Api
from tests.donors.stories import register
from tests.enrolling import by_two, reset
from tests.factories import make_received
from tests.pages.visitor import Visit
from tests.shipping.stories import stage
from tests.withdrawals.stories import sign_and_post

TECH = seed.USERS["lab_tech"].code


def listed(client: object, **asked: str) -> list[tuple[str, str]]:
    answer = client.get("/watched-acts", params=asked)  # type: ignore[attr-defined]
    assert answer.status_code == 200, answer.text
    return [(one["kind"], one["about"]) for one in answer.json()["items"]]


def test_a_role_and_a_reset_are_told_to_their_owner_to_quality_and_to_administrators_and_to_nobody_else(
    api: Api, visit: Visit
) -> None:
    role = {"role": "auditor", "site": "LAB"}
    assert by_two(api.admin, api.quality, f"/users/{TECH}/roles", role, "role_change").json()["status"] == "done"
    reset(api, seed.USERS["clinician"].code, second=api.quality2)

    given, taken = ("user.role_granted", TECH), ("user.password_reset", seed.USERS["clinician"].code)
    assert listed(api.lab_tech) == [given]
    assert listed(api.lab_tech2) == []
    assert listed(api.admin)[:2] == listed(api.quality)[:2] == [taken, given]
    assert "Role given" in visit("lab_tech").get_page("/")
    # Who signed a reset is not told of it; the other one of quality is.
    assert "Password reset" in visit("quality").get_page("/")
    assert "Password reset" not in visit("quality2").get_page("/")
    assert listed(api.quality, kind="user.password_changed") == []


def test_a_hold_that_was_lifted_is_told_to_who_placed_it(api: Api, visit: Visit) -> None:
    tube = api.test_bank.write(lambda s: make_received(s, stage(api.test_bank), donor=register(api.clinician))).code
    body = {"scope_kind": "specimen", "scope_id": tube, "kind": "investigation", "reason": "damaged"}
    hold = api.lab_tech.post("/holds", json=body).json()["id"]
    assert listed(api.lab_tech) == []

    assert sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "explained"}).status_code == 200

    assert listed(api.lab_tech) == listed(api.quality) == [("specimen.hold_lifted", tube)]
    assert listed(api.lab_tech2) == listed(api.north_tech) == []
    (one,) = api.lab_tech.get("/watched-acts").json()["items"]
    assert (one["placed_by"], one["by"]) == (TECH, [seed.USERS["quality"].code])
    assert "A hold that you placed was lifted" in visit("lab_tech").get_page("/")
    assert "A hold that you placed was lifted" not in visit("lab_tech2").get_page("/")
    assert tube in visit("lab_tech").get_page("/watched-acts")

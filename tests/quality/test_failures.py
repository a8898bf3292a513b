"""A failed test of a lot: rejection, a deviation, holds for judgement, and notices by name that are acknowledged."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import lot_of
from tests.quality.test_disposal import announce, discard
from tests.seed import USERS
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals.stories import Story, a_story, kinds_of, later, refused, state_of


def failed(api: Api, story: Story) -> str:
    """The lot of a story's vials, after its sterility test failed."""
    lot = lot_of(api, story.vials[0])
    answer = report(api, lot, result="failed", **REPORT)
    assert answer.status_code == 201, answer.text
    return lot


def notices(client: Any) -> list[dict[str, Any]]:
    """The notices that somebody sees."""
    return client.get("/notices").json()["items"]  # type: ignore[no-any-return]


def test_a_failed_test_rejects_the_lot_opens_a_deviation_and_tells_who_asked_for_a_unit(api: Api, visit: Visit) -> None:
    story = a_story(api, 2, lot=True).up_to("request")
    lot = failed(api, story)

    assert {state_of(api, vial)["quality"] for vial in story.vials} == {"rejected"}
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.rejected_by_test"
    (deviation,) = api.quality.get("/deviations").json()["items"]
    assert (deviation["topic"], deviation["severity"]) == ("failed_test", "major")
    (told,) = notices(api.clinician)
    assert (told["about"], told["reason"], told["treats"], told["units"]) == (lot, "failed_test", True, 1)
    assert notices(api.clinician2) == []

    page = visit("clinician")
    assert "Read and acknowledge" in page.get_page("/")
    assert page.submit(f"/notices/{told['id']}", {}).url.path == "/notices"
    assert notices(api.quality)[0]["acknowledged_at"] is not None
    assert "Read and acknowledge" not in page.get_page("/")
    kinds = ["system.deviation_opened", "system.notices_given", "system.notice_acknowledged"]
    assert kinds_of(api, "system", deviation["code"]) == kinds
    refused(api.clinician.post(f"/notices/{told['id']}/acknowledge", json={}), 409, "notice_acknowledged")


def test_a_failure_after_use_is_told_to_who_treats_first_and_nobody_acknowledges_for_another(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    failed(api, story)

    everybody = sorted(notices(api.quality), key=lambda one: not one["treats"])
    assert {one["reason"] for one in everybody} == {"failed_after_use"}
    assert everybody[0]["told"] == USERS["clinician"].code
    assert USERS["clinic_staff"].code in {one["told"] for one in everybody[1:]}
    assert state_of(api, story.vials[0])["quality"] == "rejected"
    refused(api.clinic_staff.post(f"/notices/{everybody[0]['id']}/acknowledge", json={}), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("acknowledged_at = now()", "an_acknowledgement_has_its_event"),
        ("rank = 4", "a_notice_concerns_its_reader"),
    ],
)
def test_the_database_keeps_notices_whole(api: Api, change: str, name: str) -> None:
    failed(api, a_story(api, 2, lot=True).up_to("request"))
    with pytest.raises(IntegrityError, match=name):
        api.test_bank.write(lambda s: s.execute(text(f"UPDATE notice SET {change}")))


def test_for_an_ended_login_whoever_treats_at_the_clinic_now_is_told(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    named = "UPDATE app_user SET active = false WHERE code = :code"
    api.test_bank.write(lambda s: s.execute(text(named), {"code": USERS["clinician"].code}))
    failed(api, story)

    told = {one["told"] for one in notices(api.quality)}
    assert USERS["clinician2"].code in told
    assert USERS["clinician"].code not in told


def test_only_what_grew_is_destroyed_at_once_by_two_technicians(api: Api) -> None:
    weak, grown = a_story(api, 2, lot=True), a_story(api, 2, lot=True)
    lot = lot_of(api, weak.vials[0])
    assert report(api, lot, test="viability", result="failed", viable_bp=3000, **REPORT).status_code == 201
    failed(api, grown)

    refused(discard(api, api.lab_tech, api.lab_tech2, weak.vials[0], reason="failed_test"), 409, "not_announced")
    assert announce(api, weak.vials[0], reason="failed_test").status_code == 200
    later(api, days=8)
    refused(discard(api, api.lab_tech, api.lab_tech2, weak.vials[0], reason="failed_test"), 403, "quality_discards")
    assert discard(api, api.lab_tech, api.lab_tech2, grown.vials[0], reason="failed_test").status_code == 200

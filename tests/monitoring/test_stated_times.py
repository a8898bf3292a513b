"""Nothing is answered before it was there, and what was known then is told as it was known."""

from datetime import timedelta

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, check_out, frozen, put, read
from tests.pages.test_alarm_pages import alarms, watch
from tests.storage.test_every_way_of_placing import a_tube
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later, sign_and_post

BEFORE = {"late_entry": True, "reason_text": "from the paper"}


def test_nothing_is_answered_or_taken_back_at_a_time_before_it_was_there(api: Api) -> None:
    tank = a_tank(api)
    put(api, frozen(api)[0], a_box(api, parent=tank))
    later(api, hours=1)
    earlier = rfc3339(clock.now())
    later(api, hours=1)
    read(api, tank, -50_000)
    reading = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"][0]
    assert watch(api) == 1
    (alarm,) = alarms(api, cause="excursion")
    body = BEFORE | {"occurred_at": earlier}

    answered = api.lab_tech.post(f"/alarms/{alarm['code']}/acknowledge", json=body)
    silenced = api.lab_tech.post(
        f"/alarms/{alarm['code']}/silence",
        json=body | {"until": rfc3339(clock.now() + timedelta(hours=1)), "reason": "being_filled"},
    )
    path = f"/storage-containers/{tank}/readings/{reading['id']}/withdraw"
    back = sign_and_post(api.quality, "decided", path, body | {"reason": "misread"})

    assert (answered.status_code, answered.json()["code"]) == (409, "before_it_existed")
    assert (silenced.status_code, silenced.json()["code"]) == (409, "before_it_existed")
    assert (back.status_code, back.json()["code"]) == (409, "before_its_authority")
    assert sign_and_post(api.quality, "decided", path, {"reason": "misread"}).status_code in (200, 201)


def test_what_was_known_then_says_how_long_it_was_known_to_be_out(api: Api) -> None:
    box, tube = a_box(api, parent=a_tank(api)), a_tube(api)
    put(api, tube, box)
    later(api, minutes=1)
    check_out(api, tube)
    later(api, minutes=5)
    then = rfc3339(clock.now())
    later(api, hours=8)
    put(api, tube, box)

    known = api.lab_tech.get(f"/specimens/{tube}", params={"as_known_at": then}).json()["exposure"]

    assert 300 <= known["total_s"] < 400
    assert known["running_since"] is not None

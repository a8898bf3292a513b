"""What was issued is handed on towards its donor only while it may still be given: the same is asked as of a shipment."""

from collections.abc import Callable

import pytest

from tests.conftest import Api
from tests.seed import USERS
from tests.shipping import stories as shipping
from tests.withdrawals.stories import Story, a_story, refused
from tests.withdrawals.test_offered import hold, revoke

AGAINST: list[tuple[Callable[[Api, Story], None], str]] = [(revoke, "consent_revoked"), (hold, "on_hold")]


@pytest.mark.parametrize(("against", "code"), AGAINST)
def test_a_courier_is_offered_nothing_that_may_not_be_given_any_more(
    api: Api, against: Callable[[Api, Story], None], code: str
) -> None:
    story = a_story(api, 2).up_to("issue")
    against(api, story)
    refused(shipping.offer(api, api.lab_tech, story.vials[:1], "courier", "CRYOGO"), 409, code)
    # A colleague at the same place may take it, to put it away.
    assert shipping.offer(api, api.lab_tech, story.vials[:1], "user", USERS["lab_tech2"].code).status_code == 201


@pytest.mark.parametrize(("against", "code"), AGAINST)
def test_what_came_between_the_offer_and_its_acceptance_stops_the_courier_and_the_clinic(
    api: Api, against: Callable[[Api, Story], None], code: str
) -> None:
    for kind, to, client in (("courier", "CRYOGO", api.lab_tech), ("user", USERS["clinic_staff"].code, api.clinic_staff)):
        story = a_story(api, 2).up_to("issue")
        offered = shipping.offer(api, api.lab_tech, story.vials[:1], kind, to)
        assert offered.status_code == 201, offered.text
        against(api, story)
        refused(client.post(f"/handovers/{offered.json()['id']}/accept", json={"evidence": "CG 4711"}), 409, code)


def test_what_may_be_given_is_handed_to_the_courier_and_to_the_clinic(api: Api) -> None:
    for kind, to, client in (("courier", "CRYOGO", api.lab_tech), ("user", USERS["clinic_staff"].code, api.clinic_staff)):
        story = a_story(api, 2).up_to("issue")
        offered = shipping.offer(api, api.lab_tech, story.vials[:1], kind, to)
        answer = client.post(f"/handovers/{offered.json()['id']}/accept", json={"evidence": "CG 4711"})
        assert answer.status_code == 200, answer.text

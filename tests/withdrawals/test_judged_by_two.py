"""A judgement of an adverse event that lets go of something is signed by two of quality; one alone makes it graver."""

from types import SimpleNamespace
from typing import Any

import pytest

from biobank.quality.judging import AssessAdverse, clears
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.seed import PASSWORD
from tests.withdrawals.stories import a_story, by_two, refused, sign_and_post
from tests.withdrawals.test_adverse import JUDGED, holds, record
from tests.withdrawals.test_harm_at_hand import the_event

WORST = {"seriousness": "serious", "causality": "certain", "in_lot": True}
GONE = {"seriousness": "not_serious", "causality": "unrelated", "in_lot": False}


@pytest.mark.parametrize(
    ("stands", "said", "by_two_of_quality"),
    [
        # Nobody judged it yet: what was called serious counts as the worst that it may be.
        (WORST | {"causality": "not_assessed"}, WORST, False),
        (WORST | {"causality": "not_assessed"}, WORST | {"seriousness": "not_serious"}, True),
        (WORST | {"causality": "not_assessed"}, WORST | {"causality": "unlikely"}, True),
        (WORST | {"causality": "not_assessed", "in_lot": None}, WORST | {"in_lot": False}, True),
        (WORST | {"causality": "not_assessed", "in_lot": False}, WORST | {"in_lot": False}, False),
        ({"seriousness": "not_serious", "causality": "not_assessed", "in_lot": True}, GONE, False),
        ({"seriousness": "not_assessed", "causality": "not_assessed", "in_lot": None}, GONE, False),
        # It was judged: whatever is milder in one respect, though graver in another, takes two.
        (WORST, WORST, False),
        (WORST, WORST | {"causality": "probable"}, False),
        (WORST, WORST | {"causality": "unlikely"}, True),
        (WORST, WORST | {"in_lot": False}, True),
        (GONE | {"in_lot": True}, WORST | {"in_lot": False}, True),
        (GONE, WORST, False),
        (GONE, GONE, False),
    ],
)
def test_what_is_milder_than_what_stands_takes_two(stands: dict[str, Any], said: dict[str, Any], by_two_of_quality: bool) -> None:
    request = AssessAdverse.model_validate(said | {"reason": "judged"})
    assert clears(SimpleNamespace(**stands), request) is by_two_of_quality


def test_a_serious_reaction_is_cleared_by_two_of_quality_in_the_browser(api: Api, visit: Visit) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    assert record(api, story).status_code == 201
    path, before = the_event(api), holds(api)
    first = visit("quality")
    assert "Two of quality sign" in first.get_page(f"{path}/assess")
    said = {"seriousness": "not_serious", "causality": "unrelated", "in_lot": "false", "reason": "assessed", "password": PASSWORD}
    proposed = first.submit(f"{path}/assess", said)
    assert proposed.url.path == path and "Proposed" in proposed.text
    assert api.quality.get(path).json()["causality"] == "not_assessed" and holds(api) == before
    assert "Your act waits for a second person" in first.get_page("/")
    (waits,) = api.quality2.get("/pending-acts").json()["items"]
    assert waits["act"] == "adverse.clear"
    second = visit("quality2")
    done = second.submit(f"/pending/{waits['id']}/sign", {"password": PASSWORD}, draw=f"/pending/{waits['id']}")
    assert done.status_code == 200, done.text
    assert api.quality.get(path).json()["causality"] == "unrelated"
    (hold,) = (one["id"] for one in api.quality.get("/holds", params={"active": True}).json()["items"])
    assert sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "reviewed"}).status_code == 200


def test_neither_one_alone_nor_who_had_a_hand_in_it_is_the_second(api: Api) -> None:
    me = api.acts_here
    story = a_story(api, 3, lot=True).up_to("thaw")
    assert story.check(me).status_code == story.check(api.clinic_staff).status_code == 201
    assert story.administer(me).status_code == 200
    assert record(api, story).status_code == 201
    path, said = f"{the_event(api)}/assess", GONE | {"reason": "judged"}
    refused(by_two(api.quality, api.quality, path, said), 403, "second_person_must_differ")
    refused(by_two(api.quality, me, path, said), 403, "not_independent")
    assert api.quality.get(the_event(api)).json()["causality"] == "not_assessed"


def test_whoever_judged_alone_what_nobody_called_serious_does_not_lift_its_hold(api: Api) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    assert record(api, story, seriousness="not_serious").status_code == 201
    judged = JUDGED | GONE
    assert sign_and_post(api.quality, "decided", f"{the_event(api)}/assess", judged).json()["status"] == "done"
    (hold,) = (one["id"] for one in api.quality.get("/holds", params={"active": True}).json()["items"])
    lift = {"reason": "reviewed"}
    own = refused(sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", lift), 403, "not_independent")
    assert own["detail"].startswith("You judged ")
    assert sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold}/lift", lift).status_code == 200

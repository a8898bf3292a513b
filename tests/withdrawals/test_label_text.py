"""A tube whose code nothing reads: its place, and what two people each read on it, blind."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.foundation.codes import format_code
from biobank.withdrawals.label_text import Labelled, LabelRead, LabelTextTooLittle, fits, tube_read
from tests.conftest import Api, Client
from tests.pages.visitor import Visit
from tests.withdrawals.stories import Story, a_donor, a_story, kinds_of, place_of, refused, state_of

DONOR, OTHER = format_code("DN", None, 1), format_code("DN", None, 2)
TUBE, BESIDE = format_code("AD", 2026, 1), format_code("AD", 2026, 2)


def read(**said: Any) -> LabelRead:
    return LabelRead.model_validate({"recipient": DONOR} | said)


@given(hidden=st.sets(st.integers(0, len(TUBE) - 1)))
def test_what_is_seen_of_a_code_fits_it_and_one_wrong_character_does_not(hidden: set[int]) -> None:
    label = Labelled(TUBE, DONOR, 3)
    seen = "".join("?" if place in hidden and c != "-" else c for place, c in enumerate(TUBE))
    assert fits(read(code=seen), label)
    for place, c in enumerate(seen):
        if c not in "?-":
            assert not fits(read(code=seen[:place] + ("Z" if c != "Z" else "Y") + seen[place + 1 :]), label)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"unit_number": 3}, TUBE),
        ({"unit_number": 4}, None),
        ({"unit_number": 3, "recipient": OTHER}, None),
        ({"unit_number": 3, "recipient": "DN-0000000"}, None),
        ({"code": TUBE[:8] + "?????"[: len(TUBE) - 8]}, TUBE),
        ({"code": BESIDE}, None),
        ({"code": TUBE + "0"}, None),
    ],
)
def test_what_was_read_names_the_tube_that_waits_or_nothing(said: dict[str, Any], found: str | None) -> None:
    labels = [Labelled(TUBE, DONOR, 3), Labelled(BESIDE, DONOR, 4), Labelled(format_code("AD", 2026, 9), OTHER, 3)]
    assert tube_read(read(**said), labels, [TUBE]) == found


@pytest.mark.parametrize("said", [{}, {"code": "AD26-???????"}, {"code": "AD26-M?????T"}])
def test_too_little_is_not_compared(said: dict[str, Any]) -> None:
    with pytest.raises(LabelTextTooLittle):
        tube_read(read(**said), [Labelled(TUBE, DONOR, 3)], [TUBE])


def test_what_fits_two_tubes_of_a_box_names_neither() -> None:
    with pytest.raises(LabelTextTooLittle, match="several"):
        tube_read(read(unit_number=3), [Labelled(TUBE, DONOR, 3), Labelled(BESIDE, DONOR, 3)], [TUBE])


def by_label(story: Story, client: Client, **body: Any) -> httpx.Response:
    vial = story.vials[0]
    said = {"recipient": story.donor, "code": f"{vial[:8]}???{vial[11:]}"} | body.pop("label", {})
    return client.post(f"/withdrawals/{story.code}/picks", json={"label": said} | body)


def test_two_people_pick_a_tube_by_its_place_and_by_what_each_reads(api: Api) -> None:
    story = a_story(api, vials=3).up_to("approve")
    place = place_of(api, story.vials[0])
    refused(by_label(story, api.lab_tech), 409, "place_scan_required")
    refused(by_label(story, api.lab_tech, tube=story.vials[0], place=place), 422, "malformed_request")

    assert by_label(story, api.lab_tech, place=place).status_code == 201
    refused(by_label(story, api.lab_tech, confirm=True), 403, "second_person_must_differ")
    done = by_label(story, api.lab_tech2, confirm=True)

    assert done.status_code == 201, done.text
    events = api.auditor.get(f"/withdrawals/{story.code}/history").json()["items"][-2:]
    assert [(one["kind"], one["body"]["by_label"]) for one in events] == [
        ("withdrawal.picked", True),
        ("withdrawal.pick_confirmed", True),
    ]
    assert story.issue().status_code == 200


@pytest.mark.parametrize("who", ["first", "second"])
def test_a_label_that_says_something_else_stops_and_is_kept(api: Api, who: str) -> None:
    story = a_story(api, vials=2).up_to("approve")
    place = place_of(api, story.vials[0])
    before = kinds_of(api, "withdrawal", story.code)
    if who == "second":
        assert by_label(story, api.lab_tech, place=place).status_code == 201
        before = kinds_of(api, "withdrawal", story.code)
    client, more = (api.lab_tech, {"place": place}) if who == "first" else (api.lab_tech2, {"confirm": True})
    for label in ({"recipient": a_donor(api, given_names="Another")}, {"code": story.vials[1]}):
        answer = refused(by_label(story, client, label=label, **more), 409, "label_text_differs")
        assert story.vials[0] not in answer["detail"] and answer["where_now"]
    kept = api.auditor.get("/attempts").json()["items"]
    assert [one["evidence"] for one in kept if one["code"] == "label_text_differs"] == [True, True]
    assert kinds_of(api, "withdrawal", story.code) == before


def test_the_place_of_another_tube_is_no_way_to_it_and_guards_run_as_for_a_scan(api: Api) -> None:
    story = a_story(api, vials=2).up_to("approve")
    elsewhere = place_of(api, a_story(api).vials[0])
    refused(by_label(story, api.lab_tech, place=elsewhere), 409, "label_text_differs")
    place = place_of(api, story.vials[0])
    refused(by_label(story, api.clinician, place=place), 403, "not_permitted")
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    refused(by_label(story, api.lab_tech, place=place), 409, "on_hold")
    assert state_of(api, story.vials[0])["state"] == "stored"


def test_pages_of_both_show_nothing_that_is_expected_and_the_route_is_printed(api: Api, visit: Visit) -> None:
    story = a_story(api, vials=2).up_to("approve")
    vial, place = story.vials[0], place_of(api, story.vials[0])
    first, second = visit("lab_tech"), visit("lab_tech2")
    here = f"/withdrawals/{story.code}"
    route = first.get_page(f"{here}/pick/route")
    assert vial in route and "data-print" in route and "printed-box" in route
    assert f"{here}/pick/route" in first.get_page(f"{here}/pick")

    said = {"recipient": story.donor, "code": f"{vial[:8]}???{vial[11:]}"}
    assert vial not in first.get_page(f"{here}/pick/label") and story.donor not in first.get_page(f"{here}/pick/label")
    assert "It fits" in first.submit(f"{here}/pick/label", said | {"place": place}).text
    blind = second.get_page(f"{here}/confirm/label")
    assert vial not in blind and story.donor not in blind
    wrong = second.submit(f"{here}/confirm/label", said | {"code": story.vials[1]})
    assert "Not the tube to take" in wrong.text and vial not in wrong.text
    assert "Both of you read the same tube" in second.submit(f"{here}/confirm/label", said).text

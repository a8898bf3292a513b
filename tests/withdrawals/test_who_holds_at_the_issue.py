"""The issue takes a tube out of nobody's hands, and the page of a withdrawal says what stops it and what is really done."""

from itertools import pairwise

from biobank.pages.withdrawals.withdrawals import ORDER
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.seed import USERS
from tests.withdrawals.stories import Story, a_story, refused, state_of
from tests.withdrawals.test_final_label import count, thawed
from tests.withdrawals.test_offered import hold


def test_whoever_holds_the_tube_keeps_it_and_nobody_else_gives_it_to_a_courier(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    assert state_of(api, story.vials[0])["custodian_id"] == USERS["lab_tech"].code
    refused(story.issue(api.lab_tech2, courier="CRYOGO", evidence="CG 4711"), 403, "not_the_custodian")
    assert story.issue(api.lab_tech2).status_code == 200
    assert state_of(api, story.vials[0])["custodian_id"] == USERS["lab_tech"].code


def test_the_page_says_what_stops_a_withdrawal_whoever_looks(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    assert "It is stopped" not in visit("lab_tech").get_page(f"/withdrawals/{story.code}")
    hold(api, story)
    for login in ("lab_tech", "clinician"):
        page = visit(login).get_page(f"/withdrawals/{story.code}")
        assert "It is stopped" in page and "hold" in page.partition("It is stopped")[2][:600], login


def test_a_step_is_drawn_as_done_when_every_tube_took_it(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("pick")
    page = visit("lab_tech").get_page(f"/withdrawals/{story.code}")
    steps = page.partition("Steps")[2]
    assert steps.index("Pick, scanned by two people") < steps.index("Now") < steps.index("Receipt at the clinic")
    assert "Done" not in steps[steps.index("Pick, scanned by two people") : steps.index("Receipt at the clinic")]


def drawn(visit: Visit, login: str, story: Story, route: str = "ship_frozen") -> list[tuple[str, str]]:
    """The steps as the page draws them, each with how it stands."""
    steps = visit(login).get_page(f"/withdrawals/{story.code}").partition("Steps")[2]
    words = ("Done", "Now", "Later")
    titles = [title for title, _ in ORDER[route] if title in steps]
    ends = [*(steps.index(title) for title in titles), len(steps)]
    parts = (steps[start:end] for start, end in pairwise(ends))
    return [(title, next(word for word in words if word in part)) for title, part in zip(titles, parts, strict=True)]


def test_thaw_count_and_final_label_are_steps_of_what_is_shipped_thawed(api: Api, visit: Visit) -> None:
    story = thawed(api, counted=False)
    bank = ["Thaw", "Count after the thaw", "Final label", "Issue"]
    assert drawn(visit, "lab_tech", story, "thaw_and_ship")[3:7] == list(
        zip(bank, ["Done", "Now", "Later", "Later"], strict=True)
    )
    count(api, story)
    assert drawn(visit, "lab_tech", story, "thaw_and_ship")[3:7] == list(zip(bank, ["Done", "Done", "Now", "Later"], strict=True))
    assert story.label().status_code == 200
    assert drawn(visit, "lab_tech", story, "thaw_and_ship")[3:7] == list(zip(bank, ["Done", "Done", "Done", "Now"], strict=True))


def test_what_is_shipped_frozen_is_drawn_as_thawed_at_the_chair(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("receive")
    assert drawn(visit, "clinician", story)[4:7] == [
        ("Receipt at the clinic", "Done"),
        ("Thaw at the chair", "Now"),
        ("Bedside check by two people", "Later"),
    ]
    assert story.thaw().status_code == 200
    assert ("Thaw at the chair", "Done") in drawn(visit, "clinician", story)

"""Two ways that are walked seldom, whole: cells grown before they go back, and a tube whose code nothing reads."""

import pytest

from tests.conftest import Api
from tests.journeys.test_from_harvest_to_administration import quality_releases, storage, store
from tests.specimens.stories import freeze, made, vials
from tests.withdrawals.growing import at_the_bench, expand
from tests.withdrawals.stories import Story, a_story, kinds_of, place_of, refused, sealed, state_of
from tests.withdrawals.test_label_text import by_label


def given_and_closed(story: Story) -> None:
    """From the approval to the outcome, each by the right people."""
    if not story.code:
        story.up_to("administer")
    assert story.outcome(close=True).status_code == 200
    assert story.api.quality.get(f"/withdrawals/{story.code}").json()["state"] == "closed"
    assert state_of(story.api, story.vials[0])["state"] == "administered"


@pytest.mark.slow
def test_cells_that_were_grown_are_banked_tested_released_given_at_the_chair_and_followed(api: Api) -> None:
    first = at_the_bench(api)
    answer = expand(first).json()
    (grown,) = answer["run"]["specimens"]
    anew = Story(api, first.donor, [grown["code"]])
    refused(anew.request(route="ship_fresh"), 409, "regulatory_basis_undetermined")

    banked = made(freeze(api.lab_tech, vials(api, grown, 4)))["specimens"]
    store(api, storage(api), banked)
    codes = [one["code"] for one in banked]
    refused(Story(api, first.donor, codes).request(), 409, "regulatory_basis_undetermined")
    quality_releases(api, codes)
    sealed(api)
    story = Story(api, first.donor, codes)
    given_and_closed(story)

    # What was given leads back to the vial that was grown, and the first withdrawal to what came of it.
    graph = api.quality.get(f"/specimens/{codes[0]}/lineage").json()
    assert first.vials[0] in {node["code"] for node in graph["nodes"]}
    reached = api.quality.get(f"/lots/{answer['run']['lot']}/consequences")
    assert reached.status_code == 200 and codes[0] in reached.text
    assert kinds_of(api, "withdrawal", first.code)[-1] == "withdrawal.expanded"


def test_a_tube_whose_code_nothing_reads_is_picked_by_place_and_label_and_given_to_its_person(api: Api) -> None:
    story, other = a_story(api, vials=3).up_to("approve"), a_story(api, vials=2)
    place = place_of(api, story.vials[0])
    refused(by_label(story, api.lab_tech, place=place_of(api, other.vials[0])), 409, "label_text_differs")
    assert by_label(story, api.lab_tech, place=place).status_code == 201
    refused(by_label(story, api.lab_tech, confirm=True), 403, "second_person_must_differ")
    refused(by_label(story, api.lab_tech2, confirm=True, label={"recipient": other.donor}), 409, "label_text_differs")
    assert by_label(story, api.lab_tech2, confirm=True).status_code == 201
    # A new label is printed and put on; from then on its code is scanned like any other.
    scanned = story.print_label(reason="unreadable")
    assert story.issue().status_code == 200
    answers = [
        story.receive(tubes=[scanned]),
        story.thaw(tube=scanned),
        story.check(product=scanned),
        story.check(api.clinic_staff, product=scanned),
        story.administer(product=scanned),
    ]
    assert all(one.status_code in (200, 201) for one in answers), [one.text for one in answers]
    given_and_closed(story)

"""What quality is shown before it decides, and that showing it costs the same however much waits."""

from collections.abc import Callable
from typing import Any

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.withdrawals.case import find_row, read_case
from biobank.withdrawals.pick_list import PickList, read_pick_list
from biobank.withdrawals.review import Review, read_queue, read_review
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.specimens import stories as specimens
from tests.statements import count_statements
from tests.withdrawals.stories import Story, a_donor, a_story, bank_vials


def read(api: Api, user: str, question: Callable[..., Any], *words: Any) -> tuple[Any, int]:
    """Ask as a user; return the answer and how many statements it took."""
    actor, seen = api.test_bank.actor(user), list[str]()
    end = count_statements(api.test_bank.bank.database.sync_engine, seen)
    answer = api.test_bank.write(lambda session: question(session, actor, *words))
    end()
    return answer, len(seen)


def pick_list_of(session: Session, actor: Actor, code: str) -> PickList:
    """The pick list of a withdrawal."""
    return read_pick_list(session, actor, read_case(session, find_row(session, actor, code)))


def reviewed(api: Api, story: Story, user: str = "quality") -> Review:
    """The review of a story's withdrawal."""
    return read(api, user, read_review, story.code, api.test_bank.bank)[0]  # type: ignore[no-any-return]


def test_the_queue_is_read_in_as_many_statements_for_five_requests_as_for_one(api: Api) -> None:
    a_story(api).up_to("request")
    (one, _), few = read(api, "quality", read_queue, api.test_bank.bank)
    for _ in range(4):
        a_story(api).up_to("request")
    (five, _), many = read(api, "quality", read_queue, api.test_bank.bank)

    assert (len(one), len(five), few) == (1, 5, many)


def test_the_pick_list_says_what_could_be_taken_for_a_tube(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("approve")
    (line,) = read(api, "lab_tech", pick_list_of, story.code)[0].lines

    assert f"{story.vials[1]} is of the same donor and not asked for." in " ".join(line.beware)
    assert "Easily taken for it" in visit("lab_tech").get_page(f"/withdrawals/{story.code}/pick")


def test_the_pick_list_is_read_in_as_many_statements_for_four_tubes_in_two_boxes_as_for_one(api: Api) -> None:
    story = a_story(api).up_to("approve")
    one, few = read(api, "lab_tech", pick_list_of, story.code)
    donor = a_donor(api)
    wide = Story(api, donor, [*bank_vials(api, donor, 2), *bank_vials(api, donor, 2)])
    assert wide.request(specimens=wide.vials).status_code == 201
    assert wide.approve().status_code == 200
    four, many = read(api, "lab_tech", pick_list_of, wide.code)

    assert (len(one.lines), len(four.lines), few) == (1, 4, many)


def test_a_sound_request_has_nothing_against_it(api: Api) -> None:
    assert reviewed(api, a_story(api).up_to("request")).against == []


def test_a_revoked_consent_and_a_hold_are_both_said(api: Api) -> None:
    story = a_story(api).up_to("request")
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    revoked = api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json={})
    assert revoked.status_code in (200, 201), revoked.text
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "result_awaited"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201
    against = reviewed(api, story).against

    assert any("revoked the treatment consent" in reason for reason in against)
    assert any("quality hold" in reason for reason in against)


def test_only_open_deviations_about_this_withdrawal_are_shown(api: Api) -> None:
    story, other = a_story(api).up_to("request"), a_story(api).up_to("request")
    body = {"severity": "major", "topic": "tank_low", "site": "LAB", "description": "Level fell."}
    about = body | {"affected": [{"kind": "donor", "id": story.donor}, {"kind": "specimen", "id": story.vials[0]}]}
    code = api.quality.post("/deviations", json=about).json()["code"]

    assert [one.code for one in reviewed(api, story).deviations] == [code]
    assert reviewed(api, other).deviations == []


def test_a_consent_for_another_tissue_does_not_count(api: Api) -> None:
    donor = a_donor(api, consented=False)
    assert donors.consent(api.clinician, donor, "treatment").status_code == 201
    story = Story(api, donor, bank_vials(api, donor)).up_to("request")
    narrowed = donors.consent(api.clinician, donor, "treatment", tissues=["hair_follicle"], given_at="2026-02-05T09:00:00Z")
    assert narrowed.status_code == 201, narrowed.text

    # The older consent, for every tissue, still covers fat: the latest that covers the tissue decides.
    assert reviewed(api, story).consent is None


def test_the_page_of_a_request_warns_of_an_allergy_that_a_residue_meets(api: Api, visit: Visit) -> None:
    person = specimens.donor(api)
    taken = specimens.made(specimens.harvest(api.clinician, person))["specimens"][0]
    specimens.made(specimens.freeze(api.lab_tech, [specimens.received(api.lab_tech, taken)], cryoprotectant="DMSO 5 %"))
    specimens.made(api.clinician.post(f"/donors/{person}/allergies", json={"substance": "dmso"}))

    assert "may hold DMSO" in visit("clinician").get_page(f"/withdrawals/new?donor={person}")

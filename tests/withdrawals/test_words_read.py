"""Why cells are asked for, and whom to tell of a late bad result, are read by those entitled; that they read it is recorded."""

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_decisions import acceptances, add_test, lot_of
from tests.withdrawals.stories import AMOUNT, Story, a_story, bank_vials, kinds_of, refused, sign_and_post

WHY = "Thinning hair at the crown."
WHOM = "Tell the ward by telephone."


def asked(api: Api) -> Story:
    """A request that says why, and how much is needed."""
    story = a_story(api, 2)
    assert story.request(indication=WHY, minimum_amount=AMOUNT // 2).status_code == 201
    return story


def test_who_decides_and_who_treats_read_why_and_nobody_else(api: Api) -> None:
    story = asked(api)
    path = f"/withdrawals/{story.code}/indication"
    for reader in (api.quality, api.clinician, api.clinic_staff):
        assert reader.get(path).json() == {"withdrawal": story.code, "indication": WHY}
    refused(api.lab_tech.get(path), 403, "not_permitted")
    assert kinds_of(api, "donor", story.donor).count("donor.words_read") == 3
    silent = a_story(api).up_to("request")
    refused(api.quality.get(f"/withdrawals/{silent.code}/indication"), 404, "no_words")


def test_the_picture_shows_what_was_asked_and_reading_why_does_not_change_it(api: Api) -> None:
    story = asked(api)
    read = api.quality.get(f"/withdrawals/{story.code}/picture").json()
    shown = read["picture"]["request"]
    assert shown["amount_asked"] == AMOUNT // 2
    assert len(shown["indication"]) == 64
    assert WHY not in str(read)
    assert api.quality.get(f"/withdrawals/{story.code}/indication").status_code == 200
    named = {"picture": read["sha256"], "picture_at": read["picture"]["seen_at"]}
    assert sign_and_post(api.quality, "approved", f"/withdrawals/{story.code}/approve", named | {"remains": 1}).status_code == 200


def test_the_picture_names_the_authorisation_of_the_legal_basis(api: Api) -> None:
    story = asked(api)
    body = {"basis": "us_351_ind", "authorisation": "IND 12345", "reason": "determined"}
    answer = sign_and_post(api.quality, "decided", f"/specimens/{story.vials[0]}/basis", body)
    assert answer.status_code == 200, answer.text
    units = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]["units"]
    assert {one["specimen"]: one["authorisation"] for one in units} == {story.vials[0]: "IND 12345", story.vials[1]: None}


def test_whom_to_tell_is_read_by_who_decides_and_who_treats(api: Api) -> None:
    story = a_story(api)
    (vial,) = bank_vials(api, story.donor, released=False, lot=True)
    for kind in ("endotoxin", "mycoplasma", "sterility"):
        add_test(api, lot_of(api, vial), kind, "pending")
    path = f"/specimens/{vial}/notification-plan"
    refused(api.quality.get(path), 404, "no_words")
    body = {"decision": "released_conditionally", "reason": "results_awaited", "notification_plan": WHOM}
    body |= acceptances(api, vial)
    assert sign_and_post(api.quality, "released", f"/specimens/{vial}/decision", body).status_code == 200
    for reader in (api.quality, api.clinician):
        assert reader.get(path).json() == {"specimen": vial, "notification_plan": WHOM}
    refused(api.lab_tech.get(path), 403, "not_permitted")
    assert kinds_of(api, "donor", story.donor).count("donor.words_read") == 2


def test_the_words_are_read_on_pages_that_are_linked_for_those_entitled(api: Api, visit: Visit) -> None:
    story = asked(api)
    address = f"/withdrawals/{story.code}/indication"
    quality, technician = visit("quality"), visit("lab_tech")
    for page in (f"/withdrawals/{story.code}", f"/withdrawals/{story.code}/approve"):
        assert address in quality.get_page(page)
        assert WHY not in quality.get_page(page)
    assert address not in technician.get_page(f"/withdrawals/{story.code}")
    assert "will be recorded" in quality.get_page(address)
    assert WHY in quality.submit(address, {}).text
    assert kinds_of(api, "donor", story.donor).count("donor.words_read") == 1

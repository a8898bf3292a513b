"""What takes the last usable unit or goes below the reserve takes two of quality, each of whom says what remains."""

from typing import Any

import pytest

from biobank.withdrawals.picture import remainder_refusal
from biobank.withdrawals.seen import RemainsSeen
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.seed import PASSWORD
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, approve, kinds_of, named, of_one_person, refused, sign_and_post, state_of


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize(("said", "fits"), [(None, False), (2, False), (0, True)])
def test_the_remainder_is_asked_for_exactly_when_it_takes_two(last: bool, below: bool, said: int | None, fits: bool) -> None:
    left = RemainsSeen(sentence="", units=0, amounts={}, doubtful=0, takes_the_last=last, below_reserve=below)
    refusal = remainder_refusal("WD26-1", left, said)
    assert (refusal is None) == (fits or not (last or below))


def reserve(api: Api, donor: str, units: int) -> None:
    """Set how many units of a donor's cells stay."""
    answer = sign_and_post(api.quality, "decided", f"/donors/{donor}/reserves", {"material": "adsc", "units": units})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("vials", "kept"), [(1, None), (2, 2)])
def test_two_of_quality_sign_for_the_last_unit_and_below_the_reserve(api: Api, vials: int, kept: int | None) -> None:
    story = a_story(api, vials).up_to("request")
    if kept is not None:
        reserve(api, story.donor, kept)
    path, left = f"/withdrawals/{story.code}/approve", vials - 1

    def sign(client: Any, **said: Any) -> Any:
        return sign_and_post(client, "approved", path, named(client, story.code) | said)

    assert refused(sign(api.quality), 409, "remainder_unsaid")["remains"] == left
    refused(sign(api.quality, remains=left + 1), 409, "remainder_unsaid")
    pending = sign(api.quality, remains=left).json()["pending_act"]
    assert state_of(api, story.vials[0])["reserved_for"] is None
    refused(sign(api.quality, remains=left, pending_act=pending), 403, "second_person_must_differ")
    done = sign(api.quality2, remains=left, pending_act=pending)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert state_of(api, story.vials[0])["reserved_for"] == story.code
    kinds = kinds_of(api, "withdrawal", story.code)
    assert kinds == ["withdrawal.requested", "withdrawal.remainder_accepted", "withdrawal.approved"]


def test_one_signature_is_enough_when_enough_remains(api: Api) -> None:
    story = a_story(api, 3).up_to("request")
    reserve(api, story.donor, 2)
    answer = sign_and_post(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(api.quality, story.code))
    assert answer.json()["status"] == "done"


def test_both_sign_on_the_page_that_shows_what_remains(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("request")
    address = f"/withdrawals/{story.code}/approve"
    first, second = visit("quality"), visit("quality2")
    assert "no usable unit will remain" in first.get_page(address)
    first.submit(address, {"password": PASSWORD, "remains": "0"})
    assert "a second person signs too" in first.get_page(address)
    assert "One has signed already" in second.get_page(address)
    assert second.submit(address, {"password": PASSWORD, "remains": "0"}).url.path == f"/withdrawals/{story.code}"
    assert state_of(api, story.vials[0])["reserved_for"] == story.code


def test_an_approval_names_the_picture_it_was_given_over(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    path = f"/withdrawals/{story.code}/approve"
    refused(sign_and_post(api.quality, "approved", path, {}), 409, "picture_unnamed")
    assert approve(api, story.code).status_code == 200


def first_half(api: Api, story: Story) -> dict[str, Any]:
    """One of quality signs for the last unit; return what the second sends beside the picture."""
    said = {"remains": 0}
    path = f"/withdrawals/{story.code}/approve"
    proposed = sign_and_post(api.quality, "approved", path, named(api.quality, story.code) | said)
    assert proposed.status_code == 200, proposed.text
    return said | {"pending_act": proposed.json()["pending_act"]}


def test_both_sign_over_one_picture(api: Api) -> None:
    story = a_story(api).up_to("request")
    demand(api)
    said, path = first_half(api, story), f"/withdrawals/{story.code}/approve"
    seq = api.lab_tech.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]["seq"]
    counted = {"method": "trypan_blue", "live": 90, "dead": 10, "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{story.vials[0]}/viability-assays", json=counted).status_code == 201
    second = sign_and_post(api.quality2, "approved", path, named(api.quality2, story.code) | said)
    refused(second, 409, "pending_act_differs")
    assert approve(api, story.code).status_code == 200, "both look at it anew"
    items = api.quality.get(f"/withdrawals/{story.code}/history").json()["items"]
    accepted = next(one for one in items if one["kind"] == "withdrawal.remainder_accepted")
    assert len(accepted["body"]["picture"]) == 64


def test_who_signed_first_is_asked_again_when_the_second_signs(api: Api) -> None:
    story = a_story(api).up_to("request")
    said, path = first_half(api, story), f"/withdrawals/{story.code}/approve"
    # The login turns out to be of the one who asked.
    of_one_person(api, "clinician", "quality")
    second = sign_and_post(api.quality2, "approved", path, named(api.quality2, story.code) | said)
    assert refused(second, 409, "first_signer_excluded")["because"] == "own_request"

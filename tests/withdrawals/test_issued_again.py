"""A tube that came back and goes out for another withdrawal: the first is over with it, and each is called for its own."""

from biobank.unfinished.kinds import open_acts
from tests.conftest import Api
from tests.withdrawals.stories import Story, a_story, lot_passed, put_away, refused, sealed


def called(api: Api) -> set[str]:
    """The withdrawals that the watchdog waits for."""
    found = api.test_bank.write(lambda session: open_acts(session))
    return {one.stream_id for one in found if one.act == "unverified"}


def out_again(api: Api, story: Story, reached: str = "receive") -> Story:
    """The first tube of a withdrawal comes back, is released and put away, and leaves for another withdrawal."""
    lot_passed(api, story.vials[0])
    assert story.take_back().status_code == 200
    put_away(api, story.vials[0])
    return Story(api, story.donor, story.vials[:1]).up_to(reached)


def test_the_first_withdrawal_ends_while_its_tube_is_out_for_the_second(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("receive")
    again = out_again(api, story)
    read = api.clinician.get(f"/withdrawals/{story.code}").json()
    assert (read["state"], read["waits_for"]) == ("returned", ["the outcome, as the clinic saw it"])
    for step in (story.check, story.thaw, story.issue, story.receive):
        refused(step(), 409, "wrong_step")
    refused(story.take_back(), 409, "illegal_transition")

    closed = story.outcome(result="not_administered", close=True)

    assert closed.status_code == 200, closed.text
    assert closed.json()["state"] == "closed"
    assert again.thaw().status_code == 200
    sealed(api)
    assert again.check().status_code == again.check(api.clinic_staff).status_code == 201
    assert again.administer().status_code == 200


def test_of_two_tubes_the_one_that_is_out_for_another_withdrawal_is_waited_for_there_alone(api: Api) -> None:
    story = a_story(api, 3, lot=True)
    story.two_to_the_clinic()
    again = out_again(api, story)
    back, stays = story.vials[:2]

    waits = api.clinician.get(f"/withdrawals/{story.code}").json()["waits_for"]
    assert [one.split(":")[0] for one in waits] == [stays]
    assert called(api) == {story.code, again.code}

    own = Story(api, story.donor, [stays], code=story.code)
    assert own.thaw().status_code == 200
    sealed(api)
    assert own.check().status_code == own.check(api.clinic_staff).status_code == 201
    assert called(api) == {again.code}, "the second has not been verified, and the first has"
    given = own.administer()
    assert given.status_code == 200, given.text
    assert given.json()["state"] == "administered"
    closed = own.outcome(close=True)
    assert (closed.status_code, closed.json().get("state")) == (200, "closed"), closed.text
    assert back not in str(api.clinician.get(f"/withdrawals/{story.code}").json()["waits_for"])

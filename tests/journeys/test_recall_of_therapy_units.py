"""A recall of units wherever they are: in the tank, with the courier, at the clinic and given already, to its signed end."""

from tests.conftest import Api, Client
from tests.quality.test_recall_ending import CLEARED, close, decide, recalled
from tests.withdrawals.stories import Story, a_story, refused, sealed, state_of


def notices_of(client: Client) -> list[dict[str, object]]:
    """The open notices by name that are about a recall."""
    items = client.get("/notices", params={"open_only": True}).json()["items"]
    return [one for one in items if one["reason"] == "recall"]


def test_a_recall_freezes_what_is_in_the_tank_on_the_way_at_the_clinic_and_given_and_ends_signed_by_two(api: Api) -> None:
    first = a_story(api, 5, lot=True).up_to("administer")
    given = first.vials[0]
    there = Story(api, first.donor, first.vials[1:2]).up_to("receive")
    away = Story(api, first.donor, first.vials[2:3]).up_to("confirm")
    assert away.issue(courier="CRYOGO", evidence="CG 4711").status_code == 200
    sealed(api)
    everything = {*first.vials}

    recall = recalled(api, first)
    shown = api.quality.get(f"/recalls/{recall['id']}").json()
    assert {one["specimen"] for one in shown["items"]} == everything
    assert [one["id"] for one in api.quality.get("/recalls").json()["items"]] == [recall["id"]]
    states = {one: state_of(api, one)["state"] for one in everything}
    assert (states[given], states[there.vials[0]]) == ("administered", "delivered")
    assert states[away.vials[0]] in ("issued", "in_transit")

    # Nothing of it goes on towards a person; what is on its way is taken in all the same.
    refused(there.thaw(), 409, "on_hold")
    assert away.receive().status_code == 200
    refused(away.thaw(), 409, "on_hold")

    # Those who treat are told by name, and it ends only when they have read it.
    followed = {"specimens": [given], "disposition": "followed_up", "reason": "told_who_treats"}
    refused(decide(api, recall["id"], **followed), 409, "notice_unread")
    assert notices_of(api.clinician) != []
    for reader in (api.clinician, api.clinician2, api.clinic_staff, api.acts_here, api.lab_tech, api.lab_tech2):
        for one in notices_of(reader):
            assert reader.post(f"/notices/{one['id']}/acknowledge", json={}).status_code == 200
    assert notices_of(api.clinician) == []
    assert decide(api, recall["id"], **followed).status_code == 200
    refused(close(api.quality, recall["id"]), 409, "units_undecided")
    assert decide(api, recall["id"], specimens=sorted(everything - {given}), **CLEARED).json()["decided"] == 4

    proposed = close(api.quality, recall["id"]).json()["pending_act"]
    refused(close(api.quality, recall["id"], pending_act=proposed), 403, "second_person_must_differ")
    assert close(api.quality2, recall["id"], pending_act=proposed).status_code == 200
    sealed(api)
    for story in (there, away):
        assert story.thaw().status_code == 200, "it goes on where it stood"

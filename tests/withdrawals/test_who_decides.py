"""Who decides about what the bank keeps, and who judges what a patient reacted to: by places, and by what they did with it."""

from typing import Any

import httpx
import psycopg

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.quality.passing_on import pass_notices_on
from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.granting import also
from tests.quality.test_decisions import lot_of
from tests.seed import USERS
from tests.withdrawals.stories import (
    Story,
    a_donor,
    a_story,
    approve,
    bank_vials,
    by_two,
    everyone,
    later,
    passed_tests_of,
    sealed,
    sign_and_post,
    state_of,
)


def adverse(client: Client, story: Story, **changes: Any) -> httpx.Response:
    """Somebody records a reaction."""
    body = {"kind": "reaction", "seriousness": "serious", "in_lot": True, "seen_at": rfc3339(clock.now()), "words": "urticaria"}
    return client.post(f"/withdrawals/{story.code}/adverse-events", json=body | changes)


def judged(client: Client, code: str, second: Client | None = None) -> httpx.Response:
    """Somebody of quality judges it, with a second where it lets go of what was called serious."""
    body = {"seriousness": "not_serious", "causality": "unrelated", "in_lot": False, "reason": "judged"}
    return by_two(client, second or client, f"/adverse-events/{code}/assess", body)


def the_hold(api: Api) -> str:
    """The hold that the reaction placed on the lot."""
    (one,) = [one for one in api.quality.get("/holds", params={"active": True}).json()["items"] if one["scope_kind"] == "lot"]
    return str(one["id"])


def lifted(client: Client, hold: str) -> httpx.Response:
    """Somebody of quality lifts it."""
    return sign_and_post(client, "hold_lifted", f"/holds/{hold}/lift", {"reason": "reviewed"})


def test_quality_of_the_clinic_does_not_decide_for_the_bank_and_quality_of_the_bank_does(api: Api) -> None:
    also(api, "clinician2", "quality", "CLINIC")
    story = a_story(api, 4, released=False)
    reserve = f"/donors/{story.donor}/reserves"
    for who, right in ((api.clinician2, 403), (api.lab_quality, 200)):
        vial = story.vials[0]
        if right == 200:
            passed_tests_of(api, vial)
        body = {"decision": "released_to_bank", "reason": "reviewed"}
        released = sign_and_post(who, "released", f"/specimens/{vial}/decision", body)
        assert released.status_code == right, released.text
        assert sign_and_post(who, "decided", reserve, {"material": "adsc", "units": 1}).status_code == right

    asked = Story(api, story.donor, bank_vials(api, story.donor, 4))
    assert asked.request().status_code == 201
    page = api.clinician2.get(f"/withdrawals/{asked.code}/picture")
    assert page.status_code == 403
    by_clinic = sign_and_post(api.clinician2, "approved", f"/withdrawals/{asked.code}/approve", {})
    assert (by_clinic.status_code, by_clinic.json()["code"]) == (403, "not_permitted")
    assert sign_and_post(api.clinician2, "rejected", f"/withdrawals/{asked.code}/reject", {"reason": "no"}).status_code == 403
    also(api, "clinician2", "lab_tech", "CLINIC")
    assert approve(api, asked.code, api.lab_quality).status_code == 200
    assert asked.pick().status_code == asked.confirm().status_code == 201
    assert asked.issue(api.clinician2).status_code == 403
    assert asked.issue().status_code == 200


def test_whoever_approves_does_not_lower_the_reserve_alone(api: Api) -> None:
    story = a_story(api, 3)
    path = f"/donors/{story.donor}/reserves"
    assert sign_and_post(api.quality, "decided", path, {"material": "adsc", "units": 3}).json()["status"] == "done"
    for lower in ({"units": 2}, {}, {"amount": 10, "unit": "cells"}):
        proposed = sign_and_post(api.quality, "decided", path, {"material": "adsc"} | lower)
        assert (proposed.status_code, proposed.json()["status"]) == (200, "pending"), lower
    listed = api.quality.get(path).json()["items"]
    assert [one["units"] for one in listed] == [3]
    again = {"material": "adsc", "amount": 10, "unit": "cells", "pending_act": proposed.json()["pending_act"]}
    own = sign_and_post(api.quality, "decided", path, again)
    assert own.json()["code"] == "second_person_must_differ"
    done = sign_and_post(api.quality2, "decided", path, again)
    assert (done.json()["status"], done.json()["units"], done.json()["amount"]) == ("done", None, 10), done.text
    assert (
        sign_and_post(api.quality, "decided", path, {"material": "adsc", "amount": 20, "unit": "cells"}).json()["status"]
        == "done"
    )


def test_who_gave_the_cells_or_recorded_the_reaction_neither_judges_it_nor_lifts_its_hold(api: Api) -> None:
    me = api.acts_here
    story = a_story(api, 3, lot=True).up_to("thaw")
    assert story.check(me).status_code == story.check(api.clinic_staff).status_code == 201
    assert story.administer(me).status_code == 200
    assert adverse(api.clinician, story, seriousness="not_serious").status_code == 201
    code = api.quality.get("/adverse-events").json()["items"][0]["deviation"]
    assert [one.split(" on ")[0] for one in me.get(f"/adverse-events/{code}").json()["against"]] != []
    own = judged(me, code)
    assert (own.status_code, own.json()["code"]) == (403, "not_independent"), own.text
    assert judged(api.quality, code).status_code == 200
    kept = lifted(me, the_hold(api))
    assert (kept.status_code, kept.json()["code"]) == (403, "not_independent"), kept.text
    again = lifted(api.quality, the_hold(api))
    assert (again.status_code, again.json()["code"]) == (403, "not_independent"), "who judged does not free alone"
    assert lifted(api.quality2, the_hold(api)).status_code == 200


def test_quality_of_the_bank_that_keeps_the_lot_reads_a_reaction_judges_it_and_lifts_its_hold(api: Api) -> None:
    story = a_story(api, 3, lot=True).up_to("administer")
    assert adverse(api.clinician, story).status_code == 201
    (one,) = api.lab_quality.get("/adverse-events").json()["items"]
    code = one["deviation"]
    read = api.lab_quality.get(f"/adverse-events/{code}").json()
    assert (read["judged_at"], read["words"], read["against"]) == (["CLINIC", "LAB"], "urticaria", [])
    assert api.north_auditor.get(f"/adverse-events/{code}").status_code == 404
    assert api.lab_tech_north_quality.get(f"/adverse-events/{code}").json()["words"] is None
    assert judged(api.lab_tech_north_quality, code).status_code == 403
    assert judged(api.lab_quality, code, api.quality).json()["status"] == "done"
    assert lifted(api.quality, the_hold(api)).status_code == 200


def test_no_living_material_is_given_nine_hours_after_its_thaw(api: Api) -> None:
    for material in ("hf_stem_cells", "dermal_papilla_cells", "svf"):
        donor = a_donor(api)
        more: dict[str, Any] = {"passage": None} if material == "svf" else {}
        story = Story(api, donor, bank_vials(api, donor, 2, material=material, **more))
        assert story.request(material=material).status_code == 201
        for step in (story.approve, story.pick, story.confirm, story.issue, story.receive, story.thaw):
            assert step().status_code in (200, 201)
        assert state_of(api, story.vials[0])["use_by"] is not None
        later(api, hours=9)
        sealed(api)
        late = story.check()
        assert (late.status_code, late.json()["code"]) == (409, "expired"), late.text


def test_the_scans_of_a_login_that_was_ended_are_nobodys_half(api: Api) -> None:
    story = a_story(api, 2).up_to("thaw")
    assert story.check().status_code == 201
    ended(api, "clinician")
    alone = story.check(api.clinic_staff)
    assert (alone.status_code, alone.json()["status"]) == (201, "waiting_for_second_person"), alone.text
    assert story.check(api.clinician2).json()["status"] == "released"


def ended(api: Api, login: str) -> None:
    """A login is ended."""
    answer = api.admin.patch(f"/users/{USERS[login].code}", json={"active": False, "reason": "left_the_bank"})
    assert answer.status_code == 200, answer.text


def test_who_treats_now_is_told_for_a_login_that_was_ended_and_their_word_closes_the_recall(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    body = {"criteria": {"lot": lot_of(api, story.vials[0])}, "reason": "late_sterility", "severity": "critical"}
    recall = api.quality.post("/recalls", json=body | {"site": "LAB", "description": "Medium."}).json()
    ended(api, "clinician")
    follow = {"specimens": story.vials[:1], "disposition": "followed_up", "reason": "told"}
    path = f"/recalls/{recall['id']}/dispositions"
    unread = sign_and_post(api.quality, "decided", path, follow)
    assert (unread.status_code, unread.json()["code"]) == (409, "notice_unread")
    act = everyone(api.test_bank)
    assert api.test_bank.write(lambda s: pass_notices_on(s, act)) > 0
    assert api.test_bank.write(lambda s: pass_notices_on(s, act)) == 0, "nobody is told twice"
    (notice,) = api.clinician2.get("/notices", params={"open_only": True}).json()["items"]
    assert sign_and_post(api.quality, "decided", path, follow).json()["code"] == "notice_unread", "told is not read"
    assert api.clinician2.post(f"/notices/{notice['id']}/acknowledge", json={}).status_code == 200
    assert sign_and_post(api.quality, "decided", path, follow).status_code == 200


def test_the_picture_says_whether_two_people_identified_the_donor_at_the_harvest(api: Api) -> None:
    story = a_story(api, 3).up_to("request")

    def seen() -> set[str]:
        units = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]["units"]
        return {one["identified"] for one in units}

    assert seen() == {"not asked"}
    donors.identified(api, story.donor)

    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute(
            "UPDATE harvest SET identification_id = i.id FROM identification i WHERE i.donor_code = harvest.donor_code"
        )
    assert seen() == {f"identified by two on {clock.now():%Y-%m-%d}"}


def test_a_near_miss_has_the_place_of_its_step(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    other = {"name": {"family_name": "Brown", "given_names": "Anna"}, "date_of_birth": "1990-01-01"}
    assert donors.half(api.clinician, story.donor, stated=other).status_code == 409
    assert story.issue().status_code == 409
    assert story.receive().status_code == 409
    counted = {(one["why"], one["site"]) for one in api.quality.get("/attempt-counts").json()["items"]}
    assert counted >= {("check_what_was_typed", "CLINIC"), ("wrong_step", "LAB"), ("wrong_step", "CLINIC")}, counted

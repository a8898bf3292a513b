"""Who decides about what the bank keeps, and who judges what a patient reacted to: by places, and by what they did with it."""

from typing import Any

import httpx

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api, Client
from tests.granting import also
from tests.withdrawals.stories import (
    Story,
    a_donor,
    a_story,
    approve,
    bank_vials,
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


def judged(client: Client, code: str) -> httpx.Response:
    """Somebody of quality judges it."""
    body = {"seriousness": "not_serious", "causality": "unrelated", "in_lot": False, "reason": "anxiety"}
    return sign_and_post(client, "decided", f"/adverse-events/{code}/assess", body)


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
    assert adverse(api.clinician, story).status_code == 201
    code = api.quality.get("/adverse-events").json()["items"][0]["deviation"]
    assert [one.split(" on ")[0] for one in me.get(f"/adverse-events/{code}").json()["against"]] != []
    own = judged(me, code)
    assert (own.status_code, own.json()["code"]) == (403, "not_independent"), own.text
    assert judged(api.quality, code).status_code == 200
    kept = lifted(me, the_hold(api))
    assert (kept.status_code, kept.json()["code"]) == (403, "not_independent"), kept.text
    assert lifted(api.quality, the_hold(api)).status_code == 200


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
    assert judged(api.lab_quality, code).status_code == 200
    assert lifted(api.lab_quality, the_hold(api)).status_code == 200


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

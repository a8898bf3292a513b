"""A harvest that turns out to be another person's goes to them with all that came of it, by two of quality, on evidence."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import Api, Client
from tests.donors.stories import consent
from tests.pages.visitor import Visit
from tests.seed import A_REPORT
from tests.specimens import stories
from tests.withdrawals.stories import a_story, by_two, kinds_of, refused, sign_and_post, state_of

OTHER = {"family_name": "Brown", "given_names": "Anna", "date_of_birth": "1990-01-01", "external_ids": []}


def say(api: Api, harvest: str, donor: str, first: Client | None = None, **changes: Any) -> httpx.Response:
    """Two of quality say whose a harvest is."""
    body = {"donor": donor, "evidence_sha256": A_REPORT} | changes
    return by_two(first or api.quality, api.quality2, f"/harvests/{harvest}/reattribution", body)


def harvest_of(api: Api, specimen: str) -> str:
    """The harvest that a specimen came of."""
    parents: dict[str, Any] = api.quality.get(f"/specimens/{specimen}").json()
    return str(parents["harvest"])


@pytest.fixture
def worked_up(api: Api) -> tuple[str, str, list[str], str]:
    """Somebody's fat, washed, isolated, grown and filled; another donor: (donor, harvest, vials, other)."""
    donor = stories.donor(api)
    raw = stories.raw_fat(api, donor)
    washed = stories.made(
        stories.run(api.lab_tech, "wash", [stories.using(raw)], [stories.output("lipoaspirate", 40_000, "ul_washed")])
    )["specimens"][0]
    cells = stories.made(stories.run(api.lab_tech, "svf_isolation", [stories.using(washed)], [stories.output("svf", 9_000_000)]))[
        "specimens"
    ][0]
    filled = stories.vials(api, cells, 2)
    return donor, harvest_of(api, raw["code"]), [one["code"] for one in filled], stories.donor(api, **OTHER)


def test_all_that_came_of_it_goes_along_and_is_decided_about_anew(api: Api, worked_up: Any) -> None:
    donor, harvest, vials, other = worked_up
    sheet = {"specimens": vials, "template": "cryovial-25x13", "reason": "first_print"}
    printed = api.lab_tech.post("/label-sheets", json=sheet)
    assert printed.status_code == 201, printed.text

    done = say(api, harvest, other)

    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert set(vials) < set(done.json()["specimens"])
    assert len(done.json()["specimens"]) == 5, "raw, washed, cells and two vials"
    assert done.json()["labels"] == 2
    for vial in vials:
        assert api.quality.get(f"/specimens/{vial}").json()["donor"] == other
        assert (state_of(api, vial)["quality"], state_of(api, vial)["marked"]) == ("quarantined", True)
        assert kinds_of(api, "specimen", vial)[-1] == "specimen.reattributed"
        assert [one["kind"] for one in api.quality.get(f"/specimens/{vial}").json()["holds"]] == ["identity"]
    assert api.quality.get(f"/harvests/{harvest}").json()["donor"] == other
    lots = {api.quality.get(f"/specimens/{vial}").json()["lot"] for vial in vials}
    assert {api.quality.get(f"/lots/{lot}").json()["donor"] for lot in lots} == {other}
    assert kinds_of(api, "donor", donor)[-1] == "donor.harvest_left"
    assert "donor.harvest_joined" in kinds_of(api, "donor", other)
    left = api.quality.get(f"/donors/{donor}").json()["left"]
    assert [one["harvest"] for one in left] == [harvest]
    assert api.lab_tech.get("/specimens", params={"donor": donor}).json()["items"] == []


def test_the_old_donors_page_says_that_it_left_and_not_to_whom(api: Api, worked_up: Any, visit: Visit) -> None:
    donor, harvest, _vials, other = worked_up
    assert say(api, harvest, other).status_code == 200
    page = visit("quality").get(f"/donors/{donor}")
    assert f"Harvest {harvest}" in page.text
    assert "Turned out to be another person" in page.text
    assert other not in page.text


def test_its_log_is_whole_and_the_new_donors_bundle_holds_it(api: Api, worked_up: Any) -> None:
    _donor, harvest, (vial, _), other = worked_up
    assert say(api, harvest, other).status_code == 200
    body = [
        one for one in api.quality.get(f"/specimens/{vial}/custody").json()["items"] if one["kind"] == "specimen.reattributed"
    ]
    (said,) = body
    assert said["body"]["donor"] == other
    assert said["body"]["before"] == _donor
    assert len(said["body"]["signatures"]) == 2


def test_one_person_alone_changes_nothing(api: Api, worked_up: Any) -> None:
    donor, harvest, (vial, _), other = worked_up
    body = {"donor": other, "evidence_sha256": A_REPORT}
    proposed = sign_and_post(api.quality, "decided", f"/harvests/{harvest}/reattribution", body)
    again = body | {"pending_act": proposed.json()["pending_act"]}
    refused(sign_and_post(api.quality, "decided", f"/harvests/{harvest}/reattribution", again), 403, "second_person_must_differ")
    assert api.quality.get(f"/specimens/{vial}").json()["donor"] == donor


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "clinic_staff", "auditor", "admin"])
def test_nobody_else_says_whose_it_is(api: Api, worked_up: Any, user: str) -> None:
    _donor, harvest, _vials, other = worked_up
    client: Client = getattr(api, user)
    body = {"donor": other, "evidence_sha256": A_REPORT}
    assert sign_and_post(client, "decided", f"/harvests/{harvest}/reattribution", body).status_code in (403, 404)


def test_a_file_that_nobody_stored_shows_nothing(api: Api, worked_up: Any) -> None:
    _donor, harvest, _vials, other = worked_up
    refused(say(api, harvest, other, evidence_sha256="00" * 32), 409, "attachment_unknown")
    refused(say(api, harvest, _donor), 404, "not_found")


def in_a_harvest(api: Api, donor: str, vials: list[str]) -> str:
    """Say of banked vials that they are of a harvest, for setting the stage."""
    raw = stories.made(stories.harvest(api.clinician, donor))["specimens"][0]
    harvest = harvest_of(api, raw["code"])
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("UPDATE specimen SET harvest_code = %s WHERE code = ANY(%s)", (harvest, vials))
    return harvest


def test_what_was_handed_out_or_is_asked_for_does_not_become_anothers(api: Api) -> None:
    story = a_story(api, 2)
    stories.made(consent(api.clinician, story.donor))
    harvest = in_a_harvest(api, story.donor, story.vials)
    other = stories.donor(api, **OTHER)
    assert story.request().status_code == 201
    refused(say(api, harvest, other), 409, "still_asked_for")
    for step in (story.approve, story.pick, story.confirm, story.issue):
        assert step().status_code in (200, 201)
    refused(say(api, harvest, other), 409, "was_handed_out")


def test_a_withdrawal_that_is_over_stays_whose_it_was(api: Api) -> None:
    story = a_story(api, 2)
    stories.made(consent(api.clinician, story.donor))
    harvest = in_a_harvest(api, story.donor, story.vials)
    other = stories.donor(api, **OTHER)
    assert story.request().status_code == 201
    over = api.clinician.post(f"/withdrawals/{story.code}/cancel", json={"reason": "patient_declined"})
    assert over.status_code in (200, 201), over.text
    done = say(api, harvest, other)
    assert done.status_code == 200, done.text
    assert api.quality.get(f"/withdrawals/{story.code}").json()["donor"] == story.donor
    asked = {"donor": story.donor, "material": "adsc", "route": "ship_frozen", "specimens": story.vials[:1]}
    assert api.clinician.post("/withdrawals", json=asked).status_code in (404, 409), "the cells are another's now"


def test_what_was_mixed_with_another_harvest_goes_to_nobody(api: Api) -> None:
    donor, other = stories.donor(api), stories.donor(api, **OTHER)
    one, two = stories.raw_fat(api, donor), stories.raw_fat(api, donor)
    pooled = stories.run(
        api.lab_tech, "wash", [stories.using(one), stories.using(two)], [stories.output("lipoaspirate", 80_000, "ul_washed")]
    )
    stories.made(pooled)
    refused(say(api, harvest_of(api, one["code"]), other), 409, "mixed_harvests")


def test_the_database_lets_no_donor_change_without_the_event(api: Api, worked_up: Any) -> None:
    donor, harvest, (vial, _), other = worked_up
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("UPDATE processing SET loss = 0")
        with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
            connection.execute("UPDATE processing SET donor_code = %s WHERE donor_code = %s", (other, donor))
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        connection.execute("UPDATE specimen SET donor_code = %s WHERE code = %s", (other, vial))
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation), connection.transaction():
            connection.execute("SET CONSTRAINTS a_donor_changes_with_its_event IMMEDIATE")
        connection.rollback()
    assert say(api, harvest, other).status_code == 200

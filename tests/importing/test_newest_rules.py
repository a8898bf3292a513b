"""What an old inventory brings in goes around none of the rules of a withdrawal: the last unit, the way, the label, the end."""

from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.conftest import Api
from tests.donors import stories as donors
from tests.importing.test_import import ADSC, checked, imported
from tests.quality.test_merging import merge
from tests.withdrawals.growing import ROUTE, seq_of
from tests.withdrawals.stories import Story, a_story, bank_vials, by_two, named, refused, sign_and_post

MARY: dict[str, Any] = {"family_name": "Quillfeather", "given_names": "Mary", "date_of_birth": "1961-07-23", "sex": "female"}
OLD = {"issuer": "OLD_BANK", "value": "P1"}


def known_by_the_old_number(api: Api, **vials: Any) -> Story:
    """A donor with consent whom the old file names too."""
    donor = donors.register(api.clinician, **MARY, external_ids=[OLD])
    assert donors.consent(api.clinician, donor, "treatment").status_code == 201
    return Story(api, donor, bank_vials(api, donor, **vials))


def brought(api: Api, tmp_path: Path, story: Story) -> str:
    """A tube of the story's donor that the old file has."""
    (one,) = imported(api.test_bank, checked(tmp_path, adsc=[ADSC]))
    assert one.outcome == "imported" and one.code is not None, one.reason
    assert api.quality.get(f"/specimens/{one.code}").json()["donor"] == story.donor
    return one.code


def test_what_nobody_judged_makes_the_last_unit_no_less_the_last(api: Api, tmp_path: Path) -> None:
    story = known_by_the_old_number(api, count=1)
    assert story.request().status_code == 201
    brought(api, tmp_path, story)
    path = f"/withdrawals/{story.code}/approve"
    refused(sign_and_post(api.quality, "approved", path, named(api.quality, story.code)), 409, "remainder_unsaid")
    assert story.approve().json()["status"] == "done", "two of quality, and a sentence of what remains"


def test_it_goes_no_way_before_it_was_judged_and_replaces_nothing(api: Api, tmp_path: Path) -> None:
    story = known_by_the_old_number(api, count=2)
    old = brought(api, tmp_path, story)
    assert donors.consent(api.clinician, story.donor, "banking").status_code == 201
    for route in ("ship_frozen", "thaw_and_ship", ROUTE):
        answer = Story(api, story.donor, [old]).request(route=route)
        assert answer.status_code == 409, (route, answer.text)
    assert story.up_to("pick").code
    said = {"tube": story.vials[0], "by": old, "reason": "postponed"}
    assert api.clinician.post(f"/withdrawals/{story.code}/replace", json=said).status_code == 409
    refused(story.confirm(tube=old), 409, "wrong_specimen")


def test_its_old_identifier_is_no_label_at_the_steps_of_a_withdrawal(api: Api, tmp_path: Path) -> None:
    story = a_story(api).up_to("approve")
    alias = brought(api, tmp_path, known_by_the_old_number(api, count=1)) and "AD-P1-1"
    answer = story.pick(tube=story.vials[0], place=alias)
    assert answer.status_code in (409, 422), answer.text
    found = api.lab_tech.post(f"/withdrawals/{story.code}/picks", json={"tube": alias, "confirm": True})
    assert found.status_code in (409, 422), found.text


def test_what_ended_here_does_not_come_back_with_the_old_file(api: Api, tmp_path: Path) -> None:
    story = known_by_the_old_number(api, count=1)
    old = brought(api, tmp_path, story)
    missed = {"kind": "specimen.missing", "reason": "not_in_its_slot", "expected_seq": seq_of(api, old)}
    assert api.lab_tech.post(f"/specimens/{old}/events", json=missed).status_code == 201
    gone = {"reason": "searched_everywhere", "expected_seq": seq_of(api, old)}
    ended = by_two(api.lab_tech, api.quality, f"/specimens/{old}/lost", gone)
    assert ended.status_code == 200, ended.text
    (again,) = imported(api.test_bank, checked(tmp_path, adsc=[ADSC]))
    assert (again.outcome, again.code) == ("already", old)
    count = "SELECT count(*) FROM specimen WHERE donor_code = :donor"
    assert api.test_bank.write(lambda s: s.execute(text(count), {"donor": story.donor}).scalar_one()) == 2


def test_a_tube_of_a_merged_record_never_comes_in_under_the_code_that_is_no_more(api: Api, tmp_path: Path) -> None:
    goes = known_by_the_old_number(api, count=1).donor
    stays = donors.register(api.clinician, **MARY, external_ids=[donors.of_hospital(900_001)])
    done = merge(api, stays, goes)
    assert done.status_code == 200, done.text
    (one,) = imported(api.test_bank, checked(tmp_path, adsc=[ADSC]))
    if one.outcome == "imported":
        assert api.quality.get(f"/specimens/{one.code}").json()["donor"] == stays
    else:
        assert stays in (one.reason or ""), one.reason

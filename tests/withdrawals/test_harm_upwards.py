"""The cause of a harm may lie in what the unit was made of, and where nothing narrower is known in anything of the donor's."""

from sqlalchemy import insert, text

from biobank.foundation.db import table_of
from biobank.specimens.models import SpecimenParent
from tests.conftest import Api
from tests.withdrawals.stories import Story, a_donor, bank_vials, refused, sign_and_post
from tests.withdrawals.test_adverse import holds, record


def made_of(api: Api, child: str, parent: str) -> None:
    donor = donor_of(api, child)
    row = {"child_code": child, "parent_code": parent, "child_donor": donor, "parent_donor": donor}
    api.test_bank.write(lambda s: s.execute(insert(table_of(SpecimenParent)).values(**row)))


def donor_of(api: Api, code: str) -> str:
    found = text("SELECT donor_code FROM specimen WHERE code = :code")
    return str(api.test_bank.write(lambda s: s.execute(found, {"code": code}).scalar()))


def lot_of(api: Api, code: str) -> str:
    found = text("SELECT lot_code FROM specimen WHERE code = :code")
    return str(api.test_bank.write(lambda s: s.execute(found, {"code": code}).scalar()))


def harmed(api: Api, *, lot: bool = True) -> tuple[Story, list[str]]:
    """A donor whose one lot was made of the other, given a unit of the later one, with a serious reaction to it."""
    donor = a_donor(api)
    earlier = bank_vials(api, donor, 3, lot=lot)
    later = bank_vials(api, donor, 2, lot=lot)
    if not lot:
        api.test_bank.write(lambda s: s.execute(text("UPDATE specimen SET harvest_code = NULL")))
    else:
        made_of(api, later[0], earlier[0])
    story = Story(api, donor, later).up_to("administer")
    assert record(api, story).status_code == 201
    return story, earlier


def test_the_lots_that_the_unit_was_made_of_are_held_too_until_it_is_judged(api: Api) -> None:
    story, earlier = harmed(api)
    assert holds(api) == {lot_of(api, story.vials[0]): "lot", lot_of(api, earlier[0]): "lot"}
    refused(Story(api, story.donor, earlier[1:]).request(), 409, "on_hold")
    every, upper_lot = api.quality.get("/holds", params={"active": True}).json()["items"], lot_of(api, earlier[0])
    upper = next(one for one in every if one["scope_id"] == upper_lot)
    path, lift = f"/holds/{upper['id']}/lift", {"reason": "reviewed"}
    refused(sign_and_post(api.quality2, "hold_lifted", path, lift), 409, "held_by_adverse_event")


def test_where_neither_lot_nor_harvest_is_known_all_of_the_donors_is_held_until_it_is_judged(api: Api) -> None:
    story, earlier = harmed(api, lot=False)
    assert holds(api) == {story.donor: "donor"}
    refused(Story(api, story.donor, earlier).request(), 409, "on_hold")
    (hold,) = api.quality.get("/holds", params={"active": True}).json()["items"]
    lift = {"reason": "reviewed"}
    refused(sign_and_post(api.quality2, "hold_lifted", f"/holds/{hold['id']}/lift", lift), 409, "held_by_adverse_event")

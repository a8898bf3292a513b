"""A hold that covers material at two sites is lifted only by quality of both: on every scope, by the call and on the page."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlmodel import Session

from biobank.custody.events import Received
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.foundation.db import table_of
from biobank.specimens.events import Consumed, ProcessStarted
from biobank.specimens.models import SpecimenParent
from tests.conftest import Api, Client
from tests.factories import make_donor, make_harvest, make_specimen
from tests.pages.visitor import Visit
from tests.quality.test_holds import place
from tests.shipping.stories import stage
from tests.withdrawals.stories import a_lot, refused, sign_and_post

SCOPES = ["donor", "harvest", "lot", "specimen"]
LIFT = {"reason": "explained"}


def _two_tubes(api: Api, *, second_at: str) -> dict[str, str]:
    """A tube at LAB and one made of it at `second_at`, of one harvest and lot; the id of each scope that covers both."""
    act = stage(api.test_bank)

    def work(session: Session) -> dict[str, str]:
        donor = make_donor(session)
        harvest, lot = make_harvest(session, donor), a_lot(session, donor)
        tubes = [make_specimen(session, act, donor=donor, harvest=harvest, lot_code=lot) for _ in range(2)]
        for tube, site in zip(tubes, ("LAB", second_at), strict=True):
            record(session, act, [Move(tube, Received(site=site), site=site)], NOW)
        first, second = (tube.code for tube in tubes)
        parentage = {"child_code": second, "parent_code": first, "child_donor": donor, "parent_donor": donor}
        session.execute(insert(table_of(SpecimenParent)).values(parentage))
        return {"donor": donor, "harvest": harvest, "lot": lot, "specimen": first}

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def _held(api: Api, scope: str, code: str) -> str:
    placed = place(api.lab_tech, "quality", scope, code)
    assert placed.status_code == 201, placed.text
    return str(placed.json()["id"])


def _lift(client: Client, hold: str) -> Any:
    return sign_and_post(client, "hold_lifted", f"/holds/{hold}/lift", LIFT)


@pytest.mark.parametrize("scope", SCOPES)
def test_quality_of_one_site_lifts_no_hold_that_covers_a_tube_of_another(api: Api, scope: str) -> None:
    hold = _held(api, scope, _two_tubes(api, second_at="CLINIC")[scope])

    assert refused(_lift(api.lab_quality, hold), 403, "not_permitted")["site"] == "CLINIC"
    assert _lift(api.acts_here, hold).status_code == 200


@pytest.mark.parametrize("scope", SCOPES)
def test_where_all_material_stands_at_one_site_its_quality_lifts_the_hold(api: Api, scope: str) -> None:
    hold = _held(api, scope, _two_tubes(api, second_at="LAB")[scope])

    assert _lift(api.lab_quality, hold).status_code == 200


def test_right_at_a_third_site_does_not_stand_in_for_the_second(api: Api) -> None:
    hold = _held(api, "donor", _two_tubes(api, second_at="NORTH")["donor"])

    assert refused(_lift(api.acts_here, hold), 403, "not_permitted")["site"] == "NORTH"
    refused(_lift(api.lab_tech_north_quality, hold), 403, "not_permitted")
    assert _lift(api.quality, hold).status_code == 200


def test_when_nothing_stands_a_hold_on_a_donor_is_lifted_where_they_were_harvested(api: Api) -> None:
    act = stage(api.test_bank)

    def used_up(session: Session) -> Snapshot:
        tube = make_specimen(session, act, donor=make_donor(session))
        started = ProcessStarted(lot="LT26-0000000", process="isolation", procedure_version="P-1")
        for event in (Received(site="LAB"), started, Consumed(process="isolation")):
            record(session, act, [Move(load(session, [tube.code])[tube.code], event, site="LAB")], NOW)
        return tube

    hold = _held(api, "donor", str(api.test_bank.write(used_up).donor_code))

    assert refused(_lift(api.lab_quality, hold), 403, "not_permitted")["site"] == "CLINIC"
    assert _lift(api.acts_here, hold).status_code == 200


def test_the_page_offers_lifting_to_those_who_may(api: Api, visit: Visit) -> None:
    codes = _two_tubes(api, second_at="CLINIC")
    hold = _held(api, "donor", codes["donor"])
    address = f"/holds/{hold}/lift"

    def sees(user: str) -> tuple[bool, int]:
        visitor = visit(user)
        return address in visitor.get(f"/specimens/{codes['specimen']}").text, visitor.get(address).status_code

    assert (sees("lab_quality"), sees("acts_here"), sees("quality")) == ((False, 403), (True, 200), (True, 200))

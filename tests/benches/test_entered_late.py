"""What was done at a workstation and is entered afterwards is judged by whose session was open there then, from paper as well."""

from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.importing.profile import Profile
from biobank.specimens.events import Aliased, Imported
from tests.benches.stories import closing, opened, session_of, workstation
from tests.benches.test_sessions import FAT, STOP
from tests.conftest import Api
from tests.quality.test_paper import filed
from tests.specimens.stories import donor, made, raw_fat, refused, run, thaw, using
from tests.withdrawals.stories import later

Json = dict[str, Any]


@pytest.fixture
def then(api: Api) -> tuple[str, str, str, Json]:
    """Mary's session, closed an hour ago, and another person's raw fat: (bench, session, time in it, tube)."""
    mary = donor(api)
    raw_fat(api, mary)
    theirs = raw_fat(api, donor(api, family_name="Otherworth", external_ids=[]))
    bench = workstation(api)
    later(api, hours=1)
    code = opened(api, bench, donor=mary)
    later(api, minutes=10)
    during = rfc3339(clock.now())
    later(api, minutes=10)
    assert closing(api.lab_tech, code, bench).status_code == 200
    later(api, hours=1)
    return bench, code, during, theirs


def late(during: str) -> Json:
    """It is written down afterwards, and why."""
    return {"occurred_at": during, "late_entry": True, "reason_text": "Written down after the run."}


def test_another_persons_run_that_is_entered_late_is_stopped_by_the_session_of_its_time(api: Api, then: Any) -> None:
    bench, code, during, theirs = then
    for named in ({"workstation": bench}, {"equipment": [bench]}):
        assert refused(run(api.lab_tech, "wash", [using(theirs)], FAT, **named, **late(during))) == STOP
    assert len(session_of(api, code)["stops"]) == 2
    assert refused(thaw(api.lab_tech, [theirs], workstation=bench, **late(during)))[0] == 409
    now = run(api.lab_tech, "wash", [using(theirs)], FAT, workstation=bench)
    assert now.status_code == 201, "nobody's session is open there now"


def test_the_session_that_is_open_now_makes_nothing_of_then_its_own(api: Api, then: Any) -> None:
    bench, code, during, theirs = then
    own = opened(api, bench, specimen=theirs["code"])
    assert refused(run(api.lab_tech, "wash", [using(theirs)], FAT, workstation=bench, **late(during))) == STOP
    assert (len(session_of(api, code)["stops"]), session_of(api, own)["stops"]) == (1, [])
    washed = made(run(api.lab_tech, "wash", [using(theirs)], FAT, workstation=bench))
    assert api.lab_tech.get(f"/processings/{washed['processing']}").json()["bench_session"] == own


def test_a_form_filled_in_on_paper_is_judged_by_the_same_session(api: Api, then: Any) -> None:
    bench, code, during, theirs = then
    began = rfc3339(clock.now() - timedelta(hours=2))
    form = filed(api, began_at=began)
    assert form.status_code == 201, form.text
    said = {"occurred_at": during, "paper": form.json()["code"]}
    assert refused(run(api.lab_tech, "wash", [using(theirs)], FAT, workstation=bench, **said)) == STOP
    assert len(session_of(api, code)["stops"]) == 1


def test_an_import_works_at_no_bench_and_names_nothing_of_the_registers() -> None:
    """It makes records of what was banked elsewhere: no run, no reason, no device, so nothing that a list would have to hold."""
    named = {"workstation", "equipment", "reagent_lots", "reason", "procedure_version", "method", "laboratory", "courier"}
    for model in (Profile, Imported, Aliased):
        assert named.isdisjoint(model.model_fields), model


@pytest.mark.parametrize("named_as", ["workstation", "equipment"])
def test_a_reason_for_being_late_takes_nobodys_material_past_the_session_that_is_open_now(api: Api, named_as: str) -> None:
    """The bench was nobody's then and is Mary's now: what was done before is entered when her session is closed."""
    mary = donor(api)
    raw_fat(api, mary)
    theirs = raw_fat(api, donor(api, family_name="Otherworth", external_ids=[]))
    bench = workstation(api)
    later(api, hours=1)
    stated = late(rfc3339(clock.now()))
    later(api, hours=1)
    code = opened(api, bench, donor=mary)
    named = {named_as: bench if named_as == "workstation" else [bench]}

    for attempt in (
        run(api.lab_tech, "wash", [using(theirs)], FAT, **named, **stated),
        run(api.lab_tech2, "wash", [using(theirs)], FAT, **named, **stated),
        thaw(api.lab_tech, [theirs], **named, **stated),
    ):
        assert refused(attempt) == STOP
        assert "is entered when that session is closed" in attempt.json()["detail"]
    assert len(session_of(api, code)["stops"]) == 3

    assert closing(api.lab_tech, code, bench).status_code == 200
    assert run(api.lab_tech, "wash", [using(theirs)], FAT, **named, **stated).status_code == 201

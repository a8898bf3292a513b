"""What else did this courier, shipper or way to thaw touch? Asked from its entry of the registers, ever or in a window."""

from datetime import timedelta
from typing import Any, get_args
from uuid import NAMESPACE_OID, uuid5

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg as PGDialect
from sqlmodel import Session

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.registers.schemas import RegisterKind
from biobank.specimens.touched import BY_KIND, IN_THE_LOG, carried, said
from tests import seed
from tests.benches.stories import opened, scanning, workstation
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.quality.test_look_back import reached
from tests.quality.test_reattributing import harvest_of
from tests.registers.test_registers import entered
from tests.shipping.stories import offer, shipped, tubes
from tests.shipping.test_shipments import receive
from tests.specimens.stories import donor, freeze, made, output, run, svf, thaw, using
from tests.withdrawals.stories import a_story, bank_vials, later, place_of, sign_and_post


def entry(kind: str, name: str) -> str:
    """The key of what stands in the registers of every test bank."""
    return str(uuid5(NAMESPACE_OID, f"{kind} {name}"))


def samples(api: Api, count: int) -> list[dict[str, Any]]:
    """Vials for tests, taken of somebody's cells."""
    cells = svf(api, donor(api))
    each = cells["amount"] // 20
    part = using(cells, amount=each * count, consumed=False)
    made_of: list[dict[str, Any]] = made(
        run(api.lab_tech, "qc_sampling", [part], [output("svf", each, purpose="qc", count=count)])
    )["specimens"]
    return made_of


def between(**change: float) -> dict[str, str]:
    """Two minutes around a moment."""
    at = clock.now() + timedelta(**change)
    return {"since": rfc3339(at - timedelta(minutes=1)), "until": rfc3339(at + timedelta(minutes=1))}


def test_a_courier_reaches_what_it_took_by_shipment_by_hand_and_by_an_issue_and_nothing_else(api: Api) -> None:
    sent, other, by_hand = tubes(api, 3)
    shipped(api, [sent])
    shipped(api, [other], courier="FAST")
    hand = offer(api, api.lab_tech, [by_hand], "courier", "CRYOGO").json()["id"]
    taken = api.lab_tech.post(f"/handovers/{hand}/accept", json={"evidence": "WB 12"})
    assert taken.status_code == 200, taken.text
    story = a_story(api, 2).up_to("confirm")
    issued = story.issue(courier="CRYOGO", evidence="WB 13")
    assert issued.status_code in (200, 201), issued.text

    assert reached(api, entry=entry("courier", "CRYOGO")) == sorted([sent, by_hand, story.vials[0]])
    assert reached(api, entry=entry("courier", "FAST")) == [other]
    assert reached(api, entry=entry("courier", "OTHERS")) == []


def test_a_courier_has_what_it_took_until_it_is_received(api: Api) -> None:
    (tube,) = tubes(api)
    code = shipped(api, [tube])
    later(api, hours=2)
    on_the_road = between()
    later(api, hours=2)
    assert receive(api, code, [tube], temperature_mc=5_000).status_code == 200
    later(api, hours=2)

    key = entry("courier", "CRYOGO")
    assert reached(api, entry=key, **on_the_road) == [tube], "in the middle of the journey"
    assert reached(api, entry=key, **between(hours=-6, minutes=-10)) == []
    assert reached(api, entry=key, **between()) == []


def test_a_shipper_reaches_what_travelled_in_it(api: Api, visit: Visit) -> None:
    inside, beside, without = tubes(api, 3)
    shipped(api, [inside])
    shipped(api, [beside], shipper=entered(api, "shipper", "DS-41"))
    shipped(api, [without], shipper=None)

    assert reached(api, entry=seed.SHIPPER) == [inside]
    page = visit("quality").submit("/look-backs", {"start": seed.SHIPPER, "derivatives": "true"})
    assert inside in page.text
    assert beside not in page.text


@pytest.mark.parametrize("page", [False, True])
def test_a_way_to_thaw_reaches_what_was_thawed_so_at_the_bench_and_at_the_chair(api: Api, visit: Visit, page: bool) -> None:
    one, other = made(freeze(api.lab_tech, samples(api, 2)))["specimens"]
    made(thaw(api.lab_tech, [one]))
    made(thaw(api.lab_tech, [other], method="Bath"))
    story = a_story(api, 2).up_to("receive")
    assert story.thaw().status_code in (200, 201)

    here = {"water bath": one["code"], "Bath": other["code"], "water bath 37 C": story.vials[0]}
    for name, code in here.items():
        key = entry("thawing_method", name)
        if page:
            shown = visit("quality").submit("/look-backs", {"start": key, "derivatives": "true"}).text
            assert [found in shown for found in here.values()] == [found == code for found in here.values()]
        else:
            assert reached(api, entry=key) == [code]


def test_a_stated_time_takes_nothing_out_of_what_a_way_to_thaw_reached(api: Api) -> None:
    (one,) = made(freeze(api.lab_tech, samples(api, 1)))["specimens"]
    later(api, minutes=20)
    stated = {"occurred_at": rfc3339(clock.now() - timedelta(minutes=10)), "reason_text": "The clock on the wall."}
    made(thaw(api.lab_tech, [one], **stated))

    key = entry("thawing_method", "water bath")
    for when in (between(), between(minutes=-10), between(minutes=-5)):
        assert reached(api, entry=key, **when) == [one["code"]]
    assert reached(api, entry=key, **between(minutes=-14)) == []


@pytest.mark.parametrize("scope", ["lot", "donor", "harvest", "container", "bench_session"])
def test_a_reason_reaches_what_was_held_for_it_by_whatever_the_hold_was_on(api: Api, scope: str) -> None:
    whose = donor(api)
    cells = svf(api, whose)
    svf(api, donor(api, family_name="Otherworth", external_ids=[]))
    code = cells["code"]
    if scope == "bench_session":
        bench = workstation(api)
        named = opened(api, bench, donor=whose)
        assert scanning(api.lab_tech, named, code).status_code == 201
    elif scope == "container":
        code = bank_vials(api, whose)[0]
        named = place_of(api, code)
    else:
        named = {"lot": cells["lot"], "donor": whose, "harvest": harvest_of(api, code)}[scope]
    held = api.quality.post("/holds", json={"scope_kind": scope, "scope_id": named, "kind": "quality", "reason": "cloudy"})
    assert held.status_code == 201, held.text

    key = entry("reason", "cloudy")
    found = reached(api, entry=key)
    assert code in found
    assert {api.quality.get(f"/specimens/{one}").json()["donor"] for one in found} == {whose}, "nobody else's"
    assert code in reached(api, entry=key, derivatives=False)
    assert reached(api, entry=key, **between(hours=-1)) == []
    lifted = sign_and_post(api.quality, "hold_lifted", f"/holds/{held.json()['id']}/lift", {"reason": "looks_fine"})
    assert lifted.status_code == 200, lifted.text
    assert code in reached(api, entry=entry("reason", "looks_fine")), "why it was let go is a reason as well"
    later(api, hours=2)
    assert reached(api, entry=key, **between()) == [], "lifted before"


def test_a_reason_reaches_all_of_a_donor_or_lot_that_was_judged_for_it(api: Api) -> None:
    whose = donor(api)
    cells = svf(api, whose)
    said = {"kept_apart": True, "reason": "reactive"}
    assert api.quality.post(f"/donors/{whose}/isolation", json=said).status_code in (200, 201)
    assert cells["code"] in reached(api, entry=entry("reason", "reactive"))


def test_a_recall_starts_from_a_shipper(api: Api) -> None:
    (inside,) = tubes(api)
    shipped(api, [inside])
    body = {"reason": "device_failed", "site": "LAB", "description": "It lost its vacuum.", "criteria": {"entry": seed.SHIPPER}}
    started = api.quality.post("/recalls", json=body)
    assert (started.status_code, started.json()["specimens"]) == (201, 1), started.text


@pytest.mark.parametrize("kind", ["courier", "shipper", "thawing_method", "reason"])
def test_no_look_back_reads_the_log_from_end_to_end(api: Api, kind: str) -> None:
    named = {"entry": "x", "kind": kind, "name": "x", "since": clock.now() - timedelta(days=1), "until": clock.now()}
    asked = (carried if kind in ("courier", "shipper") else said)(named)
    statement = asked.compile(
        dialect=PGDialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )

    def plan(session: Session) -> str:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(session.connection().exec_driver_sql(f"EXPLAIN {statement}".replace("%", "%%")).scalars())

    assert "Seq Scan on event" not in api.test_bank.write(plan)


def test_a_reason_reaches_the_units_of_a_withdrawal_or_a_shipment_that_was_turned_back_for_it(api: Api) -> None:
    story, other = a_story(api, 2).up_to("request"), a_story(api).up_to("request")
    cancelled = api.clinician.post(f"/withdrawals/{story.code}/cancel", json={"reason": "postponed"})
    assert cancelled.status_code == 200, cancelled.text
    sent, beside = tubes(api, 2)
    code = shipped(api, [sent])
    shipped(api, [beside])
    turned_back = {"reason": "spilled", "temperature_mc": 9_000, "confirmed": True}
    answer = api.lab_tech.post(f"/shipments/{code}/refuse", json=turned_back)
    assert answer.status_code == 200, answer.text

    assert reached(api, entry=entry("reason", "postponed")) == [story.vials[0]]
    assert other.vials[0] not in reached(api, entry=entry("reason", "postponed"), derivatives=False)
    assert reached(api, entry=entry("reason", "spilled")) == [sent]


def test_a_look_back_starts_from_every_kind_of_the_registers() -> None:
    """Found in the tables, by the judging of it, or in the log alone: a new kind says which, before anything names it."""
    in_tables = {"reagent_lot", "medium", "equipment", "workstation", "procedure", "cooling_programme", "cryoprotectant"}
    assert set(get_args(RegisterKind)) == in_tables | set(BY_KIND) | set(IN_THE_LOG)

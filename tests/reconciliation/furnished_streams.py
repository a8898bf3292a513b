"""What a furnished bank still lacks, so that every kind which a followed table follows has been said in it."""

from typing import Any

import httpx

from tests import seed
from tests.conftest import Api
from tests.monitoring import test_excursions as excursions
from tests.monitoring.stories import assess
from tests.monitoring.test_excursions import a_tank
from tests.registers import test_registers as registers
from tests.shipping import stories as shipping
from tests.shipping import test_journey_records as journeys
from tests.shipping import test_shipments as shipments
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import by_two, later, sign_and_post


def furnish_streams(api: Api) -> None:
    """Registers, sites, rules of sites, a sensor that is withdrawn, slots that are marked, a journey in boxes that is over."""
    _registers(api)
    site = {"code": "SECOND", "name": "Second house", "kind": "clinic", "timezone": "Europe/London"}
    _done(api.admin.post("/sites", json=site))
    _done(api.admin.patch("/sites/SECOND", json={"timezone": "Europe/Paris"}))
    lines = [{"who": seed.USERS["lab_tech2"].code, "after_min": 0}, {"who": "quality", "after_min": 10}]
    _done(sign_and_post(api.quality, "decided", "/rotas", {"site": "LAB", "lines": lines}))
    for prefix in ("AD", "HF"):
        template = "cryovial-38x19"
        _done(api.admin.post("/print-rules", json={"site": "LAB", "prefix": prefix, "template": template}))
    box = a_box(api)
    for mark in ({"mark": "blocked", "reason": "damaged"}, {"mark": "open"}, {"mark": "blocked", "reason": "damaged"}):
        _done(api.lab_tech.post(f"/storage-containers/{box}/slots", json={"positions": ["A1", "A2"], **mark}))
    tank = a_tank(api)
    body = {"name": "Probe that went", "containers": [tank], "measures": ["temperature_mc"], "silent_after_min": 60}
    sensor = _done(api.quality.post("/sensors", json=body))["code"]
    _done(by_two(api.admin, api.quality, f"/sensors/{sensor}/withdraw", {"reason": "broken"}))
    _assessed(api)
    sent = shipping.tubes(api, 2, frozen=True)
    journey = _done(journeys.boxed(api, sent))["code"]
    looked_at = [{"box": str(n + 1), "seal": f"S-{n + 1}", "seal_intact": True} for n in range(2)]
    _done(shipments.receive(api, journey, sent, boxes=looked_at))
    (alarm, *_) = [one for one in api.quality.get("/alarms").json()["items"] if one["acknowledged_at"] is None]
    _done(api.quality.post(f"/alarms/{alarm['code']}/acknowledge", json={}))


def _assessed(api: Api) -> None:
    """What was in a tank that was too warm for a while is released again."""
    tank = excursions.a_tank(api, "Tank that was warm")
    excursions.put(api, excursions.frozen(api)[0], a_box(api, parent=tank))
    excursions.read(api, tank, -50_000)
    later(api, minutes=5)
    excursions.read(api, tank, -190_000)
    (one,) = api.quality.get("/excursions", params={"container": tank}).json()["items"]
    _done(assess(api.quality, one["code"]))


def _registers(api: Api) -> None:
    """A reagent that was never qualified is used; a procedure has its first person; a shipper is qualified and retired."""
    syringe, fresh = registers.fat(api), registers.entered(api, expires_on="2029-01-01")
    assert _done(registers.wash(api, syringe, reagent_lots=[fresh]))["warnings"]
    rule = {"site": "LAB", "problem": "unqualified", "answer": "warn"}
    _done(api.quality.post("/register-rules", json=rule))
    procedure = registers.entered(api, "procedure", "SOP-990 v1")
    allowed = {"person": seed.USERS["lab_tech"].code, "until": "2035-01-01"}
    _done(api.quality.post(f"/registers/{procedure}/authorisations", json=allowed))
    shipper = registers.entered(api, "shipper", "Dry shipper 9", holds_h=240, least_charge_g=9000)
    registers.changed(api, shipper, "qualified")
    registers.changed(api, shipper, "calibrated", calibration_due_on="2028-01-01")
    registers.changed(api, shipper, "retired", reason="broken")


def _done(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 201), answer.text
    return answer.json()

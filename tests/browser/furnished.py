"""A bank with something of everything in it, made once for the tests that only look.

Add what your pages need to `furnish`, and its code under a telling name: the walk (`walk.py`) writes `{name}` in addresses.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from biobank.acts.act import Act
from biobank.alarms.watch import watch_for_alarms
from biobank.custody.event import rules
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.importing.uploads import Upload, keep_upload
from tests import seed
from tests.benches import stories as benches
from tests.conftest import Api, TestBank
from tests.custody.test_performer_confirmations import helped
from tests.enrolling import by_two
from tests.factories import make_box, make_specimen
from tests.monitoring.test_excursions import frozen, put
from tests.people.api_clients import a_client, grant, key_of
from tests.quality.test_decisions import acceptances, add_test, lot_of
from tests.quality.test_deviations import stored
from tests.quality.test_markers import enter
from tests.shipping import stories as shipping
from tests.signing import signed
from tests.specimens import stories as lab
from tests.webhooks import stories as webhooks
from tests.withdrawals.growing import at_the_bench
from tests.withdrawals.stories import Story, a_lot, a_story, bank_vials, everyone, place_of, sign_and_post
from tests.withdrawals.test_final_label import thawed

SENDS_TO = {"webhook_addresses": "http://127.0.0.1:9", "webhook_networks": "127.0.0.0/8"}
"""Where the furnished bank may send events to: nobody listens there."""
KLINIK = Path(__file__).parents[1] / "importing" / "fixtures" / "klinik.csv"


@dataclass(frozen=True)
class Furnished:
    """The bank, its address, and codes by name: `things["tube"]`."""

    bank: TestBank
    url: str
    things: dict[str, str]


def _withdrawal(api: Api, step: str) -> Story:
    return a_story(api).up_to(step)


def _picked_by_another(api: Api) -> str:
    """A withdrawal whose tube one technician took out and nobody confirmed."""
    story = _withdrawal(api, "approve")
    assert story.pick(api.lab_tech2).status_code == 201
    return story.code


def _given_before(api: Api) -> str:
    """A withdrawal whose tube two people released, before something came that stands against giving it."""
    story = _withdrawal(api, "check")
    hold = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "late_result"}
    assert api.lab_tech.post("/holds", json=hold).status_code == 201
    return story.code


def _requested(api: Api) -> str:
    """A request that says why."""
    story = a_story(api)
    assert story.request(indication="Thinning hair at the crown.").status_code == 201
    return story.code


def _released_with_a_plan(api: Api, donor: str) -> str:
    """A vial that was released before its results, with words of whom to tell."""
    (vial,) = bank_vials(api, donor, released=False, lot=True)
    for kind in ("endotoxin", "mycoplasma", "sterility"):
        add_test(api, lot_of(api, vial), kind, "pending")
    plan = {"reason": "results_awaited", "notification_plan": "Tell the ward by telephone."} | acceptances(api, vial)
    body = {"decision": "released_conditionally"} | plan
    answer = sign_and_post(api.quality, "released", f"/specimens/{vial}/decision", body)
    assert answer.status_code == 200, answer.text
    return vial


def furnish(api: Api) -> dict[str, str]:
    """Fill the bank behind `api`; return what is in it by name."""
    bank, act, admin = api.test_bank, everyone(api.test_bank), api.test_bank.act("admin")
    banked = a_story(api, vials=4, lot=True)
    tube, held = banked.vials[0], banked.vials[1]
    things = {
        "tube": tube,
        "held": held,
        "donor": banked.donor,
        "box": place_of_box(api, tube),
        "equipment": bench_equipment(api),
        "procedure": seed.PROCEDURE,
        "lot": bank.write(lambda s: a_lot(s, banked.donor)),
        "empty_box": bank.write(lambda s: make_box(s, admin, name="Box with free places", rows=9, cols=9).code),
        "fresh": shipping.tubes(api, 2)[0],
        "on_its_way": bank.write(lambda s: make_specimen(s, act).code),
        "requested": _requested(api),
        "planned": _released_with_a_plan(api, banked.donor),
        "approved": _withdrawal(api, "approve").code,
        "half_picked": _picked_by_another(api),
        "picked": _withdrawal(api, "confirm").code,
        "issued": _withdrawal(api, "issue").code,
        "delivered": _withdrawal(api, "receive").code,
        "thawed": _withdrawal(api, "thaw").code,
        "given_before": _given_before(api),
        "handover": shipping.offered(api, shipping.tubes(api, 2)),
        "incoming_handover": _handover_to_lab_tech(api),
        "shipment": shipping.shipped(api, shipping.tubes(api, 2, frozen=True)),
        "incoming_shipment": _shipment_to_lab(api),
    }
    helped(api, seed.USERS["lab_tech"].code, by="lab_tech2")
    quarantine = bank.write(lambda s: make_box(s, admin, name="Quarantine", purpose="quarantine"))
    things["quarantine"] = quarantine.code
    sheet = api.lab_tech.post("/label-sheets", json={"things": [things["empty_box"]], "template": "box-50x25"})
    things["label_batch"] = str(sheet.json()["items"][0]["batch"])
    batch = {"positions_of": things["empty_box"], "template": "position-38x13"}
    queued = api.lab_tech.post("/label-batches", json=batch)
    assert queued.status_code == 202, queued.text
    things["job"] = str(queued.json()["id"])
    things["upload"] = keep_upload(bank.bank, seed.USERS["admin"].code, Upload("klinik.csv", KLINIK.read_bytes()))
    things |= _made_in_the_laboratory(api) | _administered(api)
    hold = {"scope_kind": "specimen", "scope_id": held, "kind": "temperature", "reason": "found_warm"}
    things["hold"] = _made(api.lab_tech.post("/holds", json=hold), "id")
    deviation = {"severity": "major", "topic": "tank_low", "site": "LAB", "description": "Level fell at night."}
    tank = bank.write(lambda s: make_box(s, admin, name="Warm tank", kind="tank"))
    (affected,) = frozen(api)
    put(api, affected, tank.code)
    warm = {"reading": "temperature_mc", "value": -90_000}
    read = api.lab_tech.post(f"/storage-containers/{tank.code}/readings", json=warm)
    assert read.status_code == 201, read.text
    (things["excursion"],) = read.json()["excursions"]
    things["read_tank"], things["reading"] = tank.code, str(read.json()["id"])
    assert bank.write(lambda s: watch_for_alarms(s, Act.system(bank.bank, path="timer"))) >= 1
    things["alarm"] = api.lab_tech.get("/alarms", params={"cause": "excursion"}).json()["items"][0]["code"]
    over = {"reading": "temperature_mc", "value": -180_000}
    assert api.lab_tech.post(f"/storage-containers/{tank.code}/readings", json=over).status_code == 201
    things["client"] = a_client(api)
    assert key_of(api, things["client"]) and grant(api, things["client"]).status_code == 200
    things["sensor"] = _sensor_in_doubt(api, tank.code)
    for counter in (api.lab_tech, api.lab_tech2):
        counted = counter.post(f"/storage-containers/{tank.code}/counts", json={"scanned": []})
        assert counted.status_code == 201, counted.text
    things["deviation"] = _made(api.lab_tech.post("/deviations", json=deviation), "code")
    recall = {"reason": "late_sterility", "site": "LAB", "description": "Growth on day 12.", "criteria": {"specimen": affected}}
    things["recall"] = _made(api.quality.post("/recalls", json=recall), "id")
    happened = {"kind": "event", "seriousness": "serious", "in_lot": False, "seen_at": clock.now().isoformat(), "words": "Spilt."}
    assert api.clinician.post(f"/withdrawals/{things['thawed']}/adverse-events", json=happened).status_code == 201
    things["adverse"] = api.quality.get("/adverse-events").json()["items"][0]["deviation"]
    things["remark"] = _a_remark(api, things["tube"])
    closing = sign_and_post(api.quality, "decided", "/closings", {"site": "LAB", "to": "OTHER_BANK"})
    assert closing.status_code == 201, closing.text
    things["closing"] = closing.json()["id"]
    things |= _measured(api)
    things["notice"] = _told(api, things["deviation"])
    things["message"] = _given_up(api)
    things["marker"] = _marker_to_decide(api, banked.donor)
    things |= _benches(api)
    things["pending"] = _pending_role(api)
    item = {"site": "LAB", "condition": "frozen"}
    things["nameless"] = _made(api.lab_tech.post("/specimens/unidentified", json=item), "specimen")
    things["entry"] = next(
        one["leaf_hash"]
        for one in api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"]
        if rules.by_kind[one["kind"]].amendable
    )
    path = f"/users/{seed.USERS['other_clinician'].code}/password-reset"
    things["slip"] = by_two(api.admin, api.quality, path, {}, "approved").json()["slip"]["id"]
    things["unlabelled"] = _to_be_labelled(api).code
    things |= _told_of_events(api)
    things["to_grow"] = at_the_bench(api).code
    return things


def _told_of_events(api: Api) -> dict[str, str]:
    """Other systems: one that is sent events and took some of them not, one that is not opened, one that is stopped."""
    there = "http://127.0.0.1:9/"
    sent_to, _ = webhooks.opened(api, f"{there}1", kinds=["specimen.*"], name="Ward of the clinic")
    not_opened = webhooks.made(api, f"{there}2", sites=["LAB"], name="Registry")
    webhooks.secret_of(api, not_opened)
    stopped, _ = webhooks.opened(api, f"{there}3", name="Report")
    assert api.quality.post(f"/webhooks/{stopped}/stop").status_code == 200
    given_up = text(
        "INSERT INTO webhook_delivery (id, webhook_code, log_index, leaf_hash, kind, stream, site_code, state, made_at, "
        "attempts, next_at, last_at, outcome, status) SELECT gen_random_uuid(), :code, row_number() OVER (), leaf_hash, kind, "
        "stream_kind || '/' || stream_id, site_code, 'undeliverable', now(), 11, now(), now(), 'said_no', 503 "
        "FROM event WHERE stream_kind = 'specimen' ORDER BY recorded_at LIMIT 3"
    )
    api.test_bank.write(lambda s: s.execute(given_up, {"code": sent_to}))
    return {"webhook": sent_to, "webhook_not_opened": not_opened, "webhook_stopped": stopped}


def _a_remark(api: Api, tube: str) -> str:
    """The leaf hash of an entry that somebody wrote something beside."""
    seq = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["seq"]
    body = {"kind": "specimen.annotated", "topic": "other", "comment": "The cap is scratched.", "expected_seq": seq}
    _made(api.lab_tech.post(f"/specimens/{tube}/events", json=body), "receipt")
    return str(api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]["leaf_hash"])


def _to_be_labelled(api: Api) -> Story:
    """A withdrawal whose vial was thawed to be shipped and counted, and whose final label was printed."""
    story = thawed(api)
    story.print_label()
    return story


def _benches(api: Api) -> dict[str, str]:
    """A workstation that is open for somebody whose one tube is in doubt, and one that is free."""
    bench, free = benches.workstation(api), benches.workstation(api, "Bench B")
    tube = lab.raw_fat(api, lab.donor(api, family_name="Benchley", external_ids=[]))
    code = benches.opened(api, bench, specimen=tube["code"])
    assert benches.scanning(api.lab_tech, code, tube["code"]).status_code == 201
    doubt = {"scope_kind": "specimen", "scope_id": tube["code"], "kind": "identity", "reason": "label_in_doubt"}
    assert api.lab_tech.post("/holds", json=doubt).status_code == 201
    return {"bench": bench, "free_bench": free, "bench_session": code}


def _sensor_in_doubt(api: Api, tank: str) -> str:
    """A sensor that sent what no tank can be, and for which quality may draw another key."""
    body = {"name": "Probe 7", "containers": [tank], "measures": ["temperature_mc"], "silent_after_min": 60}
    code = _made(api.quality.post("/sensors", json=body), "code")
    path = f"/sensors/{code}/key"
    assert by_two(api.admin, api.quality, path, {}, "decided").status_code == 200
    key = api.quality.post(f"{path}/draw").json()["key"]
    value = {"container": tank, "reading": "temperature_mc", "value": 850_000, "at": rfc3339(clock.now())}
    sent = api.anonymous.post("/sensor-readings", json={"readings": [value]}, headers={"Sensor-Key": key})
    assert sent.status_code == 201, sent.text
    assert by_two(api.admin, api.quality, path, {}, "decided").status_code == 200
    return code


def _marker_to_decide(api: Api, donor: str) -> str:
    """A result of a laboratory that quality has not looked at yet."""
    answer = enter(api.clinician, donor, stored(api).json()["sha256"])
    assert answer.status_code == 201, answer.text
    return str(answer.json()["marker"]["id"])


def _pending_role(api: Api) -> str:
    """A role that an administrator proposed and quality has not signed yet."""
    user = seed.USERS["north_tech"].code
    body = {"role": "clinic_staff", "site": "CLINIC"}
    answer = api.admin.post(f"/users/{user}/roles", json=signed(api.admin, "role_change", f"/users/{user}/roles", body))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["pending_act"])


def bench_equipment(api: Api) -> str:
    """A device that the bench of LAB entered."""
    body = {"kind": "equipment", "name": "Incubator 2", "site": "LAB", "calibration_due_on": "2099-01-31"}
    answer = api.lab_tech.post("/registers", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["entry"]["entry"])


def place_of_box(api: Api, tube: str) -> str:
    """The box that a stored tube is in."""
    return str(api.quality.get(f"/specimens/{tube}").json()["custody"]["container"] or place_of(api, tube))


def _made_in_the_laboratory(api: Api) -> dict[str, str]:
    """A donor with a consent, an unused kit, a harvest without one, and a washing run with its lot and a pending test."""
    donor = lab.donor(api, family_name="Sandringham-Vale", external_ids=[])
    plasma = {"material": "prp", "unit": "ul", "amount": 4000}
    harvest = lab.made(lab.harvest(api.clinician, donor, lab.fat(), plasma))
    fat = lab.received(api.lab_tech, harvest["specimens"][0])
    washed = lab.output("lipoaspirate", 40_000, "ul_washed")
    run = lab.made(lab.run(api.lab_tech, "wash", [lab.using(fat)], [washed]))
    culture = lab.adsc(api, donor)
    grown, looked = culture["code"], {"what": "looked_at", "vessels": 4, "finding": "as_expected", "confluence_percent": 40}
    looked["expected_seq"] = culture["seq"]
    assert api.lab_tech.post(f"/specimens/{grown}/culture", json=looked).status_code == 201
    due = clock.rfc3339(clock.now() + timedelta(days=14))
    test = {"test": "sterility", "sampled_at": clock.rfc3339(clock.now()), "due_at": due, "result": "pending"} | seed.TESTED
    pending = lab.made(api.lab_tech.post(f"/lots/{run['lot']}/tests", json=test))
    return {
        "consenting": donor,
        "consent": str(api.clinician.get(f"/donors/{donor}").json()["consents"][0]["id"]),
        "kit": str(lab.kit(api)["kit"]),
        "harvest": harvest["harvest"],
        "run": run["processing"],
        "made_lot": run["lot"],
        "grown": grown,
        "washed": run["specimens"][0]["code"],
        "pending_test": pending["test"]["id"],
    }


def _administered(api: Api) -> dict[str, str]:
    """A login to look at, and a role for it that waits for quality."""
    code = seed.USERS["lab_tech2"].code
    path = f"/users/{code}/roles"
    body = signed(api.admin, "role_change", path, {"role": "lab_tech", "site": "NORTH"})
    pending = api.admin.post(path, json=body).json()
    return {"user": code, "proposal": str(pending["pending_act"])}


def _measured(api: Api) -> dict[str, str]:
    """A withdrawal that was given, with a planned measure, and another of which a photograph was taken."""
    story = a_story(api, 2).up_to("administer")
    path = f"/withdrawals/{story.code}"
    body = {"measure": "count", "unit": "hairs", "low": 0, "high": 9, "due_days": 1, "window_days": 5, "photograph": True}
    assert api.clinician.post(f"{path}/outcome-measures", json=body).status_code == 201
    planned = api.clinician.post(f"{path}/outcome-measures", json=body | {"due_days": 2})
    first, second = (one["id"] for one in planned.json()["items"])
    image = {"media_type": "image/png", "content": "iVBORw0KGgo=", "site": "CLINIC", "donor": story.donor}
    kept = api.clinician.post("/attachments", json=image).json()["sha256"]
    row = text(
        "INSERT INTO outcome_result SELECT m.event_hash, m.id, a.release_id, m.event_hash, NULL, :sha, now(), now(), m.planned_by"
        " FROM outcome_measure m JOIN administration a ON a.withdrawal_code = m.withdrawal_code WHERE m.id = CAST(:id AS uuid)"
    )
    api.test_bank.write(lambda s: s.execute(row, {"sha": kept, "id": first}))
    return {"given": story.code, "given_tube": story.vials[0], "measure": second, "photograph": kept}


def _told(api: Api, deviation: str) -> str:
    """A notice to a technician that waits to be acknowledged."""
    row = text(
        "INSERT INTO notice (id, reason, about, about_kind, deviation_code, user_code, rank, units, site_code, made_at,"
        " made_event)"
        " SELECT gen_random_uuid(), 'failed_test', code, 'deviation', code, :user, 3, 1, site_code, opened_at, opened_event"
        " FROM deviation WHERE code = :deviation RETURNING id"
    )
    named = {"user": seed.USERS["lab_tech"].code, "deviation": deviation}
    return str(api.test_bank.write(lambda s: s.execute(row, named).scalar_one()))


def _given_up(api: Api) -> str:
    """A message that could not be sent."""
    row = text(
        "INSERT INTO message (id, user_code, kind, site_code, daily, made_at, tries, fault, ended, ended_at)"
        " VALUES (gen_random_uuid(), :user, 'alarm', 'LAB', false, now(), 12, 'server_away', 'given_up', now()) RETURNING id"
    )
    return str(api.test_bank.write(lambda s: s.execute(row, {"user": seed.USERS["lab_tech"].code}).scalar_one()))


def _made(answer: object, key: str) -> str:
    assert getattr(answer, "status_code") == 201, getattr(answer, "text")  # noqa: B009 - one helper for two kinds of client
    return str(answer.json()[key])  # type: ignore[attr-defined]


def _handover_to_lab_tech(api: Api) -> str:
    codes = shipping.tubes(api, 1, holder="lab_tech2")
    answer = shipping.offer(api, api.lab_tech2, codes, "user", seed.USERS["lab_tech"].code)
    return _made(answer, "id")


def _shipment_to_lab(api: Api) -> str:
    codes = shipping.tubes(api, 2, holder="north_tech", site="NORTH", frozen=True, home_site="NORTH")
    return _made(shipping.ship(api, api.north_tech, codes, from_site="NORTH", to_site="LAB"), "code")

"""The whole story, driven only through the HTTP client of each role: two donors, hair and fat, and months later one vial back.

On the way a wrong tube, a wrong wristband, a double booking, a revoked consent, a stale sequence and a repeated request are
each refused (or answered once) and kept; at the end the exported log tells the story.
"""

import json
from typing import Any
from uuid import uuid4

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.transparency.sealer import Log, drain
from tests import seed
from tests.conftest import Api
from tests.donors.stories import MARY, band, consent
from tests.exports.taking import taken_log
from tests.specimens.stories import culture, donor, fat, follicles, freeze, harvest, made, output, received, run, using
from tests.withdrawals.stories import approve as approved_by_quality
from tests.withdrawals.stories import later, refused, sign_and_post

BEN: dict[str, Any] = {
    "family_name": "Thornquist",
    "given_names": "Ben",
    "date_of_birth": "1975-02-03",
    "external_ids": [],
    "contact": None,
}


@pytest.mark.slow
def test_ones_own_cells_are_harvested_banked_and_given_back_to_the_same_person(api: Api) -> None:
    mary, ben = donor(api), donor(api, **BEN)
    made(consent(api.clinician, mary, "treatment"))
    made(consent(api.clinician, ben, "treatment"))
    box = storage(api)

    vials = mary_gives_fat_and_hair(api, mary, box)
    bens = ben_gives_fat(api, ben, box)
    quality_releases(api, vials + bens)
    sealed(api)

    later(api, days=200)
    wanted, spare = vials[0], vials[1]
    withdrawal = made(api.clinician.post("/withdrawals", json=asked(mary, [wanted])))["code"]
    approve(api, withdrawal)
    a_second_withdrawal_of_the_same_vial_is_refused(api, mary, wanted)
    a_stale_view_of_the_vial_is_refused_and_a_repeated_request_is_answered_once(api, spare)

    the_wrong_tube_is_stopped_at_the_tank(api, withdrawal, wanted, spare)
    picked_by_two_and_issued(api, withdrawal, wanted)
    sealed(api)
    received_and_thawed(api, withdrawal, wanted)
    the_wrong_person_is_stopped_at_the_bedside(api, withdrawal, wanted, ben)

    # The mismatch holds Mary's vial until quality has looked into it; the next one is asked for instead.
    again = made(api.clinician.post("/withdrawals", json=asked(mary, [spare])))["code"]
    approve(api, again)
    pick(api, again, spare)
    picked_by_second(api, again, spare)
    issue(api, again)
    sealed(api)
    received_and_thawed(api, again, spare)
    given_at_the_bedside(api, again, spare, mary)

    a_revoked_consent_stops_the_next_approval(api, ben, bens[0])
    the_log_tells_the_story(api, mary, spare, wanted)


def sealed(api: Api) -> None:
    """What the sealer does all the time: acts towards use wait for it."""
    settings = api.test_bank.bank.settings
    settings.register_file.parent.mkdir(parents=True, exist_ok=True)
    drain(api.test_bank.dsn("sealer"), Log.open(settings.log_origin, settings.secrets, settings.register_file))


def storage(api: Api) -> str:
    tank = made(
        api.admin.post(
            "/storage-containers",
            json={"site": "LAB", "kind": "tank", "name": "Tank 1", "temperature_class": "ln2_vapour"},
        )
    )["code"]
    box = {"site": "LAB", "kind": "box", "name": "Box A", "parent": tank, "rows": 9, "cols": 9}
    code: str = made(api.admin.post("/storage-containers", json=box))["code"]
    return code


def mary_gives_fat_and_hair(api: Api, mary: str, box: str) -> list[str]:
    """Lipoaspirate → SVF → ADSC P2 in four vials, and a tube of follicles; all frozen and stored. Returns the vials."""
    raw = made(harvest(api.clinician, mary, fat()))["specimens"][0]
    raw = received(api.lab_tech, raw)
    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]
    svf = made(run(api.lab_tech, "svf_isolation", [using(washed)], [output("svf", 12_000_000)]))["specimens"][0]
    p0 = made(run(api.lab_tech, "expansion", [using(svf)], [culture(9_000_000, 0)]))["specimens"][0]
    p1 = made(run(api.lab_tech, "passage", [using(p0)], [culture(30_000_000, 1)]))["specimens"][0]
    p2 = made(run(api.lab_tech, "passage", [using(p1)], [culture(40_000_000, 2)]))["specimens"][0]
    counted = {"method": "trypan_blue", "live": 170, "dead": 30, "dilution_milli": 2000, "expected_seq": p2["seq"]}
    p2 |= {"seq": made(api.lab_tech.post(f"/specimens/{p2['code']}/viability-assays", json=counted))["seq"]}
    filled = made(run(api.lab_tech, "aliquoting", [using(p2)], [output("adsc", 10_000_000, passage=2, count=4)]))["specimens"]
    frozen = made(freeze(api.lab_tech, filled))["specimens"]
    hair = made(harvest(api.clinician, mary, follicles()))["specimens"][0]
    hair = made(freeze(api.lab_tech, [received(api.lab_tech, hair)]))["specimens"][0]
    store(api, box, [*frozen, hair])
    return [one["code"] for one in frozen]


def ben_gives_fat(api: Api, ben: str, box: str) -> list[str]:
    """The second donor's cells stand beside Mary's in the same box, and look the same."""
    raw = received(api.lab_tech, made(harvest(api.clinician, ben, fat()))["specimens"][0])
    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]
    svf = made(run(api.lab_tech, "svf_isolation", [using(washed)], [output("svf", 10_000_000)]))["specimens"][0]
    grown = made(run(api.lab_tech, "expansion", [using(svf)], [culture(20_000_000, 0)]))["specimens"][0]
    filled = made(run(api.lab_tech, "aliquoting", [using(grown)], [output("adsc", 10_000_000, passage=0, count=2)]))
    frozen = made(freeze(api.lab_tech, filled["specimens"]))["specimens"]
    store(api, box, frozen)
    return [one["code"] for one in frozen]


def store(api: Api, box: str, tubes: list[dict[str, Any]]) -> None:
    placements = [{"specimen": one["code"], "expected_seq": one["seq"]} for one in tubes]
    made(api.lab_tech.post(f"/storage-containers/{box}/placements", json={"placements": placements}))


def quality_releases(api: Api, codes: list[str]) -> None:
    for code in codes:
        basis = {"basis": "us_351_ind", "authorisation": "IND 12345", "reason": "product_assessment"}
        assert sign_and_post(api.quality, "decided", f"/specimens/{code}/basis", basis).status_code == 200
        passed_tests(api, code)
        released = {"decision": "released_to_bank", "reason": "criteria_met"}
        answer = sign_and_post(api.quality, "released", f"/specimens/{code}/decision", released)
        assert answer.status_code == 200, answer.text


def passed_tests(api: Api, code: str) -> None:
    lot = api.quality.get(f"/specimens/{code}").json()["lot"]
    for kind in ("sterility", "endotoxin", "mycoplasma"):
        found = {"endotoxin_milli_eu_per_ml": 50} if kind == "endotoxin" else {}
        report = {"test": kind, "sampled_at": clock.now().isoformat(), "result": "passed", "report_sha256": seed.A_REPORT} | found
        made(api.lab_tech.post(f"/lots/{lot}/tests", json=report | seed.TESTED))


def asked(person: str, tubes: list[str]) -> dict[str, Any]:
    return {"donor": person, "material": "adsc", "route": "ship_frozen", "specimens": tubes}


def approve(api: Api, withdrawal: str) -> None:
    answer = approved_by_quality(api, withdrawal)
    assert answer.status_code == 200, answer.text


def a_second_withdrawal_of_the_same_vial_is_refused(api: Api, mary: str, wanted: str) -> None:
    answer = api.clinician2.post("/withdrawals", json=asked(mary, [wanted]))

    refused(answer, 409, "reserved_elsewhere")


def a_stale_view_of_the_vial_is_refused_and_a_repeated_request_is_answered_once(api: Api, spare: str) -> None:
    seq = api.lab_tech.get(f"/specimens/{spare}").json()["custody"]["seq"]
    event = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/specimens/{spare}/events"

    first = api.lab_tech.post(path, json=event | {"expected_seq": seq}, headers=key)
    again = api.lab_tech.post(path, json=event | {"expected_seq": seq}, headers=key)
    stale = api.lab_tech2.post(path, json=event | {"expected_seq": seq})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert refused(stale, 409, "stale_sequence")["head"] == seq + 1


def place_of(api: Api, tube: str) -> str:
    position: str = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["position"]
    return position


def pick(api: Api, withdrawal: str, tube: str) -> None:
    body = {"tube": tube, "place": place_of(api, tube)}
    answer = api.lab_tech.post(f"/withdrawals/{withdrawal}/picks", json=body)
    assert answer.status_code == 201, answer.text


def picked_by_second(api: Api, withdrawal: str, tube: str) -> None:
    answer = api.lab_tech2.post(f"/withdrawals/{withdrawal}/picks", json={"tube": tube, "confirm": True})
    assert answer.status_code == 201, answer.text


def the_wrong_tube_is_stopped_at_the_tank(api: Api, withdrawal: str, wanted: str, other: str) -> None:
    body = {"tube": other, "place": place_of(api, wanted)}

    answer = api.lab_tech.post(f"/withdrawals/{withdrawal}/picks", json=body)

    assert answer.status_code == 409
    assert answer.json()["code"] == "wrong_specimen"
    assert answer.json()["where_now"]


def issue(api: Api, withdrawal: str) -> None:
    answer = api.lab_tech.post(f"/withdrawals/{withdrawal}/issue", json={})
    assert answer.status_code == 200, answer.text


def picked_by_two_and_issued(api: Api, withdrawal: str, tube: str) -> None:
    pick(api, withdrawal, tube)
    alone = api.lab_tech.post(f"/withdrawals/{withdrawal}/picks", json={"tube": tube, "confirm": True})
    assert alone.status_code in (403, 409), alone.text
    picked_by_second(api, withdrawal, tube)
    issue(api, withdrawal)


def received_and_thawed(api: Api, withdrawal: str, tube: str) -> None:
    body = {"tubes": [tube], "container_intact": True, "label_legible": True, "temperature_mc": -150_000}
    answer = api.clinic_staff.post(f"/withdrawals/{withdrawal}/receive", json=body)
    assert answer.status_code == 200, answer.text
    thawed = api.clinic_staff.post(
        f"/withdrawals/{withdrawal}/thaw", json={"tube": tube, "method": "water bath 37 C", "duration_s": 90}
    )
    assert thawed.status_code == 200, thawed.text


def the_wrong_person_is_stopped_at_the_bedside(api: Api, withdrawal: str, tube: str, ben: str) -> None:
    bens_band = band_of_ben(api, ben)
    body = {"wristband": bens_band, "product": tube, "device": "tablet-1"}

    answer = api.clinician.post(f"/withdrawals/{withdrawal}/bedside-checks", json=body)

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_recipient"), answer.text
    holds = api.clinician.get(f"/specimens/{tube}").json()["holds"]
    assert "identity" in {h["kind"] for h in holds}


def band_of_ben(api: Api, ben: str) -> str:
    stated = {"name": {"family_name": "Thornquist", "given_names": "Ben"}, "date_of_birth": "1975-02-03"}
    body = {"purpose": "wristband", "stated": stated, "document_kind": "passport"}
    first = made(api.clinician.post(f"/donors/{ben}/identifications", json=body))
    made(api.clinic_staff.post(f"/donors/{ben}/identifications", json=body | {"pending": first["identification"]}))
    code: str = made(api.clinician.post("/wristbands", json={"identification": first["identification"]}))["wristband"]
    return code


def given_at_the_bedside(api: Api, withdrawal: str, tube: str, mary: str) -> None:
    body = {"wristband": band(api, mary), "product": tube, "device": "tablet-1"}
    first = made(api.clinician.post(f"/withdrawals/{withdrawal}/bedside-checks", json=body))
    assert first["release"] is None
    second = made(api.clinic_staff.post(f"/withdrawals/{withdrawal}/bedside-checks", json=body | {"device": "tablet-2"}))
    given = {
        "product": tube,
        "release": second["release"],
        "given": 9_700_000,
        "residue": 200_000,
        "loss": 100_000,
        "residue_went": "discarded",
        "volume_ul": 2000,
        "anatomical_site": "scalp",
        "started_at": rfc3339(clock.now()),
        "reaction": False,
    }
    answer = api.clinician.post(f"/withdrawals/{withdrawal}/administer", json=given)
    assert answer.status_code == 200, answer.text
    twice = api.clinician.post(f"/withdrawals/{withdrawal}/administer", json=given)
    assert twice.status_code in (403, 409), "a release is used once"
    outcome = api.clinician.post(f"/withdrawals/{withdrawal}/outcome", json={"result": "as_expected"})
    assert outcome.status_code == 200, outcome.text


def a_revoked_consent_stops_the_next_approval(api: Api, ben: str, vial: str) -> None:
    withdrawal = made(api.clinician.post("/withdrawals", json=asked(ben, [vial])))["code"]
    consents = api.clinician.get(f"/donors/{ben}").json()["consents"]
    treatment = next(c for c in consents if c["kind"] == "treatment")
    revoked = api.clinician.post(f"/donors/{ben}/consents/{treatment['id']}/revoke", json={})
    assert revoked.status_code in (200, 201), revoked.text

    answer = approved_by_quality(api, withdrawal)

    refused(answer, 409, "consent_revoked")


def the_log_tells_the_story(api: Api, mary: str, given: str, held: str) -> None:
    lines = [json.loads(x) for x in taken_log(api).splitlines()]
    by_stream: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        entry = line["entry"]
        by_stream.setdefault((entry["stream"], entry["id"]), []).append(entry["kind"])

    assert by_stream[("specimen", given)][-7:] == [
        "specimen.inspected",
        "specimen.reserved",
        "specimen.checked_out",
        "specimen.issued",
        "specimen.delivered",
        "specimen.thawed",
        "specimen.administered",
    ]
    assert "specimen.administered" not in by_stream[("specimen", held)]
    assert by_stream[("specimen", held)][-1] == "specimen.hold_placed"
    whole = json.dumps(lines)
    for personal in (MARY["family_name"], MARY["given_names"], "Thornquist", "1961-07-23", MARY["contact"]["email"]):
        assert personal not in whole
    kept = {a["code"] for a in api.auditor.get("/attempts", params={"limit": 500}).json()["items"]}
    assert {"wrong_specimen", "wrong_recipient", "reserved_elsewhere", "consent_revoked", "stale_sequence"} <= kept
    projection = api.auditor.get(f"/specimens/{given}").json()["custody"]
    assert (projection["state"], projection["custodian"]["kind"]) == ("administered", "recipient")

"""Short stories over HTTP that the specimen tests begin with: a donor with a consent, a harvest, runs of the laboratory."""

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import text

from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, Client
from tests.donors.stories import consent, register

Json = dict[str, Any]
FAR = "2030-01-01T00:00:00Z"


def made(answer: httpx.Response) -> Json:
    """The body of a successful recording."""
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def donor(api: Api, **changes: Any) -> str:
    """Somebody with a banking consent for every tissue."""
    code = register(api.clinician, **changes)
    made(consent(api.clinician, code))
    return code


def kit(api: Api, **changes: Any) -> Json:
    """A kit for the clinic with two adipose labels."""
    body = {"site": "CLINIC", "home_site": "LAB", "adipose_labels": 2, "expires_at": FAR} | changes
    prepared: Json = made(api.lab_tech.post("/kits", json=body))["kit"]
    return prepared


def fat(**changes: Any) -> Json:
    """A container of lipoaspirate."""
    return {"material": "lipoaspirate", "unit": "ul_raw", "amount": 50_000} | changes


def follicles(**changes: Any) -> Json:
    """A container of follicles."""
    counts = {"amount": 40, "follicular_units": 20, "follicles": 40, "transected": 3}
    return {"material": "intact_follicles", "unit": "follicles"} | counts | changes


def harvest(client: Client, donor_code: str, *containers: Json, **changes: Any) -> httpx.Response:
    """Record a harvest at the clinic for the laboratory; each container is taken as its material usually is."""
    body = {
        "donor": donor_code,
        "site": "CLINIC",
        "home_site": "LAB",
        "transport_medium": seed.MEDIUM,
        "containers": [taken(one) for one in containers or (fat(),)],
    }
    of_blood = [prepared(one) for one in ("prp", "prf") if any(held["material"] == one for held in containers)]
    return client.post("/harvests", json=body | ({"preparations": of_blood} if of_blood else {}) | changes)


def prepared(material: str, **changes: Any) -> Json:
    """How PRP or PRF was prepared."""
    spins = [{"force_g": 160, "minutes": 10}, {"force_g": 400, "minutes": 10}]
    counts = {"blood_platelets_per_ul": 250_000, "product_platelets_per_ul": 1_070_000}
    said = {"material": material, "prepared_with": seed.EQUIPMENT, "spins": spins}
    return said | (counts if material == "prp" else {}) | changes


def taken(container: Json) -> Json:
    """The container with the way its material is usually taken, unless it says another."""
    usual = {"intact_follicles": ("follicular_unit_excision", "scalp"), "lipoaspirate": ("lipoaspiration", "abdomen")}
    method, site = usual.get(container["material"], ("venepuncture", "forearm"))
    return {"method": method, "anatomical_site": site} | container


def received(client: Client, specimen: Json, site: str = "LAB") -> Json:
    """Receive a specimen at the laboratory; return it as it is then."""
    event = {"kind": "specimen.received", "expected_seq": specimen["seq"], "site": site}
    answer = made(client.post(f"/specimens/{specimen['code']}/events", json=event))
    return specimen | {"state": answer["state"], "seq": answer["seq"]}


def using(specimen: Json, **changes: Any) -> Json:
    """An input of a run: all of it, unless said otherwise."""
    return {"specimen": specimen["code"], "expected_seq": specimen["seq"]} | changes


def output(material: str, amount: int, unit: str = "cells", **changes: Any) -> Json:
    """An output of a run."""
    return {"material": material, "unit": unit, "amount": amount} | changes


def culture(cells: int, passage: int) -> Json:
    """ADSC growing in vessels."""
    return output("adsc", cells, passage=passage, vessel_count=4 + passage)


def run(client: Client, process: str, inputs: list[Json], outputs: list[Json], **changes: Any) -> httpx.Response:
    """Record a run that makes specimens."""
    body = {"process": process, "procedure_version": "SOP-014 v3", "site": "LAB", "inputs": inputs, "outputs": outputs}
    return client.post("/processings", json=body | changes)


def freeze(client: Client, specimens: list[Json], **changes: Any) -> httpx.Response:
    """Record a freezing run."""
    body = {
        "process": "freezing",
        "procedure_version": "SOP-020 v1",
        "site": "LAB",
        "specimens": [{"specimen": one["code"], "expected_seq": one["seq"]} for one in specimens],
        "programme": "CRF-1 slow v2",
        "cryoprotectant": "DMSO 5 %",
        "cryoprotectant_contact_s": 540,
        "curve_sha256": "cd" * 32,
    }
    return client.post("/processings", json=body | changes)


def thaw(client: Client, specimens: list[Json], **changes: Any) -> httpx.Response:
    """Record a thawing run."""
    body = {
        "process": "thawing",
        "procedure_version": "SOP-031 v1",
        "site": "LAB",
        "specimens": [{"specimen": one["code"], "expected_seq": one["seq"]} for one in specimens],
        "method": "water bath",
        "bath_temperature_mc": 37_000,
        "duration_s": 120,
    }
    return client.post("/processings", json=body | changes)


def raw_fat(api: Api, donor_code: str) -> Json:
    """Lipoaspirate harvested at the clinic and received at the laboratory."""
    return received(api.lab_tech, made(harvest(api.clinician, donor_code))["specimens"][0])


def washed_fat(api: Api, donor_code: str) -> Json:
    """The same, washed."""
    raw = raw_fat(api, donor_code)
    washed: Json = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]
    return washed


def svf(api: Api, donor_code: str, cells: int = 20_000_000) -> Json:
    """Stromal vascular fraction isolated from washed fat."""
    washed = washed_fat(api, donor_code)
    isolated: Json = made(run(api.lab_tech, "svf_isolation", [using(washed)], [output("svf", cells)]))["specimens"][0]
    return isolated


def adsc(api: Api, donor_code: str, passage: int = 0) -> Json:
    """ADSC in culture, grown to a passage."""
    grown = svf(api, donor_code)
    process = "expansion"
    for number in range(passage + 1):
        grown = made(run(api.lab_tech, process, [using(grown)], [culture(30_000_000 + number, number)]))["specimens"][0]
        process = "passage"
    return grown


def vials(api: Api, grown: Json, count: int, **changes: Any) -> list[Json]:
    """A culture filled into `count` vials."""
    each = grown["amount"] // count
    out = output(grown["material"], each, passage=grown["passage"], count=count) | changes
    answer = made(run(api.lab_tech, "aliquoting", [using(grown)], [out], loss=grown["amount"] - each * count))
    filled: list[Json] = answer["specimens"]
    return filled


def kinds(api: Api, stream: str, stream_id: str) -> list[str]:
    """The kinds of a stream's events, oldest first."""
    statement = text("SELECT kind FROM event WHERE stream_kind = :kind AND stream_id = :id ORDER BY seq")
    found: list[str] = api.test_bank.write(lambda s: list(s.execute(statement, {"kind": stream, "id": stream_id}).scalars()))
    return found


def in_a_while(minutes: int) -> None:
    """Move the bank's clock."""
    clock.set_offset(clock.offset() + timedelta(minutes=minutes), test_mode=True)

"""A code in an address is read in every way of writing that a scan may have, for every kind of code."""

import re

import pytest
from fastapi.routing import APIRoute

from biobank.acts.addresses import as_printed, path_as_printed, query_as_printed
from biobank.foundation.codes import DATED, Prefix, make_code
from biobank.registries.routes import PAGES, ROUTERS
from tests.conftest import Api
from tests.factories import make_box
from tests.specimens.stories import donor, kit, raw_fat

NUMBER = next(n for n in range(2000) if {"0", "1"} <= set(make_code("BX", None, n).body))
"""A code with both characters that have look-alikes."""

NAMED = {
    "alarms": Prefix.ALARM,
    "api-clients": Prefix.CLIENT,
    "adverse-events": Prefix.DEVIATION,
    "bench-sessions": Prefix.BENCH_SESSION,
    "deviations": Prefix.DEVIATION,
    "donors": Prefix.DONOR,
    "excursions": Prefix.EXCURSION,
    "harvests": Prefix.KIT,
    "kits": Prefix.KIT,
    "labels": Prefix.POSITION,
    "lots": Prefix.LOT,
    "sensors": Prefix.SENSOR,
    "webhooks": Prefix.WEBHOOK,
    "shipments": Prefix.SHIPMENT,
    "specimens": Prefix.UNIDENTIFIED,
    "storage-containers": Prefix.CONTAINER,
    "users": Prefix.BADGE,
    "withdrawals": Prefix.WITHDRAWAL,
    "workstations": Prefix.EQUIPMENT,
    "wristbands": Prefix.WRISTBAND,
}
"""What a code names in the addresses that take one alone."""


def ways_of(code: str) -> dict[str, str]:
    """Return ways to write a code, by what is odd about each."""
    head, _, tail = code.partition("-")
    body, check = tail[:6], tail[6]
    return {
        "small letters": code.lower(),
        "no hyphen": head + tail,
        "a blank for the hyphen": f"{head} {tail}",
        "a long hyphen": f"{head}\u2011{tail}",
        "blanks around": f" {code} ",
        "look-alikes": f"{head}-{body.replace('0', 'O').replace('1', 'l')}{check}",
        "a gun's first characters": f"]Q1{code}",
        "an invisible character": f"{head}-\u200b{tail}",
    }


@pytest.mark.parametrize("prefix", list(Prefix))
def test_every_kind_of_code_is_read_as_printed(prefix: Prefix) -> None:
    code = make_code(prefix, 26 if prefix in DATED else None, NUMBER).text

    assert {way: as_printed(text) for way, text in ways_of(code).items()} == dict.fromkeys(ways_of(code), code)
    assert as_printed(code) == code
    assert path_as_printed(f"/api/v1/things/{code.lower()}/events") == f"/api/v1/things/{code}/events"
    assert query_as_printed(f"limit=5&about={code.lower()}&q=%c3%a9".encode()) == f"limit=5&about={code}&q=%C3%A9".encode()


def test_what_is_no_code_is_left_as_it_came() -> None:
    wrong = make_code("BX", None, 7).text.lower()
    wrong = wrong[:-1] + ("a" if wrong[-1] != "a" else "b")

    assert [as_printed(text) for text in (wrong, "exception", "", "x" * 5000)] == [wrong, "exception", "", "x" * 5000]
    assert query_as_printed(b"q=a+b&q=%zz&c;d&=") == b"q=a+b&q=%zz&c;d&="


def test_no_fixed_word_of_an_address_reads_as_a_code() -> None:
    routes = [*(route for router in ROUTERS for route in router.routes), *PAGES.routes]
    paths = {route.path for route in routes if isinstance(route, APIRoute)}

    assert len(paths) > 200
    assert {path for path in paths if path_as_printed(path) != path} == set()


def test_every_call_answers_the_same_however_the_code_in_its_address_is_written(api: Api) -> None:
    """A code that nobody has stays 404 in every way of writing, and what is known is found."""
    person = donor(api)
    tube = raw_fat(api, person)
    box = api.test_bank.write(lambda session: make_box(session, api.test_bank.act("admin"))).code
    known = {"donors": person, "specimens": tube["code"], "storage-containers": box, "kits": kit(api)["kit"]}
    read = [
        route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    ]
    wrong, found, asked = [], set(), set()
    for path in sorted({route.path for route in read}):
        places = re.findall(r"/([a-z-]+)/\{code\}", path)
        if path.count("{") != 1 or not places or places[0] == "sites":
            continue
        asked |= {*places}
        nobodys = make_code(NAMED[places[0]], 26 if NAMED[places[0]] in DATED else None, 2**29 + NUMBER).text
        address = path.removeprefix("/api/v1").replace("{code}", "{}")
        for code in {nobodys, known.get(places[0], nobodys)}:
            printed = api.quality.get(address.format(code)).status_code
            if printed != 404:
                found |= {*places}
            for way, written in ways_of(code).items():
                status = api.quality.get(address.format(written)).status_code
                if status != printed or (code == nobodys and status != 404):
                    wrong.append((address, code, way, status, printed))
    assert wrong == []
    assert (asked, found) == (set(NAMED), set(known))


def test_an_act_repeated_under_another_writing_of_its_address_is_one_act(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    body = {
        "kind": "specimen.inspected",
        "expected_seq": tube["seq"],
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    key = {"Idempotency-Key": "one-act"}

    first = api.lab_tech.post(f"/specimens/{tube['code'].lower()}/events", json=body, headers=key)
    again = api.lab_tech.post(f"/specimens/{tube['code']}/events", json=body, headers=key)

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())


def test_a_filter_in_an_address_takes_a_code_in_small_letters(api: Api) -> None:
    person = donor(api)
    tube = raw_fat(api, person)

    asked = [api.lab_tech.get("/specimens", params={"donor": code}).json()["items"] for code in (person, person.lower())]

    assert [one["code"] for one in asked[0]] == [tube["code"]]
    assert asked[1] == asked[0]

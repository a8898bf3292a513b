"""A site's stricter time of use holds for what comes there and for what is there when it is set, by every way of coming."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from biobank.custody.rebuild import projection_of
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.granting import also
from tests.shipping.stories import kinds_of, now_of, shipped, tubes
from tests.specimens.stories import adsc, donor, freeze, made, output, raw_fat, run, using
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import ago, later, sign_and_post

SHORT = 1800
CELLS: dict[str, Any] = {"material": "adsc", "unit": "cells"}
FRIDGE: dict[str, Any] = {"kind": "freezer", "site": "NORTH", "rows": None, "cols": None, "temperature_class": "fridge"}


def allow(api: Api, site: str, seconds: int = SHORT, **fields: Any) -> dict[str, Any]:
    body = {"site": site, "material": "adsc", "condition": "fresh", "use_by_s": seconds} | fields
    answer = sign_and_post(api.quality, "decided", "/material-limits", body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def ends(api: Api, tube: str, **then: str) -> str | None:
    """From when on it is too old for use, as the API says it, which what its events make of it says too."""
    told = api.quality.get(f"/specimens/{tube}", params=then).json()
    if not then:
        rebuilt = api.test_bank.write(lambda s: projection_of(s, tube))
        assert rebuilt is not None and rebuilt.projection.use_by == told["custody"]["use_by"]
        assert (told["expires_at"] or "")[:23] == (told["custody"]["use_by"] or "")[:23]
    return told["custody"]["use_by"]  # type: ignore[no-any-return]


def made_at(api: Api, tube: str) -> datetime:
    events = api.quality.get(f"/specimens/{tube}/custody").json()["items"]
    begun = next(one for one in events if one["kind"] == "specimen.collected")
    return datetime.fromisoformat(begun["body"].get("started_at") or begun["occurred_at"])


def one_event(api: Api, tube: str, kind: str, **body: Any) -> None:
    whole = {"kind": kind, "expected_seq": now_of(api, tube)["seq"]} | body
    answer = api.north_tech.post(f"/specimens/{tube}/events", json=whole)
    assert answer.status_code == 201, answer.text


def singly(api: Api, tube: str) -> None:
    shipped(api, [tube])
    later(api, minutes=5)
    one_event(api, tube, "specimen.received", site="NORTH")


def in_a_batch(api: Api, tube: str) -> None:
    shipped(api, [tube])
    later(api, minutes=5)
    one = {"specimen": tube, "kind": "specimen.received", "site": "NORTH", "expected_seq": now_of(api, tube)["seq"]}
    assert api.north_tech.post("/custody-events", json={"events": [one]}).status_code == 201


def with_its_shipment(api: Api, tube: str) -> None:
    code = shipped(api, [tube])
    later(api, minutes=5)
    body = {"scanned": [{"specimen": tube, "container_intact": True, "label_legible": True}]}
    assert api.north_tech.post(f"/shipments/{code}/receive", json=body).status_code == 200


def with_a_stated_time(api: Api, tube: str) -> None:
    shipped(api, [tube])
    later(api, minutes=15)
    one_event(api, tube, "specimen.received", site="NORTH", occurred_at=ago(minutes=10))


def found_there(api: Api, tube: str) -> None:
    shipped(api, [tube])
    one_event(api, tube, "specimen.missing", reason="not_found")
    one_event(api, tube, "specimen.found", site="NORTH")


def brought_to_safety(api: Api, tube: str) -> None:
    shipped(api, [tube])
    place = a_box(
        api, kind="freezer", name="Safe", site="NORTH", rows=None, cols=None, temperature_class="fridge", purpose="quarantine"
    )
    assert api.north_tech.post(f"/storage-containers/{place}/evacuate", json={"scanned": [tube]}).status_code == 200


def carried_and_stored(api: Api, tube: str) -> None:
    also(api, "lab_tech", "lab_tech", "NORTH")
    fridge = a_box(api, name="Fridge", **FRIDGE)
    body = {"container": fridge, "slot_unknown": True, "expected_seq": now_of(api, tube)["seq"]}
    answer = api.lab_tech.post(f"/specimens/{tube}/store", json=body)
    assert answer.status_code == 201, answer.text


WAYS: list[Callable[[Api, str], None]] = [
    singly,
    in_a_batch,
    with_its_shipment,
    with_a_stated_time,
    found_there,
    brought_to_safety,
    carried_and_stored,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_comes_to_a_site_is_too_old_for_use_when_that_site_says(api: Api, way: Callable[[Api, str], None]) -> None:
    allow(api, "NORTH")
    (tube,) = tubes(api, 1, **CELLS)
    assert ends(api, tube) is None
    before = ago(minutes=0)
    later(api, minutes=20)

    way(api, tube)

    assert ends(api, tube) == rfc3339(made_at(api, tube) + timedelta(seconds=SHORT)), "since it is what it is, not since it came"
    assert kinds_of(api, "specimen", tube).count("specimen.use_by_shortened") == 1
    assert ends(api, tube, at=before) is None


def test_what_goes_back_to_a_site_that_allows_longer_gets_nothing_back_and_no_second_entry(api: Api) -> None:
    allow(api, "NORTH")
    allow(api, "LAB", 7200)
    (tube,) = tubes(api, 1, **CELLS)
    first = ends(api, tube)
    singly(api, tube)
    short = ends(api, tube)
    body = {"from_site": "NORTH", "to_site": "LAB", "specimens": [{"specimen": tube, "expected_seq": now_of(api, tube)["seq"]}]}
    back = api.north_tech.post("/shipments", json=body | {"courier": "CRYOGO", "evidence": "CG 4712"})
    assert back.status_code == 201, back.text
    one = {"kind": "specimen.received", "site": "LAB", "expected_seq": now_of(api, tube)["seq"]}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=one).status_code == 201

    assert first is not None and short is not None and short < first
    assert ends(api, tube) == short
    assert kinds_of(api, "specimen", tube).count("specimen.use_by_shortened") == 1


def test_what_is_on_its_way_or_was_sent_back_is_at_no_site_yet(api: Api) -> None:
    allow(api, "NORTH")
    (tube,) = tubes(api, 1, **CELLS)
    code = shipped(api, [tube])
    allow(api, "NORTH", 900)
    assert ends(api, tube) is None

    assert api.lab_tech.post(f"/shipments/{code}/refuse", json={"reason": "not_home"}).status_code == 200

    assert ends(api, tube) is None and "specimen.use_by_shortened" not in kinds_of(api, "specimen", tube)


def test_a_site_that_allows_longer_than_the_clock_says_changes_nothing(api: Api) -> None:
    allow(api, "LAB", 7200)
    (tube,) = tubes(api, 1, **CELLS)
    allow(api, "NORTH", 86_400)
    before = ends(api, tube)

    singly(api, tube)

    assert ends(api, tube) == before and "specimen.use_by_shortened" not in kinds_of(api, "specimen", tube)


def test_what_is_at_a_site_or_kept_by_it_when_it_sets_a_time_has_that_time_and_nothing_else_has(api: Api) -> None:
    here, frozen, away = tubes(api, 1, **CELLS)[0], tubes(api, 1, frozen=True, **CELLS)[0], tubes(api, 1, **CELLS)[0]
    shipped(api, [away])
    later(api, hours=3)

    answer = allow(api, "LAB")

    assert answer["shortened"] == 2
    for tube in (here, away):
        assert ends(api, tube) == rfc3339(made_at(api, tube) + timedelta(seconds=SHORT)), "it is over already"
        last = api.quality.get(f"/specimens/{tube}/custody").json()["items"][-1]
        assert (last["kind"], last["body"]["allowed_s"]) == ("specimen.use_by_shortened", SHORT)
    assert ends(api, frozen) is None
    assert allow(api, "LAB")["shortened"] == 0, "said once"


def test_what_was_only_divided_is_as_old_as_what_it_came_from(api: Api) -> None:
    raw = raw_fat(api, donor(api))
    later(api, minutes=50)
    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]
    first = ends(api, washed["code"])

    allow(api, "LAB", 2 * 3600, material="lipoaspirate")

    assert first is not None
    assert ends(api, washed["code"]) == rfc3339(datetime.fromisoformat(first) - timedelta(hours=22))


@pytest.mark.parametrize(
    ("back", "held"), [({}, True), ({"hours": 2}, True), (None, False)], ids=["now", "said earlier", "in time"]
)
def test_a_freezing_is_judged_by_when_it_is_known_and_not_by_when_it_is_said_to_have_been(
    api: Api, back: dict[str, float] | None, held: bool
) -> None:
    grown = adsc(api, donor(api))
    allow(api, "LAB", 7200, condition="in_culture")
    later(api, hours=1 if back is None else 3.5)
    stated = {"occurred_at": ago(**back), "reason_text": "no hand free"} if back else {}

    done = freeze(api.lab_tech, [{"code": grown["code"], "seq": now_of(api, grown["code"])["seq"]}], **stated)

    assert done.status_code == 201, done.text
    reasons = [one["reason"] for one in api.quality.get("/holds", params={"scope": grown["code"]}).json()["items"]]
    assert ("frozen_after_use_by" in reasons) == held

"""Kits and harvests over HTTP: what the bench at the patient may do, and the noes it can hear."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.donors.stories import consent, died, identified, register
from tests.specimens.stories import (
    Json,
    donor,
    fat,
    follicles,
    harvest,
    in_a_while,
    kinds,
    kit,
    made,
    refused,
)


def labels(prepared: Json) -> list[str]:
    return [one["specimen"] for one in prepared["labels"]]


def test_a_kit_carries_codes_of_its_programmes_before_there_is_any_material(api: Api) -> None:
    prepared = kit(api, hair_labels=2, adipose_labels=1, media_lots=[seed.REAGENT])

    assert prepared["kit"].startswith("KT-")
    assert sorted(code[:2] for code in labels(prepared)) == ["AD", "HF", "HF"]
    assert {one["status"] for one in prepared["labels"]} == {"waiting"}
    assert (prepared["status"], prepared["donor"], prepared["media_lots"]) == ("waiting", None, [seed.REAGENT])
    assert kinds(api, "system", prepared["kit"]) == ["system.kit_prepared"]
    assert api.clinician.get(f"/kits/{prepared['kit']}").json() == prepared
    assert api.other_clinician.get(f"/kits/{prepared['kit']}").status_code == 404


def test_only_a_bank_prepares_kits_and_none_that_has_expired(api: Api) -> None:
    body = {"site": "CLINIC", "home_site": "LAB", "adipose_labels": 1, "expires_at": "2030-01-01T00:00:00Z"}

    assert refused(api.clinician.post("/kits", json=body)) == (403, "not_permitted")
    assert refused(api.lab_tech.post("/kits", json=body | {"home_site": "NORTH"})) == (403, "not_permitted")
    assert refused(api.lab_tech.post("/kits", json=body | {"expires_at": "2020-01-01T00:00:00Z"})) == (409, "kit_expired")
    assert refused(api.lab_tech.post("/kits", json=body | {"site": "NOWHERE"})) == (404, "not_found")
    assert refused(api.lab_tech.post("/kits", json=body | {"adipose_labels": 0})) == (422, "malformed_request")


def test_a_harvest_with_a_kit_uses_its_labels_and_accounts_for_the_rest(api: Api) -> None:
    person = donor(api)
    prepared = kit(api)
    used, unused = labels(prepared)
    identification = identified(api, person, "harvest", kit=prepared["kit"])

    answer = made(harvest(api.clinician, person, fat(specimen=used, markers_tested=True), kit=prepared["kit"], unused=[unused]))

    assert answer["harvest"] == prepared["kit"]
    assert answer["identification"] == identification
    (specimen,) = answer["specimens"]
    assert (specimen["code"], specimen["state"], specimen["seq"]) == (used, "collected", 1)
    after = api.lab_tech.get(f"/kits/{prepared['kit']}").json()
    assert {one["specimen"]: one["status"] for one in after["labels"]} == {used: "used", unused: "void"}
    assert (after["status"], after["donor"]) == ("used", person)
    assert kinds(api, "system", prepared["kit"]) == ["system.kit_prepared", "system.kit_bound"]
    shown = api.clinician.get(f"/harvests/{prepared['kit']}").json()
    assert shown["specimens"] == [used]
    assert (shown["home_site"], shown["method"], shown["transport_medium"]) == ("LAB", "lipoaspiration", seed.MEDIUM)
    detail = api.clinician.get(f"/specimens/{used}").json()
    assert (detail["markers_evaluated"], detail["harvest"], detail["collected_at"] is None) == (False, prepared["kit"], False)
    event = api.clinician.get(f"/specimens/{used}/custody").json()["items"][0]
    assert event["body"]["identification"] == identification
    assert len(event["relies_on"]) == 2
    assert event["leaf_hash"] in answer["receipt"]


def test_a_harvest_without_a_kit_gets_a_kit_code_and_new_labels(api: Api) -> None:
    person = donor(api)

    answer = made(harvest(api.clinician, person, fat(), fat(amount=20_000)))

    assert answer["harvest"].startswith("KT-")
    assert [one["code"][:2] for one in answer["specimens"]] == ["AD", "AD"]
    assert len({one["code"] for one in answer["specimens"]}) == 2
    assert api.clinician.get(f"/kits/{answer['harvest']}").status_code == 404


def test_a_kit_is_for_one_harvest_at_its_own_place_before_it_expires(api: Api) -> None:
    person = donor(api)
    prepared, other = kit(api), kit(api, site="NORTH")
    first, second = labels(prepared)
    body: dict[str, Any] = {"kit": prepared["kit"], "unused": [second]}
    made(harvest(api.clinician, person, fat(specimen=first), **body))

    assert refused(harvest(api.clinician, person, fat(specimen=first), **body)) == (409, "kit_used")
    away = harvest(api.clinician, person, fat(specimen=labels(other)[0]), kit=other["kit"], unused=[labels(other)[1]])
    assert refused(away) == (409, "kit_of_another_site")
    assert "Keep the containers closed" in away.json()["where_now"]
    assert refused(harvest(api.clinician, person, fat(), kit="KT-0000000")) == (404, "not_found")


def test_an_expired_kit_is_refused_by_when_the_harvest_began_not_by_when_it_was_typed(api: Api) -> None:
    person = donor(api)
    soon = rfc3339(clock.now() + timedelta(minutes=5))
    prepared = kit(api, expires_at=soon)
    first, second = labels(prepared)
    began = rfc3339(clock.now())
    in_a_while(10)
    body: dict[str, Any] = {"kit": prepared["kit"], "unused": [second]}

    late = harvest(api.clinician, person, fat(specimen=first), **body)
    in_time = harvest(api.clinician, person, fat(specimen=first), started_at=began, **body)

    assert refused(late) == (409, "kit_expired")
    made(in_time)


def test_a_harvest_is_not_dated_before_its_kit_was_made(api: Api) -> None:
    person, three_days = donor(api), clock.now() - timedelta(days=3)
    prepared = kit(api)
    first, second = labels(prepared)
    body: dict[str, Any] = {"kit": prepared["kit"], "unused": [second]}
    before, said = rfc3339(clock.now() - timedelta(minutes=12)), {"reason_text": "the network was down"}

    dated = harvest(api.clinician, person, fat(specimen=first), occurred_at=rfc3339(three_days), **said, **body)
    begun = harvest(api.clinician, person, fat(specimen=first), started_at=before, **body)

    assert [refused(dated), refused(begun)] == [(409, "before_it_existed")] * 2
    assert "its record begins" in dated.json()["detail"]
    # A form says its times to the minute.
    made(harvest(api.clinician, person, fat(specimen=first), started_at=f"{rfc3339(clock.now())[:16]}:00Z", **body))


def test_a_kit_entered_later_counts_from_when_it_was_made(api: Api) -> None:
    person, yesterday = donor(api), clock.now() - timedelta(hours=20)
    said = {"reason_text": "the network was down"}
    prepared = kit(api, occurred_at=rfc3339(yesterday), **said)
    first, second = labels(prepared)
    at = rfc3339(yesterday + timedelta(hours=1))

    made(harvest(api.clinician, person, fat(specimen=first), kit=prepared["kit"], unused=[second], occurred_at=at, **said))


def test_a_kit_bound_to_somebody_else_at_the_bedside_is_never_used(api: Api) -> None:
    person, other = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    prepared = kit(api)
    first, second = labels(prepared)
    identified(api, person, "harvest", kit=prepared["kit"])

    answer = harvest(api.clinician, other, fat(specimen=first), kit=prepared["kit"], unused=[second])

    assert refused(answer) == (409, "kit_of_another_donor")


def test_an_identification_must_come_before_the_first_material(api: Api) -> None:
    person = donor(api)
    prepared = kit(api)
    first, second = labels(prepared)
    before = rfc3339(clock.now())
    in_a_while(5)
    identification = identified(api, person, "harvest", kit=prepared["kit"])
    body: dict[str, Any] = {"kit": prepared["kit"], "unused": [second]}

    early = harvest(api.clinician, person, fat(specimen=first), started_at=before, **body)
    other_kit = harvest(api.clinician, person, fat(), identification=identification)

    assert refused(early) == (409, "identification_missing")
    assert refused(other_kit) == (409, "identification_of_another_kit")


@pytest.mark.parametrize(
    "mistake",
    ["one label is nowhere", "a label stands twice", "a label of another kit"],
)
def test_a_harvest_is_not_closed_before_every_label_is_found(api: Api, mistake: str) -> None:
    person = donor(api)
    prepared, other = kit(api), kit(api)
    first, second = labels(prepared)
    containers, unused = [fat(specimen=first)], [second]
    if mistake == "one label is nowhere":
        unused = []
    elif mistake == "a label stands twice":
        containers.append(fat(specimen=first))
    else:
        unused = [second, labels(other)[0]]

    answer = harvest(api.clinician, person, *containers, kit=prepared["kit"], unused=unused)

    assert refused(answer) == (409, "labels_not_reconciled")
    assert answer.json()["labels"]
    made(harvest(api.clinician, person, fat(specimen=first), kit=prepared["kit"], unused=[second]))


def test_without_a_banking_consent_for_this_tissue_nothing_is_collected(api: Api) -> None:
    person = register(api.clinician)
    nothing = harvest(api.clinician, person)
    made(consent(api.clinician, person, tissues=["hair_follicle"]))

    assert refused(nothing) == (409, "consent_missing")
    assert refused(harvest(api.clinician, person)) == (409, "consent_missing")
    made(harvest(api.clinician, person, follicles()))
    assert api.clinician.get("/specimens", params={"material": "lipoaspirate"}).json()["items"] == []


def test_a_revoked_consent_stops_the_next_harvest(api: Api) -> None:
    person = register(api.clinician)
    given = made(consent(api.clinician, person))
    revoked = api.clinician.post(f"/donors/{person}/consents/{given['consent']}/revoke", json={})
    assert revoked.status_code == 200, revoked.text

    assert refused(harvest(api.clinician, person)) == (409, "consent_revoked")


def test_a_deceased_donor_is_not_harvested_for_banking(api: Api) -> None:
    person = donor(api)
    assert died(api.clinician, person).status_code == 201

    assert refused(harvest(api.clinician, person)) == (409, "donor_deceased")


def test_a_harvest_is_for_a_bank_and_by_somebody_who_may(api: Api) -> None:
    person = donor(api)

    assert refused(harvest(api.clinician, person, home_site="OTHER")) == (409, "not_a_bank_site")
    assert refused(harvest(api.clinician, person, home_site="NOWHERE")) == (404, "not_found")
    assert refused(harvest(api.other_clinician, person)) == (403, "not_permitted")
    assert refused(harvest(api.other_clinician, person, site="OTHER")) == (404, "not_found")
    assert refused(harvest(api.quality, person)) == (403, "not_permitted")


def test_a_repeated_request_makes_no_second_set_of_tubes(api: Api) -> None:
    person = donor(api)
    body = {
        "donor": person,
        "site": "CLINIC",
        "home_site": "LAB",
        "method": "lipoaspiration",
        "anatomical_site": "abdomen",
        "containers": [fat()],
    }

    first = api.clinician.post("/harvests", json=body, headers={"Idempotency-Key": "h1"})
    again = api.clinician.post("/harvests", json=body, headers={"Idempotency-Key": "h1"})

    assert first.json() == again.json()
    assert len(api.clinician.get("/harvests", params={"donor": person}).json()["items"]) == 1


def test_harvests_and_kits_are_listed_newest_first_a_page_at_a_time_and_only_where_one_belongs(api: Api) -> None:
    person = donor(api)
    for _ in range(3):
        made(harvest(api.clinician, person))
        kit(api)
        in_a_while(1)

    first = api.clinician.get("/harvests", params={"limit": 2}).json()
    rest = api.clinician.get("/harvests", params={"limit": 2, "after": first["next"]}).json()
    kits = api.lab_tech.get("/kits", params={"limit": 2, "unused": True}).json()
    more = api.lab_tech.get("/kits", params={"limit": 2, "after": kits["next"]}).json()

    started = [one["started_at"] for one in first["items"] + rest["items"]]
    assert len(started) == 3
    assert started == sorted(started, reverse=True)
    assert (len(kits["items"]), len(more["items"]), more["next"]) == (2, 1, None)
    assert api.other_clinician.get("/harvests").json()["items"] == []
    assert api.north_tech.get("/kits").json()["items"] == []
    assert refused(api.clinician.get("/harvests", params={"after": "99999999999999999999~x"})) == (422, "cursor_unknown")


def test_a_harvest_from_paper_is_entered_late_with_its_reason(api: Api) -> None:
    person = donor(api)
    yesterday = rfc3339(clock.now() - timedelta(hours=20))

    silent = harvest(api.clinician, person, occurred_at=yesterday)
    said = made(harvest(api.clinician, person, occurred_at=yesterday, reason_text="the network was down"))

    assert refused(silent) == (409, "implausible_time")
    event = api.clinician.get(f"/specimens/{said['specimens'][0]['code']}/custody").json()["items"][0]
    assert event["occurred_at"] == yesterday
    assert event["comment"] is not None


def test_two_clinicians_with_one_kit_at_the_same_moment_make_one_harvest(api: Api) -> None:
    people = [donor(api), donor(api, family_name="Otherworth", external_ids=[])]
    prepared = kit(api)
    first, second = labels(prepared)
    clients = [api.clinician, api.clinician2]

    def use(number: int) -> tuple[int, str]:
        body: dict[str, Any] = {"kit": prepared["kit"], "unused": [second]}
        answer = harvest(clients[number], people[number], fat(specimen=first), **body)
        return answer.status_code, answer.json().get("code", "")

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(use, (0, 1)))

    assert answers == [(201, ""), (409, "kit_used")]

"""One person reads who a bounded number of people are in an hour, quality is called before, and every reading is counted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from biobank.alarms.watch import watch_for_alarms
from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, Client, TestBank
from tests.donors.stories import half, identified, kinds, register
from tests.granting import also
from tests.pages.visitor import Visit
from tests.shipping.stories import stage
from tests.withdrawals.stories import later, refused

MOST = 5
DOCTOR = seed.USERS["clinician"].code


@pytest.fixture
def api(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A bank in which a person may read five identities within an hour."""
    bank = make_bank(identity_reads_per_hour=MOST)
    one = Api(serve(bank), bank)
    yield one
    one.close()


def people(api: Api, count: int) -> list[str]:
    return [register(api.clinician) for _ in range(count)]


def read(client: Client, donor: str) -> Any:
    return client.get(f"/donors/{donor}/identity")


def alarms(client: Client) -> list[dict[str, Any]]:
    return client.get("/alarms", params={"cause": "identities_read"}).json()["items"]  # type: ignore[no-any-return]


def watch(api: Api) -> int:
    return api.test_bank.write(lambda s: watch_for_alarms(s, stage(api.test_bank)))  # type: ignore[no-any-return]


def test_the_sixth_identity_within_an_hour_is_refused_and_goes_on_when_the_first_is_an_hour_old(api: Api) -> None:
    donors = people(api, MOST + 1)
    for donor in donors[:MOST]:
        assert read(api.clinician, donor).status_code == 200
        later(api, minutes=1)

    answer = read(api.clinician, donors[-1])

    document = refused(answer, 429, "too_many_identities")
    assert document["retry_after_s"] in range(54 * 60, 55 * 60 + 1)
    assert answer.headers["Retry-After"] == str(document["retry_after_s"])
    assert "donor.identity_read" not in kinds(api, donors[-1])
    # Whom one has read within the hour one may read again; a colleague reads on.
    assert read(api.clinician, donors[0]).status_code == 200
    assert read(api.clinic_staff, donors[-1]).status_code == 200
    later(api, seconds=document["retry_after_s"])
    assert read(api.clinician, donors[-1]).status_code == 429  # the first one was read again a moment ago
    later(api, minutes=2)
    assert read(api.clinician, donors[-1]).status_code == 200


def test_who_is_being_identified_is_read_whatever_was_read_before(api: Api) -> None:
    donors = people(api, MOST + 2)
    for donor in donors[:MOST]:
        read(api.clinician, donor)
    at_hand, begun = donors[MOST:]
    refused(read(api.clinician, at_hand), 429, "too_many_identities")

    identified(api, at_hand)
    assert half(api.clinic_staff, begun).status_code == 201

    assert read(api.clinician, at_hand).status_code == 200
    assert read(api.clinician, begun).status_code == 200
    later(api, hours=17)
    for donor in donors[:MOST]:
        read(api.clinician, donor)
    refused(read(api.clinician, at_hand), 429, "too_many_identities")


def test_neither_the_search_page_nor_another_login_of_the_person_nor_many_at_once_read_more(api: Api, visit: Visit) -> None:
    donors = people(api, MOST + 3)
    bank = api.test_bank
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda donor: read(api.clinician, donor).status_code, donors))
    assert sorted(answers) == [200] * MOST + [429] * 3

    page = visit("clinician")
    register(api.clinician, family_name="Onlyone", given_names="Zed", external_ids=[])
    shown = page.submit("/donors/search", {"name": "Onlyone"}, draw="/donors").text
    assert "Not every name is shown" in shown and "Onlyone, Zed" not in shown

    second = seed.USERS["clinician2"].code
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET person_code = %s WHERE code = %s", (DOCTOR, second))
    unread = next(donor for donor in donors if read(api.clinician, donor).status_code == 429)
    refused(read(api.clinician2, unread), 429, "too_many_identities")


def test_quality_is_called_before_the_limit_and_nobody_answers_for_themselves(api: Api) -> None:
    donors = people(api, MOST)
    for donor in donors[:3]:
        read(api.clinician, donor)
    assert (watch(api), alarms(api.quality)) == (0, [])
    read(api.clinician, donors[3])

    assert watch(api) == 1

    (one,) = alarms(api.quality)
    assert (one["subject"], one["state"], one["site"]) == (DOCTOR, "sounding", "CLINIC")
    assert api.quality.get(f"/alarms/{one['code']}").json()["steps"][0]["told"] == ["quality"]
    # Whoever handles material hears of fridges, not of colleagues.
    assert alarms(api.clinic_staff) == []
    refused(api.clinic_staff.get(f"/alarms/{one['code']}"), 404, "not_found")
    also(api, "clinician", "quality", "CLINIC")
    refused(api.clinician.post(f"/alarms/{one['code']}/acknowledge", json={}), 409, "alarm_about_you")
    later(api, hours=2)
    assert (watch(api), alarms(api.quality)[0]["state"]) == (0, "sounding")
    assert api.quality.post(f"/alarms/{one['code']}/acknowledge", json={}).status_code == 200
    assert (watch(api), alarms(api.quality)[0]["state"]) == (1, "resolved")


def test_every_reading_is_listed_by_day_for_who_reads_the_log(api: Api, visit: Visit) -> None:
    donors = people(api, 2)
    for donor in (donors[0], donors[0], donors[1]):
        read(api.clinician, donor)
    day = f"{clock.now():%Y-%m-%d}"

    (one,) = api.auditor.get("/identity-readings").json()["items"]

    assert (one["day"], one["user"], one["people"], one["readings"]) == (day, DOCTOR, 2, 3)
    assert api.quality.get("/identity-readings", params={"by": seed.USERS["clinic_staff"].code}).json()["items"] == []
    refused(api.clinician.get("/identity-readings"), 403, "not_permitted")
    page = visit("quality")
    shown = page.get_page(f"/identity-readings?by={DOCTOR}")
    assert DOCTOR in shown and day in shown

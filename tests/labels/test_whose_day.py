"""A day on a label or a paper is that of the site, and says so; where the site's date is not UTC's it shows."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest

from biobank.foundation import clock
from biobank.labels.data import dated
from biobank.labels.files import data_of
from biobank.specimens.label_facts import day_of
from biobank.specimens.schemas import LabelFacts
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.specimens.stories import donor, raw_fat
from tests.storage.test_every_way_of_placing import a_tube


def far_away(now: datetime) -> ZoneInfo:
    """A zone in which it is another day than in UTC."""
    zone = next(z for z in map(ZoneInfo, ("Pacific/Kiritimati", "Pacific/Pago_Pago")) if now.astimezone(z).date() != now.date())
    assert now.tzinfo is UTC
    return zone


def live_in(api: Api, zone: ZoneInfo) -> None:
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("UPDATE site SET timezone = %s", (zone.key,))


def test_a_specimens_label_bears_the_day_of_the_bank_that_keeps_it_and_its_zone(api: Api) -> None:
    zone = far_away(clock.now())
    live_in(api, zone)
    code = a_tube(api)

    label = api.lab_tech.get(f"/specimens/{code}").json()["label"]
    said = data_of(LabelFacts(**label)).texts()
    banked = datetime.fromisoformat(api.lab_tech.get(f"/specimens/{code}").json()["custody"]["banked_at"])

    assert banked.astimezone(zone).date() != banked.date()
    offset = "+14" if zone.key == "Pacific/Kiritimati" else "-11"
    day = banked.astimezone(zone).date().isoformat()
    assert (said["banked"], said["banked_short"]) == (f"{day} UTC{offset}", f"{day}{offset}")


def test_times_on_pages_are_of_the_persons_site_and_utc_for_whoever_is_everywhere_where_sites_have_several_zones(
    api: Api, visit: Visit
) -> None:
    zone = far_away(clock.now())
    live_in(api, zone)
    code = a_tube(api)

    here, everywhere = (visit(name).get_page(f"/specimens/{code}") for name in ("lab_tech", "quality"))

    assert f"Times are shown in {zone.key};" in here and f"({zone.key})" in here
    assert f"Times are shown in {zone.key};" in everywhere, "all sites have this one"

    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("UPDATE site SET timezone = 'Europe/London' WHERE code = 'CLINIC'")
    assert "Times are shown in UTC." in visit("quality").get_page(f"/specimens/{code}")


def test_the_last_day_of_use_is_the_sites_too(api: Api) -> None:
    zone = far_away(clock.now())
    live_in(api, zone)
    fat = raw_fat(api, donor(api))

    ends = datetime.fromisoformat(api.lab_tech.get(f"/specimens/{fat['code']}").json()["expires_at"])
    said = data_of(LabelFacts(**api.lab_tech.get(f"/specimens/{fat['code']}").json()["label"])).texts()

    assert said["expires"].startswith(ends.astimezone(zone).date().isoformat())


def test_a_label_after_the_zone_of_the_site_was_changed_says_the_day_and_offset_of_the_new_one(api: Api) -> None:
    now = clock.now()
    code = a_tube(api)
    said = []
    for zone in (far_away(now), ZoneInfo("Asia/Kathmandu")):
        assert api.admin.patch("/sites/LAB", json={"timezone": zone.key}).status_code == 200
        told = api.lab_tech.get(f"/specimens/{code}").json()
        banked = datetime.fromisoformat(told["custody"]["banked_at"])
        said.append(data_of(LabelFacts(**told["label"])).texts()["banked"])
        assert said[-1].startswith(f"{banked.astimezone(zone).date().isoformat()} UTC")

    assert [one.partition(" UTC")[2] for one in said] in (["+14", "+5:45"], ["-11", "+5:45"])


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2026-03-28T22:59:59", "2026-03-28 UTC+1"),
        ("2026-03-28T23:00:00", "2026-03-29 UTC+2"),
        ("2026-03-29T00:59:59", "2026-03-29 UTC+2"),
        ("2026-03-29T01:00:00", "2026-03-29 UTC+2"),
        ("2026-03-29T21:59:59", "2026-03-29 UTC+2"),
        ("2026-03-29T22:00:00", "2026-03-30 UTC+2"),
        ("2026-10-24T21:59:59", "2026-10-24 UTC+2"),
        ("2026-10-24T22:00:00", "2026-10-25 UTC+1"),
        ("2026-10-25T22:59:59", "2026-10-25 UTC+1"),
        ("2026-10-25T23:00:00", "2026-10-26 UTC+1"),
    ],
)
def test_in_the_nights_of_a_change_the_day_is_that_of_the_sites_clock(at: str, label: str) -> None:
    instant, zone = datetime.fromisoformat(f"{at}Z"), ZoneInfo("Europe/Vienna")

    assert dated(day_of(instant, zone), zone.key) == label

"""A doubtful reading is asked back in °C, limits are typed in °C and percent, a group is assessed, on pages."""

from datetime import datetime, timedelta
from urllib.parse import quote

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.monitoring.series import Part, gaps_of
from tests import seed
from tests.conftest import Api
from tests.monitoring.test_excursions import LN2, OPEN, a_tank, frozen, held, put, read, ways
from tests.monitoring.test_logger_files import a_file, keep
from tests.pages.visitor import Visit
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later
from tests.withdrawals.test_journeys import body_of


def test_a_doubtful_reading_is_asked_back_on_the_page_in_what_people_read(api: Api, visit: Visit) -> None:
    tank, tech = a_tank(api), visit("lab_tech")
    page = f"/storage/{tank}/reading"

    asked = tech.submit(page, {"reading": "temperature_mc", "value": "-0.15"})

    assert asked.status_code == 409 and 'name="confirmed"' in asked.text
    assert "-0.15" in asked.text.replace("−", "-") or "-0.1" in asked.text.replace("−", "-")
    form = {"reading": "temperature_mc", "value": "-0.15", "confirmed": "true"}
    assert "Outside its limits." in tech.submit(page, form, follow_redirects=True).text


def test_limits_of_a_place_are_typed_in_degrees_and_percent_and_signed(api: Api, visit: Visit) -> None:
    tank, quality = a_tank(api), visit("quality")
    form = {"container": tank, "highest_mc": "-150", "lowest_level_ppm": "40", "password": seed.PASSWORD}

    done = quality.submit("/place-limits/new", form, draw=f"/place-limits/new?container={tank}", follow_redirects=True)

    assert "Limits set." in done.text
    assert "not above −150" in visit("lab_tech").get_page(f"/storage/{tank}/reading").replace("-150", "−150")
    assert "warming not faster than 5" in visit("lab_tech").get_page("/place-limits")
    now = api.quality.get(f"/storage-containers/{tank}/limits").json()
    assert (now["highest_mc"], now["lowest_level_ppm"]) == (-150_000, 400_000)


def test_quality_assesses_a_group_on_the_page_and_others_are_not_offered_it(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    box, tubes = a_box(api, parent=tank), frozen(api, 2)
    for tube in tubes:
        put(api, tube, box)
    (code,) = read(api, tank, -50_000)["excursions"]
    here, assess = f"/excursions/{code}", f"/excursions/{code}/assess"
    assert f'href="{assess}"' not in visit("quality").get_page(here)  # it is still warm, and they are still in it
    later(api, minutes=5)
    read(api, tank, -180_000)
    quality, tech = visit("quality"), visit("lab_tech")
    assert f'href="{assess}"' in quality.get_page(here) and f'href="{assess}"' not in tech.get_page(here)
    assert tech.get(assess).status_code == 403
    donor = api.quality.get(f"/specimens/{tubes[0]}").json()["donor"]
    form = {"donors": donor, "decision": "released", "reason": "Short and mild", "password": seed.PASSWORD}

    done = quality.submit(assess, form, follow_redirects=True)

    assert "1 specimen released." in done.text, done.text[:3000]
    assert [held(api, tube) for tube in tubes] == [[], ["excursion"]]


def test_a_slip_is_taken_back_on_the_page_with_what_it_should_have_been_and_quality_signs(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    slip = read(api, tank, -18_000)
    page = f"/storage/{tank}/readings/{slip['id']}/withdraw"
    assert f'href="{page}"' in visit("lab_tech").get_page(f"/storage/{tank}")
    form = {"reason": "Typed a figure too few", "value": "-180"}
    assert visit("lab_tech").submit(page, form).status_code == 403
    assert held(api, tube) == ["excursion"]

    done = visit("quality").submit(page, form | {"password": seed.PASSWORD}, follow_redirects=True)

    assert "Reading taken back." in done.text and "1 specimen left the hold." in done.text, done.text[-3000:]
    now, was = api.lab_tech.get(f"/storage-containers/{tank}/readings").json()["items"]
    assert (now["value"], now["at"]) == (-180_000, was["at"]) and was["withdrawn_at"] is not None
    assert held(api, tube) == []
    assert visit("lab_tech").get(page).status_code == 409


def test_a_warm_room_does_not_reach_what_keeps_its_own_cold_in_it(api: Api, visit: Visit) -> None:
    room = a_box(api, kind="room", name="Room", **OPEN)
    tank = a_box(api, kind="tank", name="Tank", parent=room, **OPEN, **LN2)
    (tube,) = frozen(api)
    put(api, tube, a_box(api, parent=tank))
    assert tank in visit("lab_tech").get_page(f"/storage/{room}/reading")

    warm = read(api, room, 41_000)

    assert held(api, tube) == [] and warm["added"] == 0
    page = visit("quality").get_page(f"/excursions/{warm['excursions'][0]}")
    assert f"{tank} keeps its own cold; look at its own readings." in page
    times = {"container": room, "since": rfc3339(clock.now() - timedelta(hours=1)), "until": rfc3339(clock.now())}
    back = api.quality.post("/look-backs", json=times).json()
    assert (back["specimens"], back["keep_their_own_cold"]) == (0, [tank])
    assert read(api, tank, -50_000)["added"] == 1


def test_a_chart_shows_limits_excursions_and_gaps_and_a_table_says_the_same(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    later(api, hours=24)
    read(api, tank, -180_000, clock.now() - timedelta(hours=20))
    (excursion,) = read(api, tank, -90_000, clock.now() - timedelta(hours=10))["excursions"]
    read(api, tank, -185_000)

    page = visit("quality").get_page(f"/storage/{tank}/chart")

    assert page.count('class="plot-outside"') == 1, "over the temperature, not over the level, of which nothing was outside"
    assert page.count('class="plot-gap"') >= 3
    assert page.count('class="plot-line"') == 3, "the line breaks where nothing was read"
    assert "-90" in page.replace("−", "-") and excursion in page and "Nothing was read" in page
    assert visit("quality").get(f"/storage/{tank}/chart?span=year").status_code == 422
    assert visit("clinician").get(f"/storage/{tank}/chart").status_code == 404


def test_what_lies_between_readings_far_apart_is_a_gap() -> None:
    start = datetime.fromisoformat("2026-11-29T00:00:00+00:00")

    def part(hour: float) -> Part:
        return Part(start + timedelta(hours=hour), start + timedelta(hours=hour + 0.1), 1, 2, 3)

    found = gaps_of([part(0.2), part(0.5), part(3)], start, start + timedelta(hours=4), timedelta(minutes=30))

    assert [(since - start, until - start) for since, until in found] == [
        (timedelta(hours=0.6), timedelta(hours=3)),
        (timedelta(hours=3.1), timedelta(hours=4)),
    ]
    assert gaps_of([], start, start + timedelta(hours=1), timedelta(minutes=30)) == [(start, start + timedelta(hours=1))]


def test_a_file_is_read_on_a_page_that_asks_what_the_file_leaves_open(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    later(api, minutes=30)
    sha256 = keep(api, a_file([(clock.now() - timedelta(hours=2, minutes=20), "-185,0")], zone=""))
    page, tech = f"/storage/{tank}/logger-file", visit("lab_tech")
    assert f"/attachments/new?back={quote(page, safe='')}&amp;site=LAB&amp;field=logger_sha256" in tech.get_page(page)

    asked = tech.submit(page, {"logger_sha256": sha256})
    assert asked.status_code == 409 and "does not say of which zone" in asked.text
    done = tech.submit(page, {"logger_sha256": sha256, "zone": "UTC"}, follow_redirects=True)

    assert "The file is read." in done.text and "1 value read" in done.text
    assert sha256[:16] in tech.get_page(f"/storage/{tank}/chart?span=month")


def test_a_tank_that_ran_dry_and_then_warmed_says_both_on_its_page_and_in_the_log(api: Api, visit: Visit) -> None:
    tank = a_tank(api)
    (code,) = read(api, tank, 100_000, reading="level_ppm")["excursions"]
    for degrees in (-100_000, 20_000, -20_000):
        later(api, minutes=10)
        read(api, tank, degrees)

    assert ways(api, code) == {"level_too_low": 100_000, "too_warm": 20_000}
    assert api.quality.get(f"/excursions/{code}").json()["outside"] == "too_warm"
    page = visit("quality").get_page(f"/excursions/{code}")
    assert "Level too low, 10%; too warm, 20 °C" in page.replace("\u202f", " ").replace("\xa0", " ")
    changed = body_of(api, "container", tank, "container.excursion_changed")
    assert (changed["outside_in"], changed["lowest_level_ppm"]) == (["level_too_low", "too_warm"], 100_000)

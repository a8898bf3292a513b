"""A doubtful reading is asked back in °C, limits are typed in °C and percent, a group is assessed, on pages."""

from tests import seed
from tests.conftest import Api
from tests.monitoring.test_excursions import a_tank, frozen, held, put, read
from tests.pages.visitor import Visit
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import later


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

    assert "1 specimens released." in done.text, done.text[:3000]
    assert [held(api, tube) for tube in tubes] == [[], ["excursion"]]

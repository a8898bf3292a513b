"""How somebody wants their own pages: time zone, what the bell counts; papers keep the time of their site."""

import re
from datetime import UTC, datetime, timedelta

from biobank.pages.home import rings
from biobank.pages.today import Task
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story


def shown(page: str) -> set[str]:
    """The clock times that a page shows for its instants, with the UTC hour that each stands for."""
    return {
        f"{local} of {utc}"
        for utc, local in re.findall(r'<time datetime="[0-9-]+T([0-9]{2}):[^"]*"[^>]*>[^<]*, ([0-9]{2}):[0-9]{2}', page)
    }


def apart(page: str) -> set[int]:
    """How many hours a page's clock is from UTC."""
    return {(int(one[:2]) - int(one[-2:])) % 24 for one in shown(page)}


def test_times_are_shown_and_typed_in_ones_own_zone_and_papers_keep_the_sites(api: Api, visit: Visit) -> None:
    (vial,) = a_story(api).vials
    tech, page = visit("lab_tech"), f"/specimens/{vial}"
    before = apart(tech.get_page(page))
    kept = tech.submit("/account/choices", {"timezone": "Asia/Tokyo", "language": "en", "bell": "due"})
    assert "Kept." in kept.text and "Asia/Tokyo" in kept.text
    assert apart(tech.get_page(page)) == {9} != before
    assert apart(tech.get_page(f"{page}/life")) == before
    form = tech.get_page(f"{page}/record/checked_out")
    assert "In the time of Asia/Tokyo." in form
    typed = datetime.now(UTC) + timedelta(hours=9, seconds=5)
    sent = tech.submit(f"{page}/record/checked_out", {"purpose": "move", "occurred_at": f"{typed:%Y-%m-%dT%H:%M:%S}"})
    assert sent.status_code == 200 and "Checked out." in sent.text, sent.text[:2000]
    assert apart(visit("lab_tech2").get_page(page)) == before
    again = tech.submit("/account/choices", {"timezone": "", "language": "en", "bell": "due"})
    assert "as at my site" in again.text and apart(tech.get_page(page)) == before


def test_a_zone_that_there_is_not_and_another_language_are_refused_at_their_fields(visit: Visit) -> None:
    tech = visit("lab_tech")
    wrong = tech.submit("/account/choices", {"timezone": "Middle/Earth", "language": "en"})
    assert wrong.status_code == 422 and "Time zone: there is no such time zone. Type a large city of it" in wrong.text
    assert tech.submit("/account/choices", {"language": "tlh"}).status_code == 422


def test_a_zone_is_typed_as_its_city_and_offered_while_one_types(visit: Visit) -> None:
    tech = visit("lab_tech")
    assert 'data-listed="time_zone"' in tech.get_page("/account/choices")
    kept = tech.submit("/account/choices", {"timezone": "new york", "language": "en"})
    assert "Kept." in kept.text and "America/New_York" in kept.text
    twice = tech.submit("/account/choices", {"timezone": "Istanbul", "language": "en"})
    assert twice.status_code == 422 and "Type one of Asia/Istanbul, Europe/Istanbul." in twice.text


def test_the_bell_counts_what_presses_whatever_was_chosen() -> None:
    tasks = [Task("x", "y", "/", urgency) for urgency in ("alarm", "overdue", "waiting", "due", "due", "expected")]
    assert [rings(tasks, chosen) for chosen in ((), ("due",), ("expected",), ("due", "expected"))] == [3, 5, 4, 6]


def test_a_quiet_bell_says_the_same_on_today_and_when_it_is_asked(api: Api, visit: Visit) -> None:
    tech = visit("lab_tech")
    tech.submit("/account/choices", {"language": "en"})
    (drawn,) = re.findall(r'data-waiting="([0-9]+)"', tech.get_page("/"))
    assert tech.get("/tasks/now").json() == {"waiting": int(drawn)}

"""Two people at the bedside scan on two devices: a browser is known by the sign-ins on it, whatever it calls itself."""

from collections.abc import Iterator

import pytest

from biobank.auth.throttle import marks_of, remembered
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit, Visitor
from tests.withdrawals.stories import Story, a_story


@pytest.fixture
def telephone(api: Api) -> Iterator[Visitor]:
    """One browser."""
    with Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60) as browser:
        yield browser


def scan(browser: Visitor, story: Story, device: str) -> str:
    """Send both scans from this browser, under a name that it gives itself."""
    scans = {"wristband": story.band, "product": story.vials[0], "device": device}
    return browser.submit(f"/withdrawals/{story.code}/check", scans).text


def test_two_logins_in_one_browser_are_one_device(api: Api, telephone: Visitor, visit: Visit) -> None:
    story = a_story(api).up_to("thaw")
    story.band = donors.band(api, story.donor)
    telephone.log_in("clinician")
    scan(telephone, story, "tablet-1")
    telephone.log_in("clinic_staff")
    assert "Scan on another, signed in as yourself." in scan(telephone, story, "tablet-2")
    assert api.clinician.get(f"/withdrawals/{story.code}").json()["releases"] == []
    scan(visit("clinic_staff"), story, "tablet-3")
    assert len(api.clinician.get(f"/withdrawals/{story.code}").json()["releases"]) == 1


def test_browsers_share_nothing_although_the_same_people_signed_in_on_both() -> None:
    key = b"k" * 32

    def both() -> str:
        return remembered(key, "ben", remembered(key, "ada", None))

    one, other = both(), both()
    assert set(marks_of(one)).isdisjoint(marks_of(other))
    assert set(marks_of(one)) & set(marks_of(remembered(key, "cy", one))) == set(marks_of(one))
    assert marks_of(None) == ()

"""Of two tubes that were released at one bedside each is given under its own release, however its code was read."""

from zoneinfo import ZoneInfo

from biobank.foundation import clock
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import Visit
from tests.withdrawals.stories import AMOUNT, a_story, later, state_of


def test_a_code_typed_without_hyphens_finds_the_release_of_its_own_tube(api: Api, visit: Visit) -> None:
    story = a_story(api, 3)
    two = story.vials[:2]
    answers = [story.request(specimens=two), story.approve()]
    for vial in two:
        answers += [story.pick(tube=vial), story.confirm(tube=vial)]
    answers += [story.issue(), story.receive(tubes=two)]
    story.band = donors.band(api, story.donor)
    for vial in two:
        answers += [story.thaw(tube=vial), story.check(product=vial), story.check(api.clinic_staff, product=vial)]
    assert all(answer.status_code in (200, 201) for answer in answers), [answer.text for answer in answers]
    later(api, seconds=2)
    page, here = visit("clinician"), f"/withdrawals/{story.code}/administer"
    given = {"given": str(AMOUNT), "residue": "0", "loss": "0", "volume_ul": "1.5", "anatomical_site": "scalp"}
    began = f"{clock.now().astimezone(ZoneInfo('Europe/London')):%Y-%m-%dT%H:%M:%S}"
    typed = {"product": two[0].replace("-", "").lower(), "started_at": began, "reaction": "false"}
    sent = page.submit(here, given | typed)
    assert sent.url.path == f"/withdrawals/{story.code}", sent.text[sent.text.index("<main") :][:3000]
    assert state_of(api, two[0])["state"] == "administered"
    assert state_of(api, two[1])["state"] == "delivered"

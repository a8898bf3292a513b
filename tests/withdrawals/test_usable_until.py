"""Until when thawed cells may be given stands where people look, at their own time, and is what every step enforces."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story, later, refused, sealed


def test_until_when_thawed_cells_are_usable_is_shown_and_is_what_the_bedside_enforces(api: Api, visit: Visit) -> None:
    assert api.admin.patch("/sites/CLINIC", json={"timezone": "Asia/Kolkata"}).status_code == 200
    story = a_story(api).up_to("receive")
    here = f"/withdrawals/{story.code}"
    assert "Usable until" not in visit("clinician").get_page(here), "what is frozen has no such clock"
    assert story.thaw().status_code == 200
    (item,) = api.clinician.get(here).json()["items"]
    until = datetime.fromisoformat(item["usable_until"])
    shown = f"{until.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M:%S}"
    for page in (here, f"{here}/check"):
        drawn = visit("clinician").get_page(page)
        assert "Usable until" in drawn and shown in drawn and f'data-until="{until.isoformat()}"' in drawn, page
        assert (story.vials[0] in drawn) == (page == here), "who scans at the bedside is shown no code"
    later(api, seconds=(until - clock.now()).total_seconds() - 60)
    sealed(api)
    assert story.check().status_code == 201, "a minute before it is over"
    later(api, minutes=2)
    sealed(api)
    assert refused(story.check(api.clinic_staff), 409, "expired")["detail"].find(rfc3339(until)) > 0
    assert clock.now() - until < timedelta(minutes=2)

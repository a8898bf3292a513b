"""What somebody found on the way stops every later step: what was not received, was broken, or has too few alive."""

from collections.abc import Callable

import pytest
from sqlmodel import Session

from biobank.custody.events import Inspected
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.specimens.assays import record_viability
from biobank.specimens.materials import Assay
from biobank.specimens.schemas import RecordViability
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, everyone, holds_of, lift_all, refused, state_of
from tests.withdrawals.test_refusals import revoke


def on_its_way(api: Api) -> Story:
    """A withdrawal that a courier carries to the clinic."""
    story = a_story(api).up_to("confirm")
    assert story.issue(courier="CRYOGO", evidence="CG 4711").status_code == 200
    return story


@pytest.mark.parametrize("step", ["thaw", "check", "administer"])
def test_nothing_is_thawed_checked_or_given_until_somebody_there_received_it(api: Api, step: str) -> None:
    story = on_its_way(api)
    story.release = "00000000-0000-4000-8000-000000000000"

    document = refused(getattr(story, step)(api.acts_here), 409, "custody_not_accepted")

    assert "until it is received" in document["where_now"]
    assert state_of(api, story.vials[0])["condition"] == "frozen"
    assert story.receive().status_code == 200 and story.thaw().status_code == 200
    assert story.check().status_code == 201 and story.check(api.clinic_staff).status_code == 201
    assert story.administer().status_code == 200


def test_the_bedside_page_says_no_and_asks_for_no_scan_until_it_was_received(api: Api, visit: Visit) -> None:
    story = on_its_way(api)
    before = visit("clinic_staff").get_page(f"/withdrawals/{story.code}/check")
    assert "was not received here yet" in before and 'name="wristband"' not in before
    assert story.receive().status_code == 200 and story.thaw().status_code == 200
    after = visit("clinic_staff").get_page(f"/withdrawals/{story.code}/check")
    assert "was not received here yet" not in after and 'name="wristband"' in after


@pytest.mark.parametrize(("reached", "step"), [("approve", "pick"), ("pick", "confirm")])
def test_a_consent_revoked_after_the_approval_stops_the_pick(api: Api, visit: Visit, reached: str, step: str) -> None:
    story = a_story(api).up_to(reached)
    revoke(api, story.donor)

    refused(getattr(story, step)(), 409, "consent_revoked")

    page = visit("lab_tech2").get_page(f"/withdrawals/{story.code}/{step}")
    assert "revoked the treatment consent" in page and 'name="scan"' not in page and 'name="tube"' not in page


def broken(api: Api, story: Story) -> None:
    """Somebody sees that the vial is broken."""

    def look(session: Session) -> None:
        tube = load(session, story.vials[:1])[story.vials[0]]
        seen = Inspected(container_intact=False, label_legible=True, contents_as_expected=True)
        record(session, everyone(api.test_bank), [Move(tube, seen)], NOW)

    api.test_bank.write(look)


def too_few(api: Api, story: Story) -> None:
    """Somebody counts fewer living cells than quality demands."""

    def count(session: Session) -> None:
        tube = load(session, story.vials[:1])[story.vials[0]]
        read = RecordViability(expected_seq=tube.seq, method=Assay.AO_PI, live=20, dead=80)
        record_viability(session, api.test_bank.act("acts_here"), tube.code, read)

    demand(api)
    api.test_bank.write(count)


@pytest.mark.parametrize(("happens", "code"), [(broken, "inspection_failed"), (too_few, "count_below_criterion")])
@pytest.mark.parametrize(
    ("reached", "step"),
    [
        (None, "request"),
        ("request", "approve"),
        ("approve", "pick"),
        ("pick", "confirm"),
        ("confirm", "issue"),
        ("thaw", "check"),
        ("check", "administer"),
    ],
)
def test_a_broken_vial_and_a_count_below_the_criterion_stop_every_step(
    api: Api, happens: Callable[[Api, Story], None], code: str, reached: str | None, step: str
) -> None:
    story = a_story(api)
    if reached is not None:
        story.up_to(reached)
    happens(api, story)
    lift_all(api, story.vials[0])

    refused(getattr(story, step)(), 409, code)

    assert state_of(api, story.vials[0])["state"] != "administered"


def test_what_came_by_hand_and_nobody_can_say_how_cold_is_held(api: Api) -> None:
    story = a_story(api, 2).up_to("issue")
    assert story.receive(temperature_mc=None).status_code == 200
    assert [one["reason"] for one in holds_of(api, story.vials[0])] == ["temperature_not_read"]
    refused(story.thaw(), 409, "on_hold")


def test_a_thaw_at_the_chair_is_on_record_as_done_at_the_clinic_and_not_before_it_was_received(api: Api, visit: Visit) -> None:
    story = a_story(api, 2).up_to("confirm")
    assert story.issue(courier="CRYOGO", evidence="CG 4711").status_code == 200
    here = f"/withdrawals/{story.code}"
    assert f'href="{here}/thaw"' not in visit("clinic_staff").get_page(here)
    assert story.receive().status_code == story.thaw().status_code == 200
    thawed = api.quality.get(f"/specimens/{story.vials[0]}/custody").json()["items"][-1]
    assert (thawed["kind"], thawed["site"]) == ("specimen.thawed", "CLINIC")

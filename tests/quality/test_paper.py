"""What was done on paper has its own way in: the form, two badges, a deviation; and no act is dated where it cannot be."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from biobank.custody.chronology import order_refusal
from biobank.custody.recording import NOW, Circumstances, ImplausibleTime, plausible_time
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api, Client
from tests.quality.sheets import a_sheet
from tests.quality.test_deviations import CLOSING
from tests.quality.test_deviations import stored as attached
from tests.storage.test_every_way_of_placing import a_tube, seq_of
from tests.withdrawals.stories import a_story, ago, kinds_of, later, refused, sealed, sign_and_post

ME, COLLEAGUE, THIRD = (seed.USERS[name].code for name in ("lab_tech", "lab_tech2", "quality"))
LOOKED = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}


def filed(api: Api, client: Client | None = None, **changes: Any) -> Any:
    body = {
        "site": "LAB",
        "form_sha256": attached(api, a_sheet()).json()["sha256"],
        "did_by": ME,
        "second": COLLEAGUE,
        "began_at": ago(hours=3),
        "reason": "network_down",
        "description": "No network from 9 to 12.",
    }
    return (client or api.lab_tech).post("/paper-forms", json=body | changes)


def looked(api: Api, tube: str, paper: str | None, at: str | None, client: Client | None = None) -> Any:
    body = LOOKED | {"expected_seq": seq_of(api, tube), "paper": paper, "occurred_at": at}
    sent = {name: value for name, value in body.items() if value is not None}
    return (client or api.lab_tech).post(f"/specimens/{tube}/events", json=sent)


def test_a_form_is_filed_by_one_of_two_people_with_its_file_and_opens_a_deviation(api: Api) -> None:
    refused(filed(api, second=ME), 409, "one_badge")
    refused(filed(api, did_by=THIRD), 409, "paper_of_others")
    refused(filed(api, form_sha256="0a" * 32), 409, "attachment_unknown")
    refused(filed(api, began_at=rfc3339(clock.now() + timedelta(hours=1))), 409, "not_on_that_paper")

    answer = filed(api)

    assert answer.status_code == 201, answer.text
    form = answer.json()
    assert kinds_of(api, "system", form["code"]) == ["system.deviation_opened", "system.paper_form_filed"]
    deviation = api.quality.get(f"/deviations/{form['code']}").json()
    assert (deviation["attachments"], deviation["topic"]) == ([form["form_sha256"]], "entered_from_paper")


def test_what_is_entered_from_a_form_is_marked_of_both_people_and_rests_on_it(api: Api) -> None:
    tube = a_tube(api)
    began = ago(seconds=0)
    later(api, hours=4)
    paper = filed(api, began_at=began).json()["code"]
    later(api, minutes=10)

    refused(looked(api, tube, paper, ago(hours=1), api.quality), 409, "paper_of_others")
    refused(looked(api, tube, paper, None), 409, "paper_time_missing")
    refused(looked(api, tube, paper, ago(minutes=1)), 409, "not_on_that_paper")
    refused(looked(api, tube, paper, ago(hours=9)), 409, "not_on_that_paper")
    refused(looked(api, tube, "DV-0000000", ago(hours=1)), 404, "not_found")
    done = looked(api, tube, paper, ago(hours=1))
    assert done.status_code == 201, done.text

    last = api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][-1]
    assert (last["source"], last["by"]) == ("paper", ME)
    assert {hand["user"]: hand["confirmed"] for hand in last["performed"]} == {ME: True, COLLEAGUE: False}
    assert len(last["relies_on"]) == 1
    later(api, days=15)
    refused(looked(api, tube, paper, rfc3339(clock.now() - timedelta(days=15, hours=1))), 409, "not_on_that_paper")


def test_an_observation_is_not_dated_into_a_time_when_the_state_forbade_it(api: Api) -> None:
    tube = a_tube(api)
    later(api, hours=1)
    missing = {"kind": "specimen.missing", "reason": "not_in_its_box", "expected_seq": seq_of(api, tube)}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=missing).status_code == 201
    later(api, hours=1)
    found = {"kind": "specimen.found", "expected_seq": seq_of(api, tube), "site": "LAB"}
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=found).status_code == 201
    later(api, minutes=30)
    sample = {"kind": "specimen.sampled", "amount": 1, "purpose": "sterility", "late_entry": True, "reason_text": "from memory"}

    def sampled(at: str) -> Any:
        return api.lab_tech.post(
            f"/specimens/{tube}/events", json=sample | {"expected_seq": seq_of(api, tube), "occurred_at": at}
        )

    gap = refused(sampled(ago(hours=1)), 409, "out_of_order")
    assert "it was missing then" in gap["detail"]
    assert sampled(ago(hours=2)).status_code == 201


def test_nothing_is_thawed_for_a_patient_in_a_time_when_it_stood_in_its_slot(api: Api) -> None:
    story = a_story(api).up_to("approve")
    later(api, minutes=10)
    then = ago(minutes=5)
    for step in (story.pick, story.confirm, story.issue, story.receive):
        sealed(api)
        assert step().status_code in (200, 201)
    body = {"tube": story.vials[0], "method": "water bath 37 C", "duration_s": 90}

    def thawed(**more: Any) -> Any:
        return api.clinic_staff.post(f"/withdrawals/{story.code}/thaw", json=body | more)

    early = refused(thawed(occurred_at=then, late_entry=True, reason_text="from memory"), 409, "out_of_order")

    assert "it was stored then" in early["detail"]
    assert thawed().status_code == 200


AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
AUTHORITIES = (
    "donor.identified",
    "donor.consent_given",
    "withdrawal.approved",
    "specimen.quality_decided",
    "withdrawal.bedside_check_passed",
    "donor.wristband_issued",
    "system.paper_form_filed",
)


@pytest.mark.parametrize("kind", AUTHORITIES)
@pytest.mark.parametrize("minutes", [-1, 0, 1])
def test_no_act_is_dated_before_any_authority_it_rests_on(kind: str, minutes: int) -> None:
    refusal = order_refusal("AD26-KH0KJQL", AT + timedelta(minutes=minutes), rests_on=[(kind, AT)])
    assert (refusal is None) == (minutes >= 0)
    assert refusal is None or refusal.code == "before_its_authority"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"began": AT + timedelta(seconds=1)}, "before_it_existed"),
        ({"changed": AT + timedelta(seconds=1)}, "out_of_order"),
        ({"then": "stored", "legal": ("received",)}, "out_of_order"),
        ({"then": "received", "legal": ("received",)}, None),
        ({"began": AT, "changed": AT, "rests_on": [("donor.consent_given", AT)]}, None),
    ],
)
def test_an_act_is_not_dated_before_its_thing_or_into_another_state(given: dict[str, Any], code: str | None) -> None:
    refusal = order_refusal("AD26-KH0KJQL", AT, **given)
    assert (None if refusal is None else refusal.code) == code


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (119, True), (121, False)])
def test_a_clock_that_runs_ahead_is_taken_for_two_minutes_and_no_longer(seconds: int, taken: bool) -> None:
    stated = AT + timedelta(seconds=seconds)
    if taken:
        assert plausible_time(AT, stated, None, NOW) == (stated, False)
    else:
        with pytest.raises(ImplausibleTime):
            plausible_time(AT, stated, None, NOW)


def test_the_hour_that_comes_twice_in_autumn_is_two_hours_and_the_log_knows_which() -> None:
    zone = ZoneInfo("Europe/London")
    first, second = (datetime(2026, 10, 25, 1, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
    given = [Circumstances.model_validate({"occurred_at": one.isoformat()}) for one in (first, second)]
    at = [one.occurred_at for one in given]
    assert None not in at
    assert [rfc3339(one) for one in at if one is not None] == ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"]
    with pytest.raises(ImplausibleTime):
        plausible_time(second.astimezone(UTC), first.astimezone(UTC), second.astimezone(UTC), NOW)


def test_one_sheet_is_filed_once_whoever_files_it_and_wherever(api: Api) -> None:
    sheet = attached(api, a_sheet()).json()["sha256"]
    first = filed(api, form_sha256=sheet).json()["code"]

    again = filed(api, form_sha256=sheet)
    refused(again, 409, "form_filed_before")
    assert again.json()["subject"] == first
    refused(filed(api, api.lab_tech2, form_sha256=sheet, did_by=COLLEAGUE, second=THIRD), 409, "form_filed_before")
    refused(filed(api, api.quality, form_sha256=sheet, did_by=THIRD, second=ME, began_at=ago(hours=9)), 409, "form_filed_before")
    refused(filed(api, api.quality, form_sha256=sheet, did_by=THIRD, site="NORTH"), 409, "form_filed_before")
    later(api, days=13)
    refused(filed(api, form_sha256=sheet), 409, "form_filed_before")
    assert filed(api).status_code == 201, "another sheet is another form"

    later(api, days=2)
    assert filed(api, form_sha256=sheet).status_code == 201, "nothing can be entered from the first any more"


def test_a_form_with_wrong_people_is_closed_by_quality_and_filed_anew(api: Api) -> None:
    tube, began = a_tube(api), ago(seconds=0)
    later(api, hours=4)
    sheet = attached(api, a_sheet()).json()["sha256"]
    wrong = filed(api, form_sha256=sheet, second=seed.USERS["clinician"].code, began_at=began).json()["code"]
    closing = CLOSING | {"corrective_action": "Filed anew with the right badge."}
    closed = sign_and_post(api.quality, "closed", f"/deviations/{wrong}/close", closing)
    assert closed.status_code == 200, closed.text
    later(api, minutes=1)

    refused(looked(api, tube, wrong, ago(hours=1)), 409, "not_on_that_paper")
    right = filed(api, form_sha256=sheet, began_at=began)
    assert right.status_code == 201, right.text
    assert looked(api, tube, right.json()["code"], ago(hours=1)).status_code == 201


def test_two_who_file_one_sheet_at_once_file_it_once(api: Api) -> None:
    sheet = attached(api, a_sheet()).json()["sha256"]

    def file(client: Client) -> Any:
        return filed(api, client, form_sha256=sheet)

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(file, (api.lab_tech, api.lab_tech2)))

    assert sorted(answer.status_code for answer in answers) == [201, 409]

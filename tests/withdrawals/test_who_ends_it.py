"""Rejecting and cancelling: at which steps, by whom, and where."""

import pytest

from tests.conftest import Api
from tests.granting import also
from tests.withdrawals.stories import Story, a_story, refused, sign_and_post

REASON = {"reason": "mistake"}


def reject(story: Story, by: str) -> None:
    client = getattr(story.api, by)
    answer = sign_and_post(client, "rejected", f"/withdrawals/{story.code}/reject", {"reason": "clinical_reason"})
    document = refused(answer, 409, "wrong_step")
    assert "requested" in document["detail"]


@pytest.mark.parametrize("step", ["approve", "pick", "issue", "receive"])
def test_a_withdrawal_is_rejected_only_while_it_is_asked_for(api: Api, step: str) -> None:
    story = a_story(api).up_to(step)
    before = api.auditor.get(f"/withdrawals/{story.code}").json()["state"]

    reject(story, "quality")

    assert api.auditor.get(f"/withdrawals/{story.code}").json()["state"] == before


@pytest.mark.parametrize("by", ["lab_tech", "clinic_staff", "auditor"])
def test_who_may_only_see_a_withdrawal_does_not_cancel_it(api: Api, by: str) -> None:
    story = a_story(api).up_to("approve")

    refused(getattr(api, by).post(f"/withdrawals/{story.code}/cancel", json=REASON), 403, "not_permitted")

    assert api.auditor.get(f"/withdrawals/{story.code}").json()["state"] == "approved"


@pytest.mark.parametrize("role", ["quality", "clinician"])
def test_a_right_at_another_site_cancels_and_rejects_nothing_here(api: Api, role: str) -> None:
    also(api, "lab_tech", role, "NORTH" if role == "quality" else "OTHER")
    story = a_story(api).up_to("request")

    refused(api.lab_tech.post(f"/withdrawals/{story.code}/cancel", json=REASON), 403, "not_permitted")
    body = {"reason": "clinical_reason"}
    refused(sign_and_post(api.lab_tech, "rejected", f"/withdrawals/{story.code}/reject", body), 403, "not_permitted")

    assert api.auditor.get(f"/withdrawals/{story.code}").json()["state"] == "requested"

"""A decision is made when it is signed or sent: no stated time lends it a past in which it would have been allowed.

Acts of hands that are entered late, with a reason, are judged as of their own time: `test_stated_at_bedside`.
"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.specimens.models import Specimen
from tests.conftest import Api
from tests.withdrawals.stories import a_story, approve, kinds_of, later, refused, sealed


def revoke(api: Api, donor: str) -> None:
    """The donor takes the treatment consent back."""
    (consent,) = api.clinician.get(f"/donors/{donor}").json()["consents"]
    assert api.clinician.post(f"/donors/{donor}/consents/{consent['id']}/revoke", json={}).status_code == 200


def long_ago() -> dict[str, Any]:
    """The circumstances of something that is said to have happened when all was well."""
    return {
        "occurred_at": rfc3339(clock.now() - timedelta(minutes=40)),
        "late_entry": True,
        "reason_text": "the terminal was off",
    }


def expire(api: Api, tube: str) -> None:
    """Its term ended ten minutes ago."""
    table, past = table_of(Specimen), clock.now() - timedelta(minutes=10)
    api.test_bank.write(lambda s: s.execute(update(table).where(table.c.code == tube).values(expires_at=past)))


def test_an_approval_that_states_an_earlier_time_is_judged_by_the_consent_of_now(api: Api) -> None:
    story = a_story(api, 2)
    later(api, hours=1)
    sealed(api)
    story.request()
    revoke(api, story.donor)
    refused(approve(api, story.code, **long_ago()), 409, "consent_revoked")
    assert kinds_of(api, "withdrawal", story.code) == ["withdrawal.requested"]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_an_issue_that_states_an_earlier_time_is_judged_as_of_now(api: Api, how: str) -> None:
    story = a_story(api, 2).up_to("confirm")
    later(api, hours=1)
    sealed(api)
    revoke(api, story.donor) if how == "revoked" else expire(api, story.vials[0])
    refused(story.issue(**long_ago()), 409, "consent_revoked" if how == "revoked" else "expired")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_check_at_the_bedside_that_states_an_earlier_time_is_judged_as_of_now(api: Api, how: str) -> None:
    story = a_story(api, 2).up_to("thaw")
    later(api, minutes=50)
    sealed(api)
    revoke(api, story.donor) if how == "revoked" else expire(api, story.vials[0])
    refused(story.check(**long_ago()), 409, "consent_revoked" if how == "revoked" else "expired")


def test_an_issue_is_judged_as_of_the_time_it_states_too(api: Api) -> None:
    story = a_story(api, 2).up_to("confirm")
    soon = clock.now() + timedelta(minutes=1)
    table = table_of(Specimen)
    api.test_bank.write(lambda s: s.execute(update(table).where(table.c.code == story.vials[0]).values(expires_at=soon)))
    ahead = rfc3339(clock.now() + timedelta(seconds=110))
    refused(story.issue(occurred_at=ahead), 409, "expired")

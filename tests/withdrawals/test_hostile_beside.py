"""What is done beside the way of a withdrawal, and after it × everything that may be wrong with it.

The mirror of `test_hostile.py` for a sheet that is fetched, a refusal, a calling off, a replacement, a return, an outcome and an
adverse event. What ends a way is not refused for what came against the cells: an empty cell says that it is taken.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session

from biobank.donors.visibility import get_visible_donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.donors import stories as donors
from tests.labels.test_outdated_labels import replaced
from tests.withdrawals.stories import Story, a_story, lot_passed, put_away, refused, sign_and_post
from tests.withdrawals.test_hostile import BESIDE, SKEWED, attempted
from tests.withdrawals.test_races import at_once
from tests.withdrawals.wrongs import BEFOREHAND

Taking = Callable[..., httpx.Response]

REACHED = ("request", "approve", "confirm", "issue", "receive", "administer")
TAKEN_AT = {
    "paper": {"receive"},
    "reject": {"request"},
    "cancel": {"request", "approve", "confirm"},
    "replace": {"request", "approve", "confirm"},
    "return": {"issue", "receive"},
    "release": {"issue", "receive"},
    "outcome": {"issue", "receive", "administer"},
    "adverse": {"issue", "receive", "administer"},
}
"""Where each is taken, of the states in `REACHED`; everywhere else it is the wrong order."""
SCANS = ("replace", "return", "release")
SIGNED = ("reject", "return", "release")
ASKED = ("another person's tube", "swapped with another withdrawal's", "label replaced")

_BACK = ("return", "release")
"""A tube that comes back to stay in quarantine, and one that is released to the bank again on its return."""
_TO_BE_USED = ("paper", "replace")
"""What lets cells go on: a sheet is of tubes that could be given, and another tube has to be fit for what is asked."""


def _every(steps: Any, code: str, **others: str) -> dict[str, str]:
    return {step: others.get(step, code) for step in steps}


REFUSED: dict[str, dict[str, str]] = {
    "wrong person": _every(BESIDE, "not_permitted"),
    "role removed": _every(BESIDE, "not_found"),
    "another person's tube": _every(("replace", *_BACK), "wrong_specimen", replace="another_persons_cells"),
    "swapped with another withdrawal's": _every(("replace", *_BACK), "wrong_specimen", replace="reserved_elsewhere"),
    "expired": _every(_TO_BE_USED, "expired"),
    "consent revoked in between": _every(_TO_BE_USED, "consent_revoked"),
    "lot failed in between": _every((*_TO_BE_USED, "release"), "lot_test_failed"),
    "hold placed in between": _every(_TO_BE_USED, "on_hold"),
    "recalled in between": _every(_TO_BE_USED, "on_hold"),
    # A rejection is not decided otherwise by a return, whatever it decides short of it.
    "rejected in between": _every(_TO_BE_USED, "not_released") | _every(_BACK, "rejection_stands"),
    "the donor died in between": _every(_TO_BE_USED, "donor_not_living"),
    "out of the cold too long": _every(_TO_BE_USED, "out_of_the_cold_too_long"),
    "label replaced": _every(("replace", *_BACK), "label_superseded"),
    "clock ahead": _every(BESIDE, "implausible_time"),
    "clock behind": _every(BESIDE, "implausible_time"),
    "wrong order": _every(
        BESIDE, "wrong_step", **{"paper": "custody_not_accepted, wrong_step"} | _every(_BACK, "illegal_transition, wrong_step")
    ),
    # What is seen again is recorded again, and a second sheet is as good as the first.
    "replayed": _every(("reject", "cancel", "replace"), "wrong_step") | _every(_BACK, "illegal_transition"),
}
"""Raced by two workers each of the last row happens once, and each of the others twice."""


def _posted(story: Story, login: str, path: str, body: dict[str, Any]) -> httpx.Response:
    answer: httpx.Response = getattr(story.api, login).post(f"/withdrawals/{story.code}/{path}", json=body)
    return answer


def _event(story: Story) -> httpx.Response:
    said = {"kind": "event", "seriousness": "serious", "in_lot": True, "words": "Fever."}
    return _posted(story, "clinician", "adverse-events", said | {"seen_at": "2026-01-01T00:00:00Z"})


TAKE: dict[str, Taking] = {
    "paper": lambda story: _posted(story, "clinic_staff", "paper-checks", {}),
    "reject": lambda story, **more: sign_and_post(
        story.api.quality, "rejected", f"/withdrawals/{story.code}/reject", {"reason": "clinical_reason"} | more
    ),
    "cancel": lambda story: _posted(story, "clinician", "cancel", {"reason": "postponed"}),
    "replace": lambda story: _posted(
        story, "clinician", "replace", {"tube": story.vials[0], "by": story.vials[-1], "reason": "postponed"}
    ),
    "return": lambda story, **more: story.take_back(quality="quarantined", **more),
    "release": lambda story, **more: story.take_back(**more),
    "outcome": lambda story: story.outcome(result="lost_to_follow_up"),
    "adverse": _event,
}


def a_stage(api: Api, reached: str) -> tuple[Story, dict[str, str]]:
    """A withdrawal in this state, and the tubes that are not its own."""
    story = a_story(api, vials=4, lot=True)
    other = Story(api, story.donor, story.vials[1:2])
    assert other.request().status_code == 201 and other.approve().status_code == 200
    story.band = donors.band(api, story.donor)
    lot_passed(api, story.vials[0])
    label = replaced(api, story.vials[0])[0]
    story.up_to(reached)
    return story, dict(zip(ASKED, (a_story(api).vials[0], story.vials[1], label), strict=True))


@pytest.mark.slow
def test_what_is_done_beside_the_way_and_after_it_refuses_what_is_wrong_with_it(api: Api) -> None:
    table: dict[str, dict[str, str]] = {}
    for reached in REACHED:
        story, tubes = a_stage(api, reached)
        for step, where in TAKEN_AT.items():
            if reached not in where:
                table.setdefault("wrong order", {}).setdefault(step, "")
                code = attempted(api, story, step, "wrong order", tubes)
                assert code, f"{step} is taken of what has come to {reached}"
                said = {*table["wrong order"][step].split(", "), code} - {""}
                table["wrong order"][step] = ", ".join(sorted(said))
                continue
            assert attempted(api, story, step, "nothing", tubes) == "", (step, reached)
            if reached != max(where, key=REACHED.index):
                continue
            for wrong in ("wrong person", "role removed", *ASKED, *BEFOREHAND, *SKEWED):
                if (wrong in tubes and step not in SCANS) or wrong in ("wristband replaced", "tubes of two banks"):
                    continue
                if step in SIGNED and wrong in SKEWED:
                    # The time is looked at with the rest of what is signed.
                    code = TAKE[step](story, occurred_at=rfc3339(clock.now() + SKEWED[wrong])).json()["code"]
                else:
                    code = attempted(api, story, step, wrong, tubes)
                if code:
                    table.setdefault(wrong, {})[step] = code
    for step, where in TAKEN_AT.items():
        story, tubes = a_stage(api, max(where, key=REACHED.index))
        first, second = at_once(partial(TAKE[step], story), partial(TAKE[step], story))
        done = [one for one in (first, second) if one.status_code in (200, 201)]
        again = step in ("paper", "outcome", "adverse")
        assert len(done) == (2 if again else 1), (step, first.text, second.text)
        code = attempted(api, story, step, "replayed", tubes)
        assert (code == "") == again, (step, code)
        if code:
            table.setdefault("replayed", {})[step] = code
    assert table == REFUSED


LATER = {
    "expired": "expired",
    "hold placed in between": "on_hold",
    "recalled in between": "on_hold",
    "consent revoked in between": "consent_revoked",
    # Whoever puts it away is told, and it is held for the warmth that it saw.
    "out of the cold too long": "on_hold",
}
"""What does not stop that a tube comes back released, because it stops every step afterwards."""


@pytest.mark.parametrize("wrong", LATER)
def test_what_came_against_a_tube_that_is_released_on_its_return_stops_whoever_asks_for_it(api: Api, wrong: str) -> None:
    story = a_story(api, vials=2, lot=True).up_to("receive")
    lot_passed(api, story.vials[0])

    def comes(session: Session) -> None:
        get_visible_donor(session, api.test_bank.act("quality").actor, story.donor, lock=True)
        BEFOREHAND[wrong](session, api, story)

    api.test_bank.write(comes)
    answer = story.take_back()
    assert answer.status_code == 200, answer.text
    put_away(api, story.vials[0])
    refused(Story(api, story.donor, story.vials[:1]).request(), 409, LATER[wrong])


def rendered() -> str:
    """The table of what stops each of these, as the documents show it."""
    lines = [f"| what is wrong | {' | '.join(BESIDE)} |", "|---" * (len(BESIDE) + 1) + "|"]
    for wrong, row in REFUSED.items():
        said = (", ".join(f"`{one}`" for one in row[step].split(", ")) if step in row else "" for step in BESIDE)
        lines.append(f"| {wrong} | {' | '.join(said)} |")
    return "\n".join(lines)


def test_the_table_of_what_is_done_beside_the_way_stands_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "withdrawal-steps.md").read_text()
    assert rendered() in page, rendered()

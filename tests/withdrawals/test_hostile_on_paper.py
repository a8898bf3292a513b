"""Every step of a withdrawal that is entered from a form × everything that may be wrong with it.

The mirror of `test_hostile.py` for the time without network. What the bank knew by the time that the form states refuses the
step; what came between that time and the entry is no reason to leave out what was done: it is entered, at the bedside by two.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import user_role
from biobank.auth.queries import actor_of_user
from biobank.donors.visibility import get_visible_donor
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
from biobank.quality.paper import PaperFormRequest, file_paper
from biobank.withdrawals.case import open_case
from biobank.withdrawals.steps import STEPS
from tests.conftest import Api
from tests.donors import stories as donors
from tests.quality.sheets import a_sheet
from tests.quality.test_deviations import stored
from tests.seed import USERS
from tests.withdrawals.stories import Story, a_story, later, sealed
from tests.withdrawals.test_hostile import FIRST, WHO
from tests.withdrawals.test_offered import Undone, body_of
from tests.withdrawals.wrongs import BEFOREHAND

STEPS_ON_PAPER = ("pick", "confirm", "issue", "receive", "thaw", "check", "second", "administer")
SCANS = ("pick", "confirm", "receive", "thaw", "check", "second", "administer")
AT_THE_BEDSIDE = ("check", "second", "administer")
PAIRS = {"LAB": ("lab_tech", "lab_tech2"), "CLINIC": ("clinician", "clinic_staff")}
CAME = ("consent revoked in between", "lot failed in between", "hold placed in between", "expired")
"""What may come before the form's time, or between it and the entry."""


def _every(steps: Any, code: str, **others: str) -> dict[str, str]:
    return {step: others.get(step, code) for step in steps}


_USED = tuple(step for step in STEPS_ON_PAPER if step != "receive")
REFUSED: dict[str, dict[str, str]] = {
    "somebody else's form": _every(STEPS_ON_PAPER, "paper_of_others"),
    "role removed": _every(STEPS_ON_PAPER, "not_found"),
    "without its time": _every(STEPS_ON_PAPER, "paper_time_missing"),
    # A giving before the check that released it has no release.
    "before the form begins": _every(STEPS_ON_PAPER, "not_on_that_paper", administer="no_release"),
    "after it was filed": _every(STEPS_ON_PAPER, "not_on_that_paper"),
    "another person's tube": _every(SCANS, "wrong_specimen", **_every(AT_THE_BEDSIDE, "wrong_recipient")),
    "same person twice": {"confirm": "second_person_must_differ", "second": "no release"},
    "no sheet was fetched": {"check": "paper_check_missing"},
    "consent revoked in between, before it": _every(_USED, "consent_revoked"),
    "lot failed in between, before it": _every(_USED, "lot_test_failed"),
    "hold placed in between, before it": _every(_USED, "on_hold"),
    "expired, before it": _every(_USED, "expired"),
    # What the patient has in them is entered by two, and marked.
    "consent revoked in between, after it": {"administer": "entered_by_two"},
    "lot failed in between, after it": {"administer": "entered_by_two"},
    "hold placed in between, after it": {"administer": "entered_by_two"},
}


def _wait(seconds: float) -> None:
    clock.set_offset(clock.offset() + timedelta(seconds=seconds), test_mode=True)


def _act(api: Api, session: Session, login: str) -> Act:
    """An act of a login with the roles that it has now."""
    found = actor_of_user(session, USERS[login].code)
    return Act.of(Actor(USERS[login].code, frozenset()) if found is None else found, api.test_bank.bank, path="test")


def _enter(api: Api, session: Session, story: Story, name: str, login: str, said: dict[str, Any], tube: str) -> Any:
    sent = body_of(story, name, tube, said["occurred_at"]).model_copy(update=said)
    return STEPS[name].use_case(session, _act(api, session, login), story.code, sent)


def _form(api: Api, session: Session, people: tuple[str, str], site: str, began: datetime, sha256: str) -> str:
    """A form that these two file now."""
    filed = PaperFormRequest(
        site=site,
        form_sha256=sha256,
        did_by=USERS[people[0]].code,
        second=USERS[people[1]].code,
        began_at=began,
        reason="network_down",
        description="No network.",
    )
    return file_paper(session, _act(api, session, people[0]), filed).code


def tried(api: Api, story: Story, step: str, wrong: str, stranger: str, sheets: tuple[str, str]) -> str:
    """What the step answers when this is wrong with it; "" when it is entered. Nothing of it is kept."""
    name = "check" if step == "second" else step
    login = FIRST[step] if wrong == "same person twice" else WHO[step][0]
    pair, site = next((pair, site) for site, pair in PAIRS.items() if WHO[step][0] in pair)
    what, _, when = wrong.partition(", ")

    def work(session: Session) -> None:
        get_visible_donor(session, api.test_bank.act("quality").actor, story.donor, lock=True)
        open_case(session, api.test_bank.act("quality"), story.code)
        began = clock.now()
        _wait(20)
        stated = clock.now()
        if when == "before it":
            BEFOREHAND[what](session, api, story)
            _wait(20)
            stated = clock.now()
        _wait(20)
        if when == "after it":
            BEFOREHAND[what](session, api, story)
        form_people = ("acts_here", "quality") if wrong == "somebody else's form" else pair
        paper = _form(api, session, form_people, site, began, sheets[0])
        halves = {"second": ["clinician"], "administer": ["clinician", "clinic_staff"]}.get(step, [])
        own = paper if form_people == pair or not halves else _form(api, session, pair, site, began, sheets[1])
        for second, who in enumerate(halves):
            at = began + timedelta(seconds=2 + second)
            half = {"paper": own, "occurred_at": at, "device": None}
            answer = _enter(api, session, story, "check", who, half, story.vials[0])
            assert not isinstance(answer, Refused), answer
            story.release = str(answer.release)
        if wrong == "role removed":
            session.execute(delete(user_role).where(user_role.c.user_code == USERS[login].code))
        times = {"before the form begins": began - timedelta(seconds=5), "after it was filed": clock.now() + timedelta(seconds=5)}
        said: dict[str, Any] = {"paper": paper, "occurred_at": times.get(wrong, stated)}
        if wrong == "after it was filed":
            _wait(10)
        said |= {"device": None} if name == "check" else {"started_at": said["occurred_at"]} if name == "administer" else {}
        tube = stranger if wrong == "another person's tube" else story.vials[0]
        if wrong == "without its time":
            sent = body_of(story, name, tube).model_copy(update=said | {"occurred_at": None})
            answer = STEPS[name].use_case(session, _act(api, session, login), story.code, sent)
        else:
            answer = _enter(api, session, story, name, login, said, tube)
        if isinstance(answer, Refused):
            raise answer.refusal
        answers.append("no release" if step == "second" and answer.release is None else "")
        raise Undone

    answers: list[str] = []
    at = clock.offset()
    try:
        api.test_bank.write(work)
    except Undone:
        return answers[0]
    except Refusal as refusal:
        return refusal.code
    finally:
        clock.set_offset(at, test_mode=True)
    raise AssertionError("neither answered nor refused")


@pytest.mark.slow
def test_every_step_from_paper_refuses_what_was_wrong_with_it_then_and_takes_what_was_right(api: Api) -> None:
    story = a_story(api, vials=2, lot=True).up_to("approve")
    stranger = a_story(api).vials[0]
    story.band = donors.band(api, story.donor)
    one, other = (str(stored(api, a_sheet()).json()["sha256"]) for _ in range(2))
    table: dict[str, dict[str, str]] = {}
    wrongs = {*REFUSED, *(f"{what}, {when}" for what in CAME for when in ("before it", "after it"))}
    for step in STEPS_ON_PAPER:
        later(api, minutes=1)
        sealed(api)
        if step == "check":
            table["no sheet was fetched"] = {step: tried(api, story, step, "nothing", stranger, (one, other))}
            fetched = api.clinic_staff.post(f"/withdrawals/{story.code}/paper-checks", json={})
            assert fetched.status_code == 201, fetched.text
            later(api, minutes=1)
            sealed(api)
        assert tried(api, story, step, "nothing", stranger, (one, other)) == "", step
        for wrong in wrongs - {"no sheet was fetched"}:
            if (wrong == "another person's tube" and step not in SCANS) or (wrong == "same person twice" and step not in FIRST):
                continue
            code = tried(api, story, step, wrong, stranger, (one, other))
            if code:
                table.setdefault(wrong, {})[step] = code
        if step not in AT_THE_BEDSIDE:
            taken = getattr(story, step)()
            assert taken.status_code in (200, 201), taken.text
    assert table == REFUSED, str({wrong: row for wrong, row in table.items() if row != REFUSED.get(wrong)})


def rendered() -> str:
    """The table of what stops a step that is entered from paper, as the documents show it."""
    lines = [f"| what is wrong | {' | '.join(STEPS_ON_PAPER)} |", "|---" * (len(STEPS_ON_PAPER) + 1) + "|"]
    for wrong, row in REFUSED.items():
        said = (f"`{row[step].replace(' ', '_')}`" if step in row else "" for step in STEPS_ON_PAPER)
        lines.append(f"| {wrong} | {' | '.join(said)} |")
    return "\n".join(lines)


def test_the_table_of_steps_from_paper_stands_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "withdrawal-steps.md").read_text()
    assert rendered() in page, rendered()

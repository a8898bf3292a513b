"""Every step of a withdrawal × everything that may be wrong with it: who, which tube, when, twice, and what happened in between.

One withdrawal is taken from its request to the administration. Before each step every wrong is done to it, and the step is tried
by its own use case and rolled back; then two take the step at once over HTTP, one of them does, and it is tried once more.
What is not in the table is accepted.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import delete
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import user_role
from biobank.auth.queries import actor_of_user
from biobank.donors.visibility import get_visible_donor
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
from biobank.withdrawals.case import open_case
from biobank.withdrawals.schemas import ExpandRequest, WithdrawalRequest
from biobank.withdrawals.service import request_withdrawal
from biobank.withdrawals.steps import STEPS
from tests.conftest import Api
from tests.donors import stories as donors
from tests.labels.test_outdated_labels import replaced
from tests.seed import USERS
from tests.viability.test_reports import demand
from tests.withdrawals.growing import ROUTE, asked, expand, grown_of
from tests.withdrawals.stories import Story, a_story, approve, journey_file
from tests.withdrawals.test_offered import UNSAID, Undone, body_of, ready_for_its_label
from tests.withdrawals.test_races import at_once
from tests.withdrawals.wrongs import BEFOREHAND

WHO = {
    "request": ("clinician", "lab_tech"),
    "approve": ("quality", "lab_tech"),
    "pick": ("lab_tech", "clinician"),
    "confirm": ("lab_tech2", "clinician"),
    "issue": ("lab_tech", "clinician"),
    "receive": ("clinic_staff", "lab_tech"),
    "thaw": ("clinic_staff", "lab_tech"),
    "check": ("clinician", "lab_tech"),
    "second": ("clinic_staff", "lab_tech"),
    "administer": ("clinician", "lab_tech"),
}
"""Who takes each step, in order, and somebody who knows of the withdrawal and may not."""

LABEL = {"label": ("lab_tech", "clinician"), "expand": ("lab_tech", "clinician")}
"""The steps of what is thawed at the bank, shipped or grown: stories of their own, because their routes are others."""
BESIDE = {
    "paper": ("clinic_staff", "lab_tech"),
    "reject": ("quality", "clinician"),
    "cancel": ("clinician", "lab_tech"),
    "replace": ("clinician", "lab_tech"),
    "return": ("quality", "clinician"),
    "release": ("quality", "clinician"),
    "outcome": ("clinician", "lab_tech"),
    "adverse": ("clinician", "lab_tech"),
}
"""What is done beside the way and after it: see `test_hostile_beside.py`."""
PEOPLE = WHO | LABEL | BESIDE
USE_CASE = {"second": "check", "release": "return"}
"""Steps of a table that are another's use case: the second scan at the bedside; a return that frees the tube for use again."""

SCANS = ("request", "pick", "confirm", "receive", "thaw", "check", "second", "administer")
AT_THE_BEDSIDE = ("check", "second", "administer")
TOWARDS_USE = tuple(step for step in WHO if step != "receive")
"""A receipt is an observation: it is never refused for what the tube is."""


def _every(steps: Any, code: str, **others: str) -> dict[str, str]:
    return {step: others.get(step, code) for step in steps}


def _without(row: dict[str, str], *steps: str) -> dict[str, str]:
    return {step: code for step, code in row.items() if step not in steps}


_WRONG_TUBE = _every(SCANS, "wrong_specimen", **_every(AT_THE_BEDSIDE, "wrong_recipient"))

REFUSED: dict[str, dict[str, str]] = {
    "wrong person": _every(WHO, "not_permitted"),
    "role removed": _every(WHO, "not_found"),
    "another person's tube": _WRONG_TUBE | {"request": "another_persons_cells"},
    # The request for it is not approved yet: which of two gets it, quality decides.
    "swapped with another withdrawal's": _without(_WRONG_TUBE, "request"),
    "same person twice": {"confirm": "second_person_must_differ", "second": "no release"},
    "expired": _every(TOWARDS_USE, "expired"),
    "consent revoked in between": _every(TOWARDS_USE, "consent_revoked"),
    "lot failed in between": _every(TOWARDS_USE, "lot_test_failed"),
    "hold placed in between": _every(TOWARDS_USE, "on_hold"),
    "recalled in between": _every(TOWARDS_USE, "on_hold"),
    "rejected in between": _every(TOWARDS_USE, "not_released"),
    "the donor died in between": _every(TOWARDS_USE, "donor_not_living", request="on_hold"),
    # What has left is on its way with what was approved; who treats is told of an allergy.
    "approval outdated": _every(("pick", "confirm", "issue"), "approval_outdated"),
    # Once it is thawed another clock runs: see "expired".
    "out of the cold too long": _every(("request", "approve", "pick", "confirm", "issue", "thaw"), "out_of_the_cold_too_long"),
    "label replaced": _every(_without(_every(SCANS, ""), "request"), "label_superseded"),
    "wristband replaced": _every(AT_THE_BEDSIDE, "wristband_void", administer="release_ended"),
    "tubes of two banks": {"request": "kept_by_several_banks"},
    "clock ahead": _every(WHO, "implausible_time"),
    "clock behind": _every(WHO, "implausible_time", administer="no_release"),
    # Every answer that the step gave while it was not its turn.
    "wrong order": {
        "pick": "wrong_step",
        "confirm": "wrong_specimen, wrong_step",
        "issue": "pick_unconfirmed, wrong_step",
        "receive": "wrong_step",
        "thaw": "not_permitted, wrong_step",
        "check": "custody_not_accepted, illegal_transition, wrong_step",
        "second": "custody_not_accepted, illegal_transition, no release, wrong_step",
        "administer": "custody_not_accepted, illegal_transition, no_release, wrong_step",
    },
    "replayed": {
        "approve": "wrong_step",
        "pick": "already_picked",
        "confirm": "wrong_specimen",
        "issue": "wrong_step",
        "receive": "illegal_transition",
        "thaw": "illegal_transition",
        "check": "no release",
        "second": "no release",
        "administer": "wrong_step",
    },
}

REFUSED_LABEL = {
    "wrong person": "not_permitted",
    "role removed": "not_found",
    "another person's tube": "wrong_specimen",
    "swapped with another withdrawal's": "wrong_specimen",
    "expired": "expired",
    "consent revoked in between": "consent_revoked",
    "lot failed in between": "lot_test_failed",
    "hold placed in between": "on_hold",
    "recalled in between": "on_hold",
    "rejected in between": "not_released",
    "the donor died in between": "donor_not_living",
    "approval outdated": "approval_outdated",
    "out of the cold too long": "",
    "label replaced": "label_superseded",
    "clock ahead": "implausible_time",
    "clock behind": "implausible_time",
    "wrong order": "illegal_transition, pick_unconfirmed, wrong_step",
    "replayed": "",
}
"""The same for the final label. Scanned again on its tube it says the same once more."""

REFUSED_RUN = {
    "wrong person": "not_permitted",
    "role removed": "not_found",
    "another person's tube": "wrong_specimen",
    "swapped with another withdrawal's": "wrong_specimen",
    "expired": "expired",
    "consent revoked in between": "consent_revoked",
    "lot failed in between": "lot_test_failed",
    "hold placed in between": "on_hold",
    "recalled in between": "on_hold",
    "rejected in between": "not_released",
    "the donor died in between": "donor_not_living",
    "approval outdated": "approval_outdated",
    "out of the cold too long": "",
    "clock ahead": "implausible_time",
    "clock behind": "implausible_time",
    "wrong order": "pick_unconfirmed, wrong_condition_for_route, wrong_step",
    "replayed": "wrong_step",
}
"""The same for the run of cells that are grown first."""

FIRST = {"confirm": "lab_tech", "second": "clinician"}
"""Who did the other half."""


SKEWED = {"clock ahead": timedelta(minutes=10), "clock behind": -timedelta(hours=3)}
"""What the device's clock says beside the bank's."""


def body(story: Story, step: str, wrong: str, tubes: dict[str, str]) -> BaseModel:
    """What is sent; everything else about it is right."""
    tube, name = tubes.get(wrong, story.vials[0]), USE_CASE.get(step, step)
    at = clock.now() + SKEWED[wrong] if wrong in SKEWED else None
    if name == "request":
        both = [*story.vials[::2]] if wrong == "tubes of two banks" else [tube]
        asked = {"donor": story.donor, "material": "adsc", "route": "ship_frozen", "specimens": both}
        right: BaseModel = WithdrawalRequest.model_validate(asked)
    elif wrong == "label replaced":
        right = body_of(story, name, story.vials[0], at)
        (scan,) = {"tube", "tubes", "product"} & right.model_fields_set
        right = right.model_copy(update={scan: [tube] if scan == "tubes" else tube})
    else:
        right = body_of(story, name, tube, at)
        if name == "label" and wrong in tubes:
            right = right.model_copy(update={"tube": tube})
        if name == "replace" and wrong in tubes:
            right = right.model_copy(update={"tube": story.vials[0], "by": tube})
        if step == "release":
            judged = {"quality": "released_to_bank", "logger_sha256": journey_file(story.api, "-185.0")}
            right = right.model_copy(update=judged)
        if name == "expand" and wrong in tubes:
            own = [{"specimen": one} for one in (story.vials[0], tube)]
            right = ExpandRequest.model_validate(grown_of(story.api, *own))
    return right if at is None else right.model_copy(update={"occurred_at": at})


def ask(session: Session, act: Act, _code: str, request: WithdrawalRequest) -> Any:
    """The request has no withdrawal yet."""
    return request_withdrawal(session, act, request)


def attempted(api: Api, story: Story, step: str, wrong: str, tubes: dict[str, str]) -> str:
    """What the step answers when this is wrong with it; "" when it is accepted. Nothing of it is kept."""
    if step == "approve" and wrong in SKEWED:
        # The time is looked at with the rest of what is signed: the body has to name the picture.
        return str(approve(api, story.code, occurred_at=(clock.now() + SKEWED[wrong]).isoformat()).json()["code"])
    name = USE_CASE.get(step, step)
    login = PEOPLE[step][1] if wrong == "wrong person" else FIRST[step] if wrong == "same person twice" else PEOPLE[step][0]
    use_case: Callable[..., Any] = ask if step == "request" else STEPS[name].use_case
    sent = body(story, step, wrong, tubes)

    def run(session: Session) -> None:
        if wrong == "role removed":
            session.execute(delete(user_role).where(user_role.c.user_code == USERS[login].code))
        if wrong in BEFOREHAND:
            # Locks in the order that every act keeps.
            get_visible_donor(session, api.test_bank.act("quality").actor, story.donor, lock=True)
            if step != "request":
                open_case(session, api.test_bank.act("quality"), story.code)
            # What comes in between is about the tube that the step is about: at a replacement, the one that is to be taken.
            BEFOREHAND[wrong](session, api, replace(story, vials=story.vials[::-1]) if step == "replace" else story)
        said_now = {"started_at": clock.now()} if (wrong, step) == ("wristband replaced", "administer") else {}
        found = actor_of_user(session, USERS[login].code)
        actor = Actor(USERS[login].code, frozenset()) if found is None else found
        answer: Any = use_case(
            session, Act.of(actor, api.test_bank.bank, path="test"), story.code, sent.model_copy(update=said_now)
        )
        if isinstance(answer, Refused):
            raise answer.refusal
        said.append("no release" if name == "check" and wrong in AGAIN and answer.release is None else "")
        raise Undone

    said: list[str] = []
    try:
        api.test_bank.write(run)
    except Undone:
        return said[0]
    except Refusal as refusal:
        return "" if refusal.code in UNSAID else refusal.code
    raise AssertionError("neither answered nor refused")


AGAIN = ("same person twice", "wrong order", "replayed")
"""Whoever scans alone at the bedside, however often, is answered, and nothing may be given."""


def asks(wrong: str, step: str) -> bool:
    """A request names codes and scans no label; several banks' tubes are chosen there."""
    return step != "request" if wrong == "label replaced" else step == "request" if wrong == "tubes of two banks" else True


def taken_at_once(api: Api, story: Story, step: str) -> None:
    """Two workers take the step at the same moment: it happens once."""
    client = getattr(api, WHO[step][0])
    take = partial(story.check if step == "second" else getattr(story, step), client)
    answers = at_once(take, take) if step != "request" else [story.request()]
    done = [one for one in answers if one.status_code in (200, 201)]
    refused = [one for one in answers if one not in done]
    if step in ("check", "second"):
        released = [one for one in done if one.json()["release"]]
        assert (len(done), len(released)) == (2, 0) if step == "check" else len(released) == 1, [one.text for one in answers]
    else:
        assert len(done) == 1 and all(one.status_code == 409 for one in refused), (step, [one.text for one in answers])


def test_every_step_refuses_everything_that_may_be_wrong_with_it(api: Api) -> None:
    story = a_story(api, vials=3, lot=True)
    other = Story(api, story.donor, story.vials[1:2])
    stranger = a_story(api).vials[0]
    assert other.request().status_code == 201
    story.band = donors.band(api, story.donor)
    tubes = {"another person's tube": stranger, "swapped with another withdrawal's": story.vials[1]}
    tubes["label replaced"] = replaced(api, story.vials[0])[0]
    table: dict[str, dict[str, str]] = {wrong: {} for wrong in REFUSED}
    early: dict[str, set[str]] = {}
    for number, step in enumerate(WHO):
        assert attempted(api, story, step, "nothing", tubes) == "", step
        for wrong in table.keys() - {"wrong order", "replayed"}:
            if (wrong not in tubes or step in SCANS) and (wrong != "same person twice" or step in FIRST) and asks(wrong, step):
                table[wrong][step] = attempted(api, story, step, wrong, tubes)
        for later in list(WHO)[number + 1 :] if number else ():
            early.setdefault(later, set()).add(attempted(api, story, later, "wrong order", tubes))
        taken_at_once(api, story, step)
        if step != "request":
            table["replayed"][step] = attempted(api, story, step, "replayed", tubes)
    table["wrong order"] = {step: ", ".join(sorted(codes)) for step, codes in early.items() if "" not in codes}
    assert {wrong: {step: code for step, code in cells.items() if code} for wrong, cells in table.items()} == REFUSED


def test_the_final_label_refuses_everything_that_may_be_wrong_with_it(api: Api) -> None:
    demand(api)
    story = a_story(api, vials=3, lot=True)
    other = Story(api, story.donor, story.vials[1:2])
    assert other.request(route="thaw_and_ship").status_code == 201
    tubes = {"another person's tube": a_story(api).vials[0], "swapped with another withdrawal's": story.vials[1]}
    assert story.request(route="thaw_and_ship").status_code == 201
    tubes["label replaced"] = story.print_label(reason="first_print")
    early = {attempted(api, story, "label", "wrong order", tubes)}
    for take in (story.approve, story.pick, story.confirm):
        assert take().status_code in (200, 201)
        early.add(attempted(api, story, "label", "wrong order", tubes))
    assert story.thaw(api.lab_tech).status_code == 200
    ready_for_its_label(api, story)
    assert attempted(api, story, "label", "nothing", tubes) == ""
    asked = REFUSED_LABEL.keys() - {"wrong order", "replayed"}
    cells = {wrong: attempted(api, story, "label", wrong, tubes) for wrong in asked}
    cells["wrong order"] = ", ".join(sorted(early))
    assert story.label(scan=story.scans["label"]).status_code == 200
    cells["replayed"] = attempted(api, story, "label", "replayed", tubes)
    assert cells == REFUSED_LABEL


def test_the_run_of_what_is_grown_first_refuses_everything_that_may_be_wrong_with_it(api: Api) -> None:
    story = asked(api, lot=True)
    other = Story(api, story.donor, story.vials[1:2])
    assert other.request(route=ROUTE).status_code == 201
    tubes = {"another person's tube": a_story(api).vials[0], "swapped with another withdrawal's": story.vials[1]}
    early = {attempted(api, story, "expand", "wrong order", tubes)}
    for take in (story.approve, story.pick, story.confirm):
        assert take().status_code in (200, 201)
        early.add(attempted(api, story, "expand", "wrong order", tubes))
    assert story.thaw(api.lab_tech).status_code == 200
    assert attempted(api, story, "expand", "nothing", tubes) == ""
    cells = {wrong: attempted(api, story, "expand", wrong, tubes) for wrong in REFUSED_RUN.keys() - {"wrong order", "replayed"}}
    cells["wrong order"] = ", ".join(sorted(early))
    first, second = at_once(partial(expand, story), partial(expand, story))
    assert sorted(one.status_code for one in (first, second)) == [200, 409], [first.text, second.text]
    cells["replayed"] = attempted(api, story, "expand", "replayed", tubes)
    assert cells == REFUSED_RUN


def rendered() -> str:
    """The table of what stops each step, as the documents show it."""
    steps = [*list(WHO)[:4], "label", "expand", *list(WHO)[4:]]
    lines = [f"| what is wrong | {' | '.join(steps)} |", "|---" * (len(steps) + 1) + "|"]
    for wrong, row in REFUSED.items():
        others = {"label": REFUSED_LABEL, "expand": REFUSED_RUN}
        cells = row | {step: codes[wrong] for step, codes in others.items() if codes.get(wrong)}
        said = (
            ", ".join(f"`{one.replace(' ', '_')}`" for one in cells[step].split(", ")) if step in cells else "" for step in steps
        )
        lines.append(f"| {wrong} | {' | '.join(said)} |")
    return "\n".join(lines)


def test_the_table_of_what_stops_each_step_stands_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "withdrawal-steps.md").read_text()
    assert rendered() in page, rendered()

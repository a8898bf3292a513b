"""Today names for each step of a withdrawal exactly those who can take it now: each is tried, as that person, and rolled back."""

from datetime import timedelta
from functools import partial

import pytest
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
from biobank.labels.prints import print_labels
from biobank.labels.schemas import PrintRequest
from biobank.pages.today import STEP_TASKS, read_tasks
from biobank.pages.withdrawals.withdrawals import OFF_THE_WAY
from biobank.specimens.assays import record_viability
from biobank.specimens.schemas import RecordViability
from biobank.withdrawals.next_acts import COUNT, PRINT
from biobank.withdrawals.steps import STEPS
from tests.conftest import Api
from tests.donors import stories as donors
from tests.seed import USERS
from tests.statements import count_statements
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, later, named, of_one_person, refused, sealed, sign_and_post
from tests.withdrawals.test_offered import UNSAID, Undone, body_of


def today(api: Api, login: str, story: Story) -> list[tuple[str, str]]:
    """What Today says to a login of the story's withdrawal, and where each line leads."""
    actor, bank = api.test_bank.actor(login), api.test_bank.bank
    found = api.test_bank.write(lambda s: read_tasks(s, actor, bank))
    its = [one for one in found if one.subject == story.code and one.what.partition(",")[0] in STEP_TASKS.values()]
    return [(one.what, one.href) for one in its]


def moves_on(api: Api, act: Act, story: Story, name: str) -> bool:
    """Whether the act is taken of this person now, and brings the withdrawal nearer to its end."""

    def run(body: BaseModel, session: Session) -> None:
        answer = STEPS[name].use_case(session, act, story.code, body)
        if isinstance(answer, Refused):
            raise answer.refusal
        # Whoever read first may read again, and the withdrawal still waits for the second.
        first = name == "check" and answer.status == "waiting_for_second_person"
        raise Undone(first and bool(story.answers))

    def count(session: Session) -> None:
        record_viability(session, act, story.vials[0], a_count(session, story))
        raise Undone(False)

    def printed(session: Session) -> None:
        asked = {"specimens": story.vials[:1], "template": "cryovial-25x13", "reason": "final_label"}
        print_labels(session, act, PrintRequest.model_validate(asked))
        raise Undone(False)

    off = {COUNT: count, PRINT: printed}
    try:
        api.test_bank.write(off[name] if name in off else partial(run, body_of(story, name, story.vials[0], act.at)))
    except Undone as undone:
        return not undone.args[0]
    except Refusal as refusal:
        return refusal.code in UNSAID
    raise AssertionError("nothing is kept of a try")


def a_count(session: Session, story: Story) -> RecordViability:
    tube = load(session, [story.vials[0]])[story.vials[0]]
    return RecordViability.model_validate(
        {"method": "ao_pi", "live": 95, "dead": 5, "minutes_after_thaw": 1, "expected_seq": tube.seq}
    )


def told(api: Api, story: Story, name: str, but: tuple[str, ...] = ()) -> set[str]:
    """Compare Today of everybody with whom the next act is taken of; `but`: whose half of it is done. Return those told."""
    sealed(api)
    here = OFF_THE_WAY.get(name, f"/withdrawals/{story.code}/{name}").format(tube=story.vials[0])
    found: set[str] = set()
    for login in USERS:
        lines = today(api, login, story)
        may = login not in but and moves_on(api, api.test_bank.act(login), story, name)
        assert [href for _, href in lines] == ([here] if may else []), (name, login)
        found |= {login} if lines else set()
    return found


def done(answer: object, status: tuple[int, ...] = (200, 201)) -> None:
    assert answer.status_code in status, answer.text  # type: ignore[attr-defined]


@pytest.mark.slow
def test_today_names_exactly_those_who_can_take_the_next_step_along_the_whole_way(api: Api) -> None:
    story = a_story(api, vials=2).up_to("request")
    story.band = donors.band(api, story.donor)
    assert told(api, story, "approve") == {"quality", "quality2", "lab_quality", "acts_here"}
    done(story.approve())
    assert told(api, story, "pick") == {"lab_tech", "lab_tech2", "lab_tech_north_quality", "acts_here"}
    done(story.pick())
    assert told(api, story, "confirm") == {"lab_tech2", "lab_tech_north_quality", "acts_here"}
    of_one_person(api, "lab_tech", "lab_tech2")
    assert told(api, story, "confirm") == {"lab_tech_north_quality", "acts_here"}
    done(story.confirm(api.lab_tech_north_quality))
    issuers = told(api, story, "issue")
    assert "lab_tech" in issuers and "quality" not in issuers
    done(story.issue())
    assert told(api, story, "receive") >= {"clinician", "clinic_staff", "acts_here"}
    done(story.receive())
    assert "clinic_staff" in told(api, story, "thaw")
    done(story.thaw())
    assert told(api, story, "check") >= {"clinician", "clinic_staff", "acts_here"}
    first = story.check()
    done(first)
    story.answers.append(first)
    assert "clinician" not in told(api, story, "check")
    assert [what for what, _ in today(api, "clinic_staff", story)] == ["Check a withdrawal at the bedside, as the second person"]
    of_one_person(api, "clinician", "clinician2")
    assert "clinician2" not in told(api, story, "check")
    done(story.check(api.clinic_staff))
    assert told(api, story, "administer") >= {"clinician", "clinic_staff"}
    done(story.administer())
    assert told(api, story, "outcome") >= {"clinician"}
    done(story.outcome(close=True))
    assert all(today(api, login, story) == [] for login in USERS)


def test_where_two_of_quality_sign_the_second_is_named_and_the_first_no_more(api: Api) -> None:
    story = a_story(api, vials=1).up_to("request")
    path, said = f"/withdrawals/{story.code}/approve", {"remains": 0}
    assert "quality" in told(api, story, "approve")
    pending = sign_and_post(api.quality, "approved", path, named(api.quality, story.code) | said).json()["pending_act"]
    assert told(api, story, "approve", but=("quality",)) == {"quality2", "lab_quality", "acts_here"}
    again = named(api.quality, story.code) | said | {"pending_act": pending}
    refused(sign_and_post(api.quality, "approved", path, again), 403, "second_person_must_differ")
    of_one_person(api, "quality", "quality2")
    assert told(api, story, "approve", but=("quality", "quality2")) == {"lab_quality", "acts_here"}
    # The same withdrawal does not stand there twice.
    actor, bank = api.test_bank.actor("lab_quality"), api.test_bank.bank
    lines = api.test_bank.write(lambda s: [one.what for one in read_tasks(s, actor, bank) if one.subject == story.code])
    assert lines == ["Approve or reject a withdrawal, as the second person"]


def test_a_reading_at_the_bedside_that_nobody_followed_waits_for_everybody_again(api: Api) -> None:
    story = a_story(api, vials=2).up_to("thaw")
    done(story.check())
    assert today(api, "clinician", story) == []
    later(api, minutes=11)
    assert [what for what, _ in today(api, "clinician", story)] == ["Check a withdrawal at the bedside"]


def test_what_is_shipped_thawed_waits_for_its_thaw_and_its_count_before_the_issue(api: Api) -> None:
    story = a_story(api, vials=2)
    demand(api)
    done(story.request(route="thaw_and_ship"))
    for step in (story.approve, story.pick, story.confirm):
        done(step())
    assert "lab_tech" in told(api, story, "thaw")
    done(story.thaw(api.lab_tech))
    assert "lab_tech" in told(api, story, COUNT)
    act = api.test_bank.act("lab_tech")
    api.test_bank.write(lambda s: record_viability(s, act, story.vials[0], a_count(s, story)))
    assert [what for what, _ in today(api, "lab_tech", story)] == ["Print the final label of what was thawed"]
    assert told(api, story, PRINT) >= {"lab_tech", "lab_tech2"}
    story.scans["label"] = story.print_label()
    assert "lab_tech" in told(api, story, "label")
    done(story.label(scan=story.scans["label"]))
    assert "lab_tech" in told(api, story, "issue")


def test_what_nobody_may_take_on_is_nobodys_and_what_ended_has_left_today(api: Api) -> None:
    story = a_story(api, vials=2).up_to("confirm")
    assert "lab_tech" in told(api, story, "issue")
    body = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "result_awaited"}
    done(api.lab_tech.post("/holds", json=body))
    assert told(api, story, "issue") == set()
    cancelled = a_story(api, vials=2).up_to("approve")
    assert today(api, "lab_tech", cancelled) != []
    done(api.clinician.post(f"/withdrawals/{cancelled.code}/cancel", json={"reason": "postponed"}))
    assert all(today(api, login, cancelled) == [] for login in USERS)


def test_a_withdrawal_late_for_its_day_is_overdue_but_its_outcome_is_not(api: Api) -> None:
    story = a_story(api, vials=2)
    done(story.request(needed_at=(clock.now() + timedelta(hours=1)).isoformat()))
    later(api, hours=2)
    sealed(api)
    actor, bank = api.test_bank.actor("quality"), api.test_bank.bank
    lines = api.test_bank.write(lambda s: [one.urgency for one in read_tasks(s, actor, bank) if one.subject == story.code])
    assert lines == ["overdue"]


def test_today_asks_the_same_number_of_questions_however_many_withdrawals_are_open(api: Api) -> None:
    actor, bank, engine = api.test_bank.actor("acts_here"), api.test_bank.bank, api.test_bank.bank.database.sync_engine
    counted = []
    for _ in range(2):
        for reached in ("request", "approve", "pick", "issue", "thaw"):
            a_story(api, vials=2).up_to(reached)
        sealed(api)
        seen: list[str] = []
        stop = count_statements(engine, seen)
        api.test_bank.write(lambda s: read_tasks(s, actor, bank))
        stop()
        counted.append(len(seen))
    assert counted[0] == counted[1]


def test_a_release_whose_band_was_taken_off_waits_for_a_new_check(api: Api) -> None:
    story = a_story(api, vials=2).up_to("check")
    assert "clinician" in told(api, story, "administer")
    story.band = donors.band(api, story.donor)
    refused(story.administer(), 409, "release_ended")
    assert "clinician" in told(api, story, "check")

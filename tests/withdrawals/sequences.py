"""A machine of random acts on withdrawals, by the real use cases on a real database: what it stands on, and how a step is taken.

Two donors' withdrawals of frozen cells, a third donor's whose cells are to be grown, a fourth's whose are thawed and travel under
a final label, and a fifth who was registered twice. `reached` says by name which acts were taken, live and from paper.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
from biobank.withdrawals.case import find_row, read_case
from biobank.withdrawals.steps import STEPS
from biobank.withdrawals.workflow import next_steps
from tests.conftest import Api, TestBank
from tests.donors import stories as donors
from tests.factories import make_box
from tests.viability.test_reports import demand
from tests.withdrawals.growing import asked
from tests.withdrawals.stories import Story, a_donor, a_story, bank_vials, later, sealed
from tests.withdrawals.test_from_paper import filed
from tests.withdrawals.test_hostile import WHO
from tests.withdrawals.test_offered import LOGINS, body_of

RIGHT = {name: login for name, (login, _) in WHO.items() if name in STEPS}
AT_THE_BANK = RIGHT | {"thaw": "lab_tech", "expand": "lab_tech", "label": "lab_tech"}
"""Who takes the steps of what is thawed at the bank, to be grown or shipped."""
GROWN, LABELLED, MERGED = 2, 3, 4
"""Which of the stories: the others go the way of what is shipped frozen."""
ON_PAPER = (("lab_tech", "lab_tech2", "LAB"), ("clinician", "clinic_staff", "CLINIC"))
"""Who stands for a form, by site."""


class Sequence(RuleBasedStateMachine):
    """The stage, and every step on it with what must hold of it, whoever takes it and whenever."""

    api: Api
    bank: TestBank
    folder: Path
    number = count(1)

    def stand(self) -> None:
        """Five donors: each has a tube that is asked for, and one that is not; the last has one under either of two records."""
        later(self.api)
        demand(self.api)
        self.stories = [a_story(self.api, 2, lot=True).up_to(reached) for reached in ("approve", "thaw")]
        self.stories.append(asked(self.api, 2, lot=True))
        self.stories.append(a_story(self.api, 2, lot=True))
        assert self.stories[LABELLED].request(route="thaw_and_ship").status_code == 201
        for story in self.stories[GROWN:]:
            for step in (story.approve, story.pick, story.confirm):
                assert step().status_code in (200, 201)
        for story in self.stories:
            story.band = donors.band(self.api, story.donor)
        elsewhere = [{"issuer": "OTHER-HOSPITAL", "value": f"7 {next(self.number)}"}]
        self.pair = [a_donor(self.api), a_donor(self.api, external_ids=elsewhere)]
        (own,), (others,) = (bank_vials(self.api, donor) for donor in self.pair)
        self.stories.append(Story(self.api, self.pair[0], [others, own], band=donors.band(self.api, self.pair[0])))
        self.tubes, self.owner = list[str](), dict[str, str]()
        for story in self.stories:
            self.know(story)
        self.owner[others] = self.pair[1]
        self.checked_at: dict[str, datetime] = {}
        self.forms: dict[str, str] = {}
        self.unfit: dict[str, datetime] = {}
        self.given: set[str] = set()
        self.ended: set[str] = set()
        self.reached: set[str] = set()
        self.acts = {login: self.bank.act(login) for login in LOGINS}
        admin = self.bank.act("admin")
        self.box = self.bank.write(lambda s: make_box(s, admin, purpose="quarantine", rows=9, cols=9).code)

    def know(self, story: Story) -> None:
        """These tubes are the donor's."""
        self.tubes += story.vials
        self.owner |= dict.fromkeys(story.vials, story.donor)

    def do(self, use_case: Callable[..., Any], login: str, *words: Any) -> Any:
        """Run one use case as one act; None when it is refused."""
        act = Act.of(self.acts[login].actor, self.bank.bank, path="test") if login in self.acts else self.bank.act(login)
        try:
            answer = self.bank.write(lambda s: use_case(s, act, *words))
        except Refusal:
            return None
        return None if isinstance(answer, Refused) else answer

    def spoil(self, *codes: str) -> None:
        """From now on nobody may use these."""
        for code in codes:
            self.unfit.setdefault(code, clock.now())

    def take(self, which: int, name: str, login: str, tube: str, band: str, minutes_ago: int = 0, **paper: Any) -> None:
        """Take a step; `paper`: of which form, and when it says that it was done."""
        story = self.stories[which]
        if not story.code:
            return
        sealed(self.api)  # as the sealer does all the time: what goes towards a person waits for it
        body = body_of(story, name, tube, paper.get("occurred_at")).model_copy(update=paper)
        if minutes_ago:
            stated = clock.now() - timedelta(minutes=minutes_ago)
            body = body.model_copy(update={"occurred_at": stated, "late_entry": True, "reason_text": "entered later"})
        if name == "check":
            body = body.model_copy(update={"wristband": band, "device": None if paper else f"tablet-of-{login}"})
        if name == "receive" and which == LABELLED:
            body = body.model_copy(update={"temperature_mc": 5_000})  # It travels thawed.
        answer = self.do(STEPS[name].use_case, login, story.code, body)
        if answer is None:
            return
        if name == "check" and answer.release is not None:
            story.release = str(answer.release)
            self.checked_at[story.code] = paper.get("occurred_at", clock.now())
            self.forms[story.code] = paper.get("paper", "")
        done = "release" if name == "check" and answer.release is not None else name
        self.reached.add(f"{done} on paper" if paper else done)
        if name in ("issue", "expand", "label"):
            # What had left by its form before anybody knew is on record, with a deviation.
            since = self.unfit.get(story.vials[0])
            assert since is None or (paper and paper["occurred_at"] < since), f"{name} of {story.code} with what nobody may use"
        if name == "administer":
            self.given.add(tube)
            assert tube not in self.unfit, f"{name} of {tube}, which is held, expired or without consent"
        if name == "expand":
            self.ended.add(tube)
            (grown,) = answer.run.specimens
            self.tubes.append(grown.code)
            self.owner[grown.code] = story.donor
            self.spoil(grown.code)  # It has neither a basis nor a release of its own.

    def rights(self, which: int) -> dict[str, str]:
        """Who takes the steps of a story."""
        return AT_THE_BANK if which in (GROWN, LABELLED) else RIGHT

    def next_of(self, which: int) -> str | None:
        """The step that the withdrawal waits for, if it is one of ours."""
        story = self.stories[which]
        if not story.code:
            return None

        def waits(session: Session) -> list[str]:
            case = read_case(session, find_row(session, self.acts["quality"].actor, story.code))
            return next_steps(case.state, case.route, case.items)

        names = [name for name in self.bank.write(waits) if name in self.rights(which)]
        if not names:
            return None
        if names[0] == "label" and "label" not in story.scans:
            self._count_and_print(story)
        return "administer" if story.release else "check" if "check" in names else names[0]

    def _count_and_print(self, story: Story) -> None:
        """What comes before a final label: what was thawed is counted, and a label of it printed."""
        counted = {
            "method": "ao_pi",
            "live": 95,
            "dead": 5,
            "minutes_after_thaw": 1,
            "expected_seq": self.standing(story.vials[0]).seq,
        }
        if self.api.lab_tech.post(f"/specimens/{story.vials[0]}/viability-assays", json=counted).status_code == 201:
            story.scans["label"] = story.print_label()

    def go_on(self, which: int, steps: int) -> None:
        """Some steps as they should be; at the bedside two people scan, one after the other."""
        story = self.stories[which]
        for step in range(steps):
            name = self.next_of(which)
            if name is not None:
                login = "clinic_staff" if name == "check" and step % 2 else self.rights(which)[name]
                self.take(which, name, login, story.vials[0], story.band)

    def from_paper(self, login: str) -> dict[str, Any]:
        """A form that somebody and a second person filed of what was done some seconds ago."""
        clock.set_offset(clock.offset() + timedelta(seconds=20), test_mode=True)
        stated = clock.now() - timedelta(seconds=10)
        (people,) = (one for one in ON_PAPER if login in one)
        return {"paper": filed(self.api, stated - timedelta(seconds=5), *people), "occurred_at": stated}

    def standing(self, code: str) -> Any:
        """Where it is, by the record."""
        return self.bank.write(lambda s: load(s, [code])[code])

    def one(self, tube: int) -> str:
        """Some tube."""
        return self.tubes[tube % len(self.tubes)]

    @invariant()
    def nobody_was_given_anothers_cells(self) -> None:
        """Tube, recipient and wristband were one person's at every giving."""
        if not hasattr(self, "owner"):
            return
        given = text(
            "SELECT a.specimen_code, a.donor_code, c.donor_code, w.recipient_code, b.donor_code FROM administration a"
            " JOIN custody c ON c.code = a.specimen_code JOIN withdrawal w ON w.code = a.withdrawal_code"
            " JOIN bedside_release r ON r.id = a.release_id JOIN wristband b ON b.code = r.wristband_code"
            " WHERE a.specimen_code = ANY(:tubes)"
        )
        for row in self.bank.write(lambda s: s.execute(given, {"tubes": self.tubes}).all()):
            assert set(row[1:]) == {self.owner[row[0]]}

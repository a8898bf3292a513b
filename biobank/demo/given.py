"""What the example bank's patients were given, and what was got wrong on the way: one withdrawal from the tank to the patient."""

from functools import partial
from typing import Any
from uuid import UUID

from sqlmodel import Session

from biobank.acts.answers_and_attempts import keep_attempt
from biobank.acts.bank import Bank
from biobank.demo.every_page import APPROVED_TUBE, OTHER_TUBE
from biobank.demo.registers import WATER_BATH
from biobank.demo.stage import Stage
from biobank.donors.banding import issue_wristband
from biobank.donors.identifying import identify
from biobank.donors.schemas import FormerName
from biobank.donors.service import read_identity
from biobank.donors.visit_schemas import Identify, IssueWristband, Stated
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Refused
from biobank.withdrawals.administering import administer
from biobank.withdrawals.arrival import receive
from biobank.withdrawals.bedside import check_at_bedside
from biobank.withdrawals.outcome_schemas import PlanMeasure
from biobank.withdrawals.outcomes import plan_measure
from biobank.withdrawals.picking import issue, pick, thaw
from biobank.withdrawals.schemas import AdministerRequest, BedsideRequest, IssueRequest, PickRequest, ReceiveRequest, ThawRequest

ROUNDED = 200_000
"""Cells that stayed in the tube and in the syringe."""


class Visit:
    """Acts of one withdrawal, each in a transaction of its own."""

    def __init__(self, stage: Stage, code: str) -> None:
        self._stage, self._code = stage, code
        self._bank: Bank = stage.bank

    def does(self, name: str, use_case: Any, **request: Any) -> Any:
        """Let `name` do one step of the withdrawal; return its answer. What is refused for a wrong scan is kept, and returned."""
        return self._bank.database.write_now(partial(self._done, name=name, use_case=use_case, request=request["request"]))

    def _done(self, session: Session, name: str, use_case: Any, request: Any) -> Any:
        act = self._stage.act(name, clock.now())
        answer = use_case(session, act, self._code, request)
        if isinstance(answer, Refused):
            keep_attempt(session, act, answer.refusal, evidence=True)
        return answer


def give_one(stage: Stage) -> None:
    """A tube is picked, at the second try, and goes to the clinic; there its patient is identified and given it."""
    database = stage.bank.database
    tube, other = database.write_now(lambda s: (s.execute(APPROVED_TUBE).one(), s.execute(OTHER_TUBE).one()))
    visit = Visit(stage, tube.withdrawal)
    wrong = PickRequest(tube=other.code, place=other.position_code or other.container_code)
    if not isinstance(visit.does("tess", pick, request=wrong), Refused):
        raise RuntimeError("a wrong tube was taken")
    for name, picked in (
        ("tess", PickRequest(tube=tube.code, place=tube.position_code or tube.container_code)),
        ("tomas", PickRequest(tube=tube.code, confirm=True)),
    ):
        _went(visit.does(name, pick, request=picked))
    _went(visit.does("tess", issue, request=IssueRequest()))
    arrived = ReceiveRequest(tubes=[tube.code], container_intact=True, label_legible=True, temperature_mc=-150_000)
    _went(visit.does("stella", receive, request=arrived))
    thawed = ThawRequest(tube=tube.code, method=WATER_BATH, bath_temperature_mc=37_000, duration_s=90)
    _went(visit.does("stella", thaw, request=thawed))
    band = _banded(stage, tube.donor_code)
    release: UUID | None = None
    for name in ("clara", "stella"):
        scans = BedsideRequest(wristband=band, product=tube.code, device=f"tablet-of-{name}")
        release = _went(visit.does(name, check_at_bedside, request=scans)).release
    assert release is not None
    given = AdministerRequest(
        product=tube.code,
        release=release,
        given=tube.amount - ROUNDED,
        residue=ROUNDED,
        loss=0,
        residue_went="discarded",
        volume_ul=1500,
        anatomical_site="scalp",
        started_at=rfc3339(clock.now()),
        reaction=False,
    )
    _went(visit.does("clara", administer, request=given))
    for measure, unit, days in (("pain", "points_of_ten", 1), ("hair_count", "hairs_per_cm2", 90)):
        plan = PlanMeasure(measure=measure, unit=unit, low=0, high=300, due_days=days, window_days=14, photograph=False)
        visit.does("clara", plan_measure, request=plan)


def _banded(stage: Stage, donor: str) -> str:
    """Two people ask the patient who they are, and one puts the band on. Their names are read as their record has them."""
    write = stage.bank.database.write_now
    person = write(lambda s: read_identity(s, stage.act("clara", clock.now()), donor))
    stated = Stated(
        name=FormerName(family_name=person.family_name, given_names=person.given_names), date_of_birth=person.date_of_birth
    )
    asked = Identify(purpose="wristband", stated=stated, document_kind="passport")
    first = _went(write(lambda s: identify(s, stage.act("clara", clock.now()), donor, asked)))
    second = asked.model_copy(update={"pending": first.identification})
    done = _went(write(lambda s: identify(s, stage.act("stella", clock.now()), donor, second)))
    banding = IssueWristband(identification=done.identification)
    return str(write(lambda s: issue_wristband(s, stage.act("stella", clock.now()), banding)).wristband)


def _went(answer: Any) -> Any:
    if isinstance(answer, Refused):
        raise answer.refusal
    return answer

"""What fills the rest of the example bank's pages: runs, counts, prints, a recall, an event at a clinic, copies of the log."""

from functools import partial
from io import BytesIO
from typing import Final

from sqlalchemy import Select, func, select
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.custody.models import custody
from biobank.custody.states import State
from biobank.demo.people import BANK, CLINIC, PEOPLE
from biobank.demo.registers import CENTRIFUGE
from biobank.demo.signatures import sign_and_do
from biobank.demo.stage import Stage
from biobank.exports.selection import Selection
from biobank.exports.service import Written, finish_export, start_export, stream_now
from biobank.foundation import clock
from biobank.foundation.errors import Refused
from biobank.labels.batches import request_batch
from biobank.labels.prints import print_labels
from biobank.labels.rules import set_rule
from biobank.labels.schemas import BatchRequest, PrintRequest, RuleRequest
from biobank.people.roles import grant_role
from biobank.people.schemas import RoleChange
from biobank.quality.look_back import start_recall
from biobank.quality.schemas import Criteria, RecallRequest
from biobank.registers.models import register_entry
from biobank.specimens.harvest_schemas import ContainerCollected, RecordHarvest
from biobank.specimens.harvests import record_harvest
from biobank.specimens.making import record_making
from biobank.specimens.materials import MaterialName, Unit
from biobank.specimens.models import harvest, specimen
from biobank.specimens.preparations import Prepared, Spin
from biobank.specimens.processing_schemas import MakingRun, RunInput, RunOutput
from biobank.specimens.taking import HarvestMethod
from biobank.storage.counts import count
from biobank.storage.schemas import CountBlind
from biobank.viability.criteria import set_criterion
from biobank.viability.schemas import SetCriterion
from biobank.withdrawals.adverse import record_adverse
from biobank.withdrawals.models import withdrawal, withdrawal_item
from biobank.withdrawals.outcome_schemas import PlanMeasure
from biobank.withdrawals.outcomes import plan_measure
from biobank.withdrawals.picking import issue, pick
from biobank.withdrawals.schemas import AdverseRequest, IssueRequest, PickRequest
from biobank.withdrawals.workflow import WithdrawalState

_STORED: Final = custody.c.state == State.STORED
_RAW: Final = (
    select(custody.c.code, custody.c.seq)
    .join(specimen, specimen.c.code == custody.c.code)
    .where(specimen.c.material == "lipoaspirate", custody.c.state == State.RECEIVED, custody.c.offered_id.is_(None))
    .order_by(custody.c.code)
    .limit(1)
)
_LATEST_DONOR: Final = select(harvest.c.donor_code).order_by(harvest.c.started_at.desc(), harvest.c.code).limit(1)
_CENTRIFUGE: Final = select(register_entry.c.key).where(register_entry.c.name == CENTRIFUGE)
_BOXES: Final = (
    select(custody.c.container_code)
    .where(_STORED)
    .group_by(custody.c.container_code)
    .order_by(func.count().desc(), custody.c.container_code)
    .limit(2)
)
APPROVED_TUBE: Final = (
    select(
        custody.c.code,
        custody.c.position_code,
        custody.c.container_code,
        custody.c.donor_code,
        custody.c.amount,
        withdrawal.c.code.label("withdrawal"),
    )
    .join(withdrawal_item, withdrawal_item.c.specimen_code == custody.c.code)
    .join(withdrawal, withdrawal.c.code == withdrawal_item.c.withdrawal_code)
    .where(withdrawal.c.state == WithdrawalState.APPROVED)
    .order_by(withdrawal.c.code)
    .limit(1)
)
"""A tube of an approved withdrawal, where it stands."""
OTHER_TUBE: Final = (
    select(custody.c.code, custody.c.position_code, custody.c.container_code)
    .join(specimen, specimen.c.code == custody.c.code)
    .where(specimen.c.material == "svf", _STORED)
    .order_by(custody.c.code)
    .limit(1)
)
_RECALLED: Final = (
    select(custody.c.code)
    .join(specimen, specimen.c.code == custody.c.code)
    .where(specimen.c.material == "intact_follicles", _STORED)
    .order_by(custody.c.code)
    .limit(1)
)


def fill_every_page(stage: Stage) -> None:
    """Record it, each in a transaction of its own."""
    for work in (_run, _counts, _labels, _waiting, _criterion, _clinic, _recall, _blood):
        stage.bank.database.write_now(partial(work, stage=stage))
    _copy_of_the_log(stage)


def _blood(session: Session, stage: Stage) -> None:
    """Somebody comes again for hair, and for blood that is spun at the clinic for PRP and counted."""
    donor, device = session.execute(_LATEST_DONOR).scalar_one(), session.execute(_CENTRIFUGE).scalar_one()
    vein = {"method": HarvestMethod.VENEPUNCTURE, "anatomical_site": "forearm"}
    scalp = {"method": HarvestMethod.FOLLICULAR_UNIT_EXCISION, "anatomical_site": "occipital_scalp"}
    counts = {"follicular_units": 20, "follicles": 45, "transected": 2}
    hair = ContainerCollected(material=MaterialName.INTACT_FOLLICLES, unit=Unit.FOLLICLES, amount=45, **counts, **scalp)
    plasma = ContainerCollected(material=MaterialName.PRP, unit=Unit.UL, amount=4000, **vein)
    preparation = Prepared(
        material=MaterialName.PRP,
        prepared_with=device,
        spins=[Spin(force_g=160, minutes=10), Spin(force_g=400, minutes=10)],
        blood_platelets_per_ul=241_000,
        product_platelets_per_ul=1_015_000,
    )
    visit = RecordHarvest(donor=donor, site=CLINIC, home_site=BANK, containers=[hair, plasma], preparations=[preparation])
    record_harvest(session, stage.act("clara", clock.now()), visit)


def issue_one(stage: Stage) -> None:
    """Two technicians take the tube of an approved withdrawal out, and it leaves for the clinic."""
    database = stage.bank.database
    tube = database.write_now(lambda s: s.execute(APPROVED_TUBE).one())
    place = tube.position_code or tube.container_code
    for name, request in (
        ("tess", PickRequest(tube=tube.code, place=place)),
        ("tomas", PickRequest(tube=tube.code, confirm=True)),
    ):
        answer = database.write_now(partial(pick, act=stage.act(name, clock.now()), code=tube.withdrawal, request=request))
        if isinstance(answer, Refused):
            raise answer.refusal
    database.write_now(lambda s: issue(s, stage.act("tess", clock.now()), tube.withdrawal, IssueRequest()))


def _run(session: Session, stage: Stage) -> None:
    """A syringe of fat is washed."""
    row = session.execute(_RAW).one()
    run = MakingRun(
        process="wash",
        procedure_version="SOP-21.3",
        site=BANK,
        inputs=[RunInput(specimen=row.code, expected_seq=row.seq)],
        outputs=[RunOutput(material="lipoaspirate", unit="ul_washed", amount=38_000)],
    )
    record_making(session, stage.act("tomas", clock.now()), run)


def _inside(session: Session, box: str) -> list[str]:
    return list(
        session.execute(select(custody.c.code).where(custody.c.container_code == box, _STORED).order_by(custody.c.code)).scalars()
    )


def _counts(session: Session, stage: Stage) -> None:
    """One box holds what it should; in another one tube is not there, and a second person has not counted yet."""
    for number, box in enumerate(session.execute(_BOXES).scalars().all()):
        count(session, stage.act("tess", clock.now()), box, CountBlind(scanned=_inside(session, box)[number:]))


def _labels(session: Session, stage: Stage) -> None:
    """The site's rule, a batch of prints, and a larger one that is being made."""
    at = clock.now()
    set_rule(session, stage.act("adam", at), RuleRequest(site=BANK, prefix="AD", template="cryovial-25x13"))
    box = session.execute(_BOXES).scalars().all()[0]
    damaged = PrintRequest(specimens=_inside(session, box)[:4], template="cryovial-25x13", reason="damaged")
    print_labels(session, stage.act("tess", at), damaged)
    request_batch(session, stage.act("tess", at), BatchRequest(positions_of=box, template="position-38x13"))


def _waiting(session: Session, stage: Stage) -> None:
    """A role that quality has not signed yet."""
    code = stage.actors["stella"].code
    bench = PEOPLE["tess"][1][0].role
    change = RoleChange(role=bench, site=BANK)
    sign_and_do(session, stage, "adam", clock.now(), Meaning.ROLE_CHANGE, partial(grant_role, code=code), change)


def _criterion(session: Session, stage: Stage) -> None:
    """What a count of thawed cells must show."""
    sign_and_do(
        session,
        stage,
        "quinn",
        clock.now(),
        Meaning.DECIDED,
        set_criterion,
        SetCriterion(site=BANK, material="adsc", minimum_bp=7000),
    )


def _in_state(state: WithdrawalState) -> Select[tuple[str]]:
    return select(withdrawal.c.code).where(withdrawal.c.state == state).order_by(withdrawal.c.code)


def _clinic(session: Session, stage: Stage) -> None:
    """What is to be measured after a giving, and something that went wrong on the way to another."""
    approved = session.execute(_in_state(WithdrawalState.APPROVED)).scalars().first()
    plan = PlanMeasure(measure="hair_count", unit="hairs_per_cm2", low=0, high=300, due_days=90, window_days=14, photograph=True)
    plan_measure(session, stage.act("clara", clock.now()), str(approved), plan)
    happened = AdverseRequest(
        kind="event",
        seriousness="not_serious",
        in_lot=False,
        seen_at=clock.now(),
        words="The courier waited at the wrong door for a while.",
    )
    record_adverse(
        session, stage.act("clara", clock.now()), session.execute(_in_state(WithdrawalState.ISSUED)).scalar_one(), happened
    )


def _recall(session: Session, stage: Stage) -> None:
    """Follicles whose transport medium its maker took back."""
    code = session.execute(_RECALLED).scalar_one()
    request = RecallRequest(
        criteria=Criteria(specimen=code),
        reason="medium_recalled",
        severity="major",
        site=BANK,
        description="The maker took a batch of transport medium back.",
    )
    start_recall(session, stage.act("quinn", clock.now()), request)


def _copy_of_the_log(stage: Stage) -> None:
    """The auditor took a copy."""
    database, act = stage.bank.database, stage.act("audrey", clock.now())
    export = database.write_now(lambda s: start_export(s, act, "csv", Selection()))
    written, kept = Written(), BytesIO()
    with stream_now(stage.bank, export, written) as chunks:
        for chunk in chunks:
            kept.write(chunk)
    database.write_now(lambda s: finish_export(s, stage.act("audrey", clock.now()), export, written))

"""What is due, underway and in trouble in the example bank today, so that every role's first page has something to do."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import select, text
from sqlmodel import Session

from biobank.benches.schemas import BenchSessionAnswer, CloseBench, OpenBench, ScanAtBench
from biobank.benches.service import close_bench, open_bench, scan_at_bench
from biobank.custody.states import HoldKind, HoldScope
from biobank.demo.people import BANK, CLINIC
from biobank.demo.registers import BENCHES, LABORATORY, TEST_METHODS, enter_bench
from biobank.demo.stage import Stage
from biobank.foundation import clock
from biobank.quality.deviations import open_deviation
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.quality.schemas import DeviationRequest, DeviationSubjectPublic
from biobank.registers.models import register_entry
from biobank.shipping.handovers import offer
from biobank.shipping.schemas import HandoverRequest, ShipmentRequest, SpecimenAsSeen
from biobank.shipping.shipments import dispatch
from biobank.specimens.harvest_schemas import PrepareKit
from biobank.specimens.kits import prepare_kit
from biobank.specimens.lots import record_test
from biobank.specimens.processing_schemas import LotTestKind, RecordLotTest

_IN_STATE = text("SELECT code, seq FROM custody WHERE state = :state AND custodian_id = :holder ORDER BY code LIMIT :n")
_LOTS = text("SELECT code FROM lot WHERE material = 'adsc' ORDER BY started_at DESC LIMIT :n")
_STORED = text("SELECT code FROM custody WHERE state = 'stored' ORDER BY code LIMIT 1 OFFSET 40")


def make_today(stage: Stage) -> None:
    """Record it, each in a transaction of its own."""
    for work in (_kits, _tests, _handovers, _shipment, _troubles):
        stage.bank.database.write_now(partial(work, stage=stage))
    _benches(stage)


def _seen(session: Session, state: str, holder: str, n: int) -> list[SpecimenAsSeen]:
    rows = session.execute(_IN_STATE, {"state": state, "holder": holder, "n": n})
    return [SpecimenAsSeen(specimen=row.code, expected_seq=row.seq) for row in rows]


def _kits(session: Session, stage: Stage) -> None:
    """Three kits at the clinic: one expires this week."""
    at = clock.now()
    for days in (4, 60, 90):
        request = PrepareKit(site=CLINIC, home_site=BANK, adipose_labels=2, expires_at=at + timedelta(days=days))
        prepare_kit(session, stage.act("tess", at), request)


KINDS_SHOWN: Final[Sequence[LotTestKind]] = ("sterility", "mycoplasma", "endotoxin")


def _tests(session: Session, stage: Stage) -> None:
    """Results that are due, and one that is late."""
    at = clock.now()
    lots: Sequence[str] = session.execute(_LOTS, {"n": 3}).scalars().all()
    for number, lot in enumerate(lots):
        kind: LotTestKind = KINDS_SHOWN[number]
        due = at + timedelta(days=3 * number - 2)
        request = RecordLotTest(
            test=kind,
            method=TEST_METHODS[kind][0],
            laboratory=LABORATORY,
            sampled_at=min(at, due - timedelta(days=TEST_METHODS[kind][1])),
            result="pending",
        )
        record_test(session, stage.act("tomas", at), lot, request)


def _handovers(session: Session, stage: Stage) -> None:
    """Tess offers Tomas three tubes."""
    tess, tomas = stage.actors["tess"].code, stage.actors["tomas"].code
    seen = _seen(session, "received", tess, 3)
    request = HandoverRequest(specimens=seen, to_kind="user", to_id=tomas, expires_in_minutes=24 * 60)
    offer(session, stage.act("tess", clock.now()), request)


def _shipment(session: Session, stage: Stage) -> None:
    """Syringes on their way from the clinic."""
    seen = _seen(session, "collected", stage.actors["clara"].code, 2)
    request = ShipmentRequest(from_site=CLINIC, to_site=BANK, specimens=seen, courier="COLDLINE", evidence="CG 20418")
    dispatch(session, stage.act("clara", clock.now()), request)


def _troubles(session: Session, stage: Stage) -> None:
    """A vial found warm, and the deviation about it."""
    at = clock.now()
    code = session.execute(_STORED).scalar_one()
    hold = HoldRequest(scope_kind=HoldScope.SPECIMEN, scope_id=code, kind=HoldKind.TEMPERATURE, reason="found_warm")
    place_hold(session, stage.act("tess", at), hold)
    affected = [DeviationSubjectPublic(kind="specimen", id=code)]
    request = DeviationRequest(
        severity="minor", topic="lid_left_open", site=BANK, description="The rack stood outside for a while.", affected=affected
    )
    open_deviation(session, stage.act("tess", at), request)


def _benches(stage: Stage) -> None:
    """Bench A was worked at this morning and closed; Bench B is open for somebody."""
    write = stage.bank.database.write_now
    seen = write(lambda s: _seen(s, "received", stage.actors["tess"].code, 6))
    write(partial(enter_bench, act=stage.act("quinn", clock.now() - timedelta(days=1)), name=BENCHES[1]))
    for name, tube, hours in zip(BENCHES, (seen[0].specimen, seen[-1].specimen), (4, 1), strict=True):
        key: str = write(partial(_bench, name=name))
        began = clock.now() - timedelta(hours=hours)
        act, opening = stage.act("tess", began), OpenBench(workstation=key, cleared=True, specimen=tube)
        opened = write(partial(open_bench, act=act, workstation=key, request=opening))
        assert isinstance(opened, BenchSessionAnswer)
        act, scan = stage.act("tess", began + timedelta(minutes=20)), ScanAtBench(specimens=[tube], what="processing")
        write(partial(scan_at_bench, act=act, code=opened.code, request=scan))
        if name == BENCHES[0]:
            act, closing = stage.act("tess", began + timedelta(hours=2)), CloseBench(workstation=key, cleared=True)
            write(partial(close_bench, act=act, code=opened.code, request=closing))


def _bench(session: Session, name: str) -> str:
    e = register_entry.c
    return str(session.execute(select(e.key).where(e.kind == "workstation", e.name == name)).scalar_one())

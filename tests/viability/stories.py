"""Vials with a past for the viability tests, made through the real ledger at instants of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.events import CheckedOut, Received
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.custody.states import Condition
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.specimens import events
from biobank.specimens.assays import record_viability
from biobank.specimens.materials import Assay
from biobank.specimens.models import Lot, Specimen, SpecimenParent
from biobank.specimens.schemas import RecordViability
from biobank.storage.events import Stored
from biobank.viability.service import look_at_viability_counts
from tests.conftest import TestBank
from tests.factories import fresh_code, make_box, make_donor, make_harvest
from tests.withdrawals.stories import basis_event, released_event

PROCEDURE = "SOP-33 v1"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Past:
    """How a vial came to be what it is. The default past gives the model nothing to object to."""

    material: str = "adsc"
    days: float = 400.0
    warm_hours: float = 4.0
    kept: str | None = "ln2_vapour"
    procedure: str | None = PROCEDURE
    programme: str = "slow-1C-per-min v2"
    freezes: int = 0
    minutes_before_storing: float = 20.0
    amount: int = 5_000_000
    lot: str | None = None
    frozen: bool = True


def at_instant(bank: TestBank, at: datetime) -> Act:
    """An act of the bank itself at an instant."""
    return replace(Act.system(bank.bank, path="test"), at=at)


def make_vial(session: Session, bank: TestBank, past: Past = Past(), *, donor: str | None = None, box: str | None = None) -> str:
    """Make a specimen with this past, as of now; return its code."""
    donor = donor or make_donor(session)
    now = clock.now()
    frozen_at = now - timedelta(days=past.days) - timedelta(minutes=past.minutes_before_storing)
    begun = frozen_at - 3 * HOUR - timedelta(hours=past.warm_hours)
    follicles = past.material == "intact_follicles"
    root = _collected(session, bank, donor, begun, "intact_follicles" if follicles else "lipoaspirate")
    processed = begun + timedelta(hours=past.warm_hours)
    root = happen(session, bank, root, begun + timedelta(minutes=5), Received(site="LAB"))
    vial = root
    if not follicles:
        lot = past.lot or make_lot(session, donor, past.material, processed)
        started = events.ProcessStarted(lot=lot, process="svf_isolation", procedure_version="SOP-1")
        happen(session, bank, root, processed, started)
        vial = _derived(session, bank, donor, root, lot, past, processed + HOUR)
    if past.frozen:
        frozen_at = processed if follicles else frozen_at
        vial = happen(session, bank, vial, frozen_at, frozen(past))
        place = box or make_place(session, bank, past.kept)
        vial = happen(
            session, bank, vial, frozen_at + timedelta(minutes=past.minutes_before_storing), Stored(container=place, site="LAB")
        )
    return vial.code


def make_place(session: Session, bank: TestBank, kept: str | None) -> str:
    """A tank without slots, of a temperature class or none; return its code."""
    return make_box(session, bank.act("admin"), kind="tank", rows=None, cols=None, temperature_class=kept).code


def frozen(past: Past) -> events.Frozen:
    """The freezing that this past says."""
    return events.Frozen(
        programme=past.programme, cryoprotectant="DMSO 10 %", cryoprotectant_contact_s=540, procedure_version=past.procedure
    )


def make_lot(session: Session, donor: str, material: str, at: datetime) -> str:
    """A lot row."""
    code = fresh_code("LT")
    session.execute(
        insert(table_of(Lot)).values(
            code=code,
            donor_code=donor,
            material=material,
            process="passage",
            procedure_version="SOP-1",
            site_code="LAB",
            started_at=at,
            recorded_at=at,
            recorded_by="SYSTEM",
        )
    )
    return code


def happen(session: Session, bank: TestBank, specimen: Snapshot | str, at: datetime, event: Event) -> Snapshot:
    """Let one event happen at an instant."""
    code = specimen if isinstance(specimen, str) else specimen.code
    record(session, at_instant(bank, at), [Move(load(session, [code])[code], event, site="LAB")], NOW)
    return load(session, [code])[code]


def _collected(session: Session, bank: TestBank, donor: str, at: datetime, material: str) -> Snapshot:
    unit, prefix = ("follicles", "HF") if material == "intact_follicles" else ("ul_raw", "AD")
    harvest = make_harvest(session, donor)
    event = events.Collected(
        donor=donor,
        material=material,
        unit=unit,
        amount=100,
        site="CLINIC",
        harvest=harvest,
        home_site="LAB",
        method="lipoaspiration",
        anatomical_site="abdomen",
        started_at=rfc3339(at),
    )
    return begin(session, bank, donor, fresh_code(prefix, 26), material, unit, event, at, harvest_code=harvest)


def _derived(session: Session, bank: TestBank, donor: str, root: Snapshot, lot: str, past: Past, at: datetime) -> Snapshot:
    event = events.Derived(
        donor=donor,
        material=past.material,
        unit="cells",
        amount=past.amount,
        site="LAB",
        home_site="LAB",
        parents=(root.code,),
        parent_heads=("ab" * 32,),
        lot=lot,
        process="passage",
        condition=Condition.FRESH,
        freeze_count=past.freezes,
    )
    code = fresh_code("AD", 26)
    made = begin(session, bank, donor, code, past.material, "cells", event, at, lot_code=lot)
    session.execute(
        insert(table_of(SpecimenParent)).values(child_code=code, parent_code=root.code, child_donor=donor, parent_donor=donor)
    )
    return made


def begin(
    session: Session, bank: TestBank, donor: str, code: str, material: str, unit: str, event: Event, at: datetime, **more: Any
) -> Snapshot:
    """Write a specimen's row and its first event."""
    session.execute(
        insert(table_of(Specimen)).values(
            code=code,
            donor_code=donor,
            material=material,
            unit=unit,
            home_site_code="LAB",
            created_at=at,
            created_by="SYSTEM",
            **more,
        )
    )
    before = Snapshot(code, donor, 0, None, Projection(), home_site_code="LAB", clinic_site_code="CLINIC")
    record(session, at_instant(bank, at), [Move(before, event, site="LAB")], NOW)
    return load(session, [code])[code]


def thaw_and_count(
    session: Session, bank: TestBank, code: str, live: int, dead: int, *, minutes: int = 5, method: Assay = Assay.AO_PI
) -> None:
    """Take a vial out, thaw it and count it, now."""
    now = clock.now()
    vial = load(session, [code])[code]
    if vial.projection.condition != "thawed":
        happen(session, bank, code, now, CheckedOut(purpose="testing"))
        happen(session, bank, code, now, events.Thawed(method="water bath"))
    request = RecordViability(
        expected_seq=load(session, [code])[code].seq, method=method, live=live, dead=dead, minutes_after_thaw=minutes
    )
    record_viability(session, replace(bank.act("lab_tech"), at=clock.now()), code, request)


def release(session: Session, bank: TestBank, code: str) -> None:
    """Let quality determine the law and release the vial."""
    happen(session, bank, code, clock.now(), basis_event("us_351_ind"))
    specimen = table_of(Specimen)
    session.execute(specimen.update().where(specimen.c.code == code).values(regulatory_basis="us_351_ind"))
    happen(session, bank, code, clock.now(), released_event("us_351_ind"))


def count_many(bank: TestBank, shares: Sequence[float], *, past: Past = Past(), counted: int = 200) -> list[str]:
    """Thaw and count a vial of a donor of its own for each living share; return the codes."""

    def work(session: Session) -> list[str]:
        box = make_place(session, bank, past.kept)
        codes = []
        for share in shares:
            codes.append(make_vial(session, bank, past, box=box))
            live = round(share * counted)
            method = Assay.OUTGROWTH if past.material == "intact_follicles" else Assay.AO_PI
            thaw_and_count(session, bank, codes[-1], live, counted - live, method=method)
        return codes

    made: list[str] = bank.write(work)
    return made


def let_the_worker_look(bank: TestBank) -> int:
    """Run the worker's timer once; return how many counts it looked at."""
    looked: int = bank.write(lambda s: look_at_viability_counts(s, Act.system(bank.bank, path="timer/test")))
    return looked

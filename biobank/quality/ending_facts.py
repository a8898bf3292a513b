"""What the rule of ending (`quality/ending.py`) reads of the record."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.legality import Snapshot
from biobank.donors.consents import consents_given, covering_of, taken_back_at
from biobank.donors.life import Wished, destruction_wished
from biobank.foundation.codes import parse_code
from biobank.quality.ending import Announced, Banking, Facts
from biobank.quality.inspections import read_seen
from biobank.quality.lot_tests import read_lot_tests
from biobank.quality.models import ending_notice, ending_rule, use_up_allowed
from biobank.quality.reserves import NO_RESERVE, Remaining, remaining_after
from biobank.specimens.materials import tissue_of
from biobank.specimens.models import processing, processing_input
from biobank.specimens.models import specimen as specimen_table
from biobank.specimens.processes import PROCESSES, Balance, ProcessName
from biobank.transparency.models import event as event_table

COOLING_OFF_DAYS = 7
USABLE_REST_PERCENT = 50
"""What holds where a site has set nothing (`ending_rule`)."""


def rule_of_site(session: Session, site: str | None) -> tuple[int, int]:
    """Return (cooling-off days, usable rest in percent) of a site."""
    row = session.execute(
        select(ending_rule.c.cooling_off_days, ending_rule.c.usable_rest_percent).where(ending_rule.c.site_code == site)
    ).first()
    return (COOLING_OFF_DAYS, USABLE_REST_PERCENT) if row is None else (row.cooling_off_days, row.usable_rest_percent)


def read_facts(session: Session, specimen: Snapshot, at: datetime, *, attached: bool = False) -> Facts:
    """Read what the rule asks about one specimen, as of `at`."""
    code, donor = specimen.code, specimen.donor_code
    notice = session.execute(
        select(ending_notice.c.reason, ending_notice.c.not_before).where(
            ending_notice.c.specimen_code == code, ending_notice.c.withdrawn_at.is_(None)
        )
    ).first()
    until = session.execute(select(use_up_allowed.c.until).where(use_up_allowed.c.specimen_code == code)).scalar()
    seen = read_seen(session, [code])[code]
    wished = Wished() if donor is None else destruction_wished(session, donor, at)
    return Facts(
        at=at,
        began_with=_first_amount(session, code),
        remaining=Remaining("", specimen.material, 0, {}, 0, 0, NO_RESERVE)
        if donor is None
        else remaining_after(session, donor, specimen.material, [code], at),
        rest_percent=rule_of_site(session, specimen.home_site_code or specimen.projection.site_code)[1],
        tests=read_lot_tests(session, {specimen.lot_code}, at)[specimen.lot_code],
        banking=_banking(session, specimen, at),
        wrong=seen.wrong,
        left_for=seen.left_for,
        announced=None if notice is None else Announced(notice.reason, notice.not_before),
        attached=attached,
        may_use_up=until is not None and at < until,
        agreement_over=wished.after_term,
        destroy_after_death=wished.after_death,
    )


def counted_from_before(session: Session, specimen: Snapshot, facts: Facts) -> Facts:
    """Return the facts with what a unit's part was of what it was filled from: nobody makes a small rest whole by filling it
    once more. A handful of statements for each time it was filled.
    """
    return replace(facts, part_of=_began(session, specimen.code, specimen.lot_code, passages=False))


def grown_from(session: Session, specimen: Snapshot, amount: int) -> int:
    """Return what an amount of a culture's cells was before its passages, where they made fewer of it; else the amount."""
    first = _first_amount(session, specimen.code)
    began = _began(session, specimen.code, specimen.lot_code, passages=True)
    return max(amount, began * amount // first if first else amount)


def _began(session: Session, code: str, lot: str | None, *, passages: bool) -> int:
    """Return what a unit began with; of one that was filled, its part of what those began with that went into the run whole.
    `passages`: counted on over passages as well."""
    first, p, i, s = _first_amount(session, code), processing.c, processing_input.c, specimen_table.c
    run = session.execute(select(p.id, p.process, p.made).where(p.lot_code == lot)).first() if lot is not None else None
    if run is None or not run.made:
        return first
    process = PROCESSES[ProcessName(run.process)]
    if not (process.counts_on if passages else process.balance is Balance.CONSERVED):
        return first
    went_in = session.execute(
        select(s.code, s.lot_code, i.amount, i.consumed)
        .join(processing_input, i.specimen_code == s.code)
        .where(i.processing_id == run.id)
    ).all()
    before = sum(
        _began(session, one.code, one.lot_code, passages=passages) if one.consumed else one.amount or 0 for one in went_in
    )
    return first * int(before) // int(run.made)


def _first_amount(session: Session, code: str) -> int:
    """Return the amount of a unit's first entry; 0 where there is none."""
    of = event_table.c
    asked = select(of.entry).where(of.stream_kind == "specimen", of.stream_id == code, of.seq == 1)
    entry = session.execute(asked).scalar()
    return 0 if entry is None else int(parse_entry(bytes(entry))["body"].get("amount", 0))


def _banking(session: Session, specimen: Snapshot, at: datetime) -> Banking | None:
    """The latest banking consent that covers the specimen's tissue, and whether it was taken back."""
    if specimen.donor_code is None:
        return None
    tissue = tissue_of(specimen.material, parse_code(specimen.code).prefix).value
    covering = covering_of(consents_given(session, [specimen.donor_code], "banking", at)[specimen.donor_code], tissue)
    return Banking(taken_back_at(covering[0], covering), covering[0].valid_until) if covering else None

"""What is known of a donor's material before anybody asks for it, and when quality decides: the same functions for both."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.custody.legality import Snapshot
from biobank.donors.markers import Evaluation
from biobank.foundation.errors import Refusal
from biobank.quality.findings import Findings
from biobank.quality.lot_tests import LotTests, missing_tests
from biobank.quality.models import adverse_event
from biobank.quality.reserves import Remaining
from biobank.specimens.models import specimen as specimen_table
from biobank.specimens.viability import viability_bp, wilson_bp
from biobank.viability.schemas import EstimatePublic
from biobank.withdrawals.seen import CountSeen, ExpectedSeen, HarmSeen, LotSeen, NearMissSeen, RemainsSeen, UnitSeen


@dataclass(frozen=True)
class Known:
    """Units of a donor with what was read of each, by code. `identified`: whose they were at the harvest, in words."""

    tubes: Mapping[str, Snapshot]
    findings: Mapping[str, Findings]
    markers: Mapping[str, Evaluation]
    estimates: Mapping[str, EstimatePublic]
    identified: Mapping[str, str]


def longest_banked(tube: Snapshot) -> tuple[str, str]:
    """Order tubes as they are taken: the longest banked first."""
    return tube.projection.banked_at or "9999", tube.code


def taken_in_order(usable: Iterable[Snapshot]) -> dict[str, int]:
    """Return by code in which order usable tubes are taken, from 1: for the request and for the approval. Pure."""
    return {tube.code: number for number, tube in enumerate(sorted(usable, key=longest_banked), 1)}


def units_seen(known: Known, against: Mapping[str, Sequence[Refusal]], chosen: Collection[str]) -> list[UnitSeen]:
    """Return what there is to know of each unit. `against`: why each may not be used now, by code. Pure."""
    tubes, findings, markers = known.tubes, known.findings, known.markers
    order = taken_in_order(tube for code, tube in tubes.items() if not against[code])
    return [
        UnitSeen(
            specimen=code,
            chosen=code in chosen,
            order=order.get(code),
            head=(tube.head_hash or b"").hex(),
            state=tube.projection.state,
            condition=tube.projection.condition,
            quality=tube.projection.quality,
            site=tube.projection.site_code,
            identified=known.identified[code],
            basis=tube.regulatory_basis,
            authorisation=findings[code].authorisation,
            lot=tube.lot_code,
            amount=tube.projection.amount,
            unit=tube.unit,
            banked_at=tube.projection.banked_at,
            expires_at=tube.expires_at,
            use_by=tube.projection.use_by,
            markers_evaluated=markers[code].complete,
            reactive_for=list(markers[code].reactive_for),
            holds=sorted(hold.kind for hold in tube.holds),
            measured=None if findings[code].measured is None else _count(findings[code].measured),
            failed_before=[_count(one) for one in findings[code].failed],
            expected=_expected(known.estimates.get(code)),
            refusals=[refusal.detail for refusal in against[code]],
        )
        for code, tube in sorted(tubes.items())
    ]


def _count(row: Any) -> CountSeen:
    interval = wilson_bp(row.live, row.dead)
    return CountSeen(
        method=row.method,
        live=row.live,
        dead=row.dead,
        viability_bp=viability_bp(row.live, row.dead),
        lower_bp=interval.lower_bp,
        upper_bp=interval.upper_bp,
        measured_at=row.measured_at,
    )


def _expected(one: EstimatePublic | None) -> ExpectedSeen | None:
    if one is None:
        return None
    return ExpectedSeen(expected_bp=one.expected_bp, next_vial=one.next_vial, evidence=one.evidence, dose=one.dose)


def remains_seen(left: Remaining) -> RemainsSeen:
    """Return what is left, as it is shown. Pure."""
    return RemainsSeen(
        sentence=left.sentence,
        units=left.units,
        amounts=dict(left.amounts),
        doubtful=left.doubtful,
        takes_the_last=left.takes_the_last,
        below_reserve=left.below_reserve,
    )


def taken_when(session: Session, codes: Collection[str]) -> dict[str, datetime | None]:
    """Return when each unit was taken from its donor; None where it comes of several harvests."""
    unit = specimen_table.c
    rows = session.execute(select(unit.code, unit.harvest_code, unit.collected_at).where(unit.code.in_(sorted(codes)))).all()
    return {row.code: None if row.harvest_code is None else row.collected_at for row in rows}


def harm_of(session: Session, donor: str) -> list[HarmSeen]:
    """Return the reactions and events with a donor's cells, the earliest first."""
    columns = ("deviation_code", "withdrawal_code", "kind", "seriousness", "causality", "in_lot", "seen_at")
    of_donor = select(*(adverse_event.c[name] for name in columns)).where(adverse_event.c.donor_code == donor)
    rows = session.execute(of_donor.order_by(adverse_event.c.seen_at, adverse_event.c.deviation_code))
    return [HarmSeen(**{name.removesuffix("_code"): getattr(row, name) for name in columns}) for row in rows]


def near_misses_about(session: Session, subjects: Collection[str]) -> list[NearMissSeen]:
    """Return what was refused and kept about any of these, by code; attempts to approve are left out."""
    rows = session.execute(
        select(attempt.c.code, func.count().label("times"), func.max(attempt.c.at).label("latest"))
        .where(attempt.c.subject.in_(sorted(subjects)), ~attempt.c.path.endswith("/approve"))
        .group_by(attempt.c.code)
        .order_by(attempt.c.code)
    )
    return [NearMissSeen(code=row.code, times=row.times, latest=row.latest) for row in rows]


def lots_seen(tubes: Mapping[str, Snapshot], findings: Mapping[str, Findings]) -> list[LotSeen]:
    """Return what the tests of these tubes' lots say: for the request and for the approval. Pure."""
    lots: dict[str, tuple[LotTests, set[str]]] = {}
    for code, tube in tubes.items():
        if tube.lot_code is not None:
            said, missing = lots.setdefault(tube.lot_code, (findings[code].tests, set()))
            missing.update(missing_tests(tube, said))
    return [
        LotSeen(
            lot=lot,
            passed=list(said.passed),
            failed=list(said.failed),
            pending=list(said.pending),
            overdue=list(said.overdue),
            missing=sorted(missing),
        )
        for lot, (said, missing) in sorted(lots.items())
    ]

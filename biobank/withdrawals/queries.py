"""Questions about withdrawals. Each takes the actor; what the actor may not know of is not found."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, literal, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot
from biobank.custody.queries import events_public, stream_history
from biobank.custody.schemas import CustodyHistory, EventPublic
from biobank.custody.snapshots import load, may_know
from biobank.custody.states import StreamKind
from biobank.donors.consents import consents_given, covering_consent
from biobank.donors.markers import evaluate
from biobank.donors.models import wristband
from biobank.donors.told import told_of
from biobank.donors.visibility import get_visible_donor
from biobank.foundation import clock
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Paging, read_page
from biobank.quality.findings import Findings, read_findings
from biobank.quality.reserves import remaining, reserve_of
from biobank.specimens.harvest_queries import identified_at_harvest
from biobank.specimens.models import specimen
from biobank.specimens.residues import allergies_among
from biobank.transparency.models import event
from biobank.viability.queries import expected_dose
from biobank.viability.schemas import DosePublic
from biobank.withdrawals.case import Case, find_row, visible
from biobank.withdrawals.checks import use_refusals
from biobank.withdrawals.consents import tissue_of_tube
from biobank.withdrawals.events import Reserved
from biobank.withdrawals.known import (
    Known,
    harm_of,
    lots_seen,
    near_misses_about,
    remains_seen,
    taken_in_order,
    taken_when,
    units_seen,
)
from biobank.withdrawals.models import bedside_release as release_table
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as item_table
from biobank.withdrawals.picture import deviations_about
from biobank.withdrawals.releases import ONE_PERSON
from biobank.withdrawals.schemas import (
    Feasibility,
    FeasibleSpecimen,
    WithdrawalList,
    WithdrawalPublic,
)
from biobank.withdrawals.seen import DeviationSeen, RemainsSeen
from biobank.withdrawals.workflow import BEFORE_ISSUE, Route


def public_of(row: Mapping[Any, Any], specimens: list[str], state: str | None = None) -> WithdrawalPublic:
    """Build the wire shape of a row."""
    return WithdrawalPublic(
        code=row["code"],
        donor=row["donor_code"],
        recipient=row["recipient_code"],
        state=state or row["state"],
        clinic_site=row["clinic_site_code"],
        material=row["material"],
        route=row["route"],
        needed_at=row["needed_at"],
        requested_at=row["requested_at"],
        requested_by=row["requested_by"],
        approved_at=row["approved_at"],
        approved_by=row["approved_by"],
        specimens=specimens,
    )


ORDERS = {
    "requested_at": withdrawal.c.requested_at,
    "needed_at": withdrawal.c.needed_at,
    "code": withdrawal.c.code,
    "donor": withdrawal.c.donor_code,
}
"""What a list of withdrawals can be sorted by."""


def list_withdrawals(
    session: Session,
    actor: Actor,
    *,
    donor: str | None = None,
    state: str | None = None,
    paging: Paging = Paging(),
) -> WithdrawalList:
    """List withdrawals the actor may know of, newest first."""
    actor.require(Permission.WITHDRAWAL_READ, at=ANYWHERE)
    statement = select(withdrawal).where(visible(actor))
    if donor is not None:
        statement = statement.where(withdrawal.c.donor_code == donor)
    if state is not None:
        statement = statement.where(withdrawal.c.state == state)
    page = read_page(session, statement, paging, key=withdrawal.c.code, orders=ORDERS, default="-requested_at")
    rows = [row._mapping for row in page.rows]
    codes = [row["code"] for row in rows]
    tubes: dict[str, list[str]] = {code: [] for code in codes}
    for item in session.execute(
        select(item_table.c.withdrawal_code, item_table.c.specimen_code)
        .where(item_table.c.withdrawal_code.in_(codes))
        .order_by(item_table.c.specimen_code)
    ):
        tubes[item.withdrawal_code].append(item.specimen_code)
    return WithdrawalList(items=[public_of(row, tubes[row["code"]]) for row in rows], **page.ends)


def releases_of(session: Session, codes: Collection[str]) -> dict[str, list[RowMapping]]:
    """Return the bedside releases of each of these withdrawals, the oldest first; `band_voided_at`: of the band of each;
    `one_person`: whether both who made it are.
    """
    its = release_table.c.withdrawal_code.in_(sorted(codes))
    statement = (
        select(release_table, wristband.c.voided_at.label("band_voided_at"), ONE_PERSON)
        .join(wristband, wristband.c.code == release_table.c.wristband_code)
        .where(its)
        .order_by(release_table.c.made_at)
    )
    found: dict[str, list[RowMapping]] = {code: [] for code in codes}
    for row in session.execute(statement).mappings():
        found[row["withdrawal_code"]].append(row)
    return found


def history_of(session: Session, actor: Actor, code: str, after: int = 0, limit: int = 200) -> CustodyHistory:
    """Return the withdrawal's own events, oldest first."""
    find_row(session, actor, code)
    return stream_history(session, "withdrawal", code, after, limit)


def history_of_case(session: Session, case: Case, most: int = 200) -> CustodyHistory:
    """Return the latest events of an opened withdrawal's own stream, oldest first."""
    return stream_history(session, "withdrawal", case.code, max(0, case.seq - most), most)


HANDLED = ("specimen.thawed", "specimen.viability_measured", "specimen.final_label_applied")
"""What is done with a tube on its way that its withdrawal's own record does not say."""


def handled_for(session: Session, case: Case) -> list[EventPublic]:
    """Return the events of `HANDLED` of an approved withdrawal's tubes since its approval, oldest first."""
    if case.row["approved_at"] is None:
        return []
    rows = session.execute(
        select(event.c.seq, event.c.kind, event.c.entry, event.c.leaf_hash, literal(None).label("log_index"))
        .where(
            event.c.stream_kind == StreamKind.SPECIMEN.value,
            event.c.stream_id.in_(sorted(case.tubes)),
            event.c.kind.in_(HANDLED),
            event.c.recorded_at >= case.row["approved_at"],
        )
        .order_by(event.c.recorded_at, event.c.stream_id, event.c.seq)
    ).all()
    return events_public(session, rows)


def tubes_of_donor(session: Session, donor: str, material: str | None) -> list[Snapshot]:
    """Return the donor's specimens, of one material if named, with their holds."""
    statement = select(specimen.c.code).where(specimen.c.donor_code == donor)
    if material is not None:
        statement = statement.where(specimen.c.material == material)
    found = load(session, session.execute(statement).scalars().all(), holds=True)
    return [found[code] for code in sorted(found)]


def refusals_now(
    session: Session, tubes: list[Snapshot], donor: str, at: datetime, route: Route | None
) -> dict[str, list[Refusal]]:
    """Return for each tube every reason why it could not be asked for now."""
    return _refusals(tubes, read_findings(session, {tube.code: tube for tube in tubes}, at), donor, at, route)


def _refusals(
    tubes: list[Snapshot], findings: Mapping[str, Findings], donor: str, at: datetime, route: Route | None
) -> dict[str, list[Refusal]]:
    return {
        tube.code: use_refusals(
            Reserved,
            tube,
            donor=donor,
            at=at,
            route=route,
            conditions=None if route is None else BEFORE_ISSUE[route],
            findings=findings[tube.code],
            treated_under=tube.cared_under,
        )
        for tube in tubes
    }


def feasibility(
    session: Session, actor: Actor, donor: str, *, material: str | None = None, route: Route | None = None
) -> Feasibility:
    """Say what a withdrawal for this donor could be made of now, and why the rest could not."""
    actor.require(Permission.WITHDRAWAL_READ, at=ANYWHERE)
    get_visible_donor(session, actor, donor)
    at = clock.now()
    every = {tube.code: tube for tube in tubes_of_donor(session, donor, material)}
    known = {code: tube for code, tube in every.items() if may_know(actor, tube)}
    tubes = list(known.values())
    findings = read_findings(session, every, at)
    refusals = _refusals(tubes, findings, donor, at, route)
    order = taken_in_order(tube for tube in tubes if not refusals[tube.code])
    usable = [tube.code for tube in tubes if not refusals[tube.code]]
    together, doses, estimates = expected_dose(session, tubes, together=usable)
    told = told_of(session, donor)
    when = taken_when(session, known)
    markers = {code: evaluate(told.results, when[code]) for code in known}
    whole = Known(known, findings, markers, estimates, identified_at_harvest(session, known))
    places = {one.projection.container_code for one in tubes} | {one.lot_code for one in tubes}
    about = {donor, *known, *(one for one in places if one is not None)}
    met = allergies_among(session, dict.fromkeys(sorted(known), donor), {donor: told.allergies})
    items = [_feasible(tube, refusals[tube.code], doses.get(tube.code), order.get(tube.code)) for tube in tubes]
    return Feasibility(
        donor=donor,
        usable=sum(item.usable for item in items),
        amount=sum(item.amount for item in items if item.usable),
        dose=together,
        reasons=dict(Counter(item.code for item in items if item.code is not None)),
        consent=_consent_code(session, donor, tubes, at),
        allergies=[one.sentence for one in met],
        tests=lots_seen(known, findings),
        units=units_seen(whole, refusals, ()),
        remains=_remains(session, donor, list(every.values()), findings, order, at),
        deviations=[DeviationSeen(**vars(one)) for one in deviations_about(session, {donor: about})[donor]],
        harm=harm_of(session, donor),
        near_misses=near_misses_about(session, {donor, *known}),
        items=items,
    )


def _remains(
    session: Session,
    donor: str,
    every: Sequence[Snapshot],
    findings: Mapping[str, Findings],
    order: Mapping[str, int],
    at: datetime,
) -> list[RemainsSeen]:
    """Return what would remain of each material once the unit of it that is to be taken first is gone."""
    found = []
    for material in sorted({tube.material for tube in every}):
        units = [tube for tube in every if tube.material == material]
        first = sorted((tube.code for tube in units if tube.code in order), key=order.__getitem__)[:1]
        left = remaining(donor, material, units, findings, first, at, reserve_of(session, donor, material))
        found.append(remains_seen(left))
    return found


def _feasible(tube: Snapshot, refusals: list[Refusal], dose: DosePublic | None, order: int | None) -> FeasibleSpecimen:
    return FeasibleSpecimen(
        specimen=tube.code,
        material=tube.material,
        state=tube.projection.state,
        condition=tube.projection.condition,
        amount=tube.projection.amount,
        unit=tube.unit,
        banked_at=tube.projection.banked_at,
        expires_at=tube.expires_at,
        usable=not refusals,
        order=order,
        dose=dose,
        code=refusals[0].code if refusals else None,
        why_not=refusals[0].detail if refusals else None,
        refusals=[refusal.detail for refusal in refusals],
    )


def _consent_code(session: Session, donor: str, tubes: list[Snapshot], at: datetime) -> str | None:
    given = consents_given(session, [donor], "treatment", at)[donor]
    for tissue in sorted({tissue_of_tube(tube.material, tube.code) for tube in tubes}):
        answer = covering_consent(given, donor, "treatment", at, tissue=tissue.value)
        if isinstance(answer, Refusal):
            return answer.code
    return None

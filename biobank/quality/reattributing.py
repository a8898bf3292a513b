"""A harvest turns out to be another person's: two of quality say so, on evidence, and all that came of it goes with it.

Its lots, their runs and every specimen of it are the other donor's from then on, in quarantine and under an identity hold, and
decided about anew: consents and markers are asked of the new donor by every act, and an end that was announced is announced
again. Holds on the donor on record stay on what was under them: they are placed on the harvest. Labels that were printed before
stop whoever scans them. What was given or handed out is never another's afterwards: that is a deviation.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.custody import holds as custody_holds
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Move, acknowledge, head_of, record
from biobank.custody.schemas import EventReceipt
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import load
from biobank.custody.states import HoldKind, HoldScope, Quality, State
from biobank.donors.moving import note_move
from biobank.donors.recording import last_event_at, record_on_donor
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.from_above import FromAbove
from biobank.quality.attributing import OnEvidence, sign_on_evidence
from biobank.quality.attribution_events import HarvestJoined, HarvestLeft, Reattributed
from biobank.quality.disposal import forget_what_was_agreed
from biobank.quality.events import EndWithdrawn
from biobank.quality.holds import find_scope
from biobank.quality.releases import open_withdrawals_with
from biobank.specimens.models import harvest as harvest_table
from biobank.specimens.moving import mixed_in, move_harvest, tree_of
from biobank.transparency.models import event as event_table

ACT = "harvest.reattribute"
REASON = "reattributed"

supersede_labels: FromAbove[Callable[[Session, Act, Collection[str]], int]] = FromAbove("labels")
"""Let every label of these specimens count no more; return how many there were."""


class WasHandedOut(Conflict):
    """Something of the harvest was issued or given; whose it was is not changed afterwards."""

    code = "was_handed_out"
    title = "Something of it was handed out"


class StillAskedFor(Conflict):
    """A withdrawal of the donor on record asks for something of the harvest."""

    code = "still_asked_for"
    title = "A withdrawal asks for it"


class MixedHarvests(Conflict):
    """What came of the harvest was worked up together with something else of the donor on record."""

    code = "mixed_harvests"
    title = "Mixed with another harvest"


class ReattributeHarvest(OnEvidence):
    """Whose the harvest is, and what shows it."""

    donor: str = Field(pattern=r"^DN-[0-9A-Z]{7}$", description="The donor whose material it is.")


class HarvestReattributed(BaseModel):
    """The harvest and all that came of it are the other donor's."""

    status: Literal["done"] = "done"
    harvest: str
    donor: str
    specimens: list[str]
    labels: int = Field(description="Labels that count no more: print new ones.")
    hold: UUID = Field(description="The identity hold on the harvest, until quality has the proof.")
    events: list[EventReceipt]
    receipt: str


@two_person(
    ACT,
    "Say that a harvest is another person's",
    "I have read the evidence, and it shows whose harvest this is.",
    ReattributeHarvest,
    grave=True,
)
def reattribute_harvest(session: Session, act: Act, code: str, request: ReattributeHarvest) -> HarvestReattributed | Proposed:
    """Say whose a harvest is, or propose it; two people of quality where it is kept sign.

    Raises NotFound, DonorErased, DonorMerged, WasHandedOut, StillAskedFor, MixedHarvests, NotPermitted and what
    `sign_on_evidence` raises.
    """
    scope = find_scope(session, act.actor, HoldScope.HARVEST, code)
    before = str(scope.donor_code)
    if request.donor == before:
        raise NotFound(f"{code} is a harvest of {before} already.", subject=code)
    rows = {one: get_visible_donor(session, act.actor, one, lock=True) for one in sorted((before, request.donor))}
    for row in rows.values():
        require_not_erased(row)
    home = session.execute(select(harvest_table.c.home_site_code).where(harvest_table.c.code == code)).scalar_one()
    act.require(Permission.QUALITY_DECIDE, at=home, subject=code)
    codes = tree_of(session, code)
    found = load(session, codes, lock=True)
    raise_first(reattribution_refusals(session, code, list(found.values())))
    people = (before, request.donor)
    step = sign_on_evidence(session, act, ACT, code, {"donor": request.donor}, request, people=people, site=home)
    if isinstance(step, Proposed):
        return step
    said = {
        "harvest": code,
        "evidence_sha256": request.evidence_sha256,
        "signatures": step.signatures,
    }
    clinics = {one: row.clinic_site_code for one, row in rows.items()}
    left = HarvestLeft.of(specimens=len(codes), home_site=home, **said)
    joined = HarvestJoined.of(specimens=len(codes), home_site=home, **said)
    appended = record_on_donor(session, act, before, [left], NOW, site=clinics[before])
    appended += record_on_donor(session, act, request.donor, [joined], NOW, site=clinics[request.donor])
    note_move(session, act, before, request.donor, appended[0], code)
    if announced := forget_what_was_agreed(session, codes, act.at):
        appended += record(session, act, [Move(found[one], EndWithdrawn(reason=REASON)) for one in announced], NOW)
        found |= load(session, announced)
    moves = [
        Move(
            replace(one, donor_code=request.donor),
            Reattributed.of(before=before, donor=request.donor, quality=_quality_of(one), **said),
            relies_on=tuple(done.leaf_hash for done in appended),
        )
        for one in found.values()
    ]
    appended += record(session, act, moves, NOW) if moves else []
    move_harvest(session, code, codes, before, request.donor)
    head = head_of(session, act, NOW, subject=request.donor, site=home, last=last_event_at(session, request.donor))
    wanted = [(HoldKind.IDENTITY, REASON), *custody_holds.in_force_on(session, HoldScope.DONOR, before)]
    placed = [
        custody_holds.place(
            session,
            kind=kind,
            scope_kind=HoldScope.HARVEST,
            scope_id=code,
            reason=reason,
            head=head,
            donor_code=request.donor,
        )
        for kind, reason in wanted
    ]
    hold = placed[0][0]
    labels = supersede_labels.get()(session, act, codes)
    appended += [held for _id, held in placed]
    return HarvestReattributed(
        harvest=code,
        donor=request.donor,
        specimens=codes,
        labels=labels,
        hold=hold,
        events=[receipt_of(one) for one in appended],
        receipt=acknowledge(act, appended),
    )


def _quality_of(specimen: Snapshot) -> Literal["quarantined", "rejected"]:
    return "rejected" if specimen.projection.quality == Quality.REJECTED else "quarantined"


_OUT = frozenset({State.ISSUED, State.DELIVERED, State.ADMINISTERED})


def reattribution_refusals(session: Session, harvest: str, specimens: Collection[Snapshot]) -> list[Refusal]:
    """Return why a harvest with all its specimens does not become another donor's, whoever signs."""
    found: list[Refusal] = []
    codes = sorted(one.code for one in specimens)
    issued = select(event_table.c.stream_id).where(
        event_table.c.stream_kind == "specimen", event_table.c.stream_id.in_(codes), event_table.c.kind == "specimen.issued"
    )
    out = {one.code for one in specimens if one.state in _OUT} | set(session.execute(issued).scalars())
    if out:
        found.append(
            WasHandedOut(
                f"{', '.join(sorted(out))} was handed out for the donor on record. Open a deviation: what somebody may have been "
                "given does not become another person's afterwards.",
                subject=harvest,
            )
        )
    if asking := open_withdrawals_with.get()(session, codes):
        found.append(
            StillAskedFor(
                f"{', '.join(asking)} asks for something of it, for the donor on record. Call that off first.",
                subject=harvest,
            )
        )
    if others := mixed_in(session, harvest):
        found.append(
            MixedHarvests(
                f"What came of {harvest} was worked up together with {', '.join(others)}, which is of another harvest: it may be "
                "of two people and goes to nobody. Hold it, end what was mixed, and say then whose the rest is.",
                subject=harvest,
            )
        )
    return found

"""A bank closes, and another one takes over everything that it keeps: announced, accepted, and handed over as one set.

One of quality announces it; the set is named by its digest, and the time to think it over runs. What the other bank signed is
kept with the same digest. Then two of quality hand everything over, by one act and a number of statements that does not grow with
the set: each specimen's own record says so. What is held, reserved, missing or out blocks the whole act and is listed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row, func, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import Snapshot, refusals_of
from biobank.custody.models import custody
from biobank.custody.recording import NOW, Move, acknowledge, record
from biobank.custody.snapshots import load, may_know
from biobank.custody.states import LIVE
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.foundation.kept_files import FileHash
from biobank.foundation.many_rows import insert_rows
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.people.queries import get_site
from biobank.quality.closing_events import (
    ClosingAccepted,
    ClosingAnnounced,
    ClosingCarriedOut,
    ClosingWithdrawn,
    HandedOverAtClosing,
)
from biobank.quality.closing_queries import Step, concerns, step_of
from biobank.quality.ending import CoolingOff, closing_refusals
from biobank.quality.ending_facts import rule_of_site
from biobank.quality.models import bank_closing, bank_closing_unit
from biobank.quality.schemas import Reason, Token
from biobank.quality.stored_files import require_evidence
from biobank.quality.streams import digest_of, record_on_stream
from biobank.specimens.models import specimen as specimen_table

ACT = "bank.close"
SHOWN = 200


class ClosingNotDue(Conflict):
    """This step of a closing is not the next one."""

    code = "closing_not_due"
    title = "Not the next step"


class ClosingBlocked(Conflict):
    """Something that was announced may not leave now; `blocked` says what and why."""

    code = "closing_blocked"
    title = "Something may not leave"


class NotWhatWasAnnounced(Conflict):
    """The bank keeps something that was not announced and accepted."""

    code = "not_what_was_announced"
    title = "Not what was announced"


class AnnounceClosing(BaseModel):
    """Which bank closes, and which one takes everything over."""

    model_config = ConfigDict(extra="forbid")

    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    to: str = Field(min_length=2, max_length=40, pattern=r"^[A-Z0-9_-]+$", description="The other establishment's code.")
    signature: Token = None


class AcceptClosing(BaseModel):
    """What the other bank signed."""

    model_config = ConfigDict(extra="forbid")

    evidence: FileHash = Field(
        description="SHA-256 of its acceptance, which names the set; keep the file with POST /attachments."
    )
    signature: Token = None


class CarryOutClosing(BaseModel):
    """That the other bank has everything. The second person sends the same with `pending_act`."""

    model_config = ConfigDict(extra="forbid")

    receipt: FileHash = Field(description="SHA-256 of its receipt; keep the file with POST /attachments.")
    signature: Token = None
    pending_act: UUID | None = None


class WithdrawClosing(BaseModel):
    """Why the bank does not close."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class BlockedUnit(BaseModel):
    """A specimen that may not leave now, and why."""

    specimen: str
    why: str


class ClosingPublic(BaseModel):
    """A closing as it stands. `units_sha256`: the digest of the codes that were announced, sorted, one a line."""

    id: UUID
    site: str
    to: str
    step: Step
    units: int
    units_sha256: str
    announced_at: AwareDatetime
    announced_by: str
    not_before: AwareDatetime
    acceptance: str | None
    accepted_at: AwareDatetime | None
    over_at: AwareDatetime | None


class ClosingList(Listed[ClosingPublic]):
    """Closings, the newest first."""


class ClosingUnit(BaseModel):
    """One specimen of the set, as it is now."""

    specimen: str
    donor: str | None
    material: str
    state: str


class ClosingDetail(ClosingPublic):
    """A closing with its set: by material, the first specimens, and what stands in the way (the first ones, and how many)."""

    materials: dict[str, int]
    shown: list[ClosingUnit]
    blocked: list[BlockedUnit]
    blocked_units: int
    not_announced: list[str] = Field(description="Kept there now, and not in the set.")


class ClosingDone(ClosingPublic):
    """What was recorded."""

    status: Literal["done"] = "done"
    receipt: str


def announce_closing(session: Session, act: Act, request: AnnounceClosing) -> ClosingDone:
    """Announce that everything a bank keeps goes to another one. Raises NotPermitted, NotFound, ClosingNotDue."""
    site = request.site
    act.require(Permission.QUALITY_DECIDE, at=site, subject=site)
    get_site(session, site, lock=True)
    if session.execute(_closings.where(bank_closing.c.site_code == site, bank_closing.c.over_at.is_(None))).first() is not None:
        raise ClosingNotDue(f"The closing of {site} is announced already. Take that back first.", subject=site)
    units = kept_by(session, site)
    if not units:
        raise ClosingNotDue(f"{site} keeps nothing, so there is nothing to hand over.", subject=site)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    closing, digest = uuid4(), digest_of(units)
    not_before = act.at + timedelta(days=rule_of_site(session, site)[0])
    event = ClosingAnnounced(
        closing=str(closing),
        site=site,
        to=request.to,
        units=len(units),
        units_sha256=digest,
        not_before=rfc3339(not_before),
        signature=str(signature.id),
    )
    done = record_on_stream(session, act, str(closing), event, NOW, site=site)
    values = {"id": closing, "site_code": site, "to_code": request.to, "units": len(units), "units_sha256": digest}
    times = {"announced_at": act.at, "announced_by": act.actor.code, "announced_event": done.leaf_hash, "not_before": not_before}
    session.execute(insert(bank_closing).values(**values, **times))
    insert_rows(session, bank_closing_unit, [{"closing_id": str(closing), "specimen_code": code} for code in units])
    return _done(session, act, closing, done)


def accept_closing(session: Session, act: Act, closing: UUID, request: AcceptClosing) -> ClosingDone:
    """Record that the other bank accepted the set, by its own paper. Raises NotFound, ClosingNotDue, AttachmentUnknown."""
    row = _open(session, act, closing, "announced")
    require_evidence(session, request.evidence, None)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = ClosingAccepted(
        closing=str(closing), units_sha256=row.units_sha256, evidence=request.evidence, signature=str(signature.id)
    )
    relies = (bytes(row.announced_event),)
    done = record_on_stream(session, act, str(closing), event, NOW, site=row.site_code, relies_on=relies)
    _set(session, closing, acceptance_sha256=request.evidence, accepted_at=act.at, accepted_event=done.leaf_hash)
    return _done(session, act, closing, done)


def withdraw_closing(session: Session, act: Act, closing: UUID, request: WithdrawClosing) -> ClosingDone:
    """Take an announcement back. Raises NotFound, ClosingNotDue."""
    row = _open(session, act, closing, "announced", "accepted")
    event = ClosingWithdrawn(closing=str(closing), reason=request.reason)
    done = record_on_stream(session, act, str(closing), event, NOW, site=row.site_code)
    _set(session, closing, over_at=act.at, over_event=done.leaf_hash)
    return _done(session, act, closing, done)


@two_person(
    ACT,
    "Hand over everything a closing bank keeps",
    "I have read the other bank's acceptance and its receipt, and everything that was announced is there.",
    CarryOutClosing,
    grave=True,
)
def carry_out_closing(session: Session, act: Act, closing: UUID | str, request: CarryOutClosing) -> ClosingDone | Proposed:
    """Hand everything over, or propose it; two people of quality sign.

    Raises NotFound, ClosingNotDue, CoolingOff, ClosingBlocked, NotWhatWasAnnounced, AttachmentUnknown and what `two_sign`
    raises.
    """
    row = _open(session, act, UUID(str(closing)), "accepted")
    site = str(row.site_code)
    if act.at < row.not_before:
        raise CoolingOff(
            f"The closing of {site} was announced and may be carried out from {rfc3339(row.not_before)} on.",
            subject=site,
            not_before=rfc3339(row.not_before),
        )
    require_evidence(session, request.receipt, None)
    named, now = _named(session, row.id), kept_by(session, site)
    if more := sorted(set(now) - set(named)):
        raise NotWhatWasAnnounced(
            f"{site} keeps {len(more)} more than was announced and accepted, among them {', '.join(more[:5])}. Announce it anew.",
            subject=site,
        )
    found = load(session, now, lock=True, holds=True)
    if blocked := blocked_among(found.values()):
        raise ClosingBlocked(
            f"{len(blocked)} of {len(found)} may not leave {site} now. {blocked[0].why} The page of the closing lists them.",
            subject=site,
            blocked=[one.model_dump() for one in blocked[:SHOWN]],
        )
    step = two_sign(
        session,
        act,
        ACT,
        str(row.id),
        {"receipt": request.receipt, "to": row.to_code, "units": len(found)},
        request,
        Permission.QUALITY_DECIDE,
        site=site,
    )
    if isinstance(step, Proposed):
        return step
    event = ClosingCarriedOut(
        closing=str(row.id),
        to=row.to_code,
        units=len(found),
        units_sha256=digest_of(found),
        receipt=request.receipt,
        signatures=step.signatures,
    )
    relies = (bytes(row.accepted_event),)
    done = record_on_stream(session, act, str(row.id), event, NOW, site=site, relies_on=relies)
    gone = HandedOverAtClosing(closing=str(row.id), to=row.to_code)
    record(session, act, [Move(one, gone, relies_on=(done.leaf_hash,)) for one in found.values()], NOW, lagging=False)
    _set(session, row.id, over_at=act.at, over_event=done.leaf_hash, receipt_sha256=request.receipt)
    return _done(session, act, row.id, done)


def kept_by(session: Session, site: str) -> list[str]:
    """Return every living specimen that a site keeps: whose bank it is, or where it is when it has none."""
    keeper = func.coalesce(specimen_table.c.home_site_code, custody.c.site_code)
    kept = select(custody.c.code).join(specimen_table, specimen_table.c.code == custody.c.code)
    living = custody.c.state.in_(sorted(state.value for state in LIVE))
    return list(session.execute(kept.where(keeper == site, living).order_by(custody.c.code)).scalars())


def blocked_among(specimens: Collection[Snapshot]) -> list[BlockedUnit]:
    """Return those of these specimens that may not leave now, each with the first reason. Pure."""
    blocked = []
    for one in specimens:
        found: list[Refusal] = [*closing_refusals(one), *refusals_of(HandedOverAtClosing, one)]
        if found:
            blocked.append(BlockedUnit(specimen=one.code, why=found[0].detail))
    return blocked


_closings = select(bank_closing)
ORDERS = {"announced_at": bank_closing.c.announced_at, "site": bank_closing.c.site_code}


def list_closings(session: Session, actor: Actor, *, paging: Paging = Paging()) -> ClosingList:
    """List the closings that concern the actor (`closing_queries.py: concerns`), the newest first."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    page = read_page(
        session, _closings.where(concerns(actor)), paging, key=bank_closing.c.id, orders=ORDERS, default="-announced_at"
    )
    return ClosingList(items=[_public(row) for row in page.rows], **page.ends)


def read_closing(session: Session, actor: Actor, closing: UUID) -> ClosingDetail:
    """Return a closing with its set and what stands in its way now; to a clinic, of its own donors' units. Raises NotFound."""
    row = _visible(session, actor, closing)
    public = _public(row)
    named = _named(session, row.id)
    found = load(session, named, holds=row.over_at is None)
    now = kept_by(session, row.site_code) if row.over_at is None else []
    if not actor.may(Permission.SPECIMEN_READ, at=row.site_code):
        found = {code: one for code, one in found.items() if may_know(actor, one)}
        now = [code for code in now if code in found]
    blocked = blocked_among([found[code] for code in now if code in found])
    materials: dict[str, int] = {}
    for one in found.values():
        materials[one.material] = materials.get(one.material, 0) + 1
    shown = [
        ClosingUnit(specimen=one.code, donor=one.donor_code, material=one.material, state=one.projection.state)
        for one in list(found.values())[:SHOWN]
    ]
    return ClosingDetail(
        **public.model_dump(),
        materials=materials,
        shown=shown,
        blocked=blocked[:SHOWN],
        blocked_units=len(blocked),
        not_announced=sorted(set(now) - set(named))[:SHOWN],
    )


def _named(session: Session, closing: UUID) -> Sequence[str]:
    units = select(bank_closing_unit.c.specimen_code).where(bank_closing_unit.c.closing_id == closing)
    return session.execute(units.order_by(bank_closing_unit.c.specimen_code)).scalars().all()


def _visible(session: Session, actor: Actor, closing: UUID, *, lock: bool = False) -> "Row[Any]":
    asked = _closings.where(bank_closing.c.id == closing, concerns(actor))
    row = session.execute(asked.with_for_update() if lock else asked).first()
    if row is None:
        raise NotFound("There is no such closing that you may see.", subject=str(closing))
    return row


def _open(session: Session, act: Act, closing: UUID, *steps: Step) -> "Row[Any]":
    """Lock a closing for its next step, as quality of the bank that closes."""
    row = _visible(session, act.actor, closing, lock=True)
    act.require(Permission.QUALITY_DECIDE, at=row.site_code, subject=row.site_code)
    if step_of(row) not in steps:
        raise ClosingNotDue(f"The closing of {row.site_code} is {step_of(row).replace('_', ' ')}.", subject=row.site_code)
    return row


def _set(session: Session, closing: UUID, **values: "str | datetime | bytes") -> None:
    session.execute(update(bank_closing).where(bank_closing.c.id == closing).values(**values))


def _public(row: Any) -> ClosingPublic:
    return ClosingPublic(
        id=row.id,
        site=row.site_code,
        to=row.to_code,
        step=step_of(row),
        units=row.units,
        units_sha256=row.units_sha256,
        announced_at=row.announced_at,
        announced_by=row.announced_by,
        not_before=row.not_before,
        acceptance=row.acceptance_sha256,
        accepted_at=row.accepted_at,
        over_at=row.over_at,
    )


def _done(session: Session, act: Act, closing: UUID, appended: Any) -> ClosingDone:
    row = session.execute(_closings.where(bank_closing.c.id == closing)).one()
    return ClosingDone(**_public(row).model_dump(), receipt=acknowledge(act, [appended]))

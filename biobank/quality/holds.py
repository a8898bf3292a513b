"""Holds as people use them: anyone who may place one places it; only quality lifts it, signed."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody import holds as custody_holds
from biobank.custody.events import HOLD_EVENTS
from biobank.custody.hold_coverage import shipment_sites
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.models import Hold
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.snapshots import get_visible
from biobank.custody.states import HoldScope
from biobank.donors.visibility import lock_donor
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.quality.releases import end_held_releases
from biobank.quality.schemas import HoldAnswer, HoldList, HoldPublic, HoldRequest, LiftRequest
from biobank.quality.streams import last_event_at

hold = table_of(Hold)


class HoldAlreadyLifted(Conflict):
    """Nothing is left to lift."""

    code = "hold_already_lifted"
    title = "Hold already lifted"


@dataclass(frozen=True)
class Scope:
    """What a hold covers, as far as the rules need it: whose it is, at which sites people may know of it."""

    kind: HoldScope
    id: str
    donor_code: str | None
    sites: frozenset[str]
    specimen: Snapshot | None = None


_SCOPES = {
    HoldScope.DONOR: """
        SELECT d.code AS donor_code, d.clinic_site_code AS site FROM donor d WHERE d.code = :id
        UNION SELECT c.donor_code, s.site FROM custody c JOIN specimen p ON p.code = c.code,
              LATERAL (VALUES (c.site_code), (p.home_site_code)) AS s(site)
        WHERE c.donor_code = :id""",
    HoldScope.LOT: """
        SELECT l.donor_code, s.site FROM lot l JOIN donor d ON d.code = l.donor_code,
               LATERAL (VALUES (l.site_code), (d.clinic_site_code)) AS s(site)
        WHERE l.code = :id""",
    HoldScope.HARVEST: """
        SELECT h.donor_code, s.site FROM harvest h JOIN donor d ON d.code = h.donor_code,
               LATERAL (VALUES (h.site_code), (d.clinic_site_code)) AS s(site)
        WHERE h.code = :id
        UNION SELECT c.donor_code, c.site_code FROM custody c JOIN specimen p ON p.code = c.code WHERE p.harvest_code = :id""",
    HoldScope.CONTAINER: "SELECT NULL AS donor_code, site_code AS site FROM storage_container WHERE code = :id",
}


def _scope_statement(kind: HoldScope) -> TextClause:
    if kind is HoldScope.SHIPMENT:
        return text(f"SELECT donor_code, site FROM ({shipment_sites.get()}) AS s WHERE scope_id = :id")  # noqa: S608 - a constant
    return text(_SCOPES[kind])


def find_scope(session: Session, actor: Actor, kind: HoldScope, scope_id: str, *, lock: bool = False) -> Scope:
    """Find what a hold is about; raise NotFound when it does not exist or the actor may not know of it.

    `lock` takes the donor's row (for a donor or a harvest) or the specimen's custody row, so that a hold and an
    administration of the same cells happen one after the other.
    """
    if kind is HoldScope.SPECIMEN:
        specimen = get_visible(session, actor, scope_id, lock=lock, holds=True)
        return Scope(kind, scope_id, specimen.donor_code, frozenset(s for s in specimen.sites if s), specimen)
    rows = session.execute(_scope_statement(kind), {"id": scope_id}).all()
    sites = frozenset(row.site for row in rows if row.site is not None)
    if not rows or not actor.may(Permission.SPECIMEN_READ, at=sites):
        raise NotFound(f"There is no {kind.value} {scope_id} that you may see. Check the code.", subject=scope_id)
    donor: str | None = rows[0].donor_code
    if lock and donor is not None:
        lock_donor(session, donor)
    return Scope(kind, scope_id, donor, sites)


def _site_of(actor: Actor, permission: Permission, scope: Scope) -> str | None:
    """The site the act happens at: where the specimen is, else one where the actor may do it."""
    if scope.specimen is not None:
        site: str | None = scope.specimen.projection.site_code
        return site
    own = sorted(s for s in scope.sites if actor.may(permission, at=s))
    return own[0] if own else None


def _stream_of(scope: Scope) -> str:
    """The id of the stream a scope's holds stand on: a harvest's on its donor's."""
    return scope.donor_code if scope.kind is HoldScope.HARVEST and scope.donor_code else scope.id


def _last_of(session: Session, scope: Scope) -> datetime | None:
    if scope.specimen is not None:
        return scope.specimen.last_occurred_at
    return last_event_at(session, HOLD_EVENTS[scope.kind][0], _stream_of(scope))


def place_hold(session: Session, act: Act, request: HoldRequest) -> HoldAnswer:
    """Place a hold. Anyone who may record where the thing is may stop it; open bedside releases under it end."""
    scope = find_scope(session, act.actor, request.scope_kind, request.scope_id, lock=True)
    act.require(Permission.HOLD_PLACE, at=scope.sites, subject=scope.id)
    head = head_of(
        session,
        act,
        request,
        subject=scope.donor_code,
        site=_site_of(act.actor, Permission.HOLD_PLACE, scope),
        last=_last_of(session, scope),
    )
    hold_id, appended = custody_holds.place(
        session,
        kind=request.kind,
        scope_kind=scope.kind,
        scope_id=scope.id,
        reason=request.reason,
        head=head,
        specimen=scope.specimen,
        donor_code=scope.donor_code,
    )
    killed = end_held_releases.get()(session, at=act.at, because=f"{request.kind.value}_hold")
    return _answer(session, act, hold_id, [appended], killed)


def lift_hold(session: Session, act: Act, hold_id: UUID, request: LiftRequest) -> HoldAnswer:
    """Lift a hold: quality only, signed "hold lifted"."""
    row = _find(session, hold_id)
    scope = find_scope(session, act.actor, HoldScope(row["scope_kind"]), row["scope_id"], lock=True)
    act.require(Permission.HOLD_LIFT, at=scope.sites, subject=scope.id)
    if row["lifted_at"] is not None:
        raise HoldAlreadyLifted("This hold was lifted already.", subject=scope.id)
    signature = use_signature(session, act, request.signature, Meaning.HOLD_LIFTED)
    stream, _placed, lifted = HOLD_EVENTS[scope.kind]
    event = lifted(hold=str(hold_id), placed=bytes(row["placed_event"]).hex(), reason=request.reason, signature=str(signature.id))
    head = head_of(
        session,
        act,
        request,
        subject=scope.donor_code,
        site=_site_of(act.actor, Permission.HOLD_LIFT, scope),
        last=_last_of(session, scope),
        relies_on=(bytes(row["placed_event"]),),
    )
    (appended,) = append(session, [Fact(stream, _stream_of(scope), event, head, scope.specimen, scope.donor_code)])
    done = session.execute(
        update(hold)
        .where(hold.c.id == hold_id, hold.c.lifted_at.is_(None))
        .values(lifted_at=head.occurred_at, lifted_by=act.actor.code, lifted_event=appended.leaf_hash)
        .returning(hold.c.id)
    ).first()
    if done is None:
        raise HoldAlreadyLifted("Someone else lifted this hold a moment ago.", subject=scope.id)
    return _answer(session, act, hold_id, [appended], 0)


def _find(session: Session, hold_id: UUID) -> RowMapping:
    row = session.execute(select(hold).where(hold.c.id == hold_id)).mappings().first()
    if row is None:
        raise NotFound("There is no hold with this id that you may see.")
    return row


def _answer(session: Session, act: Act, hold_id: UUID, appended: list[Appended], killed: int) -> HoldAnswer:
    public = _public(_find(session, hold_id))
    return HoldAnswer(**public.model_dump(), releases_killed=killed, receipt=acknowledge(act, appended))


def _public(row: "RowMapping | dict[str, Any]") -> HoldPublic:
    return HoldPublic(**{name: row[name] for name in HoldPublic.model_fields})


# A hold has no site of its own: its scope's sites decide who may know of it.
_VISIBLE = """
    SELECT h.* FROM hold h
    WHERE (CAST(:scope AS text) IS NULL OR h.scope_id = :scope)
      AND (CAST(:active AS boolean) IS NULL OR (h.lifted_at IS NULL) = :active)
      AND (CAST(:before AS timestamptz) IS NULL OR (h.placed_at, h.id) < (:before, CAST(:before_id AS uuid)))
      AND (:everywhere
        OR h.scope_kind = 'container' AND EXISTS (
            SELECT 1 FROM storage_container b WHERE b.code = h.scope_id AND b.site_code = ANY(:sites))
        OR h.scope_kind = 'lot' AND EXISTS (
            SELECT 1 FROM lot l JOIN donor d ON d.code = l.donor_code
            WHERE l.code = h.scope_id AND (l.site_code = ANY(:sites) OR d.clinic_site_code = ANY(:sites)))
        OR h.scope_kind = 'donor' AND EXISTS (
            SELECT 1 FROM donor d WHERE d.code = h.scope_id AND d.clinic_site_code = ANY(:sites))
        OR h.scope_kind = 'shipment' AND EXISTS (
            SELECT 1 FROM ({shipment_sites}) AS s WHERE s.scope_id = h.scope_id AND s.site = ANY(:sites))
        OR h.scope_kind IN ('specimen','donor','harvest') AND EXISTS (
            SELECT 1 FROM custody c JOIN specimen p ON p.code = c.code LEFT JOIN donor d ON d.code = c.donor_code
            WHERE h.scope_id = CASE h.scope_kind WHEN 'specimen' THEN c.code WHEN 'donor' THEN c.donor_code
                                                 ELSE p.harvest_code END
              AND (c.site_code = ANY(:sites) OR p.home_site_code = ANY(:sites) OR d.clinic_site_code = ANY(:sites))))
    ORDER BY h.placed_at DESC, h.id DESC
    LIMIT :limit
"""


@cache
def _visible() -> TextClause:
    return text(_VISIBLE.format(shipment_sites=shipment_sites.get()))


def list_holds(
    session: Session,
    actor: Actor,
    *,
    scope: str | None = None,
    active: bool | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> HoldList:
    """List holds the actor may know of, newest first. `scope` is the code of what they cover."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    mark: datetime | None = None
    if after is not None:
        mark = session.execute(select(hold.c.placed_at).where(hold.c.id == after)).scalar_one_or_none()
    rows = (
        session.execute(
            _visible(),
            {
                "scope": scope,
                "active": active,
                "before": mark,
                "before_id": after,
                "limit": limit + 1,
            }
            | actor.scope(Permission.SPECIMEN_READ).bound(),
        )
        .mappings()
        .all()
    )
    items = [_public(row) for row in rows[:limit]]
    return HoldList(items=items, next=str(items[-1].id) if len(rows) > limit else None)

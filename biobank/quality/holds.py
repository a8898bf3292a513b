"""Holds as people use them: anyone who may place one places it; only quality lifts it, signed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, TextClause, select, text, true
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE, Place
from biobank.auth.scope import Scope as SiteScope
from biobank.benches.queries import SITES_OF_SESSION
from biobank.custody import holds as custody_holds
from biobank.custody.events import HOLD_EVENTS
from biobank.custody.hold_coverage import covered_by_those, shipment_sites
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import hold
from biobank.custody.queries import last_event_at
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.snapshots import get_visible
from biobank.custody.states import TERMINAL, HoldScope, State
from biobank.donors.visibility import lock_donor
from biobank.foundation.errors import Conflict, NotFound, NotPermitted, raise_first
from biobank.foundation.paging import Paging, read_page
from biobank.foundation.terms import words
from biobank.quality.dispositions import harm_of_holds, keep_covered, of_standing_harm
from biobank.quality.hold_schemas import HoldAnswer, HoldList, HoldPublic, HoldRequest, LiftRequest
from biobank.quality.independence import Touch, independence_refusals, looks_behind
from biobank.quality.models import recall_closing, recall_item
from biobank.quality.releases import end_held_releases
from biobank.specimens.models import lot_test


class HeldByExcursion(Conflict):
    """The hold of an excursion is placed and lifted with it, not by hand."""

    code = "held_by_excursion"
    title = "An excursion holds it"


class HeldByFailedTest(Conflict):
    """The hold that a failed test placed ends when two people of quality reopen the rejection, not by hand."""

    code = "held_by_failed_test"
    title = "A failed test holds it"


class HeldByAdverse(Conflict):
    """The hold of an adverse event is not lifted before somebody judged it."""

    code = "held_by_adverse_event"
    title = "Held by an adverse event"


class HeldByRecall(Conflict):
    """The hold of a recall ends when two people of quality close the recall, not by hand."""

    code = "held_by_recall"
    title = "A recall holds it"


@dataclass(frozen=True)
class Scope:
    """What a hold covers, as far as the rules need it: whose it is, at which sites people may know of it."""

    kind: HoldScope
    id: str
    donor_code: str | None
    sites: frozenset[str]
    specimen: Snapshot | None = None


_SITES = {
    HoldScope.SPECIMEN: """
        SELECT c.donor_code, s.site FROM custody c JOIN specimen p ON p.code = c.code LEFT JOIN donor d ON d.code = c.donor_code,
               LATERAL (VALUES (c.site_code), (p.home_site_code), (d.clinic_site_code)) AS s(site)
        WHERE c.code = {id}""",
    HoldScope.DONOR: """
        SELECT d.code AS donor_code, d.clinic_site_code AS site FROM donor d WHERE d.code = {id}
        UNION SELECT c.donor_code, s.site FROM custody c JOIN specimen p ON p.code = c.code,
              LATERAL (VALUES (c.site_code), (p.home_site_code)) AS s(site)
        WHERE c.donor_code = {id}""",
    HoldScope.LOT: """
        SELECT l.donor_code, s.site FROM lot l JOIN donor d ON d.code = l.donor_code,
               LATERAL (VALUES (l.site_code), (d.clinic_site_code)) AS s(site)
        WHERE l.code = {id}""",
    HoldScope.HARVEST: """
        SELECT h.donor_code, s.site FROM harvest h JOIN donor d ON d.code = h.donor_code,
               LATERAL (VALUES (h.site_code), (d.clinic_site_code)) AS s(site)
        WHERE h.code = {id}
        UNION SELECT c.donor_code, c.site_code FROM custody c JOIN specimen p ON p.code = c.code WHERE p.harvest_code = {id}""",
    HoldScope.CONTAINER: "SELECT NULL AS donor_code, site_code AS site FROM storage_container WHERE code = {id}",
    HoldScope.EXCURSION: """
        SELECT NULL AS donor_code, site_code AS site FROM excursion WHERE code = {id}
        UNION SELECT NULL, c.site_code FROM excursion_item i JOIN custody c ON c.code = i.specimen_code
        WHERE i.excursion_code = {id}""",
    HoldScope.BENCH_SESSION: SITES_OF_SESSION,
}


def _sites_of(kind: HoldScope, scope_id: str) -> str:
    """SQL: SELECT donor_code, site: where what a hold covers is or belongs. A hold has no site of its own: these decide who may
    know of it, and who may lift it."""
    if kind is HoldScope.SHIPMENT:
        return f"SELECT donor_code, site FROM ({shipment_sites.get()}) AS s WHERE scope_id = {scope_id}"  # noqa: S608 - constants
    return _SITES[kind].format(id=scope_id)


def find_scope(session: Session, actor: Actor, kind: HoldScope, scope_id: str, *, lock: bool = False) -> Scope:
    """Find what a hold is about; raise NotFound when it does not exist or the actor may not know of it.

    `lock` takes the donor's row (for a donor or a harvest) or the specimen's custody row, so that a hold and an
    administration of the same cells happen one after the other.
    """
    if kind is HoldScope.SPECIMEN:
        specimen = get_visible(session, actor, scope_id, lock=lock, holds=True)
        return Scope(kind, scope_id, specimen.donor_code, frozenset(s for s in specimen.sites if s), specimen)
    rows = session.execute(text(_sites_of(kind, ":id")), {"id": scope_id}).all()
    sites = frozenset(row.site for row in rows if row.site is not None)
    if not rows or not actor.may(Permission.SPECIMEN_READ, at=sites):
        raise NotFound(f"There is no {words(kind).lower()} {scope_id} that you may see. Check the code.", subject=scope_id)
    donor: str | None = rows[0].donor_code
    if lock and donor is not None:
        lock_donor(session, donor)
    return Scope(kind, scope_id, donor, sites)


def site_of_act(actor: Actor, permission: Permission, scope: Scope) -> str | None:
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
    if scope.kind is HoldScope.EXCURSION:
        raise HeldByExcursion(f"{scope.id} holds its set already. Hold the specimens or the place.", subject=scope.id)
    head = head_of(
        session,
        act,
        request,
        subject=scope.donor_code,
        site=site_of_act(act.actor, Permission.HOLD_PLACE, scope),
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


# What is gone stands nowhere; what is on its way, or was lost and may be found, belongs to a site all the same.
_GONE = [state.value for state in TERMINAL - {State.LOST}]
_STANDING = """
    SELECT covered.hold AS id, coalesce(c.site_code, p.home_site_code) AS site
    FROM ({covered}) AS covered JOIN custody c ON c.code = covered.code JOIN specimen p ON p.code = c.code
    WHERE c.state <> ALL(:gone)
    UNION SELECT h.id, b.site_code FROM hold h JOIN storage_container b ON b.code = h.scope_id
    WHERE h.id = ANY(:ids) AND h.scope_kind = 'container'
"""
_HARVESTED = text(
    "SELECT h.id, x.site_code AS site FROM hold h JOIN harvest x ON x.donor_code = h.scope_id"
    " WHERE h.id = ANY(:ids) AND h.scope_kind = 'donor'"
)


@cache
def _standing() -> TextClause:
    return text(_STANDING.format(covered=covered_by_those("id = ANY(:ids)", "h.id AS hold, scope.target AS code")))


def places_to_lift(session: Session, holds: Collection[UUID]) -> dict[UUID, list[Place]]:
    """Return for each hold the places at every one of which the right to lift it is needed.

    They are the sites where material stands that it covers, and a held container's own. Where none stands they are the sites
    of a donor's harvests; else it is enough to have the right at one of the sites that know of what is held.
    """
    every = {one: sites for one, sites in _by_hold(session, _standing(), holds, gone=_GONE).items() if sites}
    left = [one for one in holds if one not in every]
    every |= {one: sites for one, sites in _by_hold(session, _HARVESTED, left).items() if sites}
    known = sites_of_holds(session, [one for one in holds if one not in every])
    return {one: [*sorted(every[one])] if one in every else [known[one]] for one in holds}


def lift_refusals(actor: Actor, subject: str, places: Collection[Place]) -> list[NotPermitted]:
    """Return why the actor may not lift a hold on `subject`, one refusal a place of `places_to_lift`; empty when they may."""
    return [
        NotPermitted(
            f"{refusal.detail} The right to lift this hold is needed at every site where material stands that it covers.",
            **refusal.members,
        )
        for place in places
        if (refusal := actor.refusal(Permission.HOLD_LIFT, at=place, subject=subject)) is not None
    ]


def hold_to_lift(session: Session, actor: Actor, hold_id: UUID, *, lock: bool = False) -> tuple[RowMapping, Scope]:
    """Return a hold that the actor may lift, and what it covers; raise NotFound, NotPermitted, HoldAlreadyLifted."""
    row = _find(session, hold_id)
    scope = find_scope(session, actor, HoldScope(row["scope_kind"]), row["scope_id"], lock=lock)
    for refusal in lift_refusals(actor, scope.id, places_to_lift(session, [hold_id])[hold_id]):
        raise refusal
    if scope.kind is HoldScope.EXCURSION:
        raise HeldByExcursion(f"{scope.id} is assessed group by group; its hold ends with the last group.", subject=scope.id)
    if row["lifted_at"] is not None:
        raise custody_holds.HoldAlreadyLifted("This hold was lifted already.", subject=scope.id)
    if _of_failed_tests(session, [hold_id]):
        raise HeldByFailedTest(
            f"A test of {scope.id} failed. Two of quality reopen that at its page, over an investigation.", subject=scope.id
        )
    if _of_open_recalls(session, [hold_id]):
        raise HeldByRecall(
            f"A recall holds {scope.id}. Its hold ends when two of quality close the recall, with every unit decided.",
            subject=scope.id,
        )
    if of_standing_harm(session, [hold_id]):
        raise HeldByAdverse(
            f"An adverse event holds {scope.id}: nobody judged it yet, or its cause may lie in the material. Judge it first; what"
            " may be in the material is held until its deviation is closed, with every unit decided.",
            subject=scope.id,
        )
    raise_first(independence_refusals(actor, scope.id, _behind(session, [hold_id]).get(hold_id, ())))
    return row, scope


def _behind(session: Session, holds: Collection[UUID]) -> dict[UUID, list[Touch]]:
    """Return, by hold, who had to do with what it was placed for: they do not lift it."""
    return looks_behind(session, holds) | harm_of_holds(session, holds)


def _of_open_recalls(session: Session, holds: Collection[UUID]) -> frozenset[UUID]:
    """Return which of these holds a recall placed that is still open."""
    closed = recall_closing.c.recall_id == recall_item.c.recall_id
    of_recalls = select(recall_item.c.hold_id).where(recall_item.c.hold_id.in_(list(holds)))
    return frozenset(session.execute(of_recalls.where(~select(recall_closing).where(closed).exists())).scalars())


def _of_failed_tests(session: Session, holds: Collection[UUID]) -> frozenset[UUID]:
    """Return which of these holds a failed test placed."""
    return frozenset(session.execute(select(lot_test.c.hold_id).where(lot_test.c.hold_id.in_(list(holds)))).scalars())


def lift_hold(session: Session, act: Act, hold_id: UUID, request: LiftRequest) -> HoldAnswer:
    """Lift a hold: quality only, signed "hold lifted"."""
    row, scope = hold_to_lift(session, act.actor, hold_id, lock=True)
    signature = use_signature(session, act, request.signature, Meaning.HOLD_LIFTED)
    return _answer(session, act, hold_id, [lift_one(session, act, row, scope, request, str(signature.id))], 0)


def lift_one(session: Session, act: Act, row: RowMapping, scope: Scope, request: LiftRequest, signature: str) -> Appended:
    """Lift one hold that `hold_to_lift` has found and locked, under a signature that was used."""
    head = head_of(
        session,
        act,
        request,
        subject=scope.donor_code,
        site=site_of_act(act.actor, Permission.HOLD_LIFT, scope),
        last=_last_of(session, scope),
        relies_on=(bytes(row["placed_event"]),),
    )
    keep_covered(session, row["id"])
    lifting = custody_holds.Lifting(row["id"], bytes(row["placed_event"]), request.reason, signature, scope.id)
    return custody_holds.lift(
        session, lifting, scope.kind, _stream_of(scope), head, specimen=scope.specimen, donor_code=scope.donor_code
    )


def _find(session: Session, hold_id: UUID) -> RowMapping:
    row = session.execute(select(hold).where(hold.c.id == hold_id)).mappings().first()
    if row is None:
        raise NotFound("There is no such hold that you may see.")
    return row


def _answer(session: Session, act: Act, hold_id: UUID, appended: list[Appended], killed: int) -> HoldAnswer:
    public = _public(_find(session, hold_id))
    return HoldAnswer(**public.model_dump(), releases_killed=killed, receipt=acknowledge(act, appended))


def holds_public(session: Session, holds: Sequence[UUID]) -> list[HoldPublic]:
    """Return holds as they stand, in the order given."""
    rows = session.execute(select(hold).where(hold.c.id.in_(list(holds)))).mappings()
    found = {row["id"]: _public(row) for row in rows}
    return [found[one] for one in holds]


def _public(row: "RowMapping | dict[str, Any]") -> HoldPublic:
    return HoldPublic(**{name: row[name] for name in HoldPublic.model_fields})


@cache
def _known_at() -> TextClause:
    """SQL: what a hold covers is or belongs at one of `:sites`."""
    parts = (
        f"hold.scope_kind = '{kind.value}' AND EXISTS (SELECT 1 FROM ({_sites_of(kind, 'hold.scope_id')}) AS at"  # noqa: S608
        " WHERE at.site = ANY(:sites))"
        for kind in HoldScope
    )
    return text(f"({' OR '.join(parts)})")


def _within(scope: SiteScope) -> "ColumnElement[bool] | TextClause":
    return true() if scope.everywhere else _known_at().bindparams(sites=sorted(scope.sites))


ORDERS = {"placed_at": hold.c.placed_at, "scope_id": hold.c.scope_id}


def list_holds(
    session: Session,
    actor: Actor,
    *,
    scope: str | None = None,
    active: bool | None = None,
    kind: str | None = None,
    reason: str | None = None,
    reasons: Collection[str] = (),
    site: str | None = None,
    paging: Paging = Paging(),
) -> HoldList:
    """List holds the actor may know of, newest first. `scope` is the code of what they cover."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    statement = select(hold).where(_within(actor.scope(Permission.SPECIMEN_READ)))
    if scope is not None:
        statement = statement.where(hold.c.scope_id == scope)
    if active is not None:
        statement = statement.where(hold.c.lifted_at.is_(None) if active else hold.c.lifted_at.is_not(None))
    if kind is not None:
        statement = statement.where(hold.c.kind == kind)
    if reason is not None:
        statement = statement.where(hold.c.reason == reason)
    if reasons:
        statement = statement.where(hold.c.reason.in_(sorted(reasons)))
    if site is not None:
        statement = statement.where(_within(SiteScope(False, frozenset({site}))))
    page = read_page(session, statement, paging, key=hold.c.id, orders=ORDERS, default="-placed_at")
    return HoldList(items=[_public(row._mapping) for row in page.rows], **page.ends)


@cache
def _sites() -> TextClause:
    return text(
        " UNION ".join(
            f"SELECT hold.id, at.site FROM hold, LATERAL ({_sites_of(kind, 'hold.scope_id')}) AS at"  # noqa: S608 - constants
            f" WHERE hold.id = ANY(:ids) AND hold.scope_kind = '{kind.value}' AND at.site IS NOT NULL"
            for kind in HoldScope
        )
    )


def sites_of_holds(session: Session, holds: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Return where what each of these holds covers is or belongs."""
    return _by_hold(session, _sites(), holds)


def _by_hold(session: Session, statement: TextClause, holds: Collection[UUID], **given: object) -> dict[UUID, frozenset[str]]:
    found: dict[UUID, set[str]] = {one: set() for one in holds}
    if found:
        for hold_id, site in session.execute(statement, {"ids": list(found), **given}):
            found[hold_id].add(site)
    return {one: frozenset(sites) for one, sites in found.items()}


def liftable(session: Session, actor: Actor, every: Collection[UUID]) -> frozenset[UUID]:
    """Return which of these active holds the actor may lift, as `hold_to_lift` decides it."""
    holds = frozenset(every)
    if holds:
        holds -= {one for one, touches in _behind(session, holds).items() if independence_refusals(actor, "", touches)}
        holds -= _of_failed_tests(session, every) | _of_open_recalls(session, every) | of_standing_harm(session, every)
    if actor.may(Permission.HOLD_LIFT, at=EVERYWHERE):
        return holds
    if not actor.may(Permission.HOLD_LIFT, at=ANYWHERE):
        return frozenset()
    known = [one for one, sites in sites_of_holds(session, holds).items() if actor.may(Permission.SPECIMEN_READ, at=sites)]
    return frozenset(one for one, places in places_to_lift(session, known).items() if not lift_refusals(actor, "", places))

"""Acts that take two people: proposed and signed by the first, completed and signed by another, in two independent calls.

How a use case and its route are written (the declaration gives the act its page, /pending):

    class RoleGranted(BaseModel):
        status: Literal["done"] = "done"
        …

    @two_person("user.grant_role", "Give a role", "I have compared …, and approve it.", RoleChange)
    def grant_role(session, act, code, request) -> RoleGranted | Proposed:
        signature = use_signature(session, act, request.signature, Meaning.ROLE_CHANGE)
        step = propose_or_complete(
            session, act, "user.grant_role", code, {"role": …, "site": …}, signature, request.pending_act,
            hands=(), needs=Permission.ROLE_COSIGN, first_needs=Permission.USER_MANAGE, site=…,
        )
        if isinstance(step, Proposed):
            return step
        …  # step.first_user, step.second_user and both signatures go into the event

The route declares the union and answers 200 for both halves; `status` is `pending` or `done`. The second person sends the
same body with `pending_act` added and a signature of their own. GET /pending-acts lists what waits.

A pending act lives a day. It is no authority by itself: everything the act depends on is checked when it is completed, what the
first person may do included.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.models import pending_act as _pending
from biobank.acts.personal_signature import PersonalSignature, hold, proposal_of, stands
from biobank.acts.signing import SignatureUsed
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.personal_keys import public_in_force
from biobank.auth.queries import actor_of_user, every_login, logins_of
from biobank.foundation.clock import now
from biobank.foundation.errors import Conflict, NotFound, NotPermitted
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.transparency.models import event

UseCase = TypeVar("UseCase", bound=Callable[..., Any])

LIFETIME = timedelta(hours=24)

_find = select(_pending).where(_pending.c.id == bindparam("pending_id")).with_for_update()


class SecondPersonMustDiffer(NotPermitted):
    """The one who proposed cannot be the one who completes."""

    code = "second_person_must_differ"
    title = "A second person is needed"


class PendingActOver(Conflict):
    """It was completed, cancelled or left for more than a day."""

    code = "pending_act_over"
    title = "Nothing is waiting here"


class FirstSignatureGone(Conflict):
    """The first signature no longer counts: its signer's login may have changed hands, or what is kept of it was changed."""

    code = "first_signature_gone"
    title = "The first signature no longer counts"


class PendingActDiffers(Conflict):
    """The second call is not the act that was proposed."""

    code = "pending_act_differs"
    title = "Not what was proposed"


class Proposed(BaseModel):
    """The answer to the first half of a two-person act."""

    status: Literal["pending"] = "pending"
    pending_act: UUID = Field(description="The second person sends the same body with this in `pending_act`.")
    act: str
    subject: str
    needs: str = Field(description="The permission the second person must hold.")
    site: str | None = Field(description="Where they must hold it; null: everywhere.")
    expires_at: datetime


@dataclass(frozen=True)
class Completed:
    """Both people and both signatures of a completed act, for its event."""

    pending_act: UUID
    first_user: str
    first_signature: UUID
    second_user: str
    second_signature: UUID
    proposed_at: datetime

    @property
    def signatures(self) -> tuple[str, str]:
        """Both signatures, in the order in which they were given, as an event names them."""
        return (str(self.first_signature), str(self.second_signature))


class PendingActPublic(BaseModel):
    """An act that waits for its second person."""

    id: UUID
    act: str
    subject: str
    body: dict[str, Any]
    meaning: str
    proposed_by: str
    hands: list[str] = Field(description="Whose hands the first person named, if not their own: none of them signs second.")
    proposed_at: datetime
    expires_at: datetime
    needs: str
    site: str | None

    def is_first(self, login: str) -> bool:
        """Say whether this login proposed it, or was named for its hands."""
        return login == self.proposed_by or login in self.hands


class PendingActList(Listed[PendingActPublic]):
    """Acts that wait, oldest first."""


@dataclass(frozen=True)
class TwoPersonAct:
    """An act of two people. `statement` is what the second person signs; `model` is the request that completes it."""

    label: str
    statement: str
    model: type[BaseModel]
    use_case: Callable[..., Any]
    grave: bool
    """It cannot be taken back."""
    needs_seq: bool
    """The request says how far the specimen's record stands."""


ACTS: dict[str, TwoPersonAct] = {}
"""Every act of two people by its name, `noun.verb`. Whole once `registries.declarations` is imported."""


def two_person(
    name: str,
    label: str,
    statement: str,
    model: type[BaseModel],
    *,
    grave: bool = False,
    needs_seq: bool = False,
) -> Callable[[UseCase], UseCase]:
    """Declare that the use case takes two people under `name` (see above)."""

    def declare(use_case: UseCase) -> UseCase:
        assert name not in ACTS, f"two acts are called {name}"
        ACTS[name] = TwoPersonAct(label, statement, model, use_case, grave, needs_seq)
        return use_case

    return declare


def propose_or_complete(
    session: Session,
    act: Act,
    act_name: str,
    subject: str,
    body: dict[str, Any],
    signature: SignatureUsed,
    pending: UUID | None,
    *,
    hands: Collection[str],
    needs: Permission,
    first_needs: Permission,
    site: str | None = None,
    first_site: str | None = None,
    and_at: Collection[str] = (),
) -> Proposed | Completed:
    """Store the first half of a two-person act, or complete it.

    `hands`: whose hands the request names (`performed_by`). Whoever the first person named is not the second.

    `act_name` is declared with `two_person`, `subject` a code, `body` what both people say: codes, integers, booleans and enums
    as strings, no free text and no names, because it is shown to whoever may complete it. `first_needs` and `needs` are what
    the first and the second person must be allowed, at `site` or, when that is None, everywhere; the first at `first_site`, where
    that is another; both at every place of `and_at` too.

    Raises NotPermitted; when completing also NotFound, PendingActDiffers, PendingActOver, FirstSignatureGone and
    SecondPersonMustDiffer.
    """
    assert act_name in ACTS, f"{act_name} is not declared with @two_person"
    where = first_site or site
    if pending is None:
        for place in (where, *and_at):
            _require(act.actor, first_needs, place, subject, "The first person")
        return _propose(session, act, act_name, subject, body, signature, hands, needs, site)
    row = session.execute(_find, {"pending_id": pending}).first()
    if row is None:
        raise NotFound("This does not wait for a second person, or not any more.", subject=subject)
    if (row.act, row.subject, row.body, row.meaning) != (act_name, subject, body, signature.meaning.value):
        raise PendingActDiffers(
            "This is not what the first person proposed and signed. Look at what waits for a second person.", subject=subject
        )
    if row.completed_at is not None or row.cancelled_at is not None or row.expires_at <= act.at:
        raise PendingActOver(
            "This act was completed, cancelled or left for more than a day. Propose it again if it is still needed.",
            subject=subject,
        )
    if act.actor.code in _first_people(session, row):
        raise SecondPersonMustDiffer(
            "You proposed this yourself, with this login or another of yours, or were named as the hands of whoever did; someone "
            "else must sign it as the second person.",
            subject=subject,
        )
    for place in (site, *and_at):
        _require(act.actor, needs, place, subject, "The second person")
    first = actor_of_user(session, row.proposed_by)
    if first is None or not all(holds(first, first_needs, place) for place in (where, *and_at)):
        raise PendingActOver("The one who proposed this may no longer do so. It must be proposed again.", subject=subject)
    _require_first_stands(session, row, act.at)
    if row.first_signed["key"] is None and signature.personal.once is not None:
        raise PendingActOver(
            "Who proposed this had no key to sign with then, and you sign with one. It must be proposed again.", subject=subject
        )
    hold(session, PersonalSignature(row.first_signed))
    session.execute(
        update(_pending)
        .where(_pending.c.id == row.id)
        .values(completed_by=act.actor.code, completed_at=act.at, second_signature=signature.id)
    )
    return Completed(row.id, row.proposed_by, row.first_signature, signature.user, signature.id, row.proposed_at)


def _first_people(session: Session, row: Any) -> frozenset[str]:
    """Return every login of whoever proposed an act and of those whose hands they named: none of them is its second person."""
    return logins_of(session, [row.proposed_by, *row.first_hands])


_CHANGED_HANDS = ("user.deactivated", "user.password_reset", "user.enrolment_opened")


def _require_first_stands(session: Session, row: Any, at: datetime) -> None:
    """Raise FirstSignatureGone when the first signature is not by its signer's key, or their login may have changed hands."""
    since = select(event.c.seq).where(
        event.c.stream_kind == "user",
        event.c.stream_id == row.proposed_by,
        event.c.kind.in_(_CHANGED_HANDS),
        event.c.recorded_at >= row.proposed_at,
        event.c.recorded_at <= at,
    )
    if session.execute(since.limit(1)).first() is not None:
        raise FirstSignatureGone(
            f"The login of {row.proposed_by} was reset or shut since this was proposed. It must be proposed again.",
            subject=row.subject,
        )
    proposal = proposal_of(row.id, row.act, row.subject, row.body, row.proposed_at)
    said = row.first_signed
    key = public_in_force(session, row.proposed_by)
    is_theirs = (said["user"], said["id"], said["meaning"]) == (row.proposed_by, str(row.first_signature), row.meaning)
    if not is_theirs or not stands(said, proposal, key):
        raise FirstSignatureGone(
            f"What is kept as the signature of {row.proposed_by} is not what they signed. Tell quality, and propose it again.",
            subject=row.subject,
        )


def holds(actor: Actor, permission: Permission, site: str | None) -> bool:
    """Say whether `actor` holds `permission` at `site`; None means everywhere, and being allowed somewhere is not enough."""
    return actor.may(permission, at=site)


def _require(actor: Actor, permission: Permission, site: str | None, subject: str, who: str) -> None:
    if not holds(actor, permission, site):
        place = "everywhere" if site is None else f"at {site}"
        raise NotPermitted(f"{who} must be allowed to {permission.words} {place}.", permission=permission.value, subject=subject)


def cancel_pending(session: Session, act: Act, pending: UUID) -> PendingActPublic:
    """Take back a proposal: the proposer may, and whoever could have completed it."""
    row = session.execute(_find, {"pending_id": pending}).first()
    if row is None or not _may_see(act.actor, row):
        raise NotFound("This does not wait for a second person, or not any more.")
    if row.completed_at is not None or row.cancelled_at is not None:
        raise PendingActOver("This act was completed or cancelled already.", subject=row.subject)
    session.execute(update(_pending).where(_pending.c.id == row.id).values(cancelled_at=act.at))
    return _public(row)


ORDERS = {"proposed_at": _pending.c.proposed_at, "expires_at": _pending.c.expires_at}


def list_pending(session: Session, actor: Actor, paging: Paging = Paging()) -> PendingActList:
    """List the acts that wait for a second person and that the actor proposed or may complete, oldest first."""
    statement = select(_pending).where(
        _pending.c.completed_at.is_(None),
        _pending.c.cancelled_at.is_(None),
        _pending.c.expires_at > now(),
        or_(_pending.c.proposed_by == actor.code, *(_completable(actor, p) for p in sorted(actor.permissions))),
    )
    page = read_page(session, statement, paging, key=_pending.c.id, orders=ORDERS, default="proposed_at")
    return PendingActList(items=[_public(row) for row in page.rows], **page.ends)


def proposer_of(session: Session, pending: UUID | None) -> str | None:
    """Return who proposed what has this id; None for no such proposal."""
    if pending is None:
        return None
    return session.execute(select(_pending.c.proposed_by).where(_pending.c.id == pending)).scalar()


def void_differing(session: Session, act: Act, act_name: str, subject: str, pending: UUID | None) -> bool:
    """Take back a proposal of this act of which its second person found something else; return whether one waited for them.

    For what two people find out independently: who differs may not try until it fits.
    """
    if pending is None:
        return False
    row = session.execute(_find, {"pending_id": pending}).first()
    own = _first_people(session, row) if row is not None else ()
    waits = row is not None and (row.act, row.subject) == (act_name, subject) and row.completed_at is None
    if row is None or not waits or row.cancelled_at is not None or row.expires_at <= act.at or act.actor.code in own:
        return False
    if not holds(act.actor, Permission(row.needs), row.site_code):
        return False
    session.execute(update(_pending).where(_pending.c.id == row.id).values(cancelled_at=act.at))
    return True


def pending_about(
    session: Session, actor: Actor, act_name: str, subject: str, body: dict[str, Any] | None = None
) -> PendingActPublic | None:
    """Return the latest proposal of exactly this act (`body` None: whatever it says) that waits and that the actor may know of,
    or None.
    """
    rows = session.execute(
        select(_pending)
        .where(_pending.c.act == act_name, _pending.c.subject == subject, _pending.c.expires_at > now())
        .where(_pending.c.completed_at.is_(None), _pending.c.cancelled_at.is_(None))
        .order_by(_pending.c.proposed_at.desc())
    )
    return next((_public(row) for row in rows if body in (None, row.body) and _may_see(actor, row)), None)


def waiting_body(session: Session, act_name: str, subject: str) -> dict[str, Any] | None:
    """Return what the latest proposal of this act about `subject` that waits says, or None; whoever may know of it."""
    body: dict[str, Any] | None = session.execute(
        select(_pending.c.body)
        .where(_pending.c.act == act_name, _pending.c.subject == subject, _pending.c.expires_at > now())
        .where(_pending.c.completed_at.is_(None), _pending.c.cancelled_at.is_(None))
        .order_by(_pending.c.proposed_at.desc())
        .limit(1)
    ).scalar()
    return body


def latest_proposers(session: Session, act_name: str, subjects: Collection[str]) -> dict[str, frozenset[str]]:
    """Return for each subject about which this act waits every login of whoever proposed it last, and the hands they named."""
    first = user.alias()
    hands = func.to_jsonb(_pending.c.first_hands, type_=JSONB)
    rows = session.execute(
        select(_pending.c.subject, func.jsonb_concat(every_login(first), hands, type_=JSONB).label("logins"))
        .join(first, first.c.code == _pending.c.proposed_by)
        .where(_pending.c.act == act_name, _pending.c.subject.in_(sorted(subjects)), _pending.c.expires_at > now())
        .where(_pending.c.completed_at.is_(None), _pending.c.cancelled_at.is_(None))
        .order_by(_pending.c.proposed_at)
    )
    return {row.subject: frozenset(row.logins) for row in rows}


def _propose(
    session: Session,
    act: Act,
    act_name: str,
    subject: str,
    body: dict[str, Any],
    signature: SignatureUsed,
    hands: Collection[str],
    needs: Permission,
    site: str | None,
) -> Proposed:
    pending = uuid4()
    proposed = signature.personal.over_proposal(proposal_of(pending, act_name, subject, body, act.at))
    session.execute(
        insert(_pending).values(
            id=pending,
            act=act_name,
            subject=subject,
            body=body,
            meaning=signature.meaning.value,
            needs=needs.value,
            site_code=site,
            proposed_by=act.actor.code,
            first_hands=sorted(hands),
            proposed_at=act.at,
            first_signature=signature.id,
            first_signed=proposed.members,
            expires_at=act.at + LIFETIME,
        )
    )
    return Proposed(
        pending_act=pending, act=act_name, subject=subject, needs=needs.value, site=site, expires_at=act.at + LIFETIME
    )


def _completable(actor: Actor, permission: Permission) -> ColumnElement[bool]:
    return and_(_pending.c.needs == permission.value, actor.scope(permission).of(_pending.c.site_code))


def _may_see(actor: Actor, row: Any) -> bool:
    return bool(row.proposed_by == actor.code) or holds(actor, Permission(row.needs), row.site_code)


def _public(row: Any) -> PendingActPublic:
    return PendingActPublic(
        id=row.id,
        act=row.act,
        subject=row.subject,
        body=row.body,
        meaning=row.meaning,
        proposed_by=row.proposed_by,
        hands=row.first_hands,
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        needs=row.needs,
        site=row.site_code,
    )

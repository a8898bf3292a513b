"""Use cases about logins.

Making, renaming and shutting a login is an administrator's. Whatever would let an administrator become a quality login in two
steps, resetting its password or opening it again, takes a second person from quality, as role changes do (`roles.py`).
Nobody decides about their own login.
"""

from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.timers import timer
from biobank.acts.two_person import Completed, Proposed, propose_or_complete, two_person
from biobank.auth.actor import RoleGrant
from biobank.auth.models import user
from biobank.auth.passwords import require_strong
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.auth.service import end_sessions_of, forget_old
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import AlreadyExists, Conflict, MalformedRequest
from biobank.people import events
from biobank.people.authority import cosigning_site, require_held, require_manager_of, require_not_own, takes_two
from biobank.people.queries import get_user
from biobank.people.schemas import Done, PasswordReset, UserChange, UserCreate
from biobank.vault import put_document

LOGINS_KEPT = timedelta(days=90)
COMPARED = "I have compared this change with the person's appointment and approve it."
"""What the second person signs about a login's rights."""


class _TwoStep(Protocol):
    """A request that may need a signature and a second person."""

    @property
    def signature(self) -> str | None: ...
    @property
    def pending_act(self) -> UUID | None: ...


class UsernameTaken(AlreadyExists):
    """Another login has this name."""

    code = "username_taken"
    title = "Login name taken"


def create_user(session: Session, act: Act, request: UserCreate, password_hash: str) -> Done:
    """Make a login without roles. `password_hash` is of `request.password`, made before the transaction opened.

    Raises NotPermitted, WeakPassword, UsernameTaken.
    """
    act.require(Permission.USER_MANAGE, at=ANYWHERE)
    require_strong(request.password, request.username)
    code, appended = add_user(session, act, request.username, request.printed_name, password_hash, must_change=True)
    return done(act, code, appended)


def add_user(
    session: Session, act: Act, username: str, printed_name: str, password_hash: str, *, must_change: bool
) -> tuple[str, list[Appended]]:
    """Write a login and its first event; return its badge code and what was appended. Raises UsernameTaken."""
    code = new_code(session, "US")
    made = session.execute(
        insert(user)
        .values(code=code, username=username, password_hash=password_hash, must_change_password=must_change, created_at=act.at)
        .on_conflict_do_nothing(index_elements=["username"])
        .returning(user.c.code)
    ).first()
    if made is None:
        raise UsernameTaken("Another login has this name. Choose another login name.")
    commit = _put_identity(session, act, code, username, printed_name)
    return code, record_about(session, act, code, events.UserCreated(identity=commit.hex()))


@two_person("user.reactivate", "Open a login again", COMPARED, UserChange)
def change_user(session: Session, act: Act, code: str, request: UserChange) -> Done | Proposed:
    """Rename a login, shut it or open it again: one change at a time.

    Raises NotFound, NotPermitted, OwnLogin, MalformedRequest without exactly one change, Conflict when it stands so already,
    and what signatures and two-person acts raise.
    """
    row, grants = get_user(session, act.actor, code, lock=True)
    if (request.printed_name is None) == (request.active is None):
        raise MalformedRequest("Send one change: either `printed_name` or `active`.")
    if request.active is not None and request.reason is None:
        raise MalformedRequest("Say why in `reason`, e.g. `left_the_bank`.")
    if request.active:
        return _reactivate(session, act, row, grants, request)
    require_manager_of(act, code, grants)
    if request.printed_name is not None:
        commit = _put_identity(session, act, code, row.username, request.printed_name)
        return done(act, code, record_about(session, act, code, events.UserRenamed(identity=commit.hex())))
    if not row.active:
        raise Conflict(f"{code} is shut already.", subject=code)
    return done(act, code, _deactivate(session, act, code, str(request.reason)))


def _reactivate(session: Session, act: Act, row: Any, grants: frozenset[RoleGrant], request: UserChange) -> Done | Proposed:
    body = {"active": True, "reason": request.reason}
    step = _opened_by(session, act, row.code, grants, "user.reactivate", body, request)
    if isinstance(step, Proposed):
        return step
    if row.active:
        raise Conflict(f"{row.code} is active already.", subject=row.code)
    session.execute(update(user).where(user.c.code == row.code).values(active=True))
    event = events.UserReactivated(reason=str(request.reason), **people_of(step))
    return done(act, row.code, record_about(session, act, row.code, event))


@two_person(
    "user.reset_password",
    "Set a first password",
    "Its owner asked for it in person, and I agree.",
    PasswordReset,
    first_password=True,
)
def reset_password(session: Session, act: Act, code: str, request: PasswordReset, password_hash: str) -> Done | Proposed:
    """Set a first password, to be changed at the next sign-in, and end every session of the login.

    Raises NotFound, NotPermitted, OwnLogin, WeakPassword, and what signatures and two-person acts raise.
    """
    row, grants = get_user(session, act.actor, code, lock=True)
    step = _opened_by(session, act, code, grants, "user.reset_password", {}, request)
    if isinstance(step, Proposed):
        return step
    require_strong(request.password, row.username)
    session.execute(update(user).where(user.c.code == code).values(password_hash=password_hash, must_change_password=True))
    ended = end_sessions_of(session, code, act.at, because="password_reset")
    event = events.UserPasswordReset(sessions_ended=ended, **people_of(step))
    return done(act, code, record_about(session, act, code, event))


def change_own_password(session: Session, act: Act, password_hash: str, keep: UUID) -> None:
    """Store the new password of the actor, whose present one was just proved, and end their other sessions."""
    row, _grants = get_user(session, act.actor, act.actor.code, lock=True)
    session.execute(update(user).where(user.c.code == row.code).values(password_hash=password_hash, must_change_password=False))
    ended = end_sessions_of(session, row.code, act.at, because="password_changed", but=keep)
    event = events.UserPasswordChanged(first=row.must_change_password, sessions_ended=ended)
    record_about(session, act, row.code, event)


def record_about(session: Session, act: Act, code: str, event: Event) -> list[Appended]:
    """Append an event to a login's stream."""
    head = head_of(session, act, NOW, subject=code, site=None)
    return append(session, [Fact(StreamKind.USER, code, event, head)])


def _opened_by(
    session: Session, act: Act, code: str, grants: frozenset[RoleGrant], name: str, body: dict[str, Any], request: _TwoStep
) -> Proposed | Completed | None:
    """Check who opens a login: one administrator (None), or for a login that co-signs roles two people in two calls."""
    if not takes_two(grants):
        require_manager_of(act, code, grants)
        return None
    site = cosigning_site(grants)
    if request.pending_act is None:
        require_manager_of(act, code, grants)
    else:
        require_held(act, Permission.ROLE_COSIGN, site)
        require_not_own(act, code)
    signature = use_signature(session, act, request.signature, Meaning.APPROVED)
    return propose_or_complete(
        session,
        act,
        name,
        code,
        body,
        signature,
        request.pending_act,
        needs=Permission.ROLE_COSIGN,
        first_needs=Permission.USER_MANAGE,
        site=site,
    )


def people_of(step: Completed | None) -> dict[str, str]:
    """Return the members of a `TwoPeople` event; none when one person was enough."""
    if step is None:
        return {}
    return {
        "proposed_by": step.first_user,
        "completed_by": step.second_user,
        "first_signature": str(step.first_signature),
        "second_signature": str(step.second_signature),
    }


def _deactivate(session: Session, act: Act, code: str, reason: str) -> list[Appended]:
    session.execute(update(user).where(user.c.code == code).values(active=False))
    ended = end_sessions_of(session, code, act.at, because="deactivated")
    return record_about(session, act, code, events.UserDeactivated(reason=reason, sessions_ended=ended))


def _put_identity(session: Session, act: Act, code: str, username: str, printed_name: str) -> bytes:
    commit = put_document(session, act.keystore, code, {"username": username, "printed_name": printed_name})
    session.execute(update(user).where(user.c.code == code).values(name_commit=commit))
    return commit


def done(act: Act, code: str, appended: list[Appended]) -> Done:
    """Build the answer about a login, with our signature under what was recorded."""
    return Done(code=code, events=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended))


@timer(every=timedelta(hours=1))
def forget_logins(session: Session, act: Act) -> int:
    """Drop sign-in attempts and used refresh tokens that no throttle and no check needs any more."""
    return forget_old(session, act.at - LOGINS_KEPT)

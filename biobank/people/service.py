"""Use cases about logins.

Making, renaming and shutting a login is an administrator's. A login is made without a credential; its first role brings a
one-time code, and so does a reset (`slips.py`). Both take a second person from quality, as role changes do (`roles.py`), and so
does opening a quality login again. Nobody decides about their own login, and nobody knows or sets another's password.
"""

from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.timers import timer
from biobank.acts.two_person import Completed, Proposed, propose_or_complete, two_person
from biobank.auth import passkeys, second_factor
from biobank.auth.actor import RoleGrant
from biobank.auth.identity import load_actor
from biobank.auth.models import user
from biobank.auth.passwords import Hashed
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.auth.service import Proven, end_sessions_of, forget_old
from biobank.custody.ledger import Appended
from biobank.custody.recording import acknowledge
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import AlreadyExists, Conflict, MalformedRequest
from biobank.people import events
from biobank.people.authority import cosigning_site, one_site, require_held, require_manager_of, require_not_own, takes_two
from biobank.people.credentials import record_about, record_credentials
from biobank.people.personal_keys import key_after, open_enrolment
from biobank.people.pins import drop_pin
from biobank.people.queries import get_user, login_named, person_of
from biobank.people.schemas import Done, PasswordReset, Slip, UserChange, UserCreate
from biobank.people.slips import NO_CODE, issue_slip
from biobank.transparency.models import stream_head
from biobank.vault import put_document

LOGINS_KEPT = timedelta(days=90)
COMPARED = "I have compared this change with the person's appointment and approve it."
"""What the second person signs about a login's rights."""

_head = select(stream_head.c.seq).where(
    stream_head.c.stream_kind == StreamKind.USER.value, stream_head.c.stream_id == bindparam("code")
)


class _TwoStep(Protocol):
    """A request that may need a signature and a second person."""

    @property
    def signature(self) -> str | None: ...
    @property
    def pending_act(self) -> UUID | None: ...


class PasswordOfAnother(Conflict):
    """A request brought a password for somebody else."""

    code = "password_of_another"
    title = "Nobody sets another's password"


class LoginWithoutRole(Conflict):
    """The login has no role, so there is nothing to come back to; its first role brings a one-time code."""

    code = "login_without_role"
    title = "No role yet"


class NameKnown(Conflict):
    """Somebody of this name has a login: the same person, or another?"""

    code = "name_known"
    title = "Somebody of this name has a login"


class UsernameTaken(AlreadyExists):
    """Another login has this name."""

    code = "username_taken"
    title = "Login name taken"


def create_user(session: Session, act: Act, request: UserCreate) -> Done:
    """Make a login without roles and without a credential: nothing opens it yet.

    Raises NotPermitted, PasswordOfAnother, NotFound, NameKnown, UsernameTaken.
    """
    act.require(Permission.USER_MANAGE, at=ANYWHERE)
    _require_no_password(request.password)
    person = None if request.same_person_as is None else person_of(session, act.actor, request.same_person_as)
    namesake = login_named(session, act.keystore, request.printed_name)
    if namesake is not None and person is None and not request.another_person:
        raise NameKnown(
            f"{namesake} is printed with the same name. Say whose login this is: the same person's, or another person's.",
            subject=namesake,
        )
    code, appended = add_user(session, act, request.username, request.printed_name)
    if person is not None:
        appended += _give_to(session, act, code, person)
    return done(act, code, appended)


def _give_to(session: Session, act: Act, code: str, person: str | None, step: Completed | None = None) -> list[Appended]:
    """Write whose login it is: with it go those that named it as their person's first."""
    its = (user.c.code == code) if person is None else (user.c.code == code) | (user.c.person_code == code)
    session.execute(update(user).where(its).values(person_code=person))
    return record_about(session, act, code, events.UserOfPerson(person=person, **people_of(step)))


def _require_no_password(given: str | None) -> None:
    if given is not None:
        raise PasswordOfAnother(
            "Nobody sets another's password; leave it out. The owner gets a one-time code and chooses their own."
        )


def add_user(session: Session, act: Act, username: str, printed_name: str) -> tuple[str, list[Appended]]:
    """Write a login and its first event; return its badge code and what was appended. Raises UsernameTaken."""
    code = new_code(session, "US")
    made = session.execute(
        insert(user)
        .values(code=code, username=username, created_at=act.at)
        .on_conflict_do_nothing(index_elements=["username"])
        .returning(user.c.code)
    ).first()
    if made is None:
        raise UsernameTaken("Another login has this name. Choose another login name.")
    commit = _put_identity(session, act, code, username, printed_name)
    return code, record_about(session, act, code, events.UserCreated(identity=commit.hex()))


@two_person("user.of_person", "Say whose login it is", COMPARED, UserChange)
@two_person("user.reactivate", "Open a login again", COMPARED, UserChange)
def change_user(session: Session, act: Act, code: str, request: UserChange) -> Done | Proposed:
    """Rename a login, say whose it is, shut it or open it again: one change at a time.

    Raises NotFound, NotPermitted, OwnLogin, MalformedRequest without exactly one change, Conflict when it stands so already,
    and what signatures and two-person acts raise.
    """
    row, grants = get_user(session, act.actor, code, lock=True)
    if sum(one is not None for one in (request.printed_name, request.same_person_as, request.active)) != 1:
        raise MalformedRequest("Change one thing at a time: the printed name, whose login it is, or whether it is open.")
    if request.active is not None and request.reason is None:
        raise MalformedRequest("Say why, such as that they left the bank.")
    if request.active:
        return _reactivate(session, act, row, grants, request)
    if request.same_person_as is not None:
        return _change_person(session, act, row, grants, request)
    require_manager_of(act, code, grants)
    if request.printed_name is not None:
        commit = _put_identity(session, act, code, row.username, request.printed_name)
        return done(act, code, record_about(session, act, code, events.UserRenamed(identity=commit.hex())))
    if not row.active:
        raise Conflict(f"{code} is shut already.", subject=code)
    return done(act, code, _deactivate(session, act, code, str(request.reason)))


def _change_person(session: Session, act: Act, row: Any, grants: frozenset[RoleGrant], request: UserChange) -> Done | Proposed:
    """Give the login to a person, which one administrator may; taking it from one frees its owner's hands and takes two."""
    code, asked = row.code, str(request.same_person_as)
    person = None if asked == code else person_of(session, act.actor, asked)
    if person in (row.person_code, code):
        raise Conflict(f"{code} is recorded so already.", subject=code)
    if row.person_code is None:
        require_manager_of(act, code, grants)
        return done(act, code, _give_to(session, act, code, person))
    site = one_site(grants)
    _require_half_of(act, code, grants, site, request)
    step = _two_people(session, act, "user.of_person", code, {"same_person_as": asked}, site, request)
    return step if isinstance(step, Proposed) else done(act, code, _give_to(session, act, code, person, step))


def _reactivate(session: Session, act: Act, row: Any, grants: frozenset[RoleGrant], request: UserChange) -> Done | Proposed:
    body = {"active": True, "reason": request.reason}
    completed: Completed | None = None
    if takes_two(grants):
        site = cosigning_site(grants)
        _require_half_of(act, row.code, grants, site, request)
        step = _two_people(session, act, "user.reactivate", row.code, body, site, request)
        if isinstance(step, Proposed):
            return step
        completed = step
    else:
        require_manager_of(act, row.code, grants)
    if row.active:
        raise Conflict(f"{row.code} is active already.", subject=row.code)
    session.execute(update(user).where(user.c.code == row.code).values(active=True))
    event = events.UserReactivated(reason=str(request.reason), **people_of(completed))
    return done(act, row.code, record_about(session, act, row.code, event))


@two_person(
    "user.reset_password",
    "Reset a password",
    "Its owner asked for it in person. I hand my half of the one-time code to nobody else, sealed and unread.",
    PasswordReset,
)
def reset_password(session: Session, act: Act, code: str, request: PasswordReset) -> Done | Proposed:
    """Take the password of a login away, end its sessions and make a slip, in two calls by two people; each draws half of
    the one-time code.

    Both sign the roles that the login holds and how far its record stands: when either changes in between, nothing is done.

    Raises NotFound, NotPermitted, OwnLogin, PasswordOfAnother, LoginWithoutRole, and what signatures and two-person acts raise.
    """
    _row, grants = get_user(session, act.actor, code, lock=True)
    site = one_site(grants)
    _require_half_of(act, code, grants, site, request)
    _require_no_password(request.password)
    if not grants:
        raise LoginWithoutRole(f"{code} has no role. Give it one: that brings a one-time code.", subject=code)
    held = sorted(f"{grant.role.value}@{grant.site or '*'}" for grant in grants)
    body = {"roles": held, "seq": session.scalar(_head, {"code": code}) or 0}
    step = _two_people(session, act, "user.reset_password", code, body, site, request)
    if isinstance(step, Proposed):
        return step
    slip = issue_slip(session, act, code, step.first_user)
    ended = end_sessions_of(session, code, act.at, because="password_reset")
    event = events.UserPasswordReset(sessions_ended=ended, **people_of(step))
    appended = record_about(session, act, code, event, open_enrolment(session, act, code, people_of(step)))
    if second_factor.remove(session, code):  # whoever lost password and device begins anew, by the same two people
        appended += record_about(session, act, code, events.UserSecondFactorRemoved(because="password_reset"))
    for gone in passkeys.remove(session, code):
        appended += record_about(session, act, code, events.UserPasskeyRemoved(passkey=gone, because="password_reset"))
    appended += drop_pin(session, act, code, because="password_reset")
    appended.append(record_credentials(session, act, code))
    return done(act, code, appended, slip)


def change_own_password(session: Session, act: Act, proven: Proven, fresh: Hashed, keep: UUID) -> None:
    """Store the new password of the actor, whose present one was just `proven`, and end their other sessions.

    Raises NotSignedIn when the session `keep` ended meanwhile, by a reset say: what was proved before counts for nothing then.
    """
    row, _grants = get_user(session, act.actor, act.actor.code, lock=True)
    load_actor(session, keep)
    store_own_password(session, act, row, fresh, keep, present=proven.unlocks)


def store_own_password(
    session: Session, act: Act, row: Any, fresh: Hashed, keep: UUID | None, *, present: bytes | None = None
) -> None:
    """Write the password that the owner of a locked row chose, with the key it unlocks; every session but `keep` ends.

    `present`: what the password before it unlocks with.
    """
    key = key_after(session, act, row, fresh, present)
    chosen = {"password_hash": fresh.stored, "must_change_password": False}
    session.execute(update(user).where(user.c.code == row.code).values(**chosen, **NO_CODE))
    ended = end_sessions_of(session, row.code, act.at, because="password_changed", but=keep)
    event = events.UserPasswordChanged(first=row.must_change_password, sessions_ended=ended)
    record_about(session, act, row.code, *([event] if key is None else [event, key]))
    record_credentials(session, act, row.code)


def _require_half_of(act: Act, code: str, grants: frozenset[RoleGrant], site: str | None, request: _TwoStep) -> None:
    """Raise NotPermitted or OwnLogin unless the actor may take this half: an administrator the first, quality the second."""
    if request.pending_act is None:
        require_manager_of(act, code, grants)
    else:
        require_held(act, Permission.ROLE_COSIGN, site)
        require_not_own(act, code)


def _two_people(
    session: Session, act: Act, name: str, code: str, body: dict[str, Any], site: str | None, request: _TwoStep
) -> Proposed | Completed:
    signature = use_signature(session, act, request.signature, Meaning.APPROVED)
    return propose_or_complete(
        session,
        act,
        name,
        code,
        body,
        signature,
        request.pending_act,
        hands=(),
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


def done(act: Act, code: str, appended: list[Appended], slip: Slip | None = None) -> Done:
    """Build the answer about a login, with our signature under what was recorded."""
    return Done(code=code, events=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended), slip=slip)


@timer(every=timedelta(hours=1))
def forget_logins(session: Session, act: Act) -> int:
    """Drop sign-in attempts, used refresh tokens and answered challenges that no throttle and no check needs any more."""
    return forget_old(session, act.at - LOGINS_KEPT) + passkeys.forget_used(session, act.at - LOGINS_KEPT)

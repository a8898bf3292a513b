"""Giving and taking roles: an administrator proposes and signs, quality completes and signs.

Both halves are the same call; the second names the first in `pending_act`. An administrator alone appoints nobody, and quality
alone neither. Nobody changes their own roles, not even with a colleague's signature.
"""

from typing import Any

from sqlalchemy import delete, insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Completed, Proposed, propose_or_complete, two_person
from biobank.auth.actor import RoleGrant
from biobank.auth.models import user_role
from biobank.auth.permissions import Permission
from biobank.foundation.errors import AlreadyExists, Conflict, NotFound
from biobank.people import events
from biobank.people.authority import require_held, require_not_own
from biobank.people.credentials import record_about
from biobank.people.personal_keys import open_enrolment
from biobank.people.queries import get_site, get_user
from biobank.people.schemas import Done, RoleChange
from biobank.people.service import COMPARED, done, people_of
from biobank.people.slips import issue_slip


@two_person("user.grant_role", "Give a role", COMPARED, RoleChange)
def grant_role(session: Session, act: Act, code: str, request: RoleChange) -> Done | Proposed:
    """Give a role, in two calls by two people. The first role of a login that nothing opens yet brings a one-time code.

    Raises NotFound, NotPermitted, OwnLogin, AlreadyExists, Conflict for a shut login or site, and what signatures and
    two-person acts raise.
    """
    row, grants = _subject_of(session, act, code, request)
    opens = row.password_hash is None and row.slip_id is None
    if not row.active:
        raise Conflict(f"{code} is shut. Open the login first.", subject=code)
    if RoleGrant(request.role, request.site) in grants:
        raise AlreadyExists(f"{code} has this role there already.", subject=code)
    step = _two_people(session, act, "user.grant_role", code, request)
    if isinstance(step, Proposed):
        return step
    add_grant(session, act, code, RoleGrant(request.role, request.site))
    event = events.UserRoleGranted(role=request.role, site=request.site, **people_of(step))
    if not opens:
        return done(act, code, record_about(session, act, code, event))
    slip = issue_slip(session, act, code, step.first_user)
    enrolment = open_enrolment(session, act, code, people_of(step))
    return done(act, code, record_about(session, act, code, event, enrolment), slip)


@two_person("user.revoke_role", "Take a role away", COMPARED, RoleChange)
def revoke_role(session: Session, act: Act, code: str, request: RoleChange) -> Done | Proposed:
    """Take a role away, in two calls by two people; in force with the next request of the login. To stop someone at once and
    alone, an administrator shuts the login.

    Raises NotFound, NotPermitted, OwnLogin, and what signatures and two-person acts raise.
    """
    _row, grants = _subject_of(session, act, code, request)
    if RoleGrant(request.role, request.site) not in grants:
        raise NotFound(f"{code} does not have this role there.", subject=code)
    step = _two_people(session, act, "user.revoke_role", code, request)
    if isinstance(step, Proposed):
        return step
    session.execute(
        delete(user_role).where(
            user_role.c.user_code == code,
            user_role.c.role == request.role.value,
            user_role.c.site_code.is_not_distinct_from(request.site),
        )
    )
    event = events.UserRoleRevoked(role=request.role, site=request.site, **people_of(step))
    return done(act, code, record_about(session, act, code, event))


def add_grant(session: Session, act: Act, code: str, grant: RoleGrant) -> None:
    """Write a grant. The caller records its event."""
    session.execute(
        insert(user_role).values(
            user_code=code, role=grant.role.value, site_code=grant.site, granted_at=act.at, granted_by=act.actor.code
        )
    )


def _subject_of(session: Session, act: Act, code: str, request: RoleChange) -> tuple[Any, Any]:
    row, grants = get_user(session, act.actor, code, lock=True)
    require_held(act, Permission.USER_MANAGE if request.pending_act is None else Permission.ROLE_COSIGN, request.site)
    require_not_own(act, code)
    if request.site is not None and not get_site(session, request.site).active:
        raise Conflict(f"Site {request.site} is shut.", subject=request.site)
    return row, grants


def _two_people(session: Session, act: Act, name: str, code: str, request: RoleChange) -> Proposed | Completed:
    signature = use_signature(session, act, request.signature, Meaning.ROLE_CHANGE)
    body = {"role": request.role.value, "site": request.site}
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
        site=request.site,
    )

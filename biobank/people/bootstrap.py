"""The first logins of a bank, and the way back in when the last administrator is gone.

A new bank has nobody who could propose or co-sign a role, so the bank itself makes the first logins, by an act outside any
request (`biobank users create`, the demonstration). Whoever can run it already holds the application's database login; the log
shows each of these acts under `SYSTEM`, for ever. Once somebody from quality could sign, one of them must.
"""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act, act_hash
from biobank.acts.signing import Meaning, make_signature, use_signature
from biobank.acts.web import require_own_password
from biobank.auth import one_time
from biobank.auth.actor import SYSTEM_CODE, RoleGrant
from biobank.auth.identity import load_actor_of
from biobank.auth.models import user, user_role
from biobank.auth.passwords import hash_now
from biobank.auth.service import Proven, end_sessions_of, require_standing
from biobank.foundation.errors import NotFound, NotPermitted
from biobank.people import events
from biobank.people.authority import COSIGNING_ROLES, one_site
from biobank.people.credentials import record_about, record_credentials
from biobank.people.personal_keys import open_enrolment
from biobank.people.queries import get_site, grants_of
from biobank.people.roles import add_grant
from biobank.people.service import add_user
from biobank.people.slips import NO_CODE, issue_slip


class SecondPersonNeeded(NotPermitted):
    """Somebody from quality could sign, so the console does not act alone."""

    code = "second_person_needed"
    title = "A second person is needed"


def set_up_user(
    session: Session,
    act: Act,
    *,
    username: str,
    printed_name: str,
    grants: Iterable[RoleGrant],
    one_time_code: str | None = None,
    second: Proven | None = None,
) -> str:
    """Make a login with roles as the bank itself and return its badge code.

    `act` is `Act.system(bank, …)`; `one_time_code` both halves of one (`one_time.new_code`), without which nothing opens the
    login yet. `second`: who signs for it. Then only the first half counts, and the other is theirs to draw.
    Raises UsernameTaken, NotFound for an unknown site, SecondPersonNeeded, NotPermitted for any other act.
    """
    _require_system(act)
    held = list(grants)
    signed = _signed_by(session, act, second, username, one_site(held), Meaning.ROLE_CHANGE)
    code, _ = add_user(session, act, username, printed_name)
    for grant in held:
        if grant.site is not None:
            get_site(session, grant.site)
        add_grant(session, act, code, grant)
        record_about(session, act, code, events.UserRoleGranted(role=grant.role, site=grant.site, **signed))
    if one_time_code is not None:
        _set_code(session, act, code, one_time_code, signed)
    record_about(session, act, code, open_enrolment(session, act, code, signed))
    record_credentials(session, act, code)
    return code


def reset_from_console(session: Session, act: Act, *, username: str, one_time_code: str, second: Proven | None = None) -> str:
    """Put a one-time code at a login, end its sessions and open it again, as the bank itself; return its badge code.

    `one_time_code`, `second`: as `set_up_user` has them.

    Raises NotFound, SecondPersonNeeded, NotPermitted for any other act.
    """
    _require_system(act)
    row = session.execute(select(user.c.code, user.c.active).where(user.c.username == username).with_for_update()).first()
    if row is None:
        raise NotFound("There is no such login.")
    signed = _signed_by(session, act, second, username, one_site(grants_of(session, row.code)), Meaning.APPROVED)
    session.execute(update(user).where(user.c.code == row.code).values(active=True))
    _set_code(session, act, row.code, one_time_code, signed)
    ended = end_sessions_of(session, row.code, act.at, because="password_reset")
    if not row.active:
        record_about(session, act, row.code, events.UserReactivated(reason="set_up", **signed))
    reset = events.UserPasswordReset(sessions_ended=ended, **signed)
    record_about(session, act, row.code, reset, open_enrolment(session, act, row.code, signed))
    record_credentials(session, act, row.code)
    return str(row.code)


def who_may_sign(session: Session, site: str | None, *, but: str) -> set[str]:
    """Return the badges of those who can be the second person at the console for a login at `site` (None: everywhere).

    They are quality there; when nobody is, quality anywhere. `but`: the login name that it is about.
    """
    rows = session.execute(
        select(user.c.code, user_role.c.site_code)
        .join(user_role, user_role.c.user_code == user.c.code)
        .where(
            user_role.c.role.in_(sorted(COSIGNING_ROLES)),
            user.c.active,
            user.c.must_change_password.is_(False),
            user.c.username != but,
        )
    ).all()
    there = {row.code for row in rows if row.site_code in (None, site)}
    return there or {row.code for row in rows}


def _signed_by(
    session: Session, act: Act, second: Proven | None, username: str, site: str | None, meaning: Meaning
) -> dict[str, str]:
    """Return the members of the event that name the second person; none while nobody could be it."""
    able = who_may_sign(session, site, but=username)
    if not able:
        return {}
    if second is None or second.user not in able:
        raise SecondPersonNeeded(
            "A second person from quality signs this with their own login name and password; it cannot be the login it is about."
        )
    require_standing(session, second)
    signer = load_actor_of(session, second.user)
    require_own_password(signer)
    signing = replace(act, actor=signer, request_hash=act_hash(act.method, act.path, {"username": username, "site": site}))
    token = make_signature(
        session, user=signer.code, meaning=meaning, act_hash=signing.request_hash, at=act.at, unlocks=second.unlocks
    )
    used = use_signature(session, signing, token.signature, meaning)
    return {"completed_by": signer.code, "second_signature": str(used.id)}


def _set_code(session: Session, act: Act, code: str, plain: str, signed: dict[str, str]) -> None:
    """Let the whole code open a login when nobody signs for it; else its first half, and whoever signs draws the other."""
    if signed:
        signer = replace(act, actor=load_actor_of(session, signed["completed_by"]))
        issue_slip(session, signer, code, SYSTEM_CODE, plain.split(" ")[0])
        return
    hashed = hash_now(one_time.as_typed(plain)).stored
    values = NO_CODE | {"code_expires_at": act.at + one_time.LIFETIME}
    statement = update(user).where(user.c.code == code)
    session.execute(statement.values(password_hash=hashed, must_change_password=True, **values))


def _require_system(act: Act) -> None:
    if act.actor.code != SYSTEM_CODE:
        raise NotPermitted("Only the bank itself does this, from the command line.")

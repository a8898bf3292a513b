"""Acts that somebody should notice: roles given and taken, logins made, opened and reset, second factors removed, holds lifted.

They are read from the log, so that none can be left out. Everybody sees what was done to their own login and to holds that they
placed; those who may know of other logins, or read the log of a site, see theirs.
"""

from datetime import timedelta
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.models import hold
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.people.queries import users_seen
from biobank.people.resets import SHOWN_FOR
from biobank.transparency.models import event

OF_LOGINS: Final = tuple(
    f"user.{verb}"
    for verb in (
        "created",
        "reactivated",
        "role_granted",
        "role_revoked",
        "password_reset",
        "second_factor_removed",
        "passkey_added",
        "passkey_removed",
    )
)
LIFTED: Final = tuple(f"{one}.hold_lifted" for one in ("container", "donor", "lot", "shipment", "specimen", "system"))


class WatchedAct(BaseModel):
    """One such act: what, about which login or thing, by whom; the role, the site, and who had placed the hold."""

    at: AwareDatetime
    kind: str
    about: str
    by: list[str]
    role: str | None = None
    site: str | None = None
    placed_by: str | None = None


class WatchedActList(Listed[WatchedAct]):
    """Watched acts, the newest first."""


_OF_EVENT = hold.c.lifted_event == event.c.leaf_hash
_columns = (event.c.recorded_at, event.c.kind, event.c.stream_id, event.c.recorded_by, event.c.site_code, event.c.entry)


def list_watched_acts(
    session: Session, actor: Actor, *, kind: str | None = None, days: int = 31, paging: Paging = Paging()
) -> WatchedActList:
    """List the watched acts of the last `days` days that concern the actor, or that they may know of."""
    kinds = [one for one in (*OF_LOGINS, *LIFTED) if kind in (None, one)]
    statement = (
        select(*_columns, hold.c.placed_by)
        .outerjoin_from(event, hold, _OF_EVENT)
        .where(event.c.kind.in_(kinds), event.c.recorded_at > clock.now() - timedelta(days=days), _known(actor))
    )
    key = cast(func.encode(func.substr(event.c.leaf_hash, 1, 16), "hex"), String)
    page = read_page(session, statement, paging, key=key, orders={"at": event.c.recorded_at}, default="-at")
    return WatchedActList(items=[_public(row) for row in page.rows], **page.ends)


def own_holds_lifted(session: Session, actor: Actor, limit: int) -> list[WatchedAct]:
    """Return what somebody else lifted of late of the holds that the actor placed, the newest first."""
    rows = session.execute(
        select(*_columns, hold.c.placed_by)
        .join_from(hold, event, _OF_EVENT)
        .where(hold.c.placed_by == actor.code, hold.c.lifted_by != actor.code, hold.c.lifted_at > clock.now() - SHOWN_FOR)
        .order_by(hold.c.lifted_at.desc())
        .limit(limit)
    )
    return [_public(row) for row in rows]


def _known(actor: Actor) -> ColumnElement[bool]:
    """Return the condition under which the actor is told of an act."""
    is_login = event.c.stream_kind == StreamKind.USER.value
    told = [and_(is_login, event.c.stream_id == actor.code), hold.c.placed_by == actor.code]
    if actor.may(Permission.USER_READ, at=ANYWHERE):
        seen = select(user.c.code).where(user.c.code == event.c.stream_id, users_seen(actor))
        told.append(and_(is_login, seen.exists()))
    told.append(and_(~is_login, actor.scope(Permission.LOG_READ).of(event.c.site_code)))
    return or_(*told)


def _public(row: Any) -> WatchedAct:
    body = parse_entry(bytes(row.entry))["body"]
    named = dict.fromkeys((body.get("proposed_by"), row.recorded_by, body.get("completed_by")))
    return WatchedAct(
        at=row.recorded_at,
        kind=row.kind,
        about=row.stream_id,
        by=["the console" if one == SYSTEM_CODE else one for one in named if one],
        role=body.get("role"),
        site=body.get("site") if "role" in body else row.site_code,
        placed_by=row.placed_by,
    )

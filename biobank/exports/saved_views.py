"""Keeping a view of a list, for oneself or for the people of a site; listing what one may use, forgetting one's own.

A view is an address and the names and values in it: filters, order, columns. Whoever opens it sees what they may know.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.exports.models import SavedView
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound, NotPermitted
from biobank.foundation.terms import words

saved = table_of(SavedView)

MOST = 60
"""Views a person may keep: more are not found again."""
SHOWN = 30
"""Views that one list shows."""


class TooManyViews(Conflict):
    """A person keeps at most sixty."""

    code = "too_many_views"
    title = "Too many kept views"


class ViewKept(BaseModel):
    """The answer to keeping or forgetting one."""

    id: UUID


@dataclass(frozen=True)
class View:
    """A kept view. `site`: whose people see it, None for its owner alone; `mine`: the reader's own, who may forget it."""

    id: UUID
    query: dict[str, str]
    site: str | None
    mine: bool


def title_of(query: dict[str, str]) -> str:
    """Return what a filter of the log is called, from what it asks for: `Administered · LAB · last 7 days`. Pure."""
    parts = [words(query["kind"])] if "kind" in query else []
    parts += [query[name] for name in ("specimen", "donor", "actor", "site") if name in query]
    if "entered" in query:
        parts.append({"paper": "from paper", "late": "long after its time"}[query["entered"]])
    if "days" in query:
        parts.append(f"last {query['days']} days" if query["days"] != "1" else "last 24 hours")
    if "from" in query or "to" in query:
        parts.append(f"{query.get('from', '…')} to {query.get('to', 'now')}")
    return " · ".join(parts) or "Everything"


def views_of(session: Session, actor: Actor, address: str) -> list[View]:
    """Return the views of a list that are the actor's own or of a site where the actor works, own ones first."""
    mine = saved.c.user_code == actor.code
    shared = and_(saved.c.site_code.is_not(None), actor.scope(*Permission).of(saved.c.site_code))
    rows = session.execute(
        select(saved.c.id, saved.c.query, saved.c.site_code, mine.label("mine"))
        .where(saved.c.address == address, or_(mine, shared))
        .order_by(mine.desc(), saved.c.saved_at, saved.c.id)
        .limit(SHOWN)
    )
    return [View(row.id, row.query, row.site_code, row.mine) for row in rows]


def keep_view(session: Session, act: Act, address: str, query: dict[str, str], site: str | None) -> ViewKept:
    """Keep a view for the actor, and for the people of `site`; the same one twice is one. Raises NotPermitted, TooManyViews."""
    if site is not None and not act.actor.scope(*Permission).covers(site):
        raise NotPermitted(f"You do not work at {site}, so nothing is shared there. Keep it for yourself.")
    count = session.execute(select(func.count()).select_from(saved).where(saved.c.user_code == act.actor.code)).scalar_one()
    if count >= MOST:
        raise TooManyViews(f"You keep {MOST} views already. Forget one first.")
    row: Any = {"user_code": act.actor.code, "address": address, "query": query, "site_code": site}
    kept = (
        insert(saved)
        .values(id=uuid4(), saved_at=act.at, **row)
        .on_conflict_do_update(constraint="a_view_is_saved_once", set_={"site_code": site})
        .returning(saved.c.id)
    )
    return ViewKept(id=session.execute(kept).scalar_one())


def forget_view(session: Session, act: Act, view_id: UUID) -> ViewKept:
    """Forget one of the actor's own views; raise NotFound for any other."""
    gone = session.execute(
        delete(saved).where(saved.c.id == view_id, saved.c.user_code == act.actor.code).returning(saved.c.id)
    ).first()
    if gone is None:
        raise NotFound("You have no such view.")
    return ViewKept(id=view_id)

"""Saving a filter of the log, listing one's own, forgetting one. Nobody sees another person's."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.exports.models import SavedFilter
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.terms import words

saved = table_of(SavedFilter)

MOST = 30
"""Filters a person may keep: more are not found again."""


class TooManyFilters(Conflict):
    """A person keeps at most thirty."""

    code = "too_many_filters"
    title = "Too many saved filters"


class FilterSaved(BaseModel):
    """The answer to saving or forgetting one."""

    id: UUID


@dataclass(frozen=True)
class Kept:
    """A saved filter with what it is called."""

    id: UUID
    title: str
    query: dict[str, str]


def title_of(query: dict[str, str]) -> str:
    """Return what a filter is called, from what it asks for: `Administered · LAB · last 7 days`. Pure."""
    parts = [words(query["kind"])] if "kind" in query else []
    parts += [query[name] for name in ("specimen", "donor", "actor", "site") if name in query]
    if "entered" in query:
        parts.append({"paper": "from paper", "late": "long after its time"}[query["entered"]])
    if "days" in query:
        parts.append(f"last {query['days']} days" if query["days"] != "1" else "last 24 hours")
    if "from" in query or "to" in query:
        parts.append(f"{query.get('from', '…')} to {query.get('to', 'now')}")
    return " · ".join(parts) or "Everything"


def list_saved(session: Session, actor: Actor) -> list[Kept]:
    """Return the actor's own filters, oldest first."""
    rows = session.execute(select(saved).where(saved.c.user_code == actor.code).order_by(saved.c.saved_at, saved.c.id))
    return [Kept(row.id, title_of(row.query), row.query) for row in rows]


def save_filter(session: Session, act: Act, query: dict[str, str]) -> FilterSaved:
    """Keep a filter for the actor; the same one twice is one. Raises NotPermitted, TooManyFilters."""
    act.require(Permission.LOG_READ, at=ANYWHERE)
    count = session.execute(select(func.count()).select_from(saved).where(saved.c.user_code == act.actor.code)).scalar_one()
    if count >= MOST:
        raise TooManyFilters(f"You keep {MOST} filters already. Forget one first.")
    row: Any = {"user_code": act.actor.code, "query": query}
    session.execute(
        insert(saved).values(id=uuid4(), saved_at=act.at, **row).on_conflict_do_nothing(constraint="a_filter_is_saved_once")
    )
    found = session.execute(select(saved.c.id).where(saved.c.user_code == act.actor.code, saved.c.query == query)).scalar_one()
    return FilterSaved(id=found)


def forget_filter(session: Session, act: Act, filter_id: UUID) -> FilterSaved:
    """Forget one of the actor's own filters; raise NotFound for any other."""
    gone = session.execute(
        delete(saved).where(saved.c.id == filter_id, saved.c.user_code == act.actor.code).returning(saved.c.id)
    ).first()
    if gone is None:
        raise NotFound("You have no such saved filter.")
    return FilterSaved(id=filter_id)

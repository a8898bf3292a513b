"""How people want their own pages: time zone, language, what the bell counts. No event of the log."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import preferences
from biobank.foundation.zones import TimeZone
from biobank.people.sites import require_time_zone


class OwnPreferences(BaseModel):
    """What somebody chose. `timezone` null: as at their site. What presses (alarms, overdue, waiting) is always counted."""

    model_config = ConfigDict(extra="forbid")

    timezone: TimeZone | None = None
    language: Literal["en"] = "en"
    bell: list[Literal["due", "expected"]] = Field(default=["due", "expected"], max_length=2)


def own_preferences(session: Session, actor: Actor) -> OwnPreferences:
    """Return what the actor chose, or what stands for whoever did not choose."""
    actor.require_full("open your account")
    row = session.execute(select(preferences).where(preferences.c.user_code == actor.code)).mappings().first()
    return OwnPreferences() if row is None else OwnPreferences(**{name: row[name] for name in OwnPreferences.model_fields})


def set_preferences(session: Session, act: Act, request: OwnPreferences) -> OwnPreferences:
    """Keep what the actor chose, for the next page on. Raises UnknownTimeZone."""
    act.actor.require_full("change your account")
    if request.timezone is not None:
        require_time_zone(session, request.timezone)
    chosen: dict[str, Any] = request.model_dump()
    statement = insert(preferences).values(user_code=act.actor.code, **chosen)
    session.execute(statement.on_conflict_do_update(index_elements=["user_code"], set_=chosen))
    return request

"""Writing messages down: in the transaction of what they tell, for those who chose them. What is rolled back told nobody."""

from collections.abc import Collection
from datetime import datetime, time, timedelta
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Row, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.models import user, user_role
from biobank.messages.kinds import KindName
from biobank.messages.models import message, message_choice
from biobank.people.queries import zone_of

DAILY_AT: Final = time(7, 0)
"""When the message of a day leaves, in the time of the site that it is about."""


def tell(session: Session, act: Act, kind: KindName, site: str, called: Collection[str]) -> int:
    """Write a message to each of `called` (badges, and roles held at the site) who chose this kind; return how many.

    Without a mail server in the settings nothing is written: it would wait for ever.
    """
    if act.bank.settings.smtp_server is None or not called:
        return 0
    chose, held = message_choice.c, user_role.c
    by_role = select(held.id).where(
        held.user_code == user.c.code, held.role.in_(sorted(called)), or_(held.site_code.is_(None), held.site_code == site)
    )
    rows = session.execute(
        select(chose.user_code, chose.at_once, chose.daily, chose.sites)
        .join(user, user.c.code == chose.user_code)
        .where(user.c.active, chose.confirmed_at.is_not(None), or_(user.c.code.in_(sorted(called)), by_role.exists()))
        .order_by(chose.user_code)
    ).all()
    wanted = [(row.user_code, kind not in row.at_once) for row in rows if _wants(row, kind, site)]
    if not wanted:
        return 0
    tomorrow = next_daily(act.at, zone_of(session, site)) if any(daily for _, daily in wanted) else act.at
    same = {"kind": kind, "site_code": site, "made_at": act.at}
    session.execute(
        insert(message),
        [
            same | {"id": uuid4(), "user_code": to, "daily": daily, "due_at": tomorrow if daily else act.at}
            for to, daily in wanted
        ],
    )
    return len(wanted)


def _wants(row: "Row[Any]", kind: str, site: str) -> bool:
    chosen = {*row.at_once, *row.daily}
    return kind in chosen and (not row.sites or site in row.sites)


def next_daily(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the next instant at which the message of a day leaves, strictly after `at`. Pure."""
    local = at.astimezone(zone)
    today = datetime.combine(local.date(), DAILY_AT, zone)
    return today if today > local else datetime.combine(local.date() + timedelta(days=1), DAILY_AT, zone)

"""Who is not told what stands in a place, while it waits to be counted a second time.

The first count differed from the record. Whoever may count it now must not read off the record what to find: until the second
count is in, everybody who records storage there and did not count it first is shown no contents of that place, of what it
stands in, and of what stands in it. That holds for its map (now, as of a time, printed, beside a tube), for lists of specimens
by place and for what a scan list says of differences, as pages and as calls. A tube is worked with all the same: it tells its own
place, and a box chooses the slot. Not withheld is what says it tube by tube, the log above all: two counts prove two people
who were not told, not two who could not have asked. The first count is blind by its form alone: before it nobody knows of it.
"""

from collections.abc import Iterable
from typing import ClassVar

from sqlalchemy import column, func, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.errors import Conflict, raise_first


class ContentsWithheld(Conflict):
    """The reader may be the one who counts this place a second time, blind."""

    code: ClassVar[str] = "contents_withheld"
    title: ClassVar[str] = "Waits for a blind count"


_WAITING = text(
    """
    WITH RECURSIVE out (code, parent_code) AS (
        SELECT code, parent_code FROM storage_container WHERE code = ANY(:codes)
        UNION SELECT s.code, s.parent_code FROM out JOIN storage_container s ON s.code = out.parent_code
    ), inn (code) AS (
        SELECT code FROM storage_container WHERE code = ANY(:codes)
        UNION SELECT s.code FROM inn JOIN storage_container s ON s.parent_code = inn.code
    )
    SELECT c.container_code, c.site_code FROM stock_count c
    WHERE c.open AND c.recounted_at IS NULL AND NOT (:who = ANY(c.counted_by))
      AND (c.container_code IN (SELECT code FROM out) OR c.container_code IN (SELECT code FROM inn))
    ORDER BY c.container_code
    """
)


_COUNTS = _WAITING.columns(column("container_code"), column("site_code")).subquery("waits")
WAITING = select(func.json_agg(func.json_build_array(_COUNTS.c.container_code, _COUNTS.c.site_code))).scalar_subquery()
"""The same as one column, [[place, site]] or null, for who reads it beside the row of a container."""


def withheld(session: Session, actor: Actor, *codes: str) -> list[ContentsWithheld]:
    """Return why a reader is not shown what stands in one of these places. At most one statement."""
    if not codes or not actor.scope(Permission.STORAGE_RECORD):
        return []
    rows = session.execute(_WAITING, {"codes": list(codes), "who": actor.code})
    return withheld_for(actor, ((row.container_code, row.site_code) for row in rows))


def withheld_for(actor: Actor, waiting: Iterable[tuple[str, str]]) -> list[ContentsWithheld]:
    """Return it of places that wait, each with its site, for somebody who did not count them. Pure."""
    return [
        ContentsWithheld(
            f"{place} waits to be counted by somebody who does not know what is expected there, and that may be "
            "you. Count it by scanning, or ask a colleague to: what stands in it is shown when the second count is in.",
            subject=place,
        )
        for place, site in waiting
        if actor.may(Permission.STORAGE_RECORD, at=site)
    ]


def require_shown(session: Session, actor: Actor, code: str) -> None:
    """Raise ContentsWithheld."""
    raise_first(withheld(session, actor, code))

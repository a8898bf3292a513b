"""Use cases about sites: laboratories and clinics. Their codes stand in events, so a code is never changed or reused."""

import hashlib
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import AlreadyExists, Conflict
from biobank.people import events
from biobank.people.authority import require_held
from biobank.people.queries import get_site, knows_time_zone, site_public
from biobank.people.schemas import SiteChange, SiteCreate, SiteRecorded


class UnknownTimeZone(Conflict):
    """There is no such time zone in the IANA list."""

    code = "unknown_time_zone"
    title = "Unknown time zone"


def create_site(session: Session, act: Act, request: SiteCreate) -> SiteRecorded:
    """Add a place of work. Raises NotPermitted, UnknownTimeZone, AlreadyExists."""
    require_held(act, Permission.SITE_MANAGE, None)
    _require_time_zone(session, request.timezone)
    made = session.execute(
        insert(site).values(**request.model_dump(), active=True).on_conflict_do_nothing().returning(site.c.code)
    ).first()
    if made is None:
        raise AlreadyExists(f"There is a site {request.code} already.", subject=request.code)
    event = events.SiteCreated(
        site=request.code, site_kind=request.kind, timezone=request.timezone, name_sha256=_digest(request.name)
    )
    return _recorded(act, get_site(session, request.code), _record(session, act, request.code, event))


def change_site(session: Session, act: Act, code: str, request: SiteChange) -> SiteRecorded:
    """Change the name, time zone or use of a site. Raises NotFound, NotPermitted, UnknownTimeZone, Conflict without a change."""
    row = get_site(session, code, lock=True)
    require_held(act, Permission.SITE_MANAGE, code)
    wanted = {k: v for k, v in request.model_dump(exclude_none=True).items() if getattr(row, k) != v}
    if not wanted:
        raise Conflict(f"Site {code} stands like this already.", subject=code)
    if "timezone" in wanted:
        _require_time_zone(session, wanted["timezone"])
    session.execute(update(site).where(site.c.code == code).values(**wanted))
    now = get_site(session, code)
    event = events.SiteChanged(site=code, timezone=now.timezone, active=now.active, name_sha256=_digest(now.name))
    return _recorded(act, now, _record(session, act, code, event))


def _require_time_zone(session: Session, name: str) -> None:
    if not knows_time_zone(session, name):
        raise UnknownTimeZone("There is no such time zone. Use a name of the IANA list, e.g. Europe/London.")


def _record(session: Session, act: Act, code: str, event: Event) -> list[Appended]:
    head = head_of(session, act, NOW, subject=None, site=code)
    return append(session, [Fact(StreamKind.SYSTEM, events.SITES, event, head)])


def _recorded(act: Act, row: Any, appended: list[Appended]) -> SiteRecorded:
    return SiteRecorded(site=site_public(row), events=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()

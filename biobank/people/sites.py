"""Use cases about sites: laboratories and clinics. Their codes stand in events, so a code is never changed or reused."""

import hashlib
from typing import Any

from sqlalchemy import func, insert, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import AlreadyExists, Conflict, Refusal
from biobank.foundation.names import name_key
from biobank.people import events
from biobank.people.authority import require_held
from biobank.people.queries import get_site, knows_time_zone, site_public
from biobank.people.schemas import SiteChange, SiteCreate, SiteRecorded


class UnknownTimeZone(Conflict):
    """There is no such time zone in the IANA list."""

    code = "unknown_time_zone"
    title = "Unknown time zone"


class SiteLooksAlike(AlreadyExists):
    """Another site has a code or a name that looks the same in print."""

    code = "site_looks_alike"
    title = "Looks like another site"


def create_site(session: Session, act: Act, request: SiteCreate) -> SiteRecorded:
    """Add a place of work. Raises NotPermitted, UnknownTimeZone, AlreadyExists, SiteLooksAlike."""
    require_held(act, Permission.SITE_MANAGE, None)
    require_time_zone(session, request.timezone)
    session.execute(_naming_sites)
    if taken := _taken(session, request.code, keys_of(request.code, request.name)):
        raise taken
    session.execute(insert(site).values(**request.model_dump(), **keys_of(request.code, request.name), active=True))
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
        require_time_zone(session, wanted["timezone"])
    if "name" in wanted:
        session.execute(_naming_sites)
        wanted["name_key"] = name_key(wanted["name"])
        if taken := _taken(session, code, {"name_key": wanted["name_key"]}):
            raise taken
    session.execute(update(site).where(site.c.code == code).values(**wanted))
    now = get_site(session, code)
    event = events.SiteChanged(site=code, timezone=now.timezone, active=now.active, name_sha256=_digest(now.name))
    return _recorded(act, now, _record(session, act, code, event))


_naming_sites = select(func.pg_advisory_xact_lock(func.hashtextextended("names of sites", 0)))
_LIKE_DIGITS = str.maketrans("OIL", "011")


def keys_of(code: str, name: str) -> dict[str, str]:
    """Return by what two sites are told apart: their codes as they look in print (O is a zero, I an L), and their names."""
    return {"code_key": code.translate(_LIKE_DIGITS), "name_key": name_key(name)}


def _taken(session: Session, code: str, keys: dict[str, str]) -> Refusal | None:
    """Say which other site has one of these keys; None when none has."""
    same = or_(*(site.c[key] == value for key, value in keys.items()))
    rows = list(session.execute(select(site.c.code).where(same).order_by(site.c.code)).scalars())
    if "code_key" in keys and code in rows:
        return AlreadyExists(f"There is a site {code} already.", subject=code)
    for other in rows:
        if other != code:
            said = f"The code or the name looks like that of {other}. Choose one that nobody can take for it."
            return SiteLooksAlike(said, subject=other)
    return None


def require_time_zone(session: Session, name: str) -> None:
    """Raise UnknownTimeZone unless the database knows the zone too."""
    if not knows_time_zone(session, name):
        raise UnknownTimeZone("There is no such time zone. Use a name such as Europe/London.")


def _record(session: Session, act: Act, code: str, event: Event) -> list[Appended]:
    head = head_of(session, act, NOW, subject=None, site=code)
    return append(session, [Fact(StreamKind.SYSTEM, events.SITES, event, head)])


def _recorded(act: Act, row: Any, appended: list[Appended]) -> SiteRecorded:
    return SiteRecorded(site=site_public(row), events=[receipt_of(a) for a in appended], receipt=acknowledge(act, appended))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()

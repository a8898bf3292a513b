"""Who is called when: the rota of a site, and how far an alarm has gone up it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, Field
from sqlalchemy import and_, delete, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.alarms.events import RotaSet, Told
from biobank.alarms.models import rota_line
from biobank.auth.actor import Actor
from biobank.auth.models import user, user_role
from biobank.auth.permissions import ROLE_PERMISSIONS, Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.recording import Circumstances, acknowledge
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.foundation.paging import Listed
from biobank.people.queries import get_site, get_user
from biobank.quality.streams import record_on_stream

CALLED = tuple(role.value for role, may in ROLE_PERMISSIONS.items() if Permission.CUSTODY_RECORD in may)
"""The roles that can be called: those that can answer."""
_TOLD = tuple(role.value for role, may in ROLE_PERMISSIONS.items() if Permission.SPECIMEN_READ in may)
"""The roles whose holders may know of an alarm."""
SiteName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]


class RotaNotInOrder(Conflict):
    """A rota goes up: each line is called no earlier than the one before it, and the first at once."""

    code = "rota_not_in_order"
    title = "Not in order"


class NobodyToCall(Conflict):
    """A line of a rota names neither a role nor an open login."""

    code = "nobody_to_call"
    title = "Nobody to call"


class SetRota(Circumstances):
    """The whole rota of a site, in its order."""

    site: SiteName
    lines: list[Told] = Field(min_length=1, max_length=20)
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class RotaPublic(BaseModel):
    """The rota of a site."""

    site: str
    lines: list[Told]
    nobody: list[str] = Field(description="Who of it reaches no open login at the site; those lines are passed over.")


class RotaList(Listed[RotaPublic]):
    """The rotas of all sites that have one."""


class RotaRecorded(RotaPublic):
    """What was set, and our signature."""

    receipt: str


@dataclass(frozen=True)
class Rota:
    """The lines of a rota, and those of its badges and roles that reach somebody: an open login that may know of the alarm."""

    lines: Sequence[Told] = ()
    reached: Collection[str] = frozenset()

    @property
    def nobody(self) -> list[str]:
        """Who of it reaches nobody."""
        return [line.who for line in self.lines if line.who not in self.reached]

    def due(self, sounding_since: datetime, at: datetime) -> int:
        """Return how many lines are called by `at` of an alarm that sounds since a time; 0 where no line reaches anybody. Pure.

        Lines that reach nobody are passed over: where all that are due are such, the next one is called at once.
        """
        if not self.reached:
            return 0
        due = lines_due(self.lines, sounding_since, at)
        first = next(number for number, line in enumerate(self.lines, 1) if line.who in self.reached)
        return max(due, first)

    def told(self, already: int, due: int) -> tuple[str, ...]:
        """Return who is called by going from so many lines to so many."""
        return tuple(line.who for line in self.lines[already:due] if line.who in self.reached)

    def calls(self, actor: Actor, site: str) -> bool:
        """Say whether it calls the actor, by badge or by a role held at the site.

        One that reaches nobody calls everybody who handles material there: no alarm goes to nobody.
        """
        if not self.reached:
            return actor.may(Permission.CUSTODY_RECORD, at=site)
        here = {actor.code, *(role.value for role in actor.roles_at(site))}
        return any(line.who in here for line in self.lines)


def lines_due(lines: Sequence[Told], sounding_since: datetime, at: datetime) -> int:
    """Return how many lines of a rota are called by `at` of an alarm that sounds since a time. Pure."""
    return sum(1 for line in lines if at - sounding_since >= timedelta(minutes=line.after_min))


def rotas(session: Session) -> dict[str, Rota]:
    """Return every rota by site. One statement."""
    line, held = rota_line.c, user_role.c
    reached = (
        select(held.id)
        .join(user, user.c.code == held.user_code)
        .where(
            user.c.active,
            or_(held.site_code.is_(None), held.site_code == line.site_code),
            or_(held.role == line.who, and_(user.c.code == line.who, held.role.in_(_TOLD))),
        )
    )
    found: dict[str, Rota] = {}
    rows = session.execute(select(rota_line, reached.exists().label("reached")).order_by(line.site_code, line.number))
    for row in rows:
        before = found.get(row.site_code, Rota())
        here = {row.who} if row.reached else set()
        found[row.site_code] = Rota(
            [*before.lines, Told(who=row.who, after_min=row.after_min)], frozenset({*before.reached, *here})
        )
    return found


ABOUT_PEOPLE: Final = frozenset({"identities_read"})
"""Causes that are something people did: quality is called, and the log's readers alone know of them."""
_DECIDE: Final = frozenset(role.value for role, may in ROLE_PERMISSIONS.items() if Permission.QUALITY_DECIDE in may)
_QUALITY: Final = Rota([Told(who=role, after_min=0) for role in sorted(_DECIDE)], _DECIDE)


def rota_of(known: Mapping[str, Rota], cause: str, site: str) -> Rota:
    """Return who is called about a cause at a site; `known`: the rotas by site."""
    return _QUALITY if cause in ABOUT_PEOPLE else known.get(site, Rota())


def rotas_to_mend(known: Mapping[str, Rota], actor: Actor) -> list[tuple[str, list[str]]]:
    """Return the sites whose rota calls somebody who cannot be reached, with whom, of those that the actor may set. Pure."""
    return [(at, rota.nobody) for at, rota in known.items() if rota.nobody and not rota_refusals(actor, at)]


def rota_refusals(actor: Actor, site: str) -> list[Refusal]:
    """Return why the actor may not set the rota of a site: quality's and the administrator's work there."""
    refusal = None if actor.may(Permission.SITE_MANAGE, at=site) else actor.refusal(Permission.QUALITY_DECIDE, at=site)
    return [] if refusal is None else [refusal]


def list_rotas(session: Session, actor: Actor) -> RotaList:
    """Return every rota: who is called is no secret among those who work here."""
    if not actor.may(Permission.SITE_MANAGE, at=ANYWHERE):
        actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    return RotaList(items=[_public(site, rota) for site, rota in rotas(session).items()])


def set_rota(session: Session, act: Act, request: SetRota) -> RotaRecorded:
    """Set the rota of a site, signed "decided".

    Raises NotFound, NotPermitted, RotaNotInOrder, NobodyToCall, and what `use_signature` raises.
    """
    get_site(session, request.site)
    raise_first(rota_refusals(act.actor, request.site))
    minutes = [line.after_min for line in request.lines]
    if minutes[0] != 0 or minutes != sorted(minutes):
        raise RotaNotInOrder("The first is called at once, after 0 minutes, and each next one no earlier.", subject=request.site)
    for line in request.lines:
        _require_somebody(session, act, line.who)
    signature = str(use_signature(session, act, request.signature, Meaning.DECIDED).id)
    event = RotaSet(site=request.site, lines=tuple(request.lines), signature=signature)
    done = record_on_stream(session, act, request.site, event, request, site=request.site)
    session.execute(delete(rota_line).where(rota_line.c.site_code == request.site))
    session.execute(
        insert(rota_line),
        [{"site_code": request.site, "number": number, **line.model_dump()} for number, line in enumerate(request.lines)],
    )
    now = _public(request.site, rotas(session)[request.site])
    return RotaRecorded(**now.model_dump(), receipt=acknowledge(act, [done]))


def _public(site: str, rota: Rota) -> RotaPublic:
    return RotaPublic(site=site, lines=list(rota.lines), nobody=rota.nobody)


def _require_somebody(session: Session, act: Act, who: str) -> None:
    if not who.startswith("US-"):
        if who not in CALLED:
            raise NobodyToCall(f"{who} is no role that handles material, so it cannot answer.", subject=who)
        return
    row, _grants = get_user(session, act.actor, who)
    if not row.active:
        raise NobodyToCall(f"The login of {who} is closed.", subject=who)

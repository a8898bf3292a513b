"""What a place may read: temperature, nitrogen level and how fast they change; of its class, tighter by site and by container.

A container is judged by the strictest of: its temperature class in the registry below, what its site set for that class, what
was set for itself, and what was set for everything that it stands in, up to the first that keeps its own cold. So every container
that can hold material has limits.
A site or a container may be stricter than what stands without it, never looser; setting is signed, by two of quality where it
loosens a limit that stands: nobody alone lets a place be warmer than it might be before.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import one_or_two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.from_now_on import require_from_now_on
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import Circumstances, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.from_above import FromAbove
from biobank.people.queries import get_site
from biobank.storage import queries
from biobank.storage.events import ClassLimitsSet, ContainerLimitsSet
from biobank.storage.models import class_limit, storage_container
from biobank.storage.rules import class_around, own_class, up_to_its_cold
from biobank.storage.schemas import Code, TemperatureClass

Millidegrees = Annotated[int, Field(ge=-273_150, le=60_000)]
Level = Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass(frozen=True)
class PlaceLimits:
    """The coldest and the warmest allowed (m°C), the lowest level (millionths of full), the fastest warming (m°C a minute) and
    the fastest fall of the level (millionths an hour). None: nothing is asked.
    """

    lowest_mc: int | None = None
    highest_mc: int | None = None
    lowest_level_ppm: int | None = None
    rise_mc_per_min: int | None = None
    fall_ppm_per_h: int | None = None

    @classmethod
    def of(cls, holder: Any) -> Self:
        """Read them from what bears them by their names: a row of a container or of a class, a request."""
        return cls(**{name: getattr(holder, name) for name in NAMES})

    def with_stricter(self, other: "PlaceLimits") -> "PlaceLimits":
        """Return the stricter of both in everything."""
        return PlaceLimits(**{name: _stricter(name, getattr(self, name), getattr(other, name)) for name in NAMES})

    def looser_than(self, above: "PlaceLimits") -> list[str]:
        """Return the names in which this would be looser than what stands without it."""
        return [
            name
            for name in NAMES
            if (mine := getattr(self, name)) is not None and _stricter(name, mine, getattr(above, name)) != mine
        ]


NAMES: Final = tuple(PlaceLimits.__dataclass_fields__)


def _stricter(name: str, one: int | None, other: int | None) -> int | None:
    said = [value for value in (one, other) if value is not None]
    return (max if name.startswith("lowest") else min)(said, default=None)


@dataclass(frozen=True)
class ClassEntry:
    """What the registry says of a temperature class, and who says it."""

    limits: PlaceLimits
    source: str


_STARTING = "starting value of this registry, without a published source; quality sets the site's own"
_OF_A_LEVEL = PlaceLimits(lowest_level_ppm=200_000, fall_ppm_per_h=150_000)
_LN2 = PlaceLimits(highest_mc=-130_000, rise_mc_per_min=5_000).with_stricter(_OF_A_LEVEL)
_POMEROY = "-130 °C: Pomeroy 2019, doi 10.1007/s10815-019-01597-5; level and rates: " + _STARTING
CLASSES: Final[Mapping[str, ClassEntry]] = {
    "ln2_vapour": ClassEntry(_LN2, _POMEROY),
    "ln2_liquid": ClassEntry(_LN2, _POMEROY),
    "minus_150": ClassEntry(PlaceLimits(highest_mc=-130_000, rise_mc_per_min=5_000), _POMEROY),
    "minus_80": ClassEntry(PlaceLimits(lowest_mc=-100_000, highest_mc=-60_000, rise_mc_per_min=5_000), _STARTING),
    "minus_20": ClassEntry(PlaceLimits(lowest_mc=-40_000, highest_mc=-10_000), _STARTING),
    "fridge": ClassEntry(PlaceLimits(lowest_mc=1_000, highest_mc=10_000), _STARTING),
    "incubator": ClassEntry(PlaceLimits(lowest_mc=35_000, highest_mc=39_000), _STARTING),
    "ambient": ClassEntry(PlaceLimits(lowest_mc=15_000, highest_mc=30_000), _STARTING),
}


def class_judged_by(chain: list[Any]) -> str:
    """Return the class whose limits a container has. `chain`: its row and those around it, from the inside out.

    Where no class was given, a tank is judged as one of nitrogen, a freezer as one of -80 °C, anything else as a room.
    """
    chain = up_to_its_cold(chain)
    return class_around(chain) or own_class(chain[-1].kind, None) or "ambient"


def with_own_level(chain: list[Any], limits: PlaceLimits) -> PlaceLimits:
    """Return limits of a class with those of a nitrogen level where the thing that keeps the cold is a tank, whatever its class.
    Pure. `chain`: as for `class_judged_by`.
    """
    return limits.with_stricter(_OF_A_LEVEL) if up_to_its_cold(chain)[-1].kind == "tank" else limits


_CHAIN = text(
    """
    WITH RECURSIVE above AS (
        SELECT s.*, 0 AS depth FROM storage_container s WHERE s.code = ANY(:codes)
        UNION ALL
        SELECT s.*, above.depth + 1 FROM above JOIN storage_container s ON s.code = above.parent_code WHERE above.depth < 32
    )
    SELECT * FROM above ORDER BY depth
    """
)


def limits_of_place(session: Session, code: str, *, without_own: bool = False) -> PlaceLimits:
    """Return the limits by which a container is judged; `without_own`: those that would stand without its own. Two statements."""
    chain = up_to_its_cold(list(session.execute(_CHAIN, {"codes": [code]})))
    found = with_own_level(chain, class_limits(session, {chain[0].site_code})[class_judged_by(chain)])
    for row in chain[1:] if without_own else chain:
        found = found.with_stricter(PlaceLimits.of(row))
    return found


def class_limits(session: Session, sites: Collection[str]) -> dict[str, PlaceLimits]:
    """Return the limits of every class: the registry's, and whatever one of these sites set stricter. One statement."""
    found = {name: entry.limits for name, entry in CLASSES.items()}
    for row in session.execute(select(class_limit).where(class_limit.c.site_code.in_(sorted(sites)))):
        its = PlaceLimits.of(row)
        found[row.temperature_class] = found[row.temperature_class].with_stricter(its)
    return found


LOOSEN = "place.loosen_limits"


def loosens(now: PlaceLimits, wanted: PlaceLimits, above: PlaceLimits) -> bool:
    """Say whether `wanted` in place of `now` lets something be read that may not be now; `above` stands in any case. Pure."""
    then = wanted.with_stricter(above)
    return then.with_stricter(now) != then


class LooserThanAbove(Conflict):
    """Limits may be stricter than those of the class, the site and what a place stands in, never looser."""

    code = "looser_than_above"
    title = "Looser than what stands above it"


@dataclass(frozen=True)
class LimitsMet:
    """What lay outside a limit already when it was set: the events, the excursions, and how many specimens are held by them."""

    appended: Sequence[Appended] = ()
    excursions: Sequence[str] = ()
    specimens: int = 0


limits_met: FromAbove[Callable[[Session, Act, Collection[str], datetime, Appended], LimitsMet]] = FromAbove("monitoring")
"""Judge what containers read last by a limit: set when, by which event."""


class SetPlaceLimits(Circumstances):
    """What a container, or a class at a site, may read. What is left out has no limit of its own."""

    container: Code | None = None
    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] | None = None
    temperature_class: TemperatureClass | None = None
    lowest_mc: Millidegrees | None = None
    highest_mc: Millidegrees | None = None
    lowest_level_ppm: Level | None = None
    rise_mc_per_min: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    fall_ppm_per_h: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pending_act: UUID | None = None

    @model_validator(mode="after")
    def _about_one(self) -> Self:
        if (self.container is None) == (self.site is None or self.temperature_class is None):
            raise ValueError("say either which container, or which class at which site")
        if self.container is not None and (self.site is not None or self.temperature_class is not None):
            raise ValueError("a container has its own site and class")
        if self.lowest_mc is not None and self.highest_mc is not None and self.lowest_mc >= self.highest_mc:
            raise ValueError("the coldest allowed lies below the warmest")
        return self

    @property
    def subject(self) -> str:
        """The container, or the site."""
        return str(self.site if self.container is None else self.container.upper())

    @property
    def limits(self) -> PlaceLimits:
        """The limits in it."""
        return PlaceLimits.of(self)


class PlaceLimitsPublic(BaseModel):
    """Limits of a class (`site` null: of the registry, with its source) or of a container."""

    container: str | None = None
    site: str | None = None
    temperature_class: str | None = None
    lowest_mc: int | None = None
    highest_mc: int | None = None
    lowest_level_ppm: int | None = None
    rise_mc_per_min: int | None = None
    fall_ppm_per_h: int | None = None
    source: str | None = None


class PlaceLimitsList(BaseModel):
    """Every limit of a class there is."""

    items: list[PlaceLimitsPublic]


class PlaceLimitsRecorded(PlaceLimitsPublic):
    """What was set, our signature, and what lay outside it already: the excursions that begin now, and whom they hold."""

    status: Literal["done"] = "done"
    receipt: str
    excursions: list[str] = Field(default_factory=list)
    held: int = Field(default=0, description="Specimens that came into them.")


@two_person(
    LOOSEN, "Let a place read more than before", "I agree that alarms of this place may come later than now.", SetPlaceLimits
)
def set_place_limits(session: Session, act: Act, subject: str, request: SetPlaceLimits) -> PlaceLimitsRecorded | Proposed:
    """Set limits of a container or of a class at a site, signed. What was read last is judged by them (`limits_met`).

    `subject`: the request's own container or site. What loosens a limit that stands is proposed, and two of quality sign it.
    Raises NotFound, NotPermitted, LooserThanAbove, ImplausibleTime for a stated time, and what `one_or_two_sign` raises.
    """
    if request.subject != subject:
        raise NotFound(f"These limits are of {request.subject}, not of {subject}.", subject=subject)
    require_from_now_on(request)
    limits = request.limits
    if request.container is not None:
        code = request.container.upper()
        row = queries.get_container(session, act.actor, code, lock=True)
        site, above = row.site_code, limits_of_place(session, code, without_own=True)
        own = PlaceLimits.of(row)
    else:
        assert request.site is not None
        assert request.temperature_class is not None
        code, site, above = request.temperature_class, request.site, CLASSES[request.temperature_class].limits
        own = _of_site(session, site, code)
    act.require(Permission.QUALITY_DECIDE, at=site)
    get_site(session, site)
    if looser := limits.looser_than(above):
        raise LooserThanAbove(
            f"{IN_WORDS[looser[0]]} would be looser than what stands without it. Set it stricter, or leave it out.",
            subject=code if request.container else site,
            field=looser[0],
        )
    values = {name: getattr(limits, name) for name in NAMES}
    signatures = one_or_two_sign(
        session,
        act,
        LOOSEN,
        subject,
        {"container": request.container and code, "site": request.site, "temperature_class": request.temperature_class} | values,
        request,
        Permission.QUALITY_DECIDE,
        two=loosens(own, limits, above),
        site=site,
    )
    if isinstance(signatures, Proposed):
        return signatures
    head = head_of(session, act, request, subject=None, site=site)
    if request.container is not None:
        fact = Fact(StreamKind.CONTAINER, code, ContainerLimitsSet(**values, signatures=signatures), head)
        done = append(session, [fact])
        session.execute(update(storage_container).where(storage_container.c.code == code).values(**values))
        reached = queries.containers_below(session, code)
        said = PlaceLimitsPublic(container=code, site=site, **values)
    else:
        event = ClassLimitsSet(site=site, temperature_class=code, **values, signatures=signatures)
        done = append(session, [Fact(StreamKind.SYSTEM, site, event, head)])
        names = {"site_code": site, "temperature_class": code}
        row_values = values | {"set_by": act.actor.code, "event_hash": done[0].leaf_hash}
        statement = insert(class_limit).values(**names, **row_values)
        session.execute(statement.on_conflict_do_update(index_elements=list(names), set_=row_values))
        reached = _of_class(session, site, code)
        said = PlaceLimitsPublic(site=site, temperature_class=code, **values)
    met = limits_met.get()(session, act, reached, head.recorded_at, done[0])
    receipt = acknowledge(act, [*done, *met.appended])
    return PlaceLimitsRecorded(**said.model_dump(), receipt=receipt, excursions=list(met.excursions), held=met.specimens)


def _of_site(session: Session, site: str, name: str) -> PlaceLimits:
    """Return what a site set for a class, locked with the site, whose limits are set one after the other."""
    get_site(session, site, lock=True)
    of = class_limit.c
    row = session.execute(select(class_limit).where(of.site_code == site, of.temperature_class == name)).first()
    return PlaceLimits() if row is None else PlaceLimits.of(row)


def _of_class(session: Session, site: str, name: str) -> set[str]:
    """Return the containers of a site that are judged by a class."""
    codes = session.scalars(select(storage_container.c.code).where(storage_container.c.site_code == site))
    return {code for code, chain in queries.chains_of(session, list(codes)).items() if class_judged_by(list(chain)) == name}


IN_WORDS = {
    "lowest_mc": "The coldest allowed",
    "highest_mc": "The warmest allowed",
    "lowest_level_ppm": "The lowest level allowed",
    "rise_mc_per_min": "The fastest warming allowed",
    "fall_ppm_per_h": "The fastest fall of the level allowed",
}


def list_class_limits(session: Session, actor: Actor) -> PlaceLimitsList:
    """Answer GET /place-limits: the registry's classes with their sources, then what sites set."""
    if not any(actor.may(one, at=ANYWHERE) for one in queries.SEEING):
        actor.require(queries.SEEING[0], at=ANYWHERE)
    found = [
        PlaceLimitsPublic(temperature_class=name, source=entry.source, **{one: getattr(entry.limits, one) for one in NAMES})
        for name, entry in CLASSES.items()
    ]
    rows = session.execute(select(class_limit).order_by(class_limit.c.site_code, class_limit.c.temperature_class))
    found += [
        PlaceLimitsPublic(
            site=row.site_code, temperature_class=row.temperature_class, **{one: getattr(row, one) for one in NAMES}
        )
        for row in rows
    ]
    return PlaceLimitsList(items=found)


def read_place_limits(session: Session, actor: Actor, code: str) -> PlaceLimitsPublic:
    """Answer GET /storage-containers/{code}/limits: what the container is judged by, everything around it counted in."""
    row = queries.get_container(session, actor, code)
    limits = limits_of_place(session, code)
    return PlaceLimitsPublic(container=code, site=row.site_code, **{one: getattr(limits, one) for one in NAMES})

"""How long a material in one condition is fit for use, and how long it may be out of the cold: the registry's word, and a site's.

A site may only be stricter than what the registry of materials has from a published source; where it has none, the site's own
word with its own source replaces it. No figure for time out of the cold has a published source, so a budget exists only where a
site sets it. The same goes for the way into the tank after freezing and for the last passage. The time in a cryoprotectant begins
with the registry's starting value.
`custody.recording.record` asks at every change of condition and whenever time out of the cold is counted.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.from_now_on import require_from_now_on
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.material_limits import Limits, material_limits
from biobank.custody.models import custody
from biobank.custody.recording import NOW, Circumstances, acknowledge, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import TERMINAL, Condition, State, StreamKind
from biobank.custody.use_by import nearer_ends
from biobank.foundation.errors import Conflict
from biobank.people.queries import get_site
from biobank.specimens.events import SOURCE, LimitsSet
from biobank.specimens.limit_models import material_limit as limit
from biobank.specimens.materials import MATERIALS, MaterialName, UseBy, material_of
from biobank.specimens.models import specimen
from biobank.specimens.warm_time import hold_over_new_budget
from biobank.transparency.models import event

Seconds = Annotated[int, Field(ge=1, le=2**31 - 1)]
Source = Annotated[str, Field(pattern=SOURCE)]


COUNTED = ("use_by_s", "warm_amber_s", "warm_red_s", "contact_s", "to_tank_s", "highest_passage")
"""The limits of a material in one condition."""
LIMITED = (*COUNTED, "source")
"""What a site sets of a material in one condition."""


class LooserThanTheRegistry(Conflict):
    """A site may shorten what the registry of materials says, never lengthen it."""

    code = "looser_than_the_registry"
    title = "Longer than the registry allows"


class LongerWithoutSource(Conflict):
    """A site that allows longer than the registry begins with says by which source."""

    code = "longer_without_source"
    title = "Say the source"


class SetLimits(Circumstances):
    """What a site allows a material in one condition, in seconds; what is left out has no limit of the site's own."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    material: MaterialName
    condition: Condition
    use_by_s: Seconds | None = None
    warm_amber_s: Seconds | None = None
    warm_red_s: Seconds | None = None
    contact_s: Seconds | None = Field(
        default=None, description="Of what is frozen: longest in the cryoprotectant before cooling."
    )
    to_tank_s: Seconds | None = Field(
        default=None, description="Of what is frozen: longest from the end of freezing into the tank."
    )
    highest_passage: Annotated[int, Field(ge=0, le=50)] | None = Field(
        default=None, description="Of a culture: the last passage."
    )
    source: Source | None = Field(default=None, description="A validation, a procedure or a publication. A budget needs one.")
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.warm_amber_s is None) != (self.warm_red_s is None):
            raise ValueError("a budget has both an amber and a red time")
        if self.warm_amber_s is not None and self.warm_red_s is not None and self.warm_red_s < self.warm_amber_s:
            raise ValueError("red comes after amber")
        if self.warm_red_s is not None and self.condition is not Condition.FROZEN:
            raise ValueError("a budget is of frozen material; of any other say for how long it is fit for use")
        if self.warm_red_s is not None and self.source is None:
            raise ValueError("a budget says its source: a validation, a procedure or a publication")
        if self.condition is not Condition.FROZEN and (self.contact_s is not None or self.to_tank_s is not None):
            raise ValueError("only what is frozen has a cryoprotectant and a way into the tank")
        grown = self.condition is Condition.IN_CULTURE and MATERIALS[self.material].passaged
        if self.highest_passage is not None and not grown:
            raise ValueError("only a material in culture has passages")
        return self


class LimitsPublic(BaseModel):
    """What stands for a material in one condition: of a site, or of the registry (no site) with its source."""

    site: str | None
    material: str
    condition: str
    use_by_s: int | None = None
    warm_amber_s: int | None = None
    warm_red_s: int | None = None
    contact_s: int | None = None
    to_tank_s: int | None = None
    highest_passage: int | None = None
    source: str | None = None


class LimitsList(BaseModel):
    """Every limit there is."""

    items: list[LimitsPublic]


class LimitsRecorded(LimitsPublic):
    """What stands now, our signature, how many specimens were over the new budget already (they are held now), and how many of
    the site become too old for use earlier by it, each by an entry of its own.
    """

    receipt: str
    held: int = 0
    shortened: int = 0


@material_limits.give
def limits_of(session: Session, material: str, condition: str, sites: frozenset[str]) -> Limits:
    """Return the strictest limits of a material in a condition among those of the sites and of the registry."""
    rows = session.execute(
        select(limit).where(limit.c.material == material, limit.c.condition == condition, limit.c.site_code.in_(sorted(sites)))
    )
    said = {row.site_code: Limits(**{name: getattr(row, name) for name in COUNTED}) for row in rows}
    return _strictest(material, condition, sites, said)


def limits_then(session: Session, material: str, condition: str, sites: frozenset[str], at: datetime, known: datetime) -> Limits:
    """Do the same for a time gone by, as known at another: what the sites had set by then."""
    of = event.c
    entries = session.execute(
        select(of.entry)
        .where(of.stream_kind == StreamKind.SYSTEM.value, of.stream_id.in_(sorted(sites)), of.kind == "system.limits_set")
        .where(of.occurred_at <= at, of.recorded_at <= known)
        .order_by(of.seq)
    ).scalars()
    bodies = [parse_entry(bytes(entry))["body"] for entry in entries]
    said = {
        body["site"]: Limits(**{name: body.get(name) for name in COUNTED})
        for body in bodies
        if (body["material"], body["condition"]) == (material, condition)
    }
    return _strictest(material, condition, sites, said)


def _strictest(material: str, condition: str, sites: frozenset[str], said: Mapping[str, Limits]) -> Limits:
    entry = material_of(material) if material else None
    contact = entry.contact if entry is not None and condition == Condition.FROZEN else None
    return Limits(
        _with_the_registry(said, "use_by_s", None if entry is None else entry.use_by.get(Condition(condition)), sites),
        _lowest(said, "warm_amber_s"),
        _lowest(said, "warm_red_s"),
        _with_the_registry(said, "contact_s", contact, sites),
        _lowest(said, "to_tank_s"),
        _lowest(said, "highest_passage"),
    )


def _with_the_registry(said: Mapping[str, Limits], name: str, named: UseBy | None, sites: frozenset[str]) -> int | None:
    """Return the strictest of what sites say and the registry. A starting value that nobody published gives way to a site's own,
    at that site only: another has not decided anything."""
    own = {at: seconds for at, one in said.items() if (seconds := getattr(one, name)) is not None}
    silent = named is not None and (named.published or not sites or any(site not in own for site in sites))
    return min([*own.values(), *([named.seconds] if named is not None and silent else [])], default=None)


def _lowest(said: Mapping[str, Limits], name: str) -> int | None:
    own: list[int | None] = [getattr(one, name) for one in said.values()]
    return min((value for value in own if value is not None), default=None)


def set_limits(session: Session, act: Act, request: SetLimits) -> LimitsRecorded:
    """Set a site's limits, signed. What was out of the cold for longer than a new budget already is held; what is at the site or
    is kept by it becomes too old for use as the new time says, counted from when it became what it is.

    Raises NotPermitted, NotFound, LooserThanTheRegistry, and what `use_signature` raises.
    """
    require_from_now_on(request)
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    get_site(session, request.site)
    entry = MATERIALS[request.material]
    for named, wanted in ((entry.use_by.get(request.condition), request.use_by_s), (entry.contact, request.contact_s)):
        if named is None or wanted is None or wanted <= named.seconds:
            continue
        if named.published:
            raise LooserThanTheRegistry(
                f"The registry gives {named.seconds // 60} minutes ({named.source}). A site may only be stricter.",
                subject=request.site,
            )
        if request.source is None:
            raise LongerWithoutSource(
                f"The registry begins with {named.seconds // 60} minutes. To allow longer, say your source: a validation, a "
                "procedure or a publication.",
                subject=request.site,
            )
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    values = {name: getattr(request, name) for name in LIMITED}
    decided = LimitsSet(
        site=request.site,
        material=request.material.value,
        condition=request.condition,
        signature=str(signature.id),
        **values,
    )
    head = head_of(session, act, request, subject=None, site=request.site)
    done = append(session, [Fact(StreamKind.SYSTEM, request.site, decided, head)])
    row = values | {"set_by": act.actor.code, "event_hash": done[0].leaf_hash}
    names = {"site_code": request.site, "material": request.material.value, "condition": request.condition.value}
    session.execute(insert(limit).values(**names, **row).on_conflict_do_update(index_elements=list(names), set_=row))
    over = hold_over_new_budget(session, act, request.site, request.material.value) if request.warm_red_s is not None else []
    nearer = _end_earlier(session, act, request, done[0].leaf_hash) if request.use_by_s is not None else []
    return LimitsRecorded(
        site=request.site,
        material=request.material.value,
        condition=request.condition.value,
        receipt=acknowledge(act, [*done, *over, *nearer]),
        held=len(over),
        shortened=len(nearer),
        **values,
    )


def _end_earlier(session: Session, act: Act, request: SetLimits, decided: bytes) -> list[Appended]:
    there_now = and_(custody.c.site_code == request.site, custody.c.state != State.IN_TRANSIT.value)
    here = or_(there_now, specimen.c.home_site_code == request.site)
    its = (specimen.c.material == request.material.value, custody.c.condition == request.condition.value)
    alive = custody.c.state.not_in([state.value for state in TERMINAL])
    found = select(custody.c.code).join(specimen, specimen.c.code == custody.c.code).where(here, alive, *its)
    there, heads = {}, {}
    for code, one in sorted(load(session, session.scalars(found.order_by(custody.c.code)), lock=True).items()):
        if (now := one.projection).condition == request.condition and one.state not in TERMINAL:
            last, why = one.last_occurred_at, (decided,)
            heads[code] = head_of(session, act, NOW, subject=one.donor_code, site=now.site_code, last=last, relies_on=why)
            there[code] = one
    facts = nearer_ends(session, there, heads, partial(limits_of, session))
    return append(session, facts) if facts else []


def list_limits(session: Session, actor: Actor) -> LimitsList:
    """Answer GET /material-limits: the registry's with their sources, then the sites' own."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    found = [
        LimitsPublic(site=None, material=entry.name, condition=condition, use_by_s=named.seconds, source=named.source)
        for entry in MATERIALS.values()
        for condition, named in entry.use_by.items()
    ]
    names = ("material", "condition", *LIMITED)
    rows = session.execute(select(limit).order_by(limit.c.site_code, limit.c.material, limit.c.condition))
    found += [
        LimitsPublic(
            site=None,
            material=entry.name,
            condition=Condition.FROZEN,
            contact_s=entry.contact.seconds,
            source=entry.contact.source,
        )
        for entry in MATERIALS.values()
        if entry.contact is not None
    ]
    found += [LimitsPublic(site=row.site_code, **{name: getattr(row, name) for name in names}) for row in rows]
    return LimitsList(items=found)

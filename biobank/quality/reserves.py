"""How much of a donor's material stays: the reserve that quality sets, and what would remain if some of it were taken.

A unit counts as remaining when it is in the bank's hands, is not reserved, and could go to its donor as it is now: by the
question that a withdrawal asks (`quality/usable.py`). Whoever ends or gives units away asks here what is left afterwards.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import one_or_two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Place
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.recording import Circumstances, acknowledge
from biobank.custody.snapshots import load
from biobank.custody.states import HoldScope, State
from biobank.foundation import clock
from biobank.quality.events import ReserveSet
from biobank.quality.findings import IN_THE_BANK, Findings, read_findings
from biobank.quality.holds import Scope, find_scope
from biobank.quality.models import reserve as reserve_table
from biobank.quality.schemas import Token
from biobank.quality.streams import record_on_stream
from biobank.quality.usable import is_usable
from biobank.specimens.materials import MATERIALS, MaterialName, Unit, amount_text
from biobank.specimens.models import specimen as specimen_table

LOWER = "donor.lower_reserve"


@dataclass(frozen=True)
class Reserve:
    """What is to stay of a donor's material: at least so many units, and so much in all in one unit of measure."""

    units: int | None = None
    amount: int | None = None
    unit: str | None = None


NO_RESERVE = Reserve()


@dataclass(frozen=True)
class Remaining:
    """What is left of a donor's material once `taken` units are gone: usable units, and their amounts by unit of measure.

    `taken` counts only chosen units that were usable; `doubtful` are units that exist and cannot be used now.
    """

    donor: str
    material: str
    units: int
    amounts: Mapping[str, int]
    taken: int
    doubtful: int
    reserve: Reserve = field(default=NO_RESERVE)

    @property
    def takes_the_last(self) -> bool:
        """Whether nothing usable is left after something usable was taken."""
        return self.taken > 0 and self.units == 0

    @property
    def below_reserve(self) -> bool:
        """Whether less is left than the reserve, after something usable was taken."""
        units, amount, unit = self.reserve.units, self.reserve.amount, self.reserve.unit
        short = units is not None and self.units < units
        return self.taken > 0 and (short or (amount is not None and self.amounts.get(unit or "", 0) < amount))

    def with_rest(self, unit: str, amount: int) -> "Remaining":
        """Return the same when the one unit that was taken stays with `amount` in it, if it was usable."""
        if not self.taken:
            return self
        return replace(self, units=self.units + 1, amounts={**self.amounts, unit: self.amounts.get(unit, 0) + amount})

    @property
    def sentence(self) -> str:
        """What remains, as people read and sign it."""
        title = MATERIALS[MaterialName(self.material)].title.lower()
        units = "no usable unit" if self.units == 0 else "1 usable unit" if self.units == 1 else f"{self.units} usable units"
        held = ", ".join(amount_text(amount, unit) for unit, amount in sorted(self.amounts.items()) if amount)
        said = f"Of {self.donor}'s {title}, {units} will remain{f' ({held})' if held else ''}."
        if self.reserve.units is not None or self.reserve.amount is not None:
            said += f" The reserve is {self.reserve_text}."
        return said if not self.doubtful else f"{said} {self.doubtful} more cannot be used as they are now."

    @property
    def reserve_text(self) -> str:
        """The reserve in words."""
        units = None if self.reserve.units is None else f"{self.reserve.units} unit{'' if self.reserve.units == 1 else 's'}"
        amount = None if self.reserve.amount is None else amount_text(self.reserve.amount, self.reserve.unit or "")
        return " and ".join(part for part in (units, amount) if part) or "not set"


def remaining(
    donor: str,
    material: str,
    units: Sequence[Snapshot],
    findings: Mapping[str, Findings],
    chosen: Collection[str],
    at: datetime,
    reserve: Reserve = NO_RESERVE,
    *,
    reserved_too: bool = False,
) -> Remaining:
    """Return what is left of `units`, a donor's of one material, without the `chosen` codes. `findings`: by code. Pure.

    `reserved_too`: what other withdrawals have reserved is there as long as it has not left.
    """
    left: list[Snapshot] = []
    taken = doubtful = 0
    for one in units:
        usable = is_usable(one, findings[one.code], at)
        here = one.state in IN_THE_BANK and (reserved_too or one.projection.reserved_for is None)
        if one.code in chosen:
            taken += usable
        elif usable and here:
            left.append(one)
        elif one.purpose == "therapeutic" and here:
            doubtful += 1
    return Remaining(donor, material, len(left), amounts_of(left), taken, doubtful, reserve)


def amounts_of(units: Iterable[Snapshot]) -> dict[str, int]:
    """Return what several units hold together, by unit of measure. Pure."""
    amounts: dict[str, int] = {}
    for one in units:
        amounts[one.unit] = amounts.get(one.unit, 0) + one.projection.amount
    return amounts


def remaining_after(
    session: Session,
    donor: str,
    material: str,
    chosen: Collection[str] = (),
    at: datetime | None = None,
    *,
    were_there: bool = False,
) -> Remaining:
    """Return what of a donor's material remains once the `chosen` specimens are gone. An act locks the donor before it asks.

    `were_there`: they are reported missing, and counted as taken where they could have been used but for that.
    """
    codes = session.execute(
        select(specimen_table.c.code).where(specimen_table.c.donor_code == donor, specimen_table.c.material == material)
    ).scalars()
    units = load(session, codes, holds=True)
    if were_there:
        units |= {code: _there_again(units[code]) for code in chosen}
    then = at or clock.now()
    findings = read_findings(session, units, then, touches=False)
    return remaining(donor, material, list(units.values()), findings, chosen, then, reserve_of(session, donor, material))


def _there_again(unit: Snapshot) -> Snapshot:
    return replace(unit, projection=replace(unit.projection, state=State.RECEIVED.value))


def reserve_of(session: Session, donor: str, material: str) -> Reserve:
    """Return the reserve of a donor's material; an empty one when none was set."""
    return reserves_of(session, [donor]).get((donor, material), NO_RESERVE)


def reserves_of(session: Session, donors: Collection[str]) -> dict[tuple[str, str], Reserve]:
    """Return every reserve of these donors, by donor and material: one statement."""
    columns = (reserve_table.c[name] for name in ("donor_code", "material", "units", "amount", "unit"))
    rows = session.execute(select(*columns).where(reserve_table.c.donor_code.in_(sorted(donors))))
    return {(row.donor_code, row.material): Reserve(row.units, row.amount, row.unit) for row in rows}


class ReserveRequest(Circumstances):
    """What is to stay of a donor's material: units (containers), an amount in one of its measures, or both. Neither: nothing."""

    material: MaterialName
    units: Annotated[int, Field(ge=1, le=10_000)] | None = None
    amount: Annotated[int, Field(ge=1, le=10**15)] | None = Field(default=None, description="In the unit that is chosen.")
    unit: Unit | None = None
    signature: Token = None
    pending_act: UUID | None = Field(default=None, description="The proposal to lower it that this completes.")

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if (self.amount is None) != (self.unit is None):
            raise ValueError("an amount has a unit of measure, and a unit an amount")
        if self.unit is not None and self.unit not in MATERIALS[self.material].units:
            raise ValueError(f"{self.material.value} is not measured in {self.unit.value}")
        return self


class ReservePublic(BaseModel):
    """What there is of a donor's material now, and what of it is to stay."""

    donor: str
    material: str
    units: int | None
    amount: int | None
    unit: str | None
    usable_units: int
    usable_amounts: dict[str, int]
    sentence: str


class ReserveList(BaseModel):
    """One line for each material that the donor has, or has a reserve of."""

    items: list[ReservePublic]


class ReserveRecorded(ReservePublic):
    """What stands now, and our signature."""

    status: Literal["done"] = "done"
    receipt: str


def donor_for_reserves(
    session: Session, actor: Actor, code: str, material: str | None = None, *, lock: bool = False
) -> tuple[Scope, list[str]]:
    """Find the donor, and where what there is (of `material`) is kept; raise NotFound, and NotPermitted unless the actor decides
    on quality there: at every one of these sites, or with no `material` at one.
    """
    scope = find_scope(session, actor, HoldScope.DONOR, code, lock=lock)
    kept = select(func.coalesce(specimen_table.c.home_site_code, custody.c.site_code))
    kept = kept.join(custody, custody.c.code == specimen_table.c.code).where(specimen_table.c.donor_code == code)
    if material is not None:
        kept = kept.where(specimen_table.c.material == material)
    homes = sorted({site for site in session.execute(kept.distinct()).scalars() if site is not None})
    places: list[Place] = [*homes] if material is not None and homes else [homes or scope.sites]
    for place in places:
        actor.require(Permission.QUALITY_DECIDE, at=place, subject=code)
    return scope, homes


def lowers(now: Reserve, wanted: Reserve) -> bool:
    """Say whether `wanted` lets more go than the reserve `now` does. Pure."""
    fewer = now.units is not None and (wanted.units is None or wanted.units < now.units)
    if now.amount is None or fewer:
        return fewer
    return wanted.amount is None or wanted.unit != now.unit or wanted.amount < now.amount


@two_person(
    LOWER,
    "Lower a reserve",
    "I have seen what there is of the donor's material, and agree that less of it need stay.",
    ReserveRequest,
)
def set_reserve(session: Session, act: Act, code: str, request: ReserveRequest) -> ReserveRecorded | Proposed:
    """Set what is to stay of a donor's material, signed by quality of the bank that keeps it; two sign what lowers it.

    Raises NotFound, NotPermitted and what `one_or_two_sign` raises.
    """
    scope, homes = donor_for_reserves(session, act.actor, code, request.material.value, lock=True)
    wanted = Reserve(request.units, request.amount, None if request.unit is None else request.unit.value)
    said: dict[str, Any] = {
        "material": request.material.value,
        "units": wanted.units,
        "amount": wanted.amount,
        "unit": wanted.unit,
    }
    signatures = one_or_two_sign(
        session,
        act,
        LOWER,
        code,
        said,
        request,
        Permission.QUALITY_DECIDE,
        two=lowers(reserve_of(session, code, request.material.value), wanted),
        site=homes[0] if homes else None,
        and_at=homes[1:],
    )
    if isinstance(signatures, Proposed):
        return signatures
    event = ReserveSet(**said, signatures=signatures)
    site = act.actor.first_site(Permission.QUALITY_DECIDE, homes or scope.sites)
    done = record_on_stream(session, act, code, event, request, site=site, donor_code=code)
    row: dict[str, Any] = {**said, "event_hash": done.leaf_hash}
    keyed = insert(reserve_table).values(donor_code=code, **row)
    session.execute(keyed.on_conflict_do_update(index_elements=["donor_code", "material"], set_=row))
    public = _public(remaining_after(session, code, request.material.value, at=act.at))
    return ReserveRecorded(**public.model_dump(), receipt=acknowledge(act, [done]))


def list_reserves(session: Session, actor: Actor, code: str) -> ReserveList:
    """Answer GET /donors/{code}/reserves: what there is and what stays, by material."""
    scope = find_scope(session, actor, HoldScope.DONOR, code)
    actor.require(Permission.WITHDRAWAL_READ, at=scope.sites, subject=code)
    named = select(reserve_table.c.material).where(reserve_table.c.donor_code == code)
    there = select(specimen_table.c.material).where(specimen_table.c.donor_code == code)
    materials = sorted(set(session.execute(named.union(there)).scalars()))
    return ReserveList(items=[_public(remaining_after(session, code, material)) for material in materials])


def _public(left: Remaining) -> ReservePublic:
    return ReservePublic(
        donor=left.donor,
        material=left.material,
        units=left.reserve.units,
        amount=left.reserve.amount,
        unit=left.reserve.unit,
        usable_units=left.units,
        usable_amounts=dict(left.amounts),
        sentence=left.sentence,
    )

"""Laying out a place: several containers alike at once, and what is in each of them, as one act.

"4 racks of 9 boxes 9×9" is one plan. Every container of it is added as if by itself, with its own code and its own event; one
that cannot be added leaves none.
"""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.names import AsSeen
from biobank.storage.containers import add_container, add_containers
from biobank.storage.queries import read_container
from biobank.storage.schemas import Code, ContainerCreate, ContainerKind, ContainerPublic, Purpose, TemperatureClass

MOST_CONTAINERS = 400
MOST_POSITIONS = 20_000
"""Of one plan: a large tank. More is laid out in two acts."""

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$"), AsSeen]
Number = Annotated[int, Field(ge=1, le=MOST_CONTAINERS)]


class LayoutPlan(BaseModel):
    """Containers alike, and what is in each. `rows` and `cols` are of the innermost ones; the others have no places."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    parent: Code | None = None
    kind: ContainerKind
    name: Name = Field(description="Several alike are numbered: “Rack 1”, “Rack 2” …")
    how_many: Number = 1
    first_number: Annotated[int, Field(ge=1, le=9999)] = 1
    inner_kind: ContainerKind | None = None
    inner_name: Name | None = None
    inner_count: Number | None = None
    rows: Annotated[int, Field(ge=1, le=100)] | None = None
    cols: Annotated[int, Field(ge=1, le=100)] | None = None
    purpose: Purpose = "storage"
    temperature_class: TemperatureClass | None = None
    isolated: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.inner_kind is None) != (self.inner_count is None):
            raise ValueError("say of what is inside both what it is and how many there are")
        if (self.rows is None) != (self.cols is None):
            raise ValueError("say both how many rows and how many columns there are")
        if self.containers > MOST_CONTAINERS or self.positions > MOST_POSITIONS:
            raise ValueError(f"a plan makes at most {MOST_CONTAINERS} containers and {MOST_POSITIONS} places")
        return self

    @property
    def containers(self) -> int:
        """How many containers the plan makes."""
        return self.how_many * (1 + (self.inner_count or 0))

    @property
    def positions(self) -> int:
        """How many places for tubes the plan makes."""
        return self.how_many * (self.inner_count or 1) * (self.rows or 0) * (self.cols or 0)


def outer_names(plan: LayoutPlan) -> Iterator[str]:
    """Yield the names of the containers: one is named as it was typed, several are numbered."""
    if plan.how_many == 1:
        yield plan.name
        return
    for number in range(plan.first_number, plan.first_number + plan.how_many):
        yield f"{plan.name} {number}"


def inner_names(plan: LayoutPlan) -> Iterator[str]:
    """Yield the names of what is in each of them, numbered from 1."""
    name = plan.inner_name or (plan.inner_kind or "").capitalize()
    for number in range(1, (plan.inner_count or 0) + 1):
        yield f"{name} {number}"


def in_words(plan: LayoutPlan) -> list[str]:
    """Say what the plan makes, one line a kind."""
    names = list(outer_names(plan))
    lines = [f"{len(names)} × {plan.kind}: {_shortened(names)}"]
    if plan.inner_kind is not None:
        inner = list(inner_names(plan))
        lines.append(f"in each {len(inner)} × {plan.inner_kind}: {_shortened(inner)}")
    if plan.positions:
        lines.append(f"{plan.positions} places for tubes, {plan.rows} × {plan.cols} in each")
    return lines


def _shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} … {names[-1]}"


class LaidOut(BaseModel):
    """What a plan made: the outer containers, and how many there are of everything."""

    items: list[ContainerPublic]
    containers: int
    positions: int


def lay_out(session: Session, act: Act, plan: LayoutPlan) -> LaidOut:
    """Add everything of the plan. Raises NotPermitted, NotFound (site, parent), WrongSite."""
    innermost = plan.inner_kind is None
    made = []
    for name in outer_names(plan):
        outer = add_container(session, act, _request(plan, plan.kind, name, plan.parent, places=innermost))
        kind = plan.inner_kind or plan.kind
        inside = [_request(plan, kind, inner, outer.code, places=True) for inner in inner_names(plan)]
        add_containers(session, act, inside)
        made.append(read_container(session, act.actor, outer.code))
    return LaidOut(items=made, containers=plan.containers, positions=plan.positions)


def _request(plan: LayoutPlan, kind: ContainerKind, name: str, parent: str | None, *, places: bool) -> ContainerCreate:
    return ContainerCreate(
        site=plan.site,
        kind=kind,
        name=name,
        parent=parent,
        purpose=plan.purpose,
        temperature_class=plan.temperature_class,
        rows=plan.rows if places else None,
        cols=plan.cols if places else None,
        isolated=plan.isolated,
    )

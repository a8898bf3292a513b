"""The pick list: for each tube of a withdrawal the way to it, scanned from the outside in.

A way is rack, box, slot, as far as the record knows them. What was scanned so far travels with the page as codes; nothing is
believed from there: the pick itself checks the place once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.scope import Scope
from biobank.custody.states import State
from biobank.foundation.errors import NotFound
from biobank.foundation.names import name_key
from biobank.storage.models import storage_container as container
from biobank.storage.models import storage_position as position
from biobank.storage.queries import places_seen, public_containers
from biobank.storage.schemas import ContainerPublic
from biobank.withdrawals.case import Case
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.look_alikes import read_warnings
from biobank.withdrawals.workflow import Step

LevelKind = Literal["rack", "box", "slot"]

OPENED_WITHOUT_A_SCAN = frozenset({"room", "tank", "freezer"})
"""What a box may stand in and nobody pulls out: standing before the wrong one shows at the rack or the box."""


@dataclass(frozen=True)
class Level:
    """One scan on the way to a tube. `name` is what people call it."""

    kind: LevelKind
    code: str
    name: str


@dataclass(frozen=True)
class PickLine:
    """A tube to pick: where it is, and how far it got. `pickers`: every login of the one who took it out; `beware`: what could be
    taken for it."""

    specimen: str
    material: str
    picked: bool
    confirmed: bool
    pickers: Sequence[str]
    container: str | None
    slot: str | None
    path: Sequence[str]
    levels: Sequence[Level]
    beware: Sequence[str] = ()


@dataclass(frozen=True)
class PickList:
    """Every tube of a withdrawal in the order of walking: by place."""

    code: str
    donor: str
    seq: int
    route: str
    lines: Sequence[PickLine]

    def line(self, specimen: str) -> PickLine:
        """Return the line of a tube; raise NotFound when it is not one of this withdrawal's."""
        for line in self.lines:
            if line.specimen == specimen:
                return line
        raise NotFound(f"{specimen} is not a tube of {self.code}.", subject=specimen)

    @property
    def next(self) -> PickLine | None:
        """The first tube that nobody took out yet."""
        return next((line for line in self.lines if not line.picked), None)

    @property
    def to_confirm(self) -> int:
        """How many wait for the second person."""
        return sum(line.picked and not line.confirmed for line in self.lines)


def next_level(levels: Sequence[Level], scanned: Mapping[str, str]) -> Level | None:
    """Return the first level of the way whose code was not scanned yet; None when the tube's turn has come. Pure."""
    return next((level for level in levels if scanned.get(level.kind) != level.code), None)


def read_pick_list(session: Session, actor: Actor, case: Case) -> PickList:
    """Read the pick list, for those who pick: the same statements however many tubes. Raises NotPermitted."""
    refusal = step_permission_refusal(actor, Step.PICK, case)
    if refusal is not None:
        raise refusal
    known = places_seen(actor)
    stands = [tube.projection for tube in case.tubes.values()]
    rows = _containers(session, known, {one.container_code for one in stands if one.container_code is not None})
    boxes = {one.code: one for one in public_containers(session, rows)}
    above = _containers(session, known, {box.parent for box in boxes.values() if box.parent is not None})
    parents = {row.code: row for row in above}
    wanted = {one.position_code for one in stands if one.position_code is not None}
    found = session.execute(select(position.c.code, position.c.label).where(position.c.code.in_(sorted(wanted)))).all()
    labels = {row.code: row.label for row in found}
    lines = [_line(case, tube, boxes, parents, labels) for tube in sorted(case.tubes)]
    alike = read_warnings(
        session, case.donor, {one.specimen: one.container for one in lines if one.container is not None and not one.picked}
    )
    lines = [replace(one, beware=alike.get(one.specimen, ())) for one in lines]
    lines.sort(key=lambda line: ([name_key(name) for name in line.path], line.specimen))
    return PickList(case.code, case.donor, case.seq, case.route.value, lines)


def _containers(session: Session, seen: Scope, codes: set[str]) -> list[Row[Any]]:
    rows = session.execute(select(container).where(container.c.code.in_(sorted(codes)))) if codes else ()
    return [row for row in rows if seen.covers(row.site_code)]


def _line(
    case: Case,
    code: str,
    boxes: Mapping[str, ContainerPublic],
    parents: Mapping[str, Row[Any]],
    labels: Mapping[str, str],
) -> PickLine:
    tube, item, pick = case.tubes[code], case.item(code), case.picks.get(code)
    box, place = boxes.get(tube.projection.container_code or ""), tube.projection.position_code
    slot = None if box is None or place is None else labels.get(place)
    levels: list[Level] = []
    if box is not None and tube.state is State.STORED:
        parent = None if box.parent is None else parents.get(box.parent)
        if parent is not None and parent.kind not in OPENED_WITHOUT_A_SCAN:
            levels.append(Level("rack", parent.code, parent.name))
        levels.append(Level("box", box.code, box.name))
        if place is not None and slot is not None:
            levels.append(Level("slot", place, slot))
    return PickLine(
        specimen=code,
        material=tube.material,
        picked=item.picked,
        confirmed=item.confirmed,
        pickers=() if pick is None or not item.picked else pick["pickers"],
        container=None if box is None else box.code,
        slot=slot,
        path=[] if box is None else [*box.path, *([slot] if slot is not None else [])],
        levels=levels,
    )

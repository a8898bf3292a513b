"""Automatic placing: a donor's units are spread over tanks, so that no single failure takes them all; a site may switch it off.

Where a donor's units stand now is asked by the one function that the single-failure report asks too (`single_failure.stock_of`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import BaseModel, Field
from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.from_now_on import require_from_now_on
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.recording import Circumstances, acknowledge, head_of
from biobank.custody.snapshots import get_all_visible
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, raise_first
from biobank.foundation.names import name_key
from biobank.people.queries import get_site
from biobank.storage import queries
from biobank.storage.allocation import Slot
from biobank.storage.events import SplitStorageSet
from biobank.storage.models import split_storage_rule, storage_container, storage_position
from biobank.storage.placing import Box, assign_slots, outside_around, placing_refusals, read_box
from biobank.storage.rules import Standing, place_faults, standing_of
from biobank.storage.single_failure import Spot, spots_of, stock_of

USUALLY_SPREAD: Final = True
"""What stands where a site has not decided; a starting value of this registry, without a published source."""


class NoPlaceFits(Conflict):
    """No box of the site in ordinary use has room for this tube and may take it."""

    code = "no_place_fits"
    title = "No place fits"


class SplitStorageRequest(Circumstances):
    """Whether automatic placing at a site spreads each donor's units over tanks."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    spread: bool = Field(description="Yes: spread over tanks. No: beside the donor's other units.")
    signature: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class SplitStoragePublic(BaseModel):
    """What automatic placing does at a site (null: where a site has not decided)."""

    site: str | None = None
    spread: bool


class SplitStorageList(BaseModel):
    """What is usual, then what sites decided."""

    items: list[SplitStoragePublic]


class SplitStorageRecorded(SplitStoragePublic):
    """What stands now, and our signature."""

    receipt: str


class PlaceSuggested(BaseModel):
    """Where one tube goes. Nothing is kept for it: `POST /placements` places it there or in the next place that fits."""

    specimen: str
    container: str
    position: str
    label: str
    seq: int = Field(description="Where the tube's record stands, for `expected_seq`.")
    tank: str = Field(description="The outermost container that is no room: what fails as one.")
    path: list[str] = Field(description="Names from the outermost container to the box.")
    beside: int = Field(description="Units of the donor that are in that tank by then.")
    elsewhere: int = Field(description="Units of the donor that are in other tanks by then.")


class PlacesSuggested(BaseModel):
    """Where tubes go, in the order in which they were named."""

    site: str
    spread: bool
    items: list[PlaceSuggested]


@dataclass
class Candidate:
    """A box with room: how many slots are open to every tube, and how many are kept for which donor."""

    standing: Standing
    spot: Spot
    order: tuple[list[str], str]
    free: int
    kept: dict[str, int] = field(default_factory=dict)

    def room_for(self, donor: str | None) -> bool:
        """Say whether a tube of this donor still finds a slot."""
        return self.free > 0 or self.kept.get(donor or "", 0) > 0

    def take(self, donor: str | None) -> None:
        """Count one tube of the donor in."""
        if self.kept.get(donor or "", 0) > 0:
            self.kept[donor or ""] -= 1
        else:
            self.free -= 1


@dataclass(frozen=True)
class Choice:
    """The box for one tube, and how many of its donor's units are in that tank and in others by then."""

    box: str
    tank: str
    beside: int
    elsewhere: int


def choose_boxes(
    tubes: Sequence[Snapshot],
    boxes: Mapping[str, Candidate],
    stock: Mapping[str, Mapping[Spot, int]],
    *,
    spread: bool,
    fits: Callable[[Snapshot, Standing], bool],
) -> list[Choice | None]:
    """Give each tube a box, or None where none fits. Pure; takes the room from `boxes`.

    Spread: the tank that holds fewest of the donor's units, then the room with fewest, the tubes before it in the list counted
    in. Not spread: the tank that holds most. What is not known to keep the tube comes last. Then boxes by the names of all they
    stand in. A tube without a donor is spread like one of its own.
    """
    sign = 1 if spread else -1
    held = {donor: dict(spots) for donor, spots in stock.items()}
    found: list[Choice | None] = []
    for tube in tubes:
        spots = held.setdefault(tube.donor_code or tube.code, {})
        in_tank: dict[str, int] = {}
        in_room: dict[str, int] = {}
        for spot, units in spots.items():
            in_tank[spot.tank] = in_tank.get(spot.tank, 0) + units
            in_room[spot.room] = in_room.get(spot.room, 0) + units
        open_boxes = [
            (
                not one.standing.keeps(tube.projection.condition),
                sign * in_tank.get(one.spot.tank, 0),
                sign * in_room.get(one.spot.room, 0),
                one.order,
                code,
            )
            for code, one in boxes.items()
            if one.room_for(tube.donor_code) and fits(tube, one.standing)
        ]
        if not open_boxes:
            found.append(None)
            continue
        code = min(open_boxes)[-1]
        spot = boxes[code].spot
        boxes[code].take(tube.donor_code)
        beside = in_tank.get(spot.tank, 0)
        found.append(Choice(code, spot.tank, beside, sum(spots.values()) - beside))
        spots[spot] = spots.get(spot, 0) + 1
    return found


def spreads_at(session: Session, site: str) -> bool:
    """Say whether automatic placing at a site spreads a donor's units."""
    decided = session.execute(select(split_storage_rule.c.spread).where(split_storage_rule.c.site_code == site)).scalar()
    return USUALLY_SPREAD if decided is None else bool(decided)


def boxes_for(session: Session, site: str, tubes: Sequence[Snapshot]) -> list[Choice]:
    """Choose a box at the site for each tube. Raises NoPlaceFits. Nothing is locked: who stores there reads the box again."""
    donors = sorted({tube.donor_code for tube in tubes if tube.donor_code is not None})
    boxes = _candidates(session, site, donors)
    stock = stock_of(session, donors, without=[tube.code for tube in tubes])
    judged: dict[tuple[object, ...], bool] = {}

    def fits(tube: Snapshot, standing: Standing) -> bool:
        now = tube.projection
        stands = (tube.state, now.site_code, now.out_since is None)
        kind = (now.condition, tube.material, tube.kept_apart, *stands, standing.code)
        if kind not in judged:
            judged[kind] = not place_faults(tube, standing)
        return judged[kind]

    chosen = choose_boxes(tubes, boxes, stock, spread=spreads_at(session, site), fits=fits)
    found = []
    for tube, choice in zip(tubes, chosen, strict=True):
        if choice is None:
            raise NoPlaceFits(
                f"No box at {site} has room for {tube.code} and is right for it. Ask for one to be laid out, or put it into "
                "quarantine.",
                where_now=tube.where_now,
                subject=tube.code,
            )
        found.append(choice)
    return found


def suggest_places(session: Session, actor: Actor, site: str, codes: Sequence[str]) -> PlacesSuggested:
    """Answer GET /placing-suggestions. Raises NotFound, NotPermitted, NoPlaceFits, and why a tube may not be stored."""
    actor.require(Permission.STORAGE_RECORD, at=site)
    tubes = get_all_visible(session, actor, list(dict.fromkeys(codes)), holds=True)
    choices = boxes_for(session, site, tubes)
    boxes = {code: read_box(session, queries.get_container(session, actor, code)) for code in {one.box for one in choices}}
    slots = slots_in(actor, boxes, list(zip(tubes, choices, strict=True)))
    paths = queries.paths_of(session, sorted(boxes))
    items = [
        PlaceSuggested(
            specimen=tube.code,
            container=choice.box,
            position=slots[tube.code].code,
            label=slots[tube.code].label,
            seq=tube.seq,
            tank=choice.tank,
            path=paths[choice.box],
            beside=choice.beside,
            elsewhere=choice.elsewhere,
        )
        for tube, choice in zip(tubes, choices, strict=True)
    ]
    return PlacesSuggested(site=site, spread=spreads_at(session, site), items=items)


def slots_in(actor: Actor, boxes: Mapping[str, Box], chosen: Sequence[tuple[Snapshot, Choice]]) -> dict[str, Slot]:
    """Return the slot of each tube, box by box, by the rule of every other way of placing. Raises what stands against one."""
    found: dict[str, Slot] = {}
    for code, box in sorted(boxes.items()):
        tubes = [tube for tube, choice in chosen if choice.box == code]
        for tube in tubes:
            raise_first(placing_refusals(actor, tube, box))
        for tube, answer in zip(tubes, assign_slots(box, [(tube, None) for tube in tubes]), strict=True):
            if not isinstance(answer, Slot):
                assert answer is not None  # Only a safe place answers so, and those are no candidates.
                raise answer
            found[tube.code] = answer
    return found


def _candidates(session: Session, site: str, donors: Collection[str]) -> dict[str, Candidate]:
    """Return the boxes of a site in ordinary use with their room, but those that are lifted out or outside their limits now."""
    c, p, k = storage_container.c, storage_position.c, custody.c
    here = (c.site_code == site, c.active, c.rows.is_not(None), c.purpose == "storage")
    empty = case((k.code.is_(None) & p.blocked.is_(None), 1))
    rows = session.execute(
        select(c.code, p.kept_for, func.count(empty).label("free"))
        .join(storage_position, p.container_code == c.code)
        .outerjoin(custody, k.position_code == p.code)
        .where(*here)
        .group_by(c.code, p.kept_for)
    ).all()
    codes = sorted({row.code for row in rows})
    chains, spots, paths = queries.chains_of(session, codes), spots_of(session, codes), queries.paths_of(session, codes)
    outside = outside_around(session, chains)
    loose = select(k.container_code, func.count().label("tubes")).where(k.container_code.in_(codes), k.position_code.is_(None))
    without_slot = {row.container_code: row.tubes for row in session.execute(loose.group_by(k.container_code))}
    found: dict[str, Candidate] = {}
    for row in rows:
        standing = standing_of(chains[row.code])
        if standing.safe or standing.lifted or outside[row.code]:
            continue
        order = ([name_key(name) for name in paths[row.code]], row.code)
        one = found.setdefault(row.code, Candidate(standing, spots[row.code], order, -without_slot.get(row.code, 0)))
        if row.kept_for is None:
            one.free += row.free
        elif row.kept_for in donors:
            one.kept[row.kept_for] = row.free
    return found


def set_split_storage(session: Session, act: Act, request: SplitStorageRequest) -> SplitStorageRecorded:
    """Set what automatic placing does at a site, signed. Raises NotPermitted, NotFound, and what `use_signature` raises."""
    require_from_now_on(request)
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    get_site(session, request.site)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    head = head_of(session, act, request, subject=None, site=request.site)
    event = SplitStorageSet(site=request.site, spread=request.spread, signature=str(signature.id))
    done = append(session, [Fact(StreamKind.SYSTEM, request.site, event, head)])
    row = {"spread": request.spread, "set_by": act.actor.code, "event_hash": done[0].leaf_hash}
    statement = insert(split_storage_rule).values(site_code=request.site, **row)
    session.execute(statement.on_conflict_do_update(index_elements=["site_code"], set_=row))
    return SplitStorageRecorded(site=request.site, spread=request.spread, receipt=acknowledge(act, done))


def list_split_storage(session: Session, actor: Actor) -> SplitStorageList:
    """Answer GET /split-storage: what is usual, then what sites decided."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    rows = session.execute(select(split_storage_rule).order_by(split_storage_rule.c.site_code))
    decided = [SplitStoragePublic(site=row.site_code, spread=row.spread) for row in rows]
    return SplitStorageList(items=[SplitStoragePublic(spread=USUALLY_SPREAD), *decided])

"""Routes of storage."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from biobank.acts.two_person import Proposed
from biobank.acts.web import CodePath, Performing, Reading
from biobank.custody.recording import Instant
from biobank.foundation.paging import Cursor, Paging
from biobank.storage import (
    containers,
    counts,
    evacuation,
    lifting,
    limits,
    maps,
    moving,
    naming,
    queries,
    service,
    single_failure,
    slots,
    spreading,
)
from biobank.storage.counts import CountList
from biobank.storage.limits import PlaceLimitsList, PlaceLimitsPublic, PlaceLimitsRecorded, SetPlaceLimits
from biobank.storage.schemas import (
    ContainerCreate,
    ContainerKind,
    ContainerList,
    ContainerMap,
    ContainerPublic,
    CountAnswer,
    CountBlind,
    CountRequest,
    CountTaken,
    EvacuateAnswer,
    EvacuateRequest,
    LiftAnswer,
    LiftRequest,
    MoveAnswer,
    MoveRequest,
    PlacementsAnswer,
    PlacementsRequest,
    Purpose,
    RenameAnswer,
    RenameRequest,
    ResolveCount,
    SlotsMarked,
    SlotsRequest,
    StoreRequest,
    WhereItFitsRequest,
)
from biobank.storage.single_failure import AtRiskList, Within
from biobank.storage.spreading import PlacesSuggested, SplitStorageList, SplitStorageRecorded, SplitStorageRequest

router = APIRouter(prefix="/api/v1", tags=["storage"])
CODE = r"^[A-Za-z0-9-]+$"
QueryCode = Annotated[str | None, Query(min_length=2, max_length=20, pattern=CODE)]
Then = Annotated[Instant | None, Query(description="As of this time in the world.")]
KnownThen = Annotated[Instant | None, Query(description="As the bank knew it at this time.")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/storage-containers", status_code=201)
async def add_container(body: ContainerCreate, performing: Performing) -> ContainerPublic:
    """Add a room, tank, rack, cane or box."""
    return await performing(containers.add_container, body)


@router.get("/storage-containers")
async def list_containers(
    reading: Reading,
    site: QueryCode = None,
    parent: QueryCode = None,
    kind: ContainerKind | None = None,
    purpose: Purpose | None = None,
    root: bool = False,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> ContainerList:
    """Containers by name as people count (Box 2 before Box 10), with what is in them."""
    return await reading(
        queries.list_containers,
        site=site,
        parent=parent,
        kind=kind,
        purpose=purpose,
        root=root,
        paging=Paging(after, limit),
    )


@router.get("/storage-containers/{code}")
async def read_container(code: CodePath, reading: Reading, at: Then = None, as_known_at: KnownThen = None) -> ContainerPublic:
    """One container, or where it stood and how much was in it as of a time."""
    if at is None and as_known_at is None:
        return await reading(queries.read_container, code.upper())
    return (await reading.agreeing(maps.map_as_of, reading.bank.keystore, code.upper(), at, as_known_at)).container


@router.get("/storage-containers/{code}/map")
async def read_map(code: CodePath, reading: Reading, at: Then = None, as_known_at: KnownThen = None) -> ContainerMap:
    """The box as it looks from above, or as it looked: as of a time in the world, as the bank knew it at another."""
    if at is None and as_known_at is None:
        return await reading.agreeing(maps.map_of, code.upper())
    return await reading.agreeing(maps.map_as_of, reading.bank.keystore, code.upper(), at, as_known_at)


@router.post("/storage-containers/{code}/move")
async def move_container(code: CodePath, body: MoveRequest, performing: Performing) -> MoveAnswer:
    """Put a container with everything inside into another one."""
    return await performing(moving.move_container, code.upper(), body)


@router.post("/storage-containers/{code}/rename")
async def rename_container(code: CodePath, body: RenameRequest, performing: Performing) -> RenameAnswer:
    """Give a container another name; the answer lists the printed labels that show the old one."""
    return await performing(naming.rename_container, code.upper(), body)


@router.get("/place-limits")
async def list_class_limits(reading: Reading) -> PlaceLimitsList:
    """Limits of temperature classes: of the registry with their sources, then those that sites set."""
    return await reading(limits.list_class_limits)


@router.post("/place-limits")
async def set_place_limits(body: SetPlaceLimits, performing: Performing) -> PlaceLimitsRecorded | Proposed:
    """Set the limits of a container, or of a class at a site: quality, signed "decided"; never looser than what stands above.

    Two of quality sign what loosens a limit that stands.
    """
    return await performing(limits.set_place_limits, body.subject, body)


@router.get("/storage-containers/{code}/limits")
async def read_place_limits(code: CodePath, reading: Reading) -> PlaceLimitsPublic:
    """The limits by which a container is judged: its own, its class's, its site's, and those of all that it stands in."""
    return await reading(limits.read_place_limits, code.upper())


@router.post("/storage-containers/{code}/evacuate")
async def evacuate(code: CodePath, body: EvacuateRequest, performing: Performing) -> EvacuateAnswer:
    """Cold first: put everything in hand into this quarantine or evacuation place, known or unknown."""
    return await performing(evacuation.evacuate, code.upper(), body)


@router.post("/storage-containers/{code}/lift")
async def lift_container(code: CodePath, body: LiftRequest, performing: Performing) -> LiftAnswer:
    """A rack or box is out of its place: everything in it is out of the cold from now on."""
    return await performing(lifting.lift, code.upper(), body)


@router.post("/storage-containers/{code}/put-back")
async def put_back_container(code: CodePath, body: LiftRequest, performing: Performing) -> LiftAnswer:
    """It is back in its place; how long it was out is added to every frozen tube in it."""
    return await performing(lifting.put_back, code.upper(), body)


@router.post("/storage-containers/{code}/slots")
async def mark_slots(code: CodePath, body: SlotsRequest, performing: Performing) -> SlotsMarked:
    """Block slots, keep them for the tubes of one donor, or open them again."""
    return await performing(slots.mark_slots, code.upper(), body)


@router.post("/storage-containers/{code}/placements", status_code=201)
async def place_specimens(code: CodePath, body: PlacementsRequest, performing: Performing) -> PlacementsAnswer:
    """Put tubes into slots of this container, all or nothing; two placements can swap two tubes."""
    return await performing(service.place_specimens, code.upper(), body)


@router.post("/specimens/{code}/store", status_code=201)
async def store_specimen(code: CodePath, body: StoreRequest, performing: Performing) -> PlacementsAnswer:
    """Store or move one specimen: into a position, or into a container that chooses the next free one."""
    return await performing(service.store_specimen, code.upper(), body)


@router.post("/counts", status_code=201)
async def count_container(body: CountRequest, performing: Performing) -> CountAnswer:
    """Compare what was scanned in a container with what should be there."""
    return await performing(counts.count_container, body)


@router.post("/storage-containers/{code}/counts", status_code=201)
async def count_blind(code: CodePath, body: CountBlind, performing: Performing) -> CountTaken:
    """Count what is in a place, blind. Where it differs from the record, another person sends the same call a second time."""
    return await performing(counts.count, code.upper(), body)


@router.post("/storage-containers/{code}/counts/resolve", status_code=201)
async def resolve_count(code: CodePath, body: ResolveCount, performing: Performing) -> CountTaken:
    """Resolve what two people counted, signed ("decided"). Nothing moves."""
    return await performing(counts.resolve_count, code.upper(), body)


@router.get("/counts")
async def list_counts(
    reading: Reading,
    open: bool = False,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> CountList:
    """Counts of places, newest first. `open`: only those that wait for a second count or for quality."""
    return await reading(counts.list_counts, open_only=open, paging=Paging(after, limit))


@router.get("/single-failure-report")
async def donors_at_risk(
    reading: Reading,
    within: Within = "tank",
    site: QueryCode = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AtRiskList:
    """Donors whose whole stock stands in one tank, one room or one site (`within`), those with the most units first."""
    return await reading(single_failure.donors_at_risk, within=within, site=site, paging=Paging(after, limit))


@router.get("/placing-suggestions")
async def suggest_places(
    reading: Reading,
    site: Annotated[str, Query(pattern=r"^[A-Z][A-Z0-9]{1,7}$")],
    specimen: Annotated[list[Annotated[str, Field(min_length=3, max_length=20, pattern=CODE)]], Query(max_length=200)],
) -> PlacesSuggested:
    """Where tubes would go: into the tank that holds fewest of their donor's units, unless the site keeps them together."""
    return await reading.agreeing(spreading.suggest_places, site, [one.upper() for one in specimen])


@router.post("/placements", status_code=201)
async def store_where_it_fits(body: WhereItFitsRequest, performing: Performing) -> PlacementsAnswer:
    """Store tubes at a site where they fit, over as many boxes as it takes; slots that are named are taken as named."""
    return await performing(service.store_where_it_fits, body)


@router.get("/split-storage")
async def list_split_storage(reading: Reading) -> SplitStorageList:
    """Whether automatic placing spreads a donor's units over tanks: usually, and at the sites that decided."""
    return await reading(spreading.list_split_storage)


@router.post("/split-storage", status_code=201)
async def set_split_storage(body: SplitStorageRequest, performing: Performing) -> SplitStorageRecorded:
    """Set what automatic placing does at a site: quality, signed "decided"."""
    return await performing(spreading.set_split_storage, body)

"""Routes of specimens: kits, harvests, runs, lots, and what each specimen is."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query

from biobank.acts.web import Performing, Reading
from biobank.custody.recording import Instant
from biobank.custody.states import HoldKind, State
from biobank.foundation.paging import Cursor, Paging
from biobank.specimens import (
    aliases,
    assays,
    freezing,
    harvest_queries,
    harvests,
    kits,
    limits,
    lineage,
    lots,
    making,
    processing_queries,
    queries,
    schemas,
    shapes,
    unidentified,
)
from biobank.specimens import harvest_schemas as harvesting
from biobank.specimens import processing_schemas as processing
from biobank.specimens.limits import LimitsList, LimitsRecorded, SetLimits
from biobank.specimens.materials import MaterialName
from biobank.specimens.processes import ProcessName

router = APIRouter(prefix="/api/v1", tags=["specimens"])

Code = Annotated[shapes.SpecimenCode, Path()]
Limit = Annotated[int, Query(ge=1, le=1000)]
OfDonor = Annotated[shapes.DonorCode | None, Query()]
OfSite = Annotated[shapes.SiteCode | None, Query()]
AnyProcess = ProcessName | Literal["freezing", "thawing"]
AnyRun = Annotated[processing.MakingRun | processing.FreezingRun | processing.ThawingRun, Body(discriminator="process")]


@router.post("/kits", status_code=201)
async def prepare_kit(body: harvesting.PrepareKit, performing: Performing) -> harvesting.KitRecorded:
    """Prepare a collection kit: its labels get codes now, for material that is not there yet."""
    return await performing(kits.prepare_kit, body)


@router.get("/kits")
async def list_kits(
    reading: Reading, site: OfSite = None, unused: bool | None = None, after: Cursor | None = None, limit: Limit = 100
) -> harvesting.KitList:
    """Kits, newest first."""
    return await reading(kits.list_kits, site=site, unused=unused, paging=Paging(after, limit))


@router.get("/kits/{code}")
async def read_kit(code: Annotated[shapes.KitCode, Path()], reading: Reading) -> harvesting.KitPublic:
    """A kit, its labels and whose it is."""
    return await reading(kits.describe_kit, code)


@router.post("/harvests", status_code=201)
async def record_harvest(body: harvesting.RecordHarvest, performing: Performing) -> harvesting.HarvestRecorded:
    """Record a harvest when its containers are closed: every label of its kit is accounted for."""
    return await performing(harvests.record_harvest, body)


@router.get("/harvests")
async def list_harvests(
    reading: Reading, donor: OfDonor = None, site: OfSite = None, after: Cursor | None = None, limit: Limit = 100
) -> harvesting.HarvestList:
    """Harvests, newest first."""
    return await reading(harvest_queries.list_harvests, of_donor=donor, site=site, paging=Paging(after, limit))


@router.get("/harvests/{code}")
async def read_harvest(code: Annotated[shapes.KitCode, Path()], reading: Reading) -> harvesting.HarvestPublic:
    """A harvest and the specimens it gave."""
    return await reading(harvest_queries.describe_harvest, code)


@router.post("/processings", status_code=201)
async def record_processing(body: AnyRun, performing: Performing) -> processing.ProcessingRecorded:
    """Record a run. One that makes specimens gives one lot; freezing and thawing change specimens where they are."""
    if isinstance(body, processing.FreezingRun):
        return await performing(freezing.record_freezing, body)
    if isinstance(body, processing.ThawingRun):
        return await performing(freezing.record_thawing, body)
    return await performing(making.record_making, body)


@router.get("/processings")
async def list_processings(
    reading: Reading,
    donor: OfDonor = None,
    process: AnyProcess | None = None,
    specimen: Annotated[shapes.SpecimenCode | None, Query(description="Runs it went into or through.")] = None,
    lot: Annotated[shapes.LotCode | None, Query()] = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> processing.ProcessingList:
    """Runs, newest first."""
    return await reading(
        processing_queries.list_processings,
        of_donor=donor,
        process=process,
        specimen=specimen,
        lot=lot,
        paging=Paging(after, limit),
    )


@router.get("/processings/{processing_id}")
async def read_processing(processing_id: UUID, reading: Reading) -> processing.ProcessingPublic:
    """A run."""
    return await reading(processing_queries.describe_processing, processing_id)


@router.get("/lots")
async def list_lots(
    reading: Reading,
    donor: OfDonor = None,
    material: MaterialName | None = None,
    process: ProcessName | None = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> processing.LotList:
    """Lots, newest first."""
    return await reading(lots.list_lots, of_donor=donor, material=material, process=process, paging=Paging(after, limit))


@router.get("/lots/{code}")
async def read_lot(code: Annotated[shapes.LotCode, Path()], reading: Reading) -> processing.LotPublic:
    """A lot with its specimens and tests."""
    return await reading(lots.describe_lot, code)


@router.post("/lots/{code}/tests", status_code=201)
async def record_lot_test(
    code: Annotated[shapes.LotCode, Path()], body: processing.RecordLotTest, performing: Performing
) -> processing.LotTestRecorded:
    """Record that a lot was sampled for a test, or its result. A failed test holds the lot at once."""
    return await performing(lots.record_test, code, body)


@router.get("/specimens")
async def list_specimens(
    reading: Reading,
    donor: OfDonor = None,
    material: MaterialName | None = None,
    state: State | None = None,
    container: Annotated[
        str | None, Query(pattern=r"^[A-Z0-9-]{3,20}$", description="A box, rack, tank or room, with all below it.")
    ] = None,
    hold: Annotated[HoldKind | Literal["any"] | None, Query(description="Covered by such a hold, its own or inherited.")] = None,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=80,
            pattern=r"^[\x20-\x7e]+$",
            description="Start of a code, a lot or a harvest, or a whole identifier of another issuer.",
        ),
    ] = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> schemas.SpecimenList:
    """Specimens the caller may know of, newest first."""
    return await reading(
        queries.list_specimens,
        of_donor=donor,
        material=material,
        state=state,
        container=container,
        hold=hold,
        words=text,
        paging=Paging(after, limit),
    )


@router.post("/specimens/unidentified", status_code=201)
async def register_unidentified(body: schemas.RegisterUnidentified, performing: Performing) -> schemas.UnidentifiedRegistered:
    """Give an item that nobody can name a code. Then put it into a quarantine place: that is never refused."""
    return await performing(unidentified.register_unidentified, body)


@router.get("/specimens/{code}")
async def read_specimen(
    code: Code,
    reading: Reading,
    at: Annotated[Instant | None, Query(description="As of this time in the world.")] = None,
    as_known_at: Annotated[Instant | None, Query(description="As the bank knew it at this time.")] = None,
) -> schemas.SpecimenPublic:
    """What a specimen is, where it stands, what covers it, where it comes from."""
    return await reading.agreeing(queries.describe_specimen, code, at, as_known_at)


@router.get("/specimens/{code}/lineage")
async def read_lineage(code: Code, reading: Reading) -> schemas.Lineage:
    """Everything it came from and everything that came from it."""
    return await reading.agreeing(lineage.describe_lineage, code)


@router.post("/specimens/{code}/aliases", status_code=201)
async def add_alias(code: Code, body: schemas.AddAlias, performing: Performing) -> schemas.AliasAdded:
    """Let another issuer's identifier stand for this specimen."""
    return await performing(aliases.add_alias, code, body)


@router.post("/specimens/{code}/viability-assays", status_code=201)
async def record_viability(code: Code, body: schemas.RecordViability, performing: Performing) -> schemas.ViabilityRecorded:
    """Record a count of living and dead, as read."""
    return await performing(assays.record_viability, code, body)


@router.get("/material-limits")
async def list_limits(reading: Reading) -> LimitsList:
    """How long each material is fit for use and may be out of the cold: the registry's word and each site's."""
    return await reading(limits.list_limits)


@router.post("/material-limits")
async def set_limits(body: SetLimits, performing: Performing) -> LimitsRecorded:
    """Set a site's own limits for a material in one condition: quality, signed "decided"; never looser than the registry."""
    return await performing(limits.set_limits, body)

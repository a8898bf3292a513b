"""Routes of the registers."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from biobank.acts.web import Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.registers import queries, service
from biobank.registers.schemas import (
    Authorise,
    ChangeRegister,
    EnterRegister,
    Key,
    RegisterDossier,
    RegisterKind,
    RegisterList,
    RegisterRecorded,
    RegisterRuleRecorded,
    RegisterRules,
    SetRegisterRule,
    SiteCode,
)

router = APIRouter(prefix="/api/v1", tags=["registers"])
EntryKey = Annotated[Key, Path()]


@router.post("/registers", status_code=201)
async def enter(body: EnterRegister, performing: Performing) -> RegisterRecorded:
    """Enter a reagent lot, a device, a procedure … What is scanned gets a code of ours."""
    return await performing(service.enter, body)


@router.get("/registers")
async def list_register(
    reading: Reading,
    kind: RegisterKind | None = None,
    site: Annotated[SiteCode | None, Query(description="What may be used at this site.")] = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RegisterList:
    """What runs, kits and counts may name, newest first, each with what stands against its use now."""
    return await reading(queries.list_register, kind=kind, site=site, paging=Paging(after, limit))


@router.get("/registers/{entry}")
async def describe_entry(entry: EntryKey, reading: Reading) -> RegisterDossier:
    """One entry, who may work by it, and where it was used despite a warning."""
    return await reading(queries.describe_entry, entry)


@router.post("/registers/{entry}/changes", status_code=201)
async def change(entry: EntryKey, body: ChangeRegister, performing: Performing) -> RegisterRecorded:
    """It was opened, qualified, calibrated, recalled or taken out of use."""
    return await performing(service.change, entry, body)


@router.post("/registers/{entry}/authorisations", status_code=201)
async def authorise(entry: EntryKey, body: Authorise, performing: Performing) -> RegisterRecorded:
    """A person may work by this procedure until a day."""
    return await performing(service.authorise, entry, body)


@router.get("/register-rules")
async def list_rules(reading: Reading) -> RegisterRules:
    """What is done about each problem of what is used: everywhere, and where a site decided otherwise."""
    return await reading(queries.list_register_rules)


@router.post("/register-rules", status_code=201)
async def set_rule(body: SetRegisterRule, performing: Performing) -> RegisterRuleRecorded:
    """A site refuses a problem of what is used, or warns of it."""
    return await performing(service.set_register_rule, body)

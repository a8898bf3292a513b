"""The calls of FHIR. Reading asks for the same permissions as everywhere; what one may not see is not found."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, create_model

from biobank.acts.web import BankDep, Disclosing, Reading
from biobank.foundation.clock import rfc3339
from biobank.interchange.fhir import bulk, bundles, service
from biobank.interchange.fhir.resources import PARAMETERS
from biobank.interchange.fhir.saying import Release, Resource, Saying
from biobank.interchange.naming import Naming
from biobank.jobs import queue
from biobank.jobs.schemas import JobPublic

router = APIRouter(prefix="/fhir", tags=["FHIR"])

Identity = Annotated[str, Path(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
Kind = Annotated[str, Path(pattern=r"^[A-Za-z]{1,60}$", description="A resource type.", examples=["Specimen"])]
DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
Format = Literal["json", "application/json", "application/fhir+json"]
Count = Annotated[int, Query(alias="_count", ge=1, le=500, description="Resources of a page.")]
After = Annotated[
    str | None, Query(alias="_cursor", max_length=2000, pattern=r"^[\x21-\x7e]+$", description="Stands in the `next` link.")
]
Types = Annotated[
    str | None, Query(alias="_type", max_length=400, pattern=r"^[A-Za-z,]+$", description="Resource types, with commas between.")
]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]+$")]
_NAMES = sorted(set().union(*PARAMETERS.values()))


class Search(BaseModel):
    """What resources are searched by; each type knows some of the parameters, and the CapabilityStatement says which."""

    count: int = Field(100, alias="_count", ge=1, le=500)
    cursor: str | None = Field(None, alias="_cursor", max_length=2000, pattern=r"^[\x21-\x7e]+$")
    format: Format = Field("json", alias="_format")


_FIELDS: dict[str, Any] = {
    f"by{name.replace('-', '_')}": (list[Text], Field(default_factory=list, alias=name)) for name in _NAMES
}
SearchedBy: Any = create_model("FhirSearch", __base__=Search, **_FIELDS)
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {bundles.MEDIA_TYPE: {}}, "description": "The resource."}}


async def in_json(_format: Annotated[Format, Query(alias="_format")] = "json") -> None:
    """Take what clients say of the format; there is one."""


async def in_ndjson(
    _format: Annotated[
        Literal["application/fhir+ndjson", "application/ndjson", "ndjson"], Query(alias="_outputFormat")
    ] = "application/fhir+ndjson",
) -> None:
    """Take what clients say of the format of a bulk export; there is one."""


IN_JSON = [Depends(in_json)]


def _say(release: Release, bank: BankDep) -> Saying:
    return Saying(release, Naming.of(bank.settings))


def _base(request: Request, release: Release) -> str:
    """The address of a release's root, as the caller wrote it: the doorman has let no other host in."""
    return f"{request.base_url}fhir/{release.value}"


def _answer(resource: Resource, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(resource), status, {"Cache-Control": "no-store"} | (headers or {}), bundles.MEDIA_TYPE)


def _split(types: str | None) -> list[str]:
    return [one for one in (types or "").split(",") if one]


@router.get("/{release}/metadata", dependencies=IN_JSON, response_class=Response, responses=_JSON)
async def read_capabilities(request: Request, release: Release, bank: BankDep) -> Response:
    """What this server can do: the CapabilityStatement."""
    return _answer(bundles.capability(_say(release, bank), _base(request, release)))


@router.get(
    "/{release}/$export",
    dependencies=[Depends(in_ndjson)],
    response_class=Response,
    status_code=202,
    responses={202: {"description": "Begun."}},
)
async def begin_export(
    request: Request,
    release: Release,
    performing: Disclosing,
    types: Types = None,
) -> Response:
    """Begin a bulk export of what you may read, as NDJSON. The answer's Content-Location says how it goes on.

    Patients are pseudonymous in it. That it was taken is an event of the log.
    """
    waits = "respond-async" in request.headers.get("prefer", "")
    job = await performing(bulk.request_export, release, _split(types), in_background=waits)
    there = f"{_base(request, release)}/$export-status/{job.id}"
    return Response(status_code=202, headers={"Content-Location": there, "Cache-Control": "no-store"})


@router.get("/{release}/$export-status/{job}", response_class=Response, responses={202: {"description": "Not finished."}})
async def read_export(request: Request, release: Release, job: UUID, reading: Reading) -> Response:
    """How far a bulk export is: 202 while it runs, then the list of its files."""
    found = await reading(bulk.describe_export, release, job)
    if found.state in queue.WAITING:
        headers = {"X-Progress": f"{found.done} of {found.total} types", "Retry-After": "2"}
        return Response(status_code=202, headers=headers)
    if found.state != "done":
        raise bulk.ExportNotReady(f"This export is {found.state}. Begin a new one.")
    return Response(orjson.dumps(_manifest(request, release, found)), media_type="application/json")


def _manifest(request: Request, release: Release, job: JobPublic) -> Resource:
    base = _base(request, release)
    return {
        "transactionTime": rfc3339(job.created_at),
        "request": f"{base}/$export",
        "requiresAccessToken": True,
        "output": [
            {"type": part["type"], "url": f"{base}/$export-file/{job.id}/{part['type']}", "count": part["count"]}
            for part in job.answer["parts"]
            if part["count"]
        ],
        "error": [],
    }


@router.delete("/{release}/$export-status/{job}", response_class=Response, status_code=202)
async def cancel_export(release: Release, job: UUID, performing: Disclosing) -> Response:
    """Stop a bulk export that is not finished."""
    await performing(bulk.cancel_export, release, job)
    return Response(status_code=202)


@router.get("/{release}/$export-file/{job}/{kind}", response_class=Response)
async def read_export_file(release: Release, job: UUID, kind: Kind, reading: Reading) -> Response:
    """The lines of one type of a finished bulk export."""
    lines = await reading(bulk.part_of, release, job, kind)
    return Response(lines, media_type=bulk.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.get("/{release}/Patient/{code}", dependencies=IN_JSON, response_class=Response, responses=_JSON)
async def read_patient(release: Release, code: DonorCode, performing: Disclosing) -> Response:
    """One donor. Who may read who the donor is gets the person, and that they asked is recorded; all others get the code."""
    return _answer(await performing(service.read_patient, _say(release, performing.bank), code))


@router.get("/{release}/Patient/{code}/$everything", dependencies=IN_JSON, response_class=Response, responses=_JSON)
async def read_everything(
    request: Request,
    release: Release,
    code: DonorCode,
    performing: Disclosing,
    types: Types = None,
    count: Count = 100,
    cursor: After = None,
) -> Response:
    """All that is kept of a donor and that you may read, page by page, the donor first."""
    say = _say(release, performing.bank)
    found = await performing(service.everything, say, code, _split(types), count, cursor)
    asked = [("_count", str(count)), *([("_type", types)] if types else [])]
    return _answer(bundles.bundle(_base(request, release), f"Patient/{code}/$everything", asked, found.resources, found.next))


@router.get("/{release}/{kind}", response_class=Response, responses=_JSON)
async def search(
    request: Request, release: Release, kind: Kind, reading: Reading, searched: Annotated[SearchedBy, Query()]
) -> Response:
    """Search the resources of a type, a page at a time; patients by code alone. Commas mean "or", repeated names "and"."""
    given = searched.model_dump(by_alias=True)
    asked = {name: given[name] for name in _NAMES if given[name]}
    say = _say(release, reading.bank)
    found = await reading(service.search, say, kind, asked, searched.count, searched.cursor)
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "_cursor"]
    return _answer(bundles.bundle(_base(request, release), kind, query, found.resources, found.next))


@router.get("/{release}/{kind}/{id}", dependencies=IN_JSON, response_class=Response, responses=_JSON)
async def read(release: Release, kind: Kind, id: Identity, reading: Reading) -> Response:
    """One resource."""
    return _answer(await reading(service.read, _say(release, reading.bank), kind, id))

"""Routes of viability: what was measured, what may be expected, how good the forecasts were, and the signed report."""

from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from biobank.acts.web import Performing, Reading
from biobank.custody.recording import Instant
from biobank.specimens.materials import Assay, MaterialName
from biobank.specimens.shapes import LotCode, SpecimenCode
from biobank.viability import criteria, queries, records, service
from biobank.viability.paper import draw
from biobank.viability.rules import Question
from biobank.viability.schemas import (
    CalibrationPublic,
    CriterionList,
    CriterionRecorded,
    EstimatePublic,
    FitList,
    FitSummary,
    ParametersDetail,
    ReportList,
    ReportRecorded,
    SetCriterion,
    SetDose,
    SignReport,
    ViabilityPublic,
)

router = APIRouter(prefix="/api/v1", tags=["viability"])

Code = Annotated[SpecimenCode, Path()]
Lot = Annotated[LotCode, Path()]
InTermsOf = Annotated[Assay | None, Query(description="In terms of which assay; default the usual one of the material.")]
KnownAt = Annotated[Instant | None, Query(description="As it was known at this instant; default now.")]
Sha256 = Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")]
PAPER = {200: {"content": {"application/pdf": {}}, "description": "The report."}}


def _name(assay: Assay | None) -> str | None:
    return None if assay is None else assay.value


@router.get("/specimens/{code}/viability")
async def read_viability(code: Code, reading: Reading, assay: InTermsOf = None, as_known_at: KnownAt = None) -> ViabilityPublic:
    """What was measured and, apart from it, what may be expected, or in words why nothing is said."""
    return await reading(queries.describe, code, assay=_name(assay), as_known_at=as_known_at)


@router.get("/specimens/{code}/viability/estimate")
async def read_estimate(
    code: Code,
    reading: Reading,
    question: Annotated[Question | None, Query(description="The last three are never answered.")] = None,
    assay: InTermsOf = None,
    fit: Annotated[UUID | None, Query(description="Read from this fit, as an earlier answer quoted it.")] = None,
    as_known_at: KnownAt = None,
) -> EstimatePublic:
    """The estimate alone; 409 with the reason when there is none."""
    return await reading(queries.estimate, code, question=question, assay=_name(assay), fit=fit, as_known_at=as_known_at)


@router.get("/viability/dose")
async def read_dose(reading: Reading, specimens: Annotated[list[SpecimenCode], Query(min_length=1, max_length=100)]) -> SetDose:
    """Living cells to be expected of several vials together."""
    return await reading(queries.dose_of_specimens, specimens)


@router.get("/viability/calibration")
async def read_calibration(reading: Reading) -> CalibrationPublic:
    """How often the forecasts held what was then counted."""
    return await reading.agreeing(records.calibration)


@router.get("/viability/parameters")
async def read_parameters(reading: Reading, sha256: Sha256 = None) -> ParametersDetail:
    """The parameter file: priors and limits, with their sources."""
    return await reading(records.describe_parameters, sha256)


@router.get("/viability/fits")
async def list_fits(
    reading: Reading,
    material: MaterialName | None = None,
    after: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> FitList:
    """Fits, newest first."""
    name = None if material is None else material.value
    return await reading(records.list_fits, material=name, after=after, limit=limit)


@router.get("/viability/fits/{fit}")
async def read_fit(fit: UUID, reading: Reading) -> FitSummary:
    """A fit and what it was made from."""
    return await reading(records.describe_fit, fit)


@router.post("/viability/criteria", status_code=201)
async def set_criterion(body: SetCriterion, performing: Performing) -> CriterionRecorded:
    """Set what a count of a material must show at a site. Quality, signed."""
    return await performing(criteria.set_criterion, body)


@router.get("/viability/criteria")
async def list_criteria(reading: Reading) -> CriterionList:
    """What counts must show."""
    return await reading(criteria.list_criteria)


@router.post("/lots/{code}/viability-reports", status_code=201)
async def sign_report(code: Lot, body: SignReport, performing: Performing) -> ReportRecorded:
    """Sign what was counted in a lot after thawing. From measured counts only. Quality, signed."""
    return await performing(service.sign_report, code, body)


@router.get("/lots/{code}/viability-reports")
async def list_reports(code: Lot, reading: Reading) -> ReportList:
    """Signed reports of a lot, newest first."""
    return await reading(service.list_reports, code)


@router.get("/lots/{code}/viability-reports/{report}/paper", response_class=Response, responses=PAPER)  # type: ignore[arg-type]
async def read_paper(code: Lot, report: UUID, reading: Reading) -> Response:
    """The report on paper (PDF); always the same."""
    found, signer = await reading(service.report_for_paper, code, report, reading.bank.keystore)
    data = await to_thread.run_sync(draw, found, signer)
    headers = {"Content-Disposition": f'inline; filename="{code}-viability.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)

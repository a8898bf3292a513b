"""Routes of treatment withdrawals, in the order of their steps."""

from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.responses import Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import BankDep, CodePath, Disclosing, Performing, Reading
from biobank.custody.schemas import CustodyHistory
from biobank.foundation.paging import Cursor, Paging
from biobank.quality.attachments import read_file
from biobank.quality.schemas import Sha256
from biobank.withdrawals import (
    administering,
    adverse,
    arrival,
    bedside,
    closing,
    described,
    expanding,
    final_label,
    given_before,
    indication,
    outcomes,
    paper_checks,
    photographs,
    picking,
    queries,
    replacing,
    review,
    service,
)
from biobank.withdrawals.given_before import GivenBefore, GivenBeforeAnswer
from biobank.withdrawals.outcome_schemas import (
    OutcomeProtocol,
    OutcomeProtocolAnswer,
    PlanMeasure,
    RecordMeasure,
    TakeBackMeasure,
)
from biobank.withdrawals.paper_sheet import draw
from biobank.withdrawals.photographs import PhotographShown, ReadPhotograph
from biobank.withdrawals.schemas import (
    AdministerRequest,
    AdverseRequest,
    ApprovedAnswer,
    ApproveRequest,
    BedsideAnswer,
    BedsideRequest,
    CancelRequest,
    ExpandedAnswer,
    ExpandRequest,
    Feasibility,
    FinalLabelRequest,
    IndicationPublic,
    IssueRequest,
    OutcomeRequest,
    PaperCheckAnswer,
    PickRequest,
    ReceiveRequest,
    RejectRequest,
    ReplaceRequest,
    ReturnRequest,
    ThawRequest,
    WithdrawalAct,
    WithdrawalAnswer,
    WithdrawalDetail,
    WithdrawalList,
    WithdrawalRequest,
)
from biobank.withdrawals.seen import PictureAnswer
from biobank.withdrawals.workflow import Route, WithdrawalState

router = APIRouter(prefix="/api/v1/withdrawals", tags=["withdrawals"])

PICTURE = {200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The photograph."}}
PAPER = {200: {"content": {"application/pdf": {}}, "description": "The sheet."}}
_CODE = r"^[A-Za-z0-9-]+$"
MaybeCode = Annotated[str | None, Query(min_length=3, max_length=20, pattern=_CODE)]


@router.post("", status_code=201)
async def request_withdrawal(request: WithdrawalRequest, performing: Performing) -> WithdrawalAnswer:
    """Ask for a person's own cells back."""
    return await performing(service.request_withdrawal, request)


@router.get("")
async def read_withdrawals(
    reading: Reading,
    donor: MaybeCode = None,
    state: WithdrawalState | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> WithdrawalList:
    """Withdrawals you may know of, newest first."""
    return await reading(
        queries.list_withdrawals, donor=donor, state=None if state is None else state.value, paging=Paging(after, limit)
    )


@router.get("/feasibility")
async def read_feasibility(
    reading: Reading,
    donor: Annotated[str, Query(min_length=3, max_length=20, pattern=_CODE)],
    material: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{2,40}$")] = None,
    route: Route | None = None,
) -> Feasibility:
    """What a withdrawal for a donor could be made of now, and why the rest could not."""
    return await reading(queries.feasibility, donor, material=material, route=route)


@router.get("/{code}")
async def read_withdrawal(code: CodePath, reading: Reading, bank: BankDep) -> WithdrawalDetail:
    """A withdrawal with its tubes and what it waits for."""
    return await reading(described.describe_withdrawal, bank, code)


@router.get("/{code}/history")
async def read_history(
    code: CodePath,
    reading: Reading,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> CustodyHistory:
    """The withdrawal's own events, oldest first."""
    return await reading(queries.history_of, code, after, limit)


@router.get("/{code}/picture")
async def read_picture(code: CodePath, reading: Reading) -> PictureAnswer:
    """What quality signs over, with its SHA-256."""
    return await reading(review.read_picture_of, code, reading.bank)


@router.get("/{code}/indication")
async def read_indication(code: CodePath, performing: Disclosing) -> IndicationPublic:
    """Why it was asked for. That you asked is recorded."""
    return await performing(indication.read_indication, code)


@router.post("/{code}/approve")
async def approve(code: CodePath, request: ApproveRequest, performing: Performing) -> ApprovedAnswer | Proposed:
    """Quality's yes, signed "approved"; the tubes are reserved. Two of quality for the last unit, or below the reserve."""
    return await performing(service.approve_withdrawal, code, request)


@router.post("/{code}/reject")
async def reject(code: CodePath, request: RejectRequest, performing: Performing) -> WithdrawalAnswer:
    """Quality's no, signed "rejected"."""
    return await performing(service.reject_withdrawal, code, request)


@router.post("/{code}/cancel")
async def cancel(code: CodePath, request: CancelRequest, performing: Performing) -> WithdrawalAnswer:
    """Call it off before anything leaves."""
    return await performing(service.cancel_withdrawal, code, request)


@router.post("/{code}/replace", status_code=201)
async def replace_tube(code: CodePath, request: ReplaceRequest, performing: Performing) -> WithdrawalAnswer:
    """Ask for another tube instead of one that cannot be used: a new withdrawal, which is approved anew."""
    return await performing(replacing.replace_tube, code, request)


@router.post("/{code}/picks", status_code=201)
async def pick(code: CodePath, request: PickRequest, performing: Performing) -> WithdrawalAnswer:
    """Scan a tube out of its place, or scan it blind as the second person."""
    return await performing(picking.pick, code, request)


@router.post("/{code}/thaw")
async def thaw(code: CodePath, request: ThawRequest, performing: Performing) -> WithdrawalAnswer:
    """Thaw a tube for this withdrawal, at the bench or at the chair."""
    return await performing(picking.thaw, code, request)


@router.post("/{code}/final-label")
async def put_final_label_on(code: CodePath, request: FinalLabelRequest, performing: Performing) -> WithdrawalAnswer:
    """The label that was printed after the thaw is on the tube, and was scanned there."""
    return await performing(final_label.apply, code, request)


@router.post("/{code}/expand")
async def expand(code: CodePath, request: ExpandRequest, performing: Performing) -> ExpandedAnswer:
    """Put every tube of the withdrawal into a new run, which grows the cells; what comes out is asked for anew."""
    return await performing(expanding.expand, code, request)


@router.post("/{code}/issue")
async def issue(code: CodePath, request: IssueRequest, performing: Performing) -> WithdrawalAnswer:
    """Let every tube go, on its way to the clinic."""
    return await performing(picking.issue, code, request)


@router.post("/{code}/receive")
async def receive(code: CodePath, request: ReceiveRequest, performing: Performing) -> WithdrawalAnswer:
    """Accept tubes at the clinic."""
    return await performing(arrival.receive, code, request)


@router.post("/{code}/bedside-checks", status_code=201)
async def check_at_bedside(code: CodePath, request: BedsideRequest, performing: Performing) -> BedsideAnswer:
    """One person's scans of band and final product; the second person's make a release."""
    return await performing(bedside.check_at_bedside, code, request)


@router.post("/{code}/paper-checks", status_code=201)
async def fetch_paper_check(code: CodePath, request: WithdrawalAct, performing: Performing) -> PaperCheckAnswer:
    """Make a sheet for the bedside, for when there is no network; what is done by it is entered the same day."""
    return await performing(paper_checks.fetch, code, request)


@router.get("/{code}/paper-checks/{sheet}", response_class=Response, responses=PAPER)  # type: ignore[arg-type]
async def read_paper_check(code: CodePath, sheet: UUID, reading: Reading) -> Response:
    """The sheet (PDF), with its receipt; always the same."""
    data = await to_thread.run_sync(draw, await reading(paper_checks.read_sheet, code, sheet))
    return Response(data, media_type="application/pdf")


@router.post("/{code}/administer")
async def administer(code: CodePath, request: AdministerRequest, performing: Performing) -> WithdrawalAnswer:
    """Give a tube to its donor, using up the release."""
    return await performing(administering.administer, code, request)


@router.post("/{code}/given-before")
async def enter_given_before(code: CodePath, request: GivenBefore, performing: Performing) -> GivenBeforeAnswer | Proposed:
    """Enter what was given before something was recorded that stands against it now: whoever gave it, and quality."""
    return await performing(given_before.enter_given_before, code, request)


@router.post("/{code}/return")
async def take_back(code: CodePath, request: ReturnRequest, performing: Performing) -> WithdrawalAnswer:
    """Take a frozen tube back: quality, signed "decided"."""
    return await performing(closing.take_back, code, request)


@router.post("/{code}/outcome")
async def record_outcome(code: CodePath, request: OutcomeRequest, performing: Performing) -> WithdrawalAnswer:
    """Record what the clinic saw afterwards, and close."""
    return await performing(closing.record_outcome, code, request)


@router.post("/{code}/adverse-events", status_code=201)
async def record_adverse(code: CodePath, request: AdverseRequest, performing: Performing) -> WithdrawalAnswer:
    """Record an adverse reaction or event: a deviation is opened, and what may share the cause is held."""
    return await performing(adverse.record_adverse, code, request)


@router.post("/{code}/outcome-measures", status_code=201)
async def plan_measure(code: CodePath, request: PlanMeasure, performing: Performing) -> OutcomeProtocolAnswer:
    """Plan what is measured after each unit is given: who requests withdrawals, once it is approved."""
    return await performing(outcomes.plan_measure, code, request)


@router.post("/{code}/outcome-measures/{measure}/take-back")
async def take_back_measure(
    code: CodePath, measure: UUID, request: TakeBackMeasure, performing: Performing
) -> OutcomeProtocolAnswer:
    """Take a planned measure off the plan, with why; it stays on record."""
    return await performing(outcomes.take_back_measure, code, measure, request)


@router.post("/{code}/outcome-results", status_code=201)
async def record_measure(code: CodePath, request: RecordMeasure, performing: Performing) -> OutcomeProtocolAnswer:
    """Record what was measured on its day, or why it was not done."""
    return await performing(outcomes.record_measure, code, request)


@router.get("/{code}/outcome-protocol")
async def read_outcome_protocol(code: CodePath, reading: Reading, bank: BankDep) -> OutcomeProtocol:
    """The plan of a withdrawal with its results; figures and photographs for those who treat there or decide."""
    return await reading(outcomes.read_protocol, bank.keystore, code)


@router.post("/{code}/photograph-readings")
async def read_photograph(code: CodePath, request: ReadPhotograph, performing: Performing) -> PhotographShown:
    """Say that you look at a photograph of a patient; it is recorded, and the picture is sent for ten minutes."""
    return await performing(photographs.read_photograph, code, request)


@router.get("/{code}/photographs/{sha256}", response_class=Response, responses=PICTURE)  # type: ignore[arg-type]
async def send_photograph(code: CodePath, sha256: Sha256, reading: Reading, bank: BankDep) -> Response:
    """The bytes of a photograph whose reading you recorded in the last ten minutes."""
    subject, media_type = await reading(photographs.photograph_shown, code, sha256)
    data = await to_thread.run_sync(read_file, bank, sha256, subject)
    return Response(data, media_type=media_type, headers={"X-Content-Type-Options": "nosniff"})

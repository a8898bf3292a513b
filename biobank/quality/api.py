"""Routes of quality: holds, decisions, disposal, deviations, attachments, look-backs, recalls."""

from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import BankDep, CodePath, Disclosing, Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.monitoring import logger_files
from biobank.monitoring.logger_files import LoggerFileAnswer, LoggerFileList, RecordLoggerFile
from biobank.quality import (
    adverse,
    attachments,
    decisions,
    deviation_ending,
    deviations,
    disposal,
    excursions,
    holding_several,
    holds,
    identifying,
    identity_changes,
    isolation,
    judging,
    kept_words,
    look_back,
    markers,
    notices,
    paper,
    recall_ending,
    recalls,
    reopening,
    reserves,
)
from biobank.quality.adverse import (
    AdverseAnswer,
    AdverseDetail,
    AdverseList,
    ReportAdverse,
    ReportingRulePublic,
    ReportingRuleRequest,
)
from biobank.quality.deviation_ending import DeviationDisposedAnswer
from biobank.quality.dispositions import DisposeRequest
from biobank.quality.excursions import AssessedExcursion, AssessRequest
from biobank.quality.hold_schemas import HoldAnswer, HoldList, HoldRequest, HoldsAnswer, HoldSeveral, LiftRequest, LiftSeveral
from biobank.quality.identity_changes import ChangeIdentity, IdentityChangedByTwo, ProposedIdentity
from biobank.quality.isolation import IsolationAnswer, IsolationRequest
from biobank.quality.judging import AdverseAssessedAnswer, AssessAdverse
from biobank.quality.markers import DecideMarker, EnterMarker, MarkerList, MarkerRecorded
from biobank.quality.notices import Acknowledge, NoticeDone
from biobank.quality.paper import PaperFormFiledAnswer, PaperFormRequest
from biobank.quality.recall_ending import CloseRecallRequest, RecallClosedAnswer, RecallDisposedAnswer
from biobank.quality.reopening import ReopenedAnswer, ReopenRequest
from biobank.quality.reserves import ReserveList, ReserveRecorded, ReserveRequest
from biobank.quality.schemas import (
    AnnouncedEnd,
    AnnounceRequest,
    AttachmentPublic,
    AttachmentRequest,
    BasisOfSeveral,
    BasisRequest,
    CloseRequest,
    Criteria,
    DecisionAnswer,
    DecisionOfSeveral,
    DecisionRequest,
    DeviationAnswer,
    DeviationDetail,
    DeviationList,
    DeviationRequest,
    DiscardRequest,
    Ended,
    LookBackAnswer,
    LostRequest,
    NoticeList,
    NotificationPlanPublic,
    RecallAnswer,
    RecallDetail,
    RecallList,
    RecallRequest,
    Resolved,
    ResolveRequest,
    TransferRequest,
    UseUpRequest,
    WithdrawEndRequest,
)

router = APIRouter(prefix="/api/v1", tags=["quality"])

ShaPath = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("/holds", status_code=201)
async def place_hold(request: HoldRequest, performing: Performing) -> HoldAnswer:
    """Stop acts on a specimen, or on everything of a lot, harvest, donor, container or shipment."""
    return await performing(holds.place_hold, request)


@router.post("/holds/several", status_code=201)
async def hold_specimens(request: HoldSeveral, performing: Performing) -> HoldsAnswer:
    """Place one hold on each of several specimens, all or nothing."""
    return await performing(holding_several.hold_specimens, request)


@router.post("/holds/lift")
async def lift_holds(request: LiftSeveral, performing: Performing) -> HoldsAnswer:
    """Lift several holds under one signature: quality, signed "hold_lifted"; all or nothing."""
    return await performing(holding_several.lift_holds, request)


@router.post("/excursions/{code}/assess")
async def assess_excursion(code: CodePath, request: AssessRequest, performing: Performing) -> AssessedExcursion:
    """Release or reject a group of an excursion's set: quality, signed "released" or "rejected", one signature a group."""
    return await performing(excursions.assess, code.upper(), request)


@router.get("/notices")
async def read_notices(reading: Reading, open_only: bool = False, after: Cursor | None = None, limit: Limit = 100) -> NoticeList:
    """Notices to you, and for whoever decides on deviations to everybody: who was told what, and who has acknowledged it."""
    return await reading(notices.list_notices, open_only=open_only, paging=Paging(after, limit))


@router.post("/notices/{notice}/acknowledge")
async def acknowledge_notice(notice: UUID, request: Acknowledge, performing: Performing) -> NoticeDone:
    """Say that you have read a notice to you."""
    return await performing(notices.acknowledge_notice, notice, request)


@router.get("/holds")
async def read_holds(
    reading: Reading,
    scope: Annotated[str | None, Query(min_length=3, max_length=25, pattern=r"^[A-Za-z0-9_-]+$")] = None,
    active: bool | None = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> HoldList:
    """Holds, newest first; `scope` is the code of what they cover; of one box of a shipment `SH-…_2`."""
    return await reading(holds.list_holds, scope=scope, active=active, paging=Paging(after, limit))


@router.post("/holds/{hold}/lift")
async def lift_hold(hold: UUID, request: LiftRequest, performing: Performing) -> HoldAnswer:
    """Lift a hold: quality, signed "hold_lifted"."""
    return await performing(holds.lift_hold, hold, request)


@router.post("/donors/{code}/isolation")
async def decide_isolation(code: CodePath, request: IsolationRequest, performing: Performing) -> IsolationAnswer:
    """Keep everything of a donor apart for infection, or no longer."""
    return await performing(isolation.decide_isolation, code.upper(), request)


@router.post("/donors/{code}/identity-changes")
async def change_identity(code: CodePath, request: ChangeIdentity, performing: Performing) -> IdentityChangedByTwo | Proposed:
    """Another name, birth date or identifier of a donor whose material is kept: proposed on evidence, signed by quality."""
    return await performing(identity_changes.change_identity, code.upper(), request)


@router.get("/donors/{code}/proposed-identity")
async def read_proposed(code: CodePath, performing: Disclosing) -> ProposedIdentity:
    """Who the donor is on record, and who by the change that waits. That you asked is recorded."""
    return await performing(identity_changes.read_proposed, code.upper())


@router.post("/donors/{code}/reserves")
async def set_reserve(code: CodePath, request: ReserveRequest, performing: Performing) -> ReserveRecorded | Proposed:
    """Say how much of a donor's material stays: quality, signed "decided"."""
    return await performing(reserves.set_reserve, code.upper(), request)


@router.get("/donors/{code}/reserves")
async def read_reserves(code: CodePath, reading: Reading) -> ReserveList:
    """What a donor has that could be used now, and what of it stays, by material."""
    return await reading(reserves.list_reserves, code.upper())


@router.post("/donors/{code}/markers", status_code=201)
async def enter_marker(code: CodePath, request: EnterMarker, performing: Performing) -> MarkerRecorded:
    """Enter a result of a marker of infection from its report: clinic or laboratory."""
    return await performing(markers.enter_marker, code.upper(), request)


@router.get("/donors/{code}/markers")
async def list_markers(code: CodePath, reading: Reading) -> MarkerList:
    """Every result of a donor, newest sample first."""
    return await reading(markers.list_markers, code.upper())


@router.post("/donors/{code}/markers/{marker}/decide")
async def decide_marker(code: CodePath, marker: UUID, request: DecideMarker, performing: Performing) -> MarkerRecorded:
    """Confirm a result against its report, or say that it was entered wrongly: quality, signed "reviewed"."""
    return await performing(markers.decide_marker, code.upper(), marker, request)


@router.post("/specimens/{code}/decision")
async def decide_specimen(code: CodePath, request: DecisionRequest, performing: Performing) -> DecisionAnswer:
    """Release or reject a specimen: quality, signed "released" or "rejected"."""
    return await performing(decisions.decide_specimen, code, request)


@router.post("/specimens/decision")
async def decide_several(request: DecisionOfSeveral, performing: Performing) -> DecisionAnswer:
    """Release or reject several specimens under one signature, all or nothing."""
    return await performing(decisions.decide_several, request)


@router.post("/specimens/basis")
async def decide_basis_of(request: BasisOfSeveral, performing: Performing) -> DecisionAnswer:
    """Determine under which law several specimens may be used, under one signature, all or nothing."""
    return await performing(decisions.decide_basis_of, request)


@router.post("/lots/{code}/decision")
async def decide_lot(code: CodePath, request: DecisionRequest, performing: Performing) -> DecisionAnswer:
    """Release or reject every specimen of a lot, all or nothing."""
    return await performing(decisions.decide_lot, code, request)


@router.post("/specimens/{code}/basis")
async def decide_specimen_basis(code: CodePath, request: BasisRequest, performing: Performing) -> DecisionAnswer:
    """Determine under which law a specimen may be used: quality, signed "decided"."""
    return await performing(decisions.decide_specimen_basis, code, request)


@router.get("/specimens/{code}/notification-plan")
async def read_plan(code: CodePath, performing: Disclosing) -> NotificationPlanPublic:
    """Whom to tell when a late result is bad, for who decides and who treats. That you asked is recorded."""
    return await performing(kept_words.read_plan, code)


@router.post("/lots/{code}/basis")
async def decide_lot_basis(code: CodePath, request: BasisRequest, performing: Performing) -> DecisionAnswer:
    """Determine under which law the specimens of a lot may be used."""
    return await performing(decisions.decide_lot_basis, code, request)


@router.post("/specimens/{code}/discard")
async def discard(code: CodePath, request: DiscardRequest, performing: Performing) -> Ended | Proposed:
    """Record the destruction of a specimen; of therapeutic material only quality, signed "decided"."""
    return await performing(disposal.discard, code, request)


@router.post("/specimens/{code}/end")
async def announce_end(code: CodePath, request: AnnounceRequest, performing: Performing) -> AnnouncedEnd:
    """Announce that what is kept frozen for treatment is to be destroyed or used up: quality, signed "decided"."""
    return await performing(disposal.announce_end, code, request)


@router.post("/specimens/{code}/end/withdraw")
async def withdraw_end(code: CodePath, request: WithdrawEndRequest, performing: Performing) -> DecisionAnswer:
    """Take the announcement of an end back."""
    return await performing(disposal.withdraw_end, code, request)


@router.post("/specimens/{code}/use-up")
async def allow_use_up(code: CodePath, request: UseUpRequest, performing: Performing) -> Ended | Proposed:
    """Allow for a day that a specimen is used up: two people, signed "decided"."""
    return await performing(disposal.allow_use_up, code, request)


@router.post("/specimens/{code}/transfer-out")
async def transfer_out(code: CodePath, request: TransferRequest, performing: Performing) -> Ended | Proposed:
    """Close the record of a specimen that another establishment took over: quality, signed "decided"."""
    return await performing(disposal.transfer_out, code, request)


@router.post("/specimens/{code}/resolve")
async def resolve(code: CodePath, request: ResolveRequest, performing: Performing) -> Resolved | Proposed:
    """Say which specimen an unidentified item is: two people of quality, signed "decided", on evidence."""
    return await performing(identifying.resolve, code, request)


@router.post("/specimens/{code}/lost")
async def give_up_as_lost(code: CodePath, request: LostRequest, performing: Performing) -> Ended | Proposed:
    """Give up the search for a missing specimen: quality, signed "decided"."""
    return await performing(disposal.give_up_as_lost, code, request)


@router.post("/deviations", status_code=201)
async def open_deviation(request: DeviationRequest, performing: Performing) -> DeviationAnswer:
    """Open a deviation."""
    return await performing(deviations.open_deviation, request)


@router.get("/deviations")
async def read_deviations(
    reading: Reading,
    open: bool | None = None,
    after: Cursor | None = None,
    limit: Limit = 100,
) -> DeviationList:
    """Deviations at the sites you may know of, newest first."""
    return await reading(deviations.list_deviations, open_only=open, paging=Paging(after, limit))


@router.get("/deviations/{code}")
async def read_deviation(code: CodePath, reading: Reading, bank: BankDep) -> DeviationDetail:
    """A deviation with what it affects and its words."""
    return await reading(deviations.describe_deviation, bank.keystore, code)


@router.post("/deviations/{code}/dispositions")
async def dispose_of_units(code: CodePath, request: DisposeRequest, performing: Performing) -> DeviationDisposedAnswer:
    """Say what becomes of units that an open deviation reaches: quality that had no hand in them, signed "decided"."""
    return await performing(deviation_ending.dispose_of_units, code, request)


@router.post("/deviations/{code}/close")
async def close_deviation(code: CodePath, request: CloseRequest, performing: Performing) -> DeviationAnswer:
    """Close a deviation of which every unit is decided: quality, signed "closed"."""
    return await performing(deviation_ending.close_deviation, code, request)


@router.post("/attachments", status_code=201)
async def store_attachment(
    request: AttachmentRequest, performing: Performing, reading: Reading, bank: BankDep
) -> AttachmentPublic:
    """Store a file of at most 10 MiB; it is named by its SHA-256."""
    await reading(attachments.may_attach, request, bank.settings)
    return await attachments.keep(bank, request, lambda stored: performing(attachments.register_file, request, stored))


@router.get("/attachments/{sha256}", response_class=Response)
async def read_attachment(
    sha256: ShaPath,
    reading: Reading,
    bank: BankDep,
    donor: Annotated[str | None, Query(pattern=r"^DN-[0-9A-Z]{7}$", description="Only as what was given about them.")] = None,
) -> Response:
    """The bytes of a stored file."""
    public, subjects = await reading(attachments.find_file, sha256, donor)
    data = await to_thread.run_sync(attachments.read_file, bank, sha256, *subjects)
    headers = {"Content-Disposition": f'attachment; filename="{sha256[:16]}"', "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=public.media_type, headers=headers)


@router.post("/storage-containers/{code}/logger-files", status_code=201)
async def record_logger_file(
    code: CodePath, request: RecordLoggerFile, performing: Performing, reading: Reading, bank: BankDep
) -> LoggerFileAnswer:
    """Read a stored file of a temperature logger, of whatever maker, as readings of a container. What the file leaves open
    (the zone of its times, day or month first) is asked with a 409; a value that can hardly be right is asked back."""
    _public, subjects = await reading(attachments.find_file, request.logger_sha256)
    data = await to_thread.run_sync(attachments.read_file, bank, request.logger_sha256, *subjects)
    return await performing(logger_files.record_logger_file, code.upper(), request, data)


@router.get("/storage-containers/{code}/logger-files")
async def list_logger_files(code: CodePath, reading: Reading) -> LoggerFileList:
    """Files of loggers that were read as readings of a container."""
    return await reading(logger_files.logger_files_of, code.upper())


@router.post("/paper-forms", status_code=201)
async def file_paper_form(request: PaperFormRequest, performing: Performing) -> PaperFormFiledAnswer:
    """File a form that was filled in by hand; a deviation is opened. Acts are then entered from it: `paper` in their bodies."""
    return await performing(paper.file_paper, request)


@router.post("/specimens/{code}/reopen")
async def reopen_specimen(code: CodePath, request: ReopenRequest, performing: Performing) -> ReopenedAnswer | Proposed:
    """Reopen the rejection of a specimen, over a closed investigation: two people of quality."""
    return await performing(reopening.reopen, code.upper(), request)


@router.post("/lots/{code}/reopen")
async def reopen_lot(code: CodePath, request: ReopenRequest, performing: Performing) -> ReopenedAnswer | Proposed:
    """Reopen the rejection of a lot's units, and end the holds of its failed tests: two people of quality."""
    return await performing(reopening.reopen, code.upper(), request)


@router.post("/look-backs", status_code=201)
async def make_look_back(request: Criteria, performing: Performing) -> LookBackAnswer:
    """Every specimen and recipient a cause can have reached, at this instant."""
    return await performing(look_back.make_look_back, request)


@router.get("/recalls")
async def read_recalls(reading: Reading, after: Cursor | None = None, limit: Limit = 100) -> RecallList:
    """Recalls, the newest first."""
    return await reading(recalls.list_recalls, paging=Paging(after, limit))


@router.get("/recalls/{recall}")
async def read_recall(recall: UUID, reading: Reading) -> RecallDetail:
    """A recall with the set it froze as it is now, what its cause reached since, and who was told."""
    return await reading(recalls.read_recall, recall)


@router.post("/recalls", status_code=201)
async def start_recall(request: RecallRequest, performing: Performing) -> RecallAnswer:
    """Freeze that set: recall holds, open bedside releases ended, a critical deviation opened."""
    return await performing(look_back.start_recall, request)


@router.post("/recalls/{recall}/dispositions")
async def dispose_recalled(recall: UUID, request: DisposeRequest, performing: Performing) -> RecallDisposedAnswer:
    """Say what becomes of units of an open recall: quality, signed "decided"."""
    return await performing(recall_ending.dispose, recall, request)


@router.post("/recalls/{recall}/close")
async def close_recall(recall: UUID, request: CloseRecallRequest, performing: Performing) -> RecallClosedAnswer | Proposed:
    """Close a recall of which every unit is decided; its holds end: two of quality, signed "closed"."""
    return await performing(recall_ending.close_recall, recall, request)


@router.get("/adverse-events")
async def read_adverse_events(
    reading: Reading, open_only: bool = False, after: Cursor | None = None, limit: Limit = 100
) -> AdverseList:
    """Adverse reactions and events, the newest first; `open_only`: not reported yet."""
    return await reading(adverse.list_adverse, open_only=open_only, paging=Paging(after, limit))


@router.get("/adverse-events/{code}")
async def read_adverse_event(code: CodePath, reading: Reading, bank: BankDep) -> AdverseDetail:
    """One by the code of its deviation, with its words for those who treat or decide."""
    return await reading(adverse.describe_adverse, bank.keystore, code)


@router.post("/adverse-events/{code}/assess")
async def assess_adverse_event(
    code: CodePath, request: AssessAdverse, performing: Performing
) -> AdverseAssessedAnswer | Proposed:
    """Judge seriousness and cause: quality, signed "decided"."""
    return await performing(judging.assess_adverse, code, request)


@router.post("/adverse-events/{code}/report")
async def report_adverse_event(code: CodePath, request: ReportAdverse, performing: Performing) -> AdverseAnswer:
    """Say to which authority it was reported, and when: quality, signed "decided"."""
    return await performing(adverse.report_adverse, code, request)


@router.post("/reporting-rules")
async def set_reporting_rule(request: ReportingRuleRequest, performing: Performing) -> ReportingRulePublic:
    """Set how many days a site has to report: quality, signed "decided"."""
    return await performing(adverse.set_reporting_rule, request)

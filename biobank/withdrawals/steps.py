"""The steps of a withdrawal that have a page: what each asks for. `step_rules.offered` says which may be taken, by these names.

A step is one row: its form is drawn from the fields of the API's request model, and posting it runs the API's use case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from biobank.acts.signing import Meaning
from biobank.auth.permissions import Permission
from biobank.withdrawals import (
    administering,
    adverse,
    arrival,
    bedside,
    closing,
    expanding,
    final_label,
    paper_checks,
    picking,
    replacing,
    service,
)
from biobank.withdrawals.schemas import (
    AdministerRequest,
    AdverseRequest,
    ApproveRequest,
    BedsideRequest,
    CancelRequest,
    ExpandRequest,
    FinalLabelRequest,
    IssueRequest,
    OutcomeRequest,
    PickRequest,
    ReceiveRequest,
    RejectRequest,
    ReplaceRequest,
    ReturnRequest,
    ThawRequest,
    WithdrawalAct,
)
from biobank.withdrawals.workflow import Step

P = Permission


@dataclass(frozen=True)
class StepPage:
    """A step with a page. `done` is said once it is taken, `given` are members the page itself says, `labels` rename fields;
    `meaning` is what is signed.
    """

    step: Step
    label: str
    done: str
    lead: str
    icon: str
    permission: Permission
    model: type[WithdrawalAct]
    use_case: Callable[..., Any]
    names: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    meaning: Meaning | None = None
    said: str = ""
    grave: bool = False


_BATH = {"bath_temperature_mc": "Bath temperature", "duration_s": "Seconds in the bath"}

STEPS: Mapping[str, StepPage] = {
    "approve": StepPage(
        Step.APPROVE,
        "Approve",
        "Approved.",
        "Your signature reserves the tubes for this withdrawal.",
        "pen",
        P.WITHDRAWAL_APPROVE,
        ApproveRequest,
        service.approve_withdrawal,
        meaning=Meaning.APPROVED,
        said="I have reviewed donor, consent, legal basis, quality, holds, amounts, expiry and deviations, and approve.",
    ),
    "pick": StepPage(
        Step.PICK,
        "Pick",
        "Picked.",
        "Scan the place, then the tube that came out of it.",
        "hand",
        P.WITHDRAWAL_PICK,
        PickRequest,
        picking.pick,
        ("place", "tube"),
    ),
    "confirm": StepPage(
        Step.PICK,
        "Confirm the pick",
        "The pick is confirmed.",
        "You are the second person: scan the tube in your hand. Nothing is shown to you.",
        "scan",
        P.WITHDRAWAL_PICK,
        PickRequest,
        picking.pick,
        ("tube",),
        given={"confirm": True},
    ),
    "thaw": StepPage(
        Step.THAW,
        "Thaw",
        "Thawed.",
        "The clock of the thawed cells starts now.",
        "drop",
        P.CUSTODY_RECORD,
        ThawRequest,
        picking.thaw,
        ("tube", "method", "bath_temperature_mc", "duration_s"),
        labels=_BATH,
    ),
    "label": StepPage(
        Step.LABEL,
        "Put the final label on",
        "The final label is on.",
        "Print a new label of the tube after the thaw, put it on, and scan it there. What is shipped thawed leaves under it.",
        "scan",
        P.CUSTODY_RECORD,
        FinalLabelRequest,
        final_label.apply,
        ("tube",),
        labels={"tube": "The new label, on the tube"},
    ),
    "expand": StepPage(
        Step.EXPAND,
        "Record the new run",
        "The run is recorded.",
        "Every tube goes into it. What comes out is a lot of its own: it is tested, released and asked for anew.",
        "flask",
        P.PROCESSING_RECORD,
        ExpandRequest,
        expanding.expand,
    ),
    "issue": StepPage(
        Step.ISSUE,
        "Issue",
        "Issued.",
        "Every tube leaves the bank. You keep custody until somebody accepts.",
        "truck",
        P.WITHDRAWAL_ISSUE,
        IssueRequest,
        picking.issue,
        ("courier", "evidence"),
        labels={"courier": "Courier, unless a person carries it"},
    ),
    "receive": StepPage(
        Step.RECEIVE,
        "Receive",
        "Received.",
        "Scan every tube that arrived.",
        "tray",
        P.WITHDRAWAL_RECEIVE,
        ReceiveRequest,
        arrival.receive,
        ("tubes", "container_intact", "label_legible", "temperature_mc", "seal_intact", "seal", "logger_sha256", "zone", "dates"),
        labels={"tubes": "Tubes that arrived"},
    ),
    "check": StepPage(
        Step.CHECK,
        "Bedside check",
        "Checked.",
        "Each of two people scans wristband and product from their own login.",
        "person-check",
        P.WITHDRAWAL_ADMINISTER,
        BedsideRequest,
        bedside.check_at_bedside,
        ("wristband", "product", "device"),
    ),
    "paper": StepPage(
        Step.CHECK,
        "Fetch a paper check",
        "The sheet is ready to print.",
        "For when there is no network: a sheet for the bedside, good for 24 hours. Print it now; two people fill it in, file it "
        "as a form on paper, and enter it the same day.",
        "print",
        P.WITHDRAWAL_ADMINISTER,
        WithdrawalAct,
        paper_checks.fetch,
    ),
    "administer": StepPage(
        Step.ADMINISTER,
        "Administer",
        "Given.",
        "Given, residue and loss together are what was in the tube.",
        "person-check",
        P.WITHDRAWAL_ADMINISTER,
        AdministerRequest,
        administering.administer,
        ("product", "given", "residue", "loss", "residue_went", "volume_ul", "anatomical_site", "started_at", "reaction"),
        labels={
            "reaction": "Something was seen that should not be",
            "residue_went": "What became of the residue",
            "volume_ul": "Volume given",
            "anatomical_site": "Where on the body",
            "started_at": "When it began",
        },
    ),
    "outcome": StepPage(
        Step.OUTCOME,
        "Record the outcome",
        "The outcome is recorded.",
        "What the clinic saw afterwards.",
        "log",
        P.WITHDRAWAL_ADMINISTER,
        OutcomeRequest,
        closing.record_outcome,
        ("result", "observed_at", "words", "close"),
        labels={"close": "Nothing more is expected: close the withdrawal"},
    ),
    "adverse": StepPage(
        Step.OUTCOME,
        "Record an adverse event",
        "The adverse event is recorded.",
        "Quality is told at once, judges it and reports it. Your words are read by those who treat or decide.",
        "triangle",
        P.WITHDRAWAL_ADMINISTER,
        AdverseRequest,
        adverse.record_adverse,
        ("kind", "seriousness", "in_lot", "seen_at", "words"),
        labels={
            "kind": "A reaction of the patient, or an event in the handling",
            "in_lot": "The cause may be in the material: hold everything of its lot",
            "seen_at": "When it was seen",
            "words": "What was seen",
        },
    ),
    "return": StepPage(
        Step.RETURN,
        "Take back",
        "Taken back.",
        "It came back frozen. Thawed cells never come back; they are destroyed.",
        "undo",
        P.QUALITY_DECIDE,
        ReturnRequest,
        closing.take_back,
        ("tube", "site", "reason", "quality", "logger_sha256", "zone", "dates"),
        labels={"tube": "Tube that came back", "site": "Where it is now", "quality": "Quality's decision about it"},
        meaning=Meaning.DECIDED,
        said="I have read what is known of its journey and decide as stated above.",
    ),
    "reject": StepPage(
        Step.REJECT,
        "Reject",
        "Rejected.",
        "Quality says no, and why.",
        "octagon",
        P.WITHDRAWAL_APPROVE,
        RejectRequest,
        service.reject_withdrawal,
        ("reason",),
        meaning=Meaning.REJECTED,
        said="I have reviewed the request and reject it.",
        grave=True,
    ),
    "replace": StepPage(
        Step.REPLACE,
        "Replace a tube",
        "The tube is replaced.",
        "For a tube that cannot be used any more. This withdrawal ends, its tubes are free, and a new one with the other tube "
        "waits for quality's approval.",
        "undo",
        P.WITHDRAWAL_REQUEST,
        ReplaceRequest,
        replacing.replace_tube,
        ("tube", "by", "reason"),
        labels={"tube": "Tube that cannot be used", "by": "Tube to take instead"},
    ),
    "cancel": StepPage(
        Step.CANCEL,
        "Cancel",
        "Cancelled.",
        "Calls it off before anything leaves; reserved tubes are free again.",
        "bin",
        P.WITHDRAWAL_REQUEST,
        CancelRequest,
        service.cancel_withdrawal,
        ("reason",),
        grave=True,
    ),
}
"""In the order they are taken."""

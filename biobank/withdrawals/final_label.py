"""Putting the final label on a tube that travels thawed: the label on the tube is scanned; it was printed after the thaw."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Move
from biobank.custody.states import Condition, HoldKind
from biobank.foundation.codes import SPECIMENS
from biobank.foundation.errors import Refused
from biobank.quality.independence import SWAPPED
from biobank.quality.urgent import call_quality
from biobank.specimens.scanned_labels import read_current
from biobank.withdrawals.case import Case, open_case, record_on_tubes
from biobank.withdrawals.events import FinalLabelApplied
from biobank.withdrawals.final_label_rules import NotTheFinalLabel, final_labels
from biobank.withdrawals.given_then import judged_by_hands
from biobank.withdrawals.picking import answered, first_of, tell_when_ready, told_afterwards
from biobank.withdrawals.scans import AnotherKindOfCode
from biobank.withdrawals.schemas import FinalLabelRequest, WithdrawalAnswer
from biobank.withdrawals.step_rules import AT_THE_BENCH, label_refusals
from biobank.withdrawals.strays import hold_specimens, stray_tube
from biobank.withdrawals.workflow import Step


def apply(session: Session, act: Act, code: str, request: FinalLabelRequest) -> WithdrawalAnswer | Refused:
    """Record that the scanned label is on its tube as the final one.

    Raises LabelSuperseded, also for a label that another took the place of at this moment, and NotTheFinalLabel for one from
    before the thaw and for a typed code, which does not say which print it is.
    """
    said = read_current(session, request.tube, act.bank.settings)
    if said.prefix not in SPECIMENS:
        raise AnotherKindOfCode(f"{said.text} is no tube's label. Scan the new label on the tube.", subject=said.text)
    tube = said.text
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    # Whoever prints one in its place has the tube locked, as this has now: that it still stands is sure only here.
    read_current(session, request.tube, act.bank.settings)
    if tube not in case.tubes:
        return _stop(session, act, case, tube, others.get(tube))
    judged = judged_by_hands(session, act, case, request, [tube], lambda one, of: label_refusals(act.actor, one, of, tube))
    refused = first_of(judged.against)
    if refused is not None:
        return refused
    case, grounds = judged.case, judged.grounds
    template = final_labels(case, tube).get(said.print_number or 0)
    if said.print_number is None or template is None:
        raise NotTheFinalLabel(
            f"This label of {tube} was not printed after the thaw. Put the new one on the tube and scan its symbol there.",
            where_now=case.tubes[tube].where_now,
            subject=tube,
        )
    event = FinalLabelApplied(withdrawal=code, print_number=said.print_number, template=template)
    appended = record_on_tubes(session, act, case, [Move(case.tubes[tube], event)], request, lagging=grounds.lagging)
    now = case.moved_on(appended, labelled={tube: template})
    tell_when_ready(session, act, now, appended[0])
    told = told_afterwards(session, act, judged, request, [tube], "labelled")
    return answered(session, act, judged, now, [*appended, *told])


def _stop(session: Session, act: Act, case: Case, code: str, scanned: Snapshot | None) -> Refused:
    """The label of a tube that is none of the withdrawal's was scanned on what is in the hand. Here the label says who it is for:
    what was thawed for this withdrawal, and the tube that the label names, are held with all that lay at their benches.
    """
    refused = stray_tube(act, Step.LABEL, case, code, scanned)
    thawed = {
        own: tube
        for own, tube in case.tubes.items()
        if tube.state in AT_THE_BENCH and tube.projection.condition == Condition.THAWED.value
    }
    if not thawed or scanned is None:
        return refused
    site = next(iter(thawed.values())).projection.site_code or case.clinic
    both = {**thawed, code: scanned}
    hold_specimens(session, act, both, HoldKind.IDENTITY, NOW, reason=SWAPPED, site=site)
    call_quality(
        session,
        act,
        topic=SWAPPED,
        about=case.code,
        description=f"The label of {code} was scanned as the final one of what was thawed for {case.code}.",
        units=both,
        site=site,
        sites=[case.clinic, *(tube.keeper for tube in both.values())],
        affected=[("withdrawal", case.code)],
    )
    return refused

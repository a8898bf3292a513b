"""Putting the final label on a tube that travels thawed: the label on the tube is scanned; it was printed after the thaw."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import Move
from biobank.foundation.codes import SPECIMENS
from biobank.foundation.errors import Refused
from biobank.specimens.scanned_labels import read_current
from biobank.withdrawals.case import open_case, record_on_tubes
from biobank.withdrawals.events import FinalLabelApplied
from biobank.withdrawals.final_label_rules import NotTheFinalLabel, final_labels
from biobank.withdrawals.picking import first_of, stray_tube, tell_when_ready
from biobank.withdrawals.scans import AnotherKindOfCode
from biobank.withdrawals.schemas import FinalLabelRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of
from biobank.withdrawals.step_rules import grounds_of_hands, label_refusals
from biobank.withdrawals.workflow import Step


def apply(session: Session, act: Act, code: str, request: FinalLabelRequest) -> WithdrawalAnswer | Refused:
    """Record that the scanned label is on its tube as the final one.

    Raises NotTheFinalLabel for an older label of it and for a typed code, which does not say which print it is.
    """
    said = read_current(session, request.tube, act.bank.settings)
    if said.prefix not in SPECIMENS:
        raise AnotherKindOfCode(f"{said.text} is no tube's label. Scan the new label on the tube.", subject=said.text)
    tube = said.text
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=[tube])
    if tube not in case.tubes:
        return stray_tube(act, Step.LABEL, case, tube, others.get(tube))
    grounds = grounds_of_hands(session, act, case, request)
    refused = first_of(label_refusals(act.actor, case, grounds, tube))
    if refused is not None:
        return refused
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
    return answer_of(act, now, appended)

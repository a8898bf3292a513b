"""How specimens leave for good other than to their donor: destroyed, taken over by another establishment, given up as lost."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.permissions import Permission
from biobank.custody.events import Lost
from biobank.custody.legality import Snapshot, refusal_of
from biobank.custody.recording import Move, record, require_expected, require_permission
from biobank.custody.snapshots import get_visible
from biobank.custody.states import State
from biobank.foundation.errors import NotPermitted
from biobank.quality.decisions import answer_of
from biobank.quality.events import Discarded, TransferredOut
from biobank.quality.releases import end_releases
from biobank.quality.schemas import DecisionAnswer, DiscardRequest, LostRequest, TransferRequest


class QualityDiscards(NotPermitted):
    """Only quality destroys what was meant for a patient."""

    code = "quality_discards"
    title = "Quality's decision"


def _underway(specimen: Snapshot) -> str | None:
    """The withdrawal a specimen has left the bank for. Its reservation no longer protects it: it cannot be used otherwise."""
    reserved: str | None = specimen.projection.reserved_for
    return reserved if specimen.state in (State.ISSUED, State.IN_TRANSIT, State.DELIVERED) else None


def discard(session: Session, act: Act, code: str, request: DiscardRequest) -> DecisionAnswer:
    """Destroy a specimen. Therapeutic material takes quality's signature; nothing under a hold on destruction goes."""
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    require_permission(act, Discarded, specimen)
    require_expected(specimen, request.expected_seq)
    underway = _underway(specimen)
    refusal = refusal_of(Discarded, specimen, withdrawal=underway)
    if refusal is not None:
        raise refusal
    signature = None
    if specimen.purpose == "therapeutic":
        if not act.may(Permission.QUALITY_DECIDE, at=specimen.sites):
            raise QualityDiscards(
                f"{code} was kept for treatment; only quality can have it destroyed, with a signature.",
                subject=code,
                where_now=specimen.where_now,
            )
        signature = str(use_signature(session, act, request.signature, Meaning.DECIDED).id)
    event = Discarded(reason=request.reason, method=request.method, signature=signature)
    appended = record(session, act, [Move(specimen, event)], request, withdrawal=underway)
    end_releases.get()(session, [code], at=act.at, because="discarded")
    return answer_of(act, appended)


def transfer_out(session: Session, act: Act, code: str, request: TransferRequest) -> DecisionAnswer:
    """Close the record of a specimen that another establishment has taken over, on its receipt."""
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    require_permission(act, TransferredOut, specimen)
    require_expected(specimen, request.expected_seq)
    refusal = refusal_of(TransferredOut, specimen)
    if refusal is not None:
        raise refusal
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = TransferredOut(to=request.to, reason=request.reason, evidence=request.evidence, signature=str(signature.id))
    appended = record(session, act, [Move(specimen, event)], request)
    return answer_of(act, appended)


def give_up_as_lost(session: Session, act: Act, code: str, request: LostRequest) -> DecisionAnswer:
    """Give up the search for a missing specimen. It can still be found."""
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    require_permission(act, Lost, specimen)
    require_expected(specimen, request.expected_seq)
    refusal = refusal_of(Lost, specimen)
    if refusal is not None:
        raise refusal
    use_signature(session, act, request.signature, Meaning.DECIDED)
    appended = record(session, act, [Move(specimen, Lost(reason=request.reason))], request)
    return answer_of(act, appended)

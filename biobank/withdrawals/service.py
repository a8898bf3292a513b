"""Use cases of withdrawals: request, approve, reject, cancel. What happens with the tubes is in `picking` and `bedside`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Proposed, propose_or_complete, two_person
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_of_user
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import AHEAD, Circumstances, ImplausibleTime, Move, acknowledge
from biobank.custody.snapshots import get_all_visible
from biobank.donors.consents import consents_given
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, raise_first
from biobank.foundation.terms import words
from biobank.quality.streams import record_on_stream
from biobank.specimens.processes import growing
from biobank.vault import put_document
from biobank.withdrawals.approval_events import ApprovalRenewed, RemainderAccepted
from biobank.withdrawals.approvals import STANDING, changes_since, lasts_of
from biobank.withdrawals.case import Case, find_row, open_case, read_case, record_on_case, record_on_tubes, set_state
from biobank.withdrawals.checks import AnotherMaterial, AnotherPersonsCells, NotEnough, not_enough
from biobank.withdrawals.consents import treatment_consents
from biobank.withdrawals.events import Approved, Cancelled, Rejected, Requested, Reserved, Unreserved
from biobank.withdrawals.known import longest_banked
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as item_table
from biobank.withdrawals.outcomes import carry_plan
from biobank.withdrawals.picture import (
    case_subjects,
    deviations_about,
    picture_refusal,
    proposal_of,
    read_picture,
    remainder_refusal,
    units_of_donor,
)
from biobank.withdrawals.queries import refusals_now, tubes_of_donor
from biobank.withdrawals.schemas import (
    ApprovedAnswer,
    ApproveRequest,
    CancelRequest,
    RejectRequest,
    WithdrawalAnswer,
    WithdrawalRequest,
)
from biobank.withdrawals.step_errors import NotAnExpansion
from biobank.withdrawals.step_rules import (
    Grounds,
    approval_refusals,
    cancel_refusals,
    consents_of,
    read_grounds,
    rejection_refusals,
)
from biobank.withdrawals.stops import stopped_now
from biobank.withdrawals.workflow import Route, Step, WithdrawalState, after, shown, waits_for


class RecipientIsNotDonor(Conflict):
    """Cells go back to the person they came from."""

    code = "recipient_is_not_donor"
    title = "Recipient is not the donor"


class FirstSignerExcluded(Conflict):
    """Who signed first may not approve any more: of two signatures, both count when the second is given."""

    code = "first_signer_excluded"
    title = "Another first signature is needed"


class SeveralBanks(Conflict):
    """What two banks keep is asked for by itself: each approves and issues what it keeps."""

    code = "kept_by_several_banks"
    title = "Kept by several banks"


def request_withdrawal(
    session: Session, act: Act, request: WithdrawalRequest, *, instead_of: Case | None = None, before: Sequence[Appended] = ()
) -> WithdrawalAnswer:
    """Ask for a person's own cells back. Nothing is reserved yet: that takes quality's signature.

    `instead_of`: the withdrawal that it takes the place of, whose indication it keeps; `before`: how that ended in this act.
    Raises NotFound, NotPermitted, RecipientIsNotDonor, ConsentMissing, ConsentIsRevoked, DonorNotTreated, NotEnough,
    ImplausibleTime, and the first reason for which a named specimen cannot be asked for.
    """
    donor = get_visible_donor(session, act.actor, request.donor, lock=True)
    act.require(Permission.WITHDRAWAL_REQUEST, at=donor.clinic_site_code)
    require_not_erased(donor)
    if request.recipient is not None and request.recipient != donor.code:
        raise RecipientIsNotDonor(f"The cells of {donor.code} go back to {donor.code} and to nobody else.", subject=donor.code)
    if request.route is Route.EXPAND and growing(request.material) is None:
        raise NotAnExpansion(f"{words(request.material)} is not grown in any run. Ask for it by another way.", subject=donor.code)
    asked = request.occurred_at or act.at
    # What takes the place of another keeps its day, which may have passed.
    if instead_of is None and request.needed_at is not None and request.needed_at < asked - AHEAD:
        raise ImplausibleTime("It is needed at a time that has passed. Check the day.", subject=donor.code)
    tubes = _chosen(session, act, request)
    given = consents_given(session, [donor.code], "treatment", act.at)[donor.code]
    consents, refusals = treatment_consents(donor.code, donor.status, given, request.material, [t.code for t in tubes], act.at)
    raise_first(refusals)
    code = new_code(session, "WD", year=act.at.year % 100)
    indication = None if instead_of is None else instead_of.row["indication_commit"]
    if request.indication is not None:
        indication = put_document(session, act.keystore, donor.code, {"indication": request.indication})
    event = Requested(
        donor=donor.code,
        recipient=donor.code,
        clinic_site=donor.clinic_site_code,
        material=request.material,
        route=request.route,
        specimens=tuple(sorted(t.code for t in tubes)),
        amount=request.minimum_amount,
        needed_at=None if request.needed_at is None else rfc3339(request.needed_at),
        indication=None if indication is None else indication.hex(),
        instead_of=None if instead_of is None else instead_of.code,
    )
    relies_on = (*consents, *(one.leaf_hash for one in before[:1]))
    appended = record_on_stream(
        session, act, code, event, request, site=donor.clinic_site_code, donor_code=donor.code, relies_on=relies_on
    )
    session.execute(
        insert(withdrawal).values(
            code=code,
            donor_code=donor.code,
            recipient_code=donor.code,
            state=WithdrawalState.REQUESTED.value,
            clinic_site_code=donor.clinic_site_code,
            material=request.material,
            route=request.route.value,
            amount_asked=request.minimum_amount,
            indication_commit=indication,
            needed_at=request.needed_at,
            requested_at=act.at,
            requested_by=act.actor.code,
        )
    )
    session.execute(insert(item_table), [_item_row(code, donor.code, tube.code, act.at) for tube in tubes])
    case = read_case(session, find_row(session, act.actor, code))
    if instead_of is None:
        return answer_of(session, act, case, [appended])
    carried = carry_plan(session, act, instead_of.code, case)
    return answer_of(session, act, case.moved_on(carried), [*before, appended, *carried])


def _item_row(code: str, donor: str, specimen: str, at: datetime) -> dict[str, object]:
    return {
        "withdrawal_code": code,
        "specimen_code": specimen,
        "donor_code": donor,
        "recipient_code": donor,
        "added_at": at,
    }


def _chosen(session: Session, act: Act, request: WithdrawalRequest) -> list[Snapshot]:
    """Return the specimens of a request: those it names, each of them usable, or the longest banked usable ones."""
    if request.specimens:
        codes = list(dict.fromkeys(request.specimens))
        tubes = get_all_visible(session, act.actor, codes, holds=True)
        for tube in tubes:
            if tube.donor_code != request.donor:
                raise AnotherPersonsCells(
                    f"{tube.code} does not come from {request.donor}. Cells go back to their own donor only.", subject=tube.code
                )
            if tube.material != request.material:
                raise AnotherMaterial(
                    f"{tube.code} is {tube.material}; {request.material} was asked for. Choose another.", subject=tube.code
                )
        refusals = refusals_now(session, tubes, request.donor, act.at, request.route)
        for code in codes:
            if refusals[code]:
                raise refusals[code][0]
    else:
        candidates = tubes_of_donor(session, request.donor, request.material)
        refusals = refusals_now(session, candidates, request.donor, act.at, request.route)
        usable = [tube for tube in candidates if not refusals[tube.code]]
        tubes = _of_one_bank(usable, request.units)
        if len(tubes) < request.units:
            raise NotEnough(
                f"{request.donor} has {len(usable)} usable of {words(request.material)}, to {words(request.route).lower()}; "
                f"{request.units} were asked for. The list of what is there says why the others are not.",
                subject=request.donor,
                usable=len(usable),
            )
    short = not_enough(tubes, request.minimum_amount, request.donor)
    raise_first([] if short is None else [short])
    if len({_bank(tube) for tube in tubes}) > 1:
        places = sorted({str(place) for tube in tubes for place in _bank(tube)})
        raise SeveralBanks(
            f"These are kept by {' and '.join(places)}, and each bank issues what it keeps. Ask for those of each by themselves.",
            subject=request.donor,
        )
    return tubes


def _bank(tube: Snapshot) -> tuple[str | None, str | None]:
    """Who keeps it and where it is: what is asked for together is approved, picked and issued together."""
    return tube.keeper, tube.projection.site_code


def _of_one_bank(usable: Sequence[Snapshot], units: int) -> list[Snapshot]:
    """Return the longest banked `units` that one bank keeps, of the bank that has what was banked longest and enough. Pure."""
    ordered = sorted(usable, key=longest_banked)
    for first in ordered:
        same = [one for one in ordered if _bank(one) == _bank(first)]
        if len(same) >= units:
            return same[:units]
    return ordered[:units]


APPROVE_BY_TWO = "withdrawal.approve"


@two_person(
    APPROVE_BY_TWO,
    "Approve what takes the last unit or goes below the reserve",
    "I have reviewed the request as well, and accept what remains for the donor.",
    ApproveRequest,
    grave=True,
)
def approve_withdrawal(session: Session, act: Act, code: str, request: ApproveRequest) -> ApprovedAnswer | Proposed:
    """Quality checks everything again, signs, and the tubes are reserved; of two withdrawals for one tube, one succeeds.

    Of what was approved and has not left, when its approval is outdated: quality looks at it anew and signs again.
    Two of quality sign what takes the last usable unit of the donor's or goes below the reserve; the first half is Proposed.
    """
    taken = units_of_donor(session, code)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=taken)
    grounds = read_grounds(session, act.bank, [case.donor], act.at, of=request.occurred_at, decided=True)[case.donor]
    raise_first(approval_refusals(act.actor, case, grounds))
    seen_at = request.picture_at
    now = replace(grounds, stated=None)
    tubes, deviations = {**others, **case.tubes}, deviations_about(session, {code: case_subjects(case)})[code]
    secrets = act.bank.settings.secrets
    picture = read_picture(session, act.actor, case, now, seen_at or act.at, tubes, taken, deviations, secrets)
    stale = picture_refusal(picture, act.at, request.picture, seen_at, request.picture_parts)
    unsaid = remainder_refusal(code, picture.remains, request.remains)
    raise_first([one for one in (stale, unsaid) if one is not None])
    consents = tuple(consents_of(case, grounds)[0])
    signature = use_signature(session, act, request.signature, Meaning.APPROVED)
    accepted: list[Appended] = []
    signers = {*case.row["approvers"], act.actor.code}
    if picture.remains.takes_two:
        step = propose_or_complete(
            session,
            act,
            APPROVE_BY_TWO,
            code,
            proposal_of(picture),
            signature,
            request.pending_act,
            hands=request.performed_by,
            needs=Permission.WITHDRAWAL_APPROVE,
            first_needs=Permission.WITHDRAWAL_APPROVE,
            site=_bank_of(case),
        )
        if isinstance(step, Proposed):
            return step
        _require_first(session, case, grounds, step.first_user)
        signers.add(step.first_user)
        left = picture.remains
        said = RemainderAccepted(
            remains=left.units,
            takes_the_last=left.takes_the_last,
            below_reserve=left.below_reserve,
            picture=picture.lasting,
            first_by=step.first_user,
            first_signature=str(step.first_signature),
            second_signature=str(step.second_signature),
        )
        accepted = [record_on_case(session, act, case, said, request)]
    kept = put_document(session, act.keystore, case.donor, {"picture": picture.content})
    codes = sorted(case.tubes)
    again = case.state in STANDING
    event = (ApprovalRenewed if again else Approved)(
        specimens=tuple(codes),
        heads=tuple((case.tubes[c].head_hash or b"").hex() for c in codes),
        picture=picture.sha256,
        picture_seen_at=None if seen_at is None else rfc3339(seen_at),
        picture_kept=kept.hex(),
        signature=str(signature.id),
    )
    rests_on = (*consents, *(one.leaf_hash for one in accepted))
    approved = record_on_case(session, act, case, event, request, relies_on=rests_on)
    moves = [] if again else [Move(case.tubes[c], Reserved(withdrawal=code), relies_on=(approved.leaf_hash,)) for c in codes]
    appended = record_on_tubes(session, act, case, moves, request, lagging=grounds.lagging) if moves else []
    state = case.state if again else after(Step.APPROVE, case.state)
    set_state(
        session,
        case,
        state,
        approved_by=act.actor.code,
        approved_at=act.at,
        approval_signature=signature.id,
        approval_event=approved.leaf_hash,
        approvers=sorted(signers),
    )
    whole = [*accepted, approved, *appended]
    now_stands = replace(case.moved_on(whole, state=state), approval_now=None)
    return ApprovedAnswer(**answer_members(session, act, now_stands, whole))


def _require_first(session: Session, case: Case, grounds: Grounds, login: str) -> None:
    """Raise FirstSignerExcluded unless who signed first could approve now: by the rules of whoever approves."""
    first = actor_of_user(session, login)
    against = [] if first is None else approval_refusals(first, case, grounds)
    if first is None or against:
        raise FirstSignerExcluded(
            f"{login} signed first, and could not approve {case.code} any more. Somebody else of quality signs first.",
            subject=case.code,
            because=against[0].code if against else "inactive",
        )


def _bank_of(case: Case) -> str | None:
    """A bank that keeps the tubes, under which the proposal is listed; at each of them both must be allowed to approve."""
    homes = {tube.keeper for tube in case.tubes.values()}
    return min((home for home in homes if home is not None), default=None)


def reject_withdrawal(session: Session, act: Act, code: str, request: RejectRequest) -> WithdrawalAnswer:
    """Quality says no, signed."""
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(rejection_refusals(act.actor, case))
    signature = use_signature(session, act, request.signature, Meaning.REJECTED)
    event = Rejected(reason=request.reason, signature=str(signature.id))
    appended = record_on_case(session, act, case, event, request)
    state = after(Step.REJECT, case.state)
    set_state(session, case, state)
    return answer_of(session, act, case.moved_on([appended], state=state), [appended])


def cancel_withdrawal(session: Session, act: Act, code: str, request: CancelRequest) -> WithdrawalAnswer:
    """The clinic that asked, or quality, calls it off before anything leaves. The tubes are free again."""
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    raise_first(cancel_refusals(act.actor, case))
    ended = call_off(session, act, case, request, request.reason, freed_because="withdrawal_cancelled")
    return answer_of(session, act, case.moved_on(ended, state=after(Step.CANCEL, case.state)), ended)


def call_off(session: Session, act: Act, case: Case, given: Circumstances, reason: str, *, freed_because: str) -> list[Appended]:
    """End a withdrawal from which nothing left; its tubes are free again. The first of what is returned is its own event."""
    cancelled = record_on_case(session, act, case, Cancelled(reason=reason), given)
    freed = Unreserved(withdrawal=case.code, reason=freed_because)
    moves = [
        Move(tube, freed, relies_on=(cancelled.leaf_hash,))
        for _, tube in sorted(case.tubes.items())
        if tube.projection.reserved_for == case.code
    ]
    appended = record_on_tubes(session, act, case, moves, given) if moves else []
    set_state(session, case, after(Step.CANCEL, case.state))
    return [cancelled, *appended]


def answer_of(session: Session, act: Act, case: Case, appended: Sequence[Appended]) -> WithdrawalAnswer:
    """Build the answer of an act from where the withdrawal stands now."""
    return WithdrawalAnswer(**answer_members(session, act, case, appended))


def answer_members(session: Session, act: Act, case: Case, appended: Sequence[Appended]) -> dict[str, object]:
    """Return the members that every answer shares. `case`: as it stands after the act."""
    again = bool(changes_since(case.approval_now, act.at, lasts_of(act.bank)))
    return {
        "code": case.code,
        "state": shown(case.state, case.items),
        "seq": case.seq,
        "specimens": sorted(case.tubes),
        "waits_for": [
            *stopped_now(session, act.bank, case, act.at),
            *waits_for(case.state, case.route, case.items, again=again),
        ],
        "receipt": acknowledge(act, appended),
    }


def read_again(session: Session, act: Act, case: Case) -> Case:
    """Return the case as it stands after an act that may have held one of its tubes, or is of a time gone by."""
    return read_case(session, find_row(session, act.actor, case.code))

"""May this step be taken now? One pure list of refusals for each step: the pages offer a step when it is empty,
the use case raises the first of it.

Order of the answers: who may, where the withdrawal stands, the people and the tube of this step, the donor and the consents, the
tubes by code. What only a request can say (a wrong scan, a courier's evidence, amounts) its use case asks afterwards.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import Place
from biobank.custody.event import Event
from biobank.custody.events import CheckedOut
from biobank.custody.legality import Snapshot, refusal_of
from biobank.custody.recording import BACK_WITHOUT_REASON, refusals_of_recording
from biobank.custody.snapshots import may_know
from biobank.custody.states import Condition, CustodianKind, State
from biobank.donors.consents import consents_given
from biobank.foundation.errors import IllegalTransition, Refusal
from biobank.foundation.terms import words
from biobank.quality.independence import NotIndependent, independence_refusals
from biobank.shipping.events import Dispatched
from biobank.specimens.events import ProcessStarted, Thawed
from biobank.transparency.queries import seal_lag_s
from biobank.withdrawals.approvals import changes_since, lasts_of, outdated
from biobank.withdrawals.case import Case, held_refusals, usage_refusals
from biobank.withdrawals.checks import not_enough
from biobank.withdrawals.consents import treatment_consents
from biobank.withdrawals.events import Administered, Delivered, FinalLabelApplied, Issued, Reserved, Returned
from biobank.withdrawals.final_label_rules import unlabelled, unprinted
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.release_rules import band_refusal, release_refusal
from biobank.withdrawals.step_errors import (
    AlreadyPicked,
    AnotherRoute,
    NotAccepted,
    NotPicked,
    SecondPersonNeeded,
    WrongSpecimen,
)
from biobank.withdrawals.thawed_counts import thawed_refusals, uncounted
from biobank.withdrawals.workflow import BEFORE_ISSUE, ROUTE_CONDITIONS, THAWED_HERE, Route, Step, WrongStep, step_refusal

QUARANTINE = "Put the tube in the nearest quarantine place now; storing there is always accepted."
AT_THE_BENCH = frozenset({State.CHECKED_OUT, State.IN_PROCESS})


@dataclass(frozen=True)
class Grounds:
    """What a step rests on beside the case. `consents`: the donor's treatment consents as `consents_given` reads them; `lag_s`:
    age of the oldest unsealed event, `lagging`: it is over the log's promise; `releases`: the newest release of each tube;
    `bands`: the band that each one's release was made with; `margin`: of `covering_consent`;
    `stated`: of a decision made now and dated otherwise, the same as of that time; `then`: `at` is over, and what came
    after it does not count; `approval_lasts`: how long an approval is good until the issue.
    """

    at: datetime
    consents: Sequence[Any]
    lag_s: float
    lagging: bool
    releases: Mapping[str, Any] = field(default_factory=dict)
    bands: Mapping[str, Any] = field(default_factory=dict)
    stated: "Grounds | None" = None
    margin: timedelta = BACK_WITHOUT_REASON
    then: bool = False
    approval_lasts: timedelta = timedelta.max


def read_grounds(
    session: Session,
    bank: Bank,
    donors: Collection[str],
    at: datetime,
    *,
    of: datetime | None = None,
    decided: bool = False,
) -> dict[str, Grounds]:
    """Read the grounds for each donor, without releases: two statements however many donors, a third for `decided` and `of`.

    `at`: now; `of`: the time the act itself is dated, when that is another: consents and use-by are judged as of then, for hands
    did it then. What is `decided` is decided now, whatever time it states: it is judged as of both, and the stricter counts.
    """
    lag = seal_lag_s(session, at)
    lagging = lag > bank.settings.merge_delay_s

    def of_time(then: datetime) -> dict[str, Grounds]:
        given = consents_given(session, donors, "treatment", then)
        return {code: Grounds(then, its, lag, lagging, approval_lasts=lasts_of(bank)) for code, its in given.items()}

    if not decided or of is None:
        return of_time(of or at)
    stated = of_time(of)
    return {code: replace(grounds, stated=stated[code]) for code, grounds in of_time(at).items()}


def consents_of(case: Case, grounds: Grounds, codes: Collection[str] | None = None) -> tuple[list[bytes], list[Refusal]]:
    """Return the consents that cover giving `codes` (default: all the case's tubes) back, and every reason why not. Pure."""
    tubes = case.tubes if codes is None else codes
    consents, refusals = treatment_consents(
        case.donor, case.donor_status, grounds.consents, case.row["material"], tubes, grounds.at, grounds.margin
    )
    return consents, refusals if grounds.stated is None else _each_once([*refusals, *consents_of(case, grounds.stated, codes)[1]])


def _each_once(refusals: Sequence[Refusal]) -> list[Refusal]:
    """What is refused as of now and as of the stated time is said once."""
    return list({(one.code, one.detail): one for one in refusals}.values())


def begin_refusals(actor: Actor, step: Step, case: Case) -> list[Refusal]:
    """Return why the actor may not begin the step: who may, and where the withdrawal stands. Pure."""
    found = (step_permission_refusal(actor, step, case), step_refusal(step, case.code, case.state))
    return [refusal for refusal in found if refusal is not None]


def usage_of(
    case: Case,
    grounds: Grounds,
    codes: Collection[str],
    event: type[Event],
    conditions: frozenset[Condition] | None,
    *,
    lagging: bool,
    approving: bool = False,
) -> list[Refusal]:
    """The donor, the consents, the tubes themselves, and whether what was approved is still there."""
    moments = (grounds.at,) if grounds.stated is None else (grounds.at, grounds.stated.at)
    usage = [one for at in moments for one in usage_refusals(case, codes, event, conditions, at=at, lagging=lagging)]
    stands = [] if approving else outdated(case.code, changed_since(case, grounds))
    return [*consents_of(case, grounds, codes)[1], *_each_once(usage), *short_refusals(case), *stands]


def short_refusals(case: Case) -> list[Refusal]:
    """Return that the tubes hold less than was asked for, as long as nothing was thawed and nothing has left. Pure."""
    whole = all(item.condition is not Condition.THAWED and not item.left for item in case.items)
    short = not_enough(case.tubes.values(), case.row["amount_asked"], case.donor) if whole else None
    return [] if short is None else [short]


def changed_since(case: Case, grounds: Grounds) -> list[str]:
    """Say what the approval of a withdrawal from which nothing has left does not stand for any more. Pure."""
    return changes_since(case.approval_now, grounds.at, grounds.approval_lasts)


def _there(actor: Actor, permission: Permission, at: Place, subject: str) -> list[Refusal]:
    """Whether the actor holds the permission where this one tube is."""
    refusal = actor.refusal(permission, at=at, subject=subject)
    return [] if refusal is None else [refusal]


def approval_refusals(actor: Actor, case: Case, grounds: Grounds) -> list[Refusal]:
    """Return every reason why the actor may not approve the request now, or look again at one that is outdated. Pure."""
    again = bool(changed_since(case, grounds))
    return [
        *(one for one in begin_refusals(actor, Step.APPROVE, case) if not (again and isinstance(one, WrongStep))),
        *(one for code in sorted(case.tubes) for one in independence_refusals(actor, code, case.findings[code].touches)),
        *usage_of(case, grounds, case.tubes, Reserved, BEFORE_ISSUE[case.route], lagging=grounds.lagging, approving=True),
    ]


def rejection_refusals(actor: Actor, case: Case) -> list[Refusal]:
    """Return every reason why the actor may not reject the request now. Pure."""
    return begin_refusals(actor, Step.REJECT, case)


def cancel_refusals(actor: Actor, case: Case) -> list[Refusal]:
    """Return every reason why the actor may not call the withdrawal off now. Pure."""
    return [*begin_refusals(actor, Step.CANCEL, case), *thawed_refusals(case)]


def replace_refusals(actor: Actor, case: Case, grounds: Grounds) -> list[Refusal]:
    """Return every reason why the actor may not ask for another tube instead of one of the withdrawal's now. Pure."""
    return [*begin_refusals(actor, Step.REPLACE, case), *thawed_refusals(case), *consents_of(case, grounds)[1]]


def outcome_refusals(actor: Actor, case: Case) -> list[Refusal]:
    """Return every reason why the actor may not record an outcome now. Pure."""
    return begin_refusals(actor, Step.OUTCOME, case)


def wrong_tube(actor: Actor, case: Case, code: str, scanned: Snapshot | None) -> WrongSpecimen:
    """The refusal of a wrong tube in the hand. It names what was scanned, never what was expected."""
    known = scanned is not None and may_know(actor, scanned)
    return WrongSpecimen(
        f"{code} is not the tube to take for {case.code}. Stop, put it away first, then scan again.",
        where_now=scanned.where_now if scanned is not None and known else QUARANTINE,
        subject=code,
        withdrawal=case.code,
    )


def pick_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not take this tube out now. Pure. It is an observation: it waits for no seal."""
    tube = case.tubes[code]
    found = [*begin_refusals(actor, Step.PICK, case), *_there(actor, Permission.WITHDRAWAL_PICK, tube.sites, code)]
    if case.item(code).picked:
        found.append(
            AlreadyPicked(
                f"{code} was picked already. The second person confirms it.",
                where_now=tube.where_now,
                subject=code,
            )
        )
    elif tube.state not in (State.STORED, *AT_THE_BENCH):
        found.append(wrong_tube(actor, case, code, tube))
    found += held_refusals(actor, case, [code], CheckedOut)
    return [*found, *usage_of(case, grounds, [code], Reserved, BEFORE_ISSUE[case.route], lagging=False)]


def confirm_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not confirm the pick of this tube now, as the second person. Pure."""
    tube, item = case.tubes[code], case.item(code)
    found = [*begin_refusals(actor, Step.PICK, case), *_there(actor, Permission.WITHDRAWAL_PICK, tube.sites, code)]
    if not item.picked or item.confirmed:
        found.append(wrong_tube(actor, case, code, tube))
    elif actor.code in case.picks[code]["pickers"]:
        found.append(
            SecondPersonNeeded(
                "You took this tube out yourself; a second person scans it. Another login of yours is still you.",
                where_now=tube.where_now,
                subject=code,
            )
        )
    found += held_refusals(actor, case, [code], CheckedOut)
    return [*found, *usage_of(case, grounds, [code], Reserved, BEFORE_ISSUE[case.route], lagging=False)]


def thaw_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not thaw this tube now: there is no way back from it. Pure.

    It is thawed where it is: at the bench on the route that says so, at the chair once somebody there accepted it.
    """
    tube = case.tubes[code]
    found = [
        *begin_refusals(actor, Step.THAW, case),
        *_there(actor, Permission.CUSTODY_RECORD, (tube.projection.site_code,), code),
        *own_approval(actor, case, code, "thaw"),
        *_unconfirmed(case, [code]),
    ]
    if tube.state in AT_THE_BENCH and case.route not in THAWED_HERE:
        found.append(_another_way(case, f"{code} is not thawed here", tube.where_now))
    found += [*_unaccepted(case, code), *held_refusals(actor, case, [code], Thawed)]
    return [*found, *usage_of(case, grounds, [code], Thawed, frozenset({Condition.FROZEN}), lagging=False)]


def _another_way(case: Case, but: str, where_now: str | None = None) -> AnotherRoute:
    return AnotherRoute(f"{case.code} goes its way by “{words(case.route)}”: {but}.", where_now=where_now, subject=case.code)


def own_approval(actor: Actor, case: Case, code: str, verb: str) -> list[Refusal]:
    """Return that whoever approved it neither processes nor tests it afterwards, no more than before. Pure.

    A person counts, not a login. What is no handling of the cells stays theirs: to issue what two others picked, and to be one of
    the two at the bedside.
    """
    if actor.code not in case.approvers:
        return []
    return [NotIndependent(f"You approved {case.code}. Somebody else has to {verb} {code}.", subject=code)]


def _unconfirmed(case: Case, codes: Collection[str]) -> list[Refusal]:
    return [
        NotPicked(
            f"{code} was not picked by two people yet.",
            where_now=case.tubes[code].where_now,
            subject=code,
        )
        for code in sorted(codes)
        if not case.item(code).confirmed
    ]


def _unaccepted(case: Case, code: str) -> list[Refusal]:
    tube = case.tubes[code]
    courier = tube.projection.custodian_kind == CustodianKind.COURIER.value
    if tube.state not in (State.ISSUED, State.IN_TRANSIT) and not courier:
        return []
    who = "a courier holds it" if courier else "it is on its way"
    return [
        NotAccepted(
            f"{code} was not received here yet: {who}. Receive it first ({case.clinic} expects it).",
            where_now="Leave it as it came, cold, until it is received.",
            subject=code,
        )
    ]


def label_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not put the final label on this tube now: before the count passed. Pure."""
    tube = case.tubes[code]
    return [
        *begin_refusals(actor, Step.LABEL, case),
        *_there(actor, Permission.CUSTODY_RECORD, (tube.projection.site_code,), code),
        *_unconfirmed(case, [code]),
        *own_approval(actor, case, code, "label"),
        *held_refusals(actor, case, [code], FinalLabelApplied),
        *usage_of(case, grounds, [code], FinalLabelApplied, ROUTE_CONDITIONS[case.route], lagging=False),
        *uncounted(case, [code]),
        *unprinted(case, code),
    ]


def expand_refusals(actor: Actor, case: Case, grounds: Grounds) -> list[Refusal]:
    """Return every reason why the actor may not put the withdrawal's tubes into a new run now. Pure."""
    return [
        *begin_refusals(actor, Step.EXPAND, case),
        *([] if case.route is Route.EXPAND else [_another_way(case, "it goes into no run")]),
        *(one for code in sorted(case.tubes) for one in own_approval(actor, case, code, "process")),
        *_unconfirmed(case, case.tubes),
        *held_refusals(actor, case, case.tubes, ProcessStarted),
        *usage_of(case, grounds, case.tubes, Reserved, ROUTE_CONDITIONS[Route.EXPAND], lagging=False),
    ]


def issue_refusals(actor: Actor, case: Case, grounds: Grounds) -> list[Refusal]:
    """Return every reason why the actor may not let the withdrawal's tubes go now. Pure."""
    return [
        *begin_refusals(actor, Step.ISSUE, case),
        *([_another_way(case, "it is not issued")] if case.route is Route.EXPAND else []),
        *_unconfirmed(case, case.tubes),
        *held_refusals(actor, case, case.tubes, Issued),
        *usage_of(case, grounds, case.tubes, Issued, ROUTE_CONDITIONS[case.route], lagging=grounds.lagging),
        *uncounted(case, case.tubes),
        *unlabelled(case),
    ]


def onward_refusals(case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why this tube, which was issued and is still here, may not travel on to its donor. Pure.

    The log's lag was asked at the issue; a hold is answered where it is packed.
    """
    return usage_of(case, grounds, [code], Dispatched, ROUTE_CONDITIONS[case.route], lagging=False)


def receipt_refusals(actor: Actor, case: Case, code: str) -> list[Refusal]:
    """Return every reason why the actor may not receive this tube at the clinic now. Pure."""
    tube = case.tubes[code]
    recording = refusals_of_recording(actor, Delivered, tube, site=case.clinic, withdrawal=case.code)
    return [*begin_refusals(actor, Step.RECEIVE, case), *recording]


def check_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not check this tube at the bedside now. Pure."""
    return [*begin_refusals(actor, Step.CHECK, case), *_to_give(actor, case, grounds, code)]


def paper_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why this tube is not printed on a paper check now: it could not go on to be given. Pure."""
    tube = case.tubes[code]
    frozen = (tube.state, tube.projection.condition) == (State.DELIVERED, Condition.FROZEN.value)
    event, conditions = (Thawed, frozenset({Condition.FROZEN})) if frozen else (Administered, None)
    use = usage_of(case, grounds, [code], event, conditions, lagging=False)
    return [*begin_refusals(actor, Step.CHECK, case), *_unaccepted(case, code), *use]


def administer_refusals(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    """Return every reason why the actor may not give this tube now, under the release in the grounds. Pure."""
    release = release_refusal(grounds.releases.get(code), code, grounds.at, then=grounds.then)
    band = band_refusal(grounds.bands.get(code), grounds.at)
    return [
        *begin_refusals(actor, Step.ADMINISTER, case),
        *_to_give(actor, case, grounds, code),
        *([] if release is None else [release]),
        *([] if band is None else [band]),
    ]


def _to_give(actor: Actor, case: Case, grounds: Grounds, code: str) -> list[Refusal]:
    held = held_refusals(actor, case, [code], Administered)
    return [*_unaccepted(case, code), *held, *usage_of(case, grounds, [code], Administered, None, lagging=grounds.lagging)]


def return_refusals(actor: Actor, case: Case, code: str) -> list[Refusal]:
    """Return every reason why the actor may not take this tube back now. Pure. It must have left, and still be frozen."""
    tube = case.tubes[code]
    found = [*begin_refusals(actor, Step.RETURN, case), *_there(actor, Permission.QUALITY_DECIDE, tube.sites, code)]
    illegal = refusal_of(Returned, tube, withdrawal=case.code)
    if illegal is not None:
        found.append(illegal)
    elif case.findings[code].left_for != case.code:
        found.append(
            IllegalTransition(f"{code} is not out for {case.code}: it never left for it, or was taken back.", subject=code)
        )
    return found


OneTube = Callable[[Actor, Case, Grounds, str], list[Refusal]]

ONE_TUBE: Mapping[str, OneTube] = {
    "pick": pick_refusals,
    "confirm": confirm_refusals,
    "thaw": thaw_refusals,
    "label": label_refusals,
    "receive": lambda actor, case, _grounds, code: receipt_refusals(actor, case, code),
    "check": check_refusals,
    "paper": paper_refusals,
    "administer": administer_refusals,
    "return": lambda actor, case, _grounds, code: return_refusals(actor, case, code),
}
"""Steps that one tube takes: offered when one of the withdrawal's may."""

WHOLE: Mapping[str, Callable[[Actor, Case, Grounds], list[Refusal]]] = {
    "approve": approval_refusals,
    "expand": expand_refusals,
    "issue": issue_refusals,
    "outcome": lambda actor, case, _grounds: outcome_refusals(actor, case),
    "adverse": lambda actor, case, _grounds: outcome_refusals(actor, case),
    "reject": lambda actor, case, _grounds: rejection_refusals(actor, case),
    "replace": replace_refusals,
    "cancel": lambda actor, case, _grounds: cancel_refusals(actor, case),
}
"""Steps of the whole withdrawal."""


def tube_refusals(actor: Actor, case: Case, grounds: Grounds, name: str, code: str) -> list[Refusal]:
    """Return every reason why the actor may not take this step with this tube now. Pure."""
    return ONE_TUBE[name](actor, case, grounds, code)


def step_refusals(actor: Actor, case: Case, grounds: Grounds, name: str) -> list[Refusal]:
    """Return every reason why the actor may not take the step now. Pure.

    A step that one tube takes may be taken when one of them may; else the answer is about the tube that is nearest to it.
    """
    if name in WHOLE:
        return WHOLE[name](actor, case, grounds)
    return min((tube_refusals(actor, case, grounds, name, code) for code in sorted(case.tubes)), key=len)


def offered(actor: Actor, case: Case, grounds: Grounds) -> frozenset[str]:
    """Return the names of the steps that the actor may take now: those that nothing refuses. Pure."""
    return frozenset(name for name in (*ONE_TUBE, *WHOLE) if not step_refusals(actor, case, grounds, name))

"""May this material end now, by whom, and why? One rule for every route on which cells stop being there for their donor.

| route | how it is reached | what it takes |
|---|---|---|
| discard | `POST /specimens/…/discard`, its page | two people, a reason that the record shows; kept frozen: announced first |
| transfer out | `…/transfer-out` | two of quality, a reason that the record shows, the other bank's receipt on file |
| give up as lost | `…/lost`, of what is missing | who searched, and quality |
| close the bank | `/closings/…/transfer`: all that it keeps, as one set | announced and accepted; two of quality |
| use up | `…/use-up`, its page | two people, the second of quality; kept frozen: announced; opens three routes for a day |
| sample | `specimen.sampled`: API, batches, the scan path | leaves a usable rest of what it was filled from, and the reserve |
| discard vessels | `…/culture/discard`, its page | two people; a usable rest is left, or what goes was seen contaminated |
| run | `POST /processings`: whole, in part, refilled, lost | makes therapeutic material, may be used up, or is a withdrawal's |
| thaw | a run of thawing; on a withdrawal's behalf it is approved already | may be used up |

No other route ends anything: scan lists receive, store, check out and hand over; evacuation puts what it cannot name beside the
specimen, never in its stead; an import makes records and changes none (`importing/known.py`); a verdict on a lot leaves its units
where they are; `specimen.identified` and undoing an end take two of quality themselves; administration has its own two people.

What is kept for treatment and alive is protected. What was thawed, is no more than a rest, was kept for tests, or is of a lot in
which something grew goes at once, before a witness; another failed test is judged and thought over like any other reason. A hold
on destruction and a reservation stop every route, and none takes usable units below the reserve, unless the donor wants it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import get_args

from biobank.auth.permissions import Permission
from biobank.custody.legality import Snapshot, hold_refusal, reservation_refusal
from biobank.custody.states import Condition, HoldAct, HoldKind, Quality
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotPermitted, Refusal
from biobank.quality.events import Use
from biobank.quality.lot_tests import NO_TESTS, LotTests
from biobank.quality.reserves import Remaining
from biobank.quality.usable import RELEASED
from biobank.specimens.test_results import BY_GROWTH

P = Permission


class Route(StrEnum):
    """How material ends."""

    DISCARD = "discard"
    TRANSFER_OUT = "transfer_out"
    GIVE_UP = "give_up"
    USE_UP = "use_up"
    SAMPLE = "sample"
    RUN = "run"
    THAW = "thaw"


VERBS = {
    Route.DISCARD: "discarded",
    Route.TRANSFER_OUT: "transferred out",
    Route.GIVE_UP: "given up as lost",
    Route.USE_UP: "used up",
    Route.SAMPLE: "sampled to nothing",
    Route.RUN: "used up in a run",
    Route.THAW: "thawed",
}
PAIRS = {
    Route.DISCARD: (P.CUSTODY_RECORD, P.QUALITY_DECIDE),
    Route.TRANSFER_OUT: (P.QUALITY_DECIDE, P.QUALITY_DECIDE),
    Route.GIVE_UP: (P.CUSTODY_RECORD, P.QUALITY_DECIDE),
    Route.USE_UP: (P.PROCESSING_RECORD, P.QUALITY_DECIDE),
}
"""What the first and the second person must be allowed. The second is never the first."""
WITNESSED = (P.CUSTODY_RECORD, P.CUSTODY_RECORD)
"""The pair that discards what goes at once: whoever does it, and a witness."""
DONORS_OWN = frozenset({"donor_request", "consent_revoked", "end_of_term", "donor_deceased"})
"""Reasons of the donor's own: the reserve is kept for the donor, not against them. They count where the record shows them."""
REASONED = frozenset({Route.DISCARD, Route.TRANSFER_OUT})
"""Routes that state a reason, which the record has to show."""
ANNOUNCED = frozenset({Route.DISCARD, Route.USE_UP})
"""Routes that wait, for what is kept frozen for treatment, until whom it concerns could speak up."""
USES = frozenset(get_args(Use))


class EndsMaterial(Conflict):
    """The act would leave nothing usable of what is kept for treatment, and nobody of quality has allowed it."""

    code = "ends_material"
    title = "Nothing usable would be left"


class ReasonNotOnRecord(Conflict):
    """The stated reason is not what the record shows."""

    code = "reason_not_on_record"
    title = "The record does not show that"


class BelowReserve(Conflict):
    """Less would be left for the donor than quality set as the reserve."""

    code = "below_reserve"
    title = "Below the reserve"


class NotAnnounced(Conflict):
    """What is kept frozen for treatment is announced first, so that whom it concerns can speak up."""

    code = "not_announced"
    title = "Not announced"


class CoolingOff(Conflict):
    """It was announced, and the time to think it over is not past."""

    code = "cooling_off"
    title = "Still being thought over"


class QualityDiscards(NotPermitted):
    """What was meant for a patient ends only with somebody of quality."""

    code = "quality_discards"
    title = "Quality's decision"


@dataclass(frozen=True)
class Announced:
    """An announcement that stands: for which reason, and from when on it may be carried out."""

    reason: str
    not_before: datetime


@dataclass(frozen=True)
class Banking:
    """The banking consent that covers its tissue: when it was taken back, and when its term ends."""

    revoked_at: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True)
class Facts:
    """What the record says beside the specimen, at one instant.

    `began_with`: the amount of its first entry; `part_of`: its part of what it was filled from, before anything of that was taken
    or lost, where that was read (of what is sampled or goes into a run); `rest_percent`: how much of that is a usable rest;
    `banking`: the latest banking consent that covers its tissue; `wrong`: what an inspection said no to; `remaining`: if this
    unit were gone; `attached`: the evidence named is on file; `may_use_up`: two people allowed it within the day; `left_for`: the
    withdrawal it left for, while quality has not decided about its return; `agreement_over`, `destroy_after_death`: the agreement
    ended, or the donor died, and the donor had wanted it destroyed then.
    """

    at: datetime
    began_with: int
    remaining: Remaining
    part_of: int = 0
    rest_percent: int = 50
    tests: LotTests = NO_TESTS
    banking: Banking | None = None
    wrong: tuple[str, ...] = ()
    announced: Announced | None = None
    attached: bool = False
    may_use_up: bool = False
    left_for: str | None = None
    agreement_over: bool = False
    destroy_after_death: bool = False


def leaves_a_rest(amount: int, facts: Facts) -> bool:
    """Say whether `amount`, in the specimen's unit, is still a usable rest of what it began with. Pure."""
    return amount > 0 and amount * 100 >= facts.began_with * facts.rest_percent


def leaves_a_rest_of_all(amount: int, facts: Facts) -> bool:
    """Say the same, counted on from what it was filled from. Pure."""
    return leaves_a_rest(amount, replace(facts, began_with=max(facts.began_with, facts.part_of)))


def is_protected(specimen: Snapshot) -> bool:
    """Say whether it is kept for treatment and alive as it was banked or taken. What was thawed never goes back. Pure."""
    return specimen.purpose == "therapeutic" and specimen.projection.condition != Condition.THAWED


def goes_at_once(specimen: Snapshot, facts: Facts) -> bool:
    """Say whether it ends before a witness and without a wait: not protected, no more than a rest, or its lot is contaminated."""
    contaminated = not BY_GROWTH.isdisjoint(facts.tests.failed)
    return not is_protected(specimen) or contaminated or not leaves_a_rest(specimen.projection.amount, facts)


def thawed_for_somebody(specimen: Snapshot, facts: Facts) -> bool:
    """Say whether it was thawed for a withdrawal that waits for it and has not left yet: quality signs for its end too. Pure."""
    reserved, thawed = specimen.projection.reserved_for, specimen.projection.condition == Condition.THAWED
    return thawed and reserved is not None and facts.left_for != reserved


def waits(specimen: Snapshot, facts: Facts) -> bool:
    """Say whether its end is announced first: what is protected and keeps meanwhile, because it is frozen. Pure."""
    return not goes_at_once(specimen, facts) and specimen.projection.condition == Condition.FROZEN


def pair_of(route: Route, specimen: Snapshot, facts: Facts) -> tuple[Permission, Permission]:
    """Return what the two people must be allowed on a route. Pure."""
    witnessed = route is Route.DISCARD and goes_at_once(specimen, facts) and not thawed_for_somebody(specimen, facts)
    return WITNESSED if witnessed else PAIRS[route]


def ends(
    route: Route,
    specimen: Snapshot,
    facts: Facts,
    *,
    reason: str | None = None,
    withdrawal: str | None = None,
    announcing: bool = False,
) -> list[Refusal]:
    """Return every reason why the specimen may not end on this route now; empty when it may. Pure.

    Whether an act ends it is asked before (`sampling_ends`, `run_ends`, `thawing_ends`). `withdrawal`: the one it left the bank
    for, whose reservation protects it no longer; `announcing`: the end is only announced, so nothing is waited for.
    """
    found: list[Refusal | None] = [
        reservation_refusal(specimen, withdrawal),
        hold_refusal(HoldAct.DESTROY, VERBS[route], specimen),
    ]
    if route in (Route.SAMPLE, Route.RUN, Route.THAW) and not facts.may_use_up:
        found.append(_not_allowed(route, specimen))
    if route in REASONED and reason is not None:
        found.append(reason_refusal(specimen, facts, reason))
    donors_own = route in REASONED and reason in DONORS_OWN
    if route is not Route.GIVE_UP and not goes_at_once(specimen, facts) and not donors_own:
        found.append(_reserve_refusal(VERBS[route], specimen, facts.remaining))
    if route in ANNOUNCED and not announcing and waits(specimen, facts):
        found.append(_announcement_refusal(route, specimen, facts, reason))
    return [refusal for refusal in found if refusal is not None]


def closing_refusals(specimen: Snapshot) -> list[Refusal]:
    """Return every reason why a specimen may not leave with everything else that its closing bank keeps. Pure.

    The reserve goes along, and no reason is judged: what the other bank accepted is all there is (`quality/closing.py`).
    """
    found = (reservation_refusal(specimen), hold_refusal(HoldAct.DESTROY, "handed over", specimen))
    return [refusal for refusal in found if refusal is not None]


KEPT_WHOLE = frozenset({HoldKind.LEGAL.value, HoldKind.RECALL.value})
"""Holds under which nothing is taken. Whose cells they are, or what happened to them, is found out by a sample."""


def sampling_ends(specimen: Snapshot, amount: int, facts: Facts) -> bool:
    """Say whether taking `amount` leaves less than a usable rest; what was taken before counts, because it is gone. Pure."""
    return is_protected(specimen) and not leaves_a_rest_of_all(specimen.projection.amount - amount, facts)


def sampling_refusals(specimen: Snapshot, amount: int, facts: Facts) -> list[Refusal]:
    """Return every reason why `amount` may not be taken of the specimen now; empty when it may. Pure.

    What leaves a rest ends nothing, and yet takes of what somebody approved, what is not to be touched, or what is to stay.
    """
    if not is_protected(specimen):
        return []
    if sampling_ends(specimen, amount, facts):
        return ends(Route.SAMPLE, specimen, facts)
    left = facts.remaining.with_rest(specimen.unit, specimen.projection.amount - amount)
    whole = tuple(hold for hold in specimen.holds if hold.kind in KEPT_WHOLE)
    found = (
        reservation_refusal(specimen),
        hold_refusal(HoldAct.DESTROY, "sampled", replace(specimen, holds=whole)),
        _reserve_refusal("sampled", specimen, left),
    )
    return [refusal for refusal in found if refusal is not None]


def thawing_ends(specimen: Snapshot, withdrawal: str | None) -> bool:
    """Say whether thawing is outside an approved withdrawal. Thawed cells never go back to the tank. Pure."""
    return is_protected(specimen) and withdrawal is None


def run_ends(specimen: Snapshot, used: int, consumed: bool, kept: int | None, facts: Facts) -> bool:
    """Say whether a run ends the specimen for its donor. Pure.

    `used`: of it; `kept`: what of that comes out as therapeutic material, in the same measure, or None when the process makes
    something else of it, which must then be therapeutic. Released units are the donor's for use: another run ends them.
    """
    if not is_protected(specimen):
        return False
    if not consumed and leaves_a_rest_of_all(specimen.projection.amount - used, facts):
        return False
    if kept is None:
        return specimen.projection.quality in RELEASED
    return not leaves_a_rest_of_all(specimen.projection.amount - used + kept, facts)


def reason_refusal(specimen: Snapshot, facts: Facts, reason: str) -> Refusal | None:
    """Return why the record does not show the stated reason, or None. Pure."""
    shown, said = _SHOWN[reason]
    if shown(specimen, facts):
        return None
    return ReasonNotOnRecord(f"{said.format(code=specimen.code)} State the reason that the record shows.", subject=specimen.code)


def _revoked(_specimen: Snapshot, facts: Facts) -> bool:
    return facts.banking is not None and facts.banking.revoked_at is not None and facts.banking.revoked_at <= facts.at


def _term_over(_specimen: Snapshot, facts: Facts) -> bool:
    until = None if facts.banking is None else facts.banking.valid_until
    return facts.agreement_over or (until is not None and until <= facts.at)


def _expired(specimen: Snapshot, facts: Facts) -> bool:
    return specimen.expires_at is not None and specimen.expires_at <= facts.at


_SPOILT = frozenset({HoldKind.TEMPERATURE.value, HoldKind.SPILL.value})


def _damaged(specimen: Snapshot, facts: Facts) -> bool:
    return bool(facts.wrong) or any(hold.kind in _SPOILT for hold in specimen.holds)


def _surplus(specimen: Snapshot, facts: Facts) -> bool:
    return not is_protected(specimen) or not (facts.remaining.takes_the_last or facts.remaining.units == 0)


_SHOWN: dict[str, tuple[Callable[[Snapshot, Facts], bool], str]] = {
    "rejected": (lambda s, _: s.projection.quality == Quality.REJECTED, "Quality has not rejected {code}."),
    "expired": (_expired, "{code} has not expired."),
    "donor_request": (lambda _, f: f.attached, "No written request is on file: attach it."),
    "consent_revoked": (_revoked, "The donor of {code} has not taken the banking consent back."),
    "end_of_term": (
        _term_over,
        "The term for {code} is not over: neither of the banking consent, nor of an agreement with this wish.",
    ),
    "donor_deceased": (
        lambda _, f: f.destroy_after_death,
        "No death of the donor of {code} with the wish to destroy is on record.",
    ),
    "failed_test": (lambda _, f: bool(f.tests.failed), "No test of the lot of {code} has failed."),
    "damaged": (_damaged, "Nobody recorded damage to {code}: inspect it first."),
    "surplus": (_surplus, "Nothing else usable of the donor's would be left without {code}, so it is not surplus."),
    "left_over": (
        lambda s, f: s.purpose != "therapeutic" or not leaves_a_rest(s.projection.amount, f),
        "{code} is more than a rest by its record.",
    ),
    "thawed_unused": (lambda s, _: s.projection.condition == Condition.THAWED, "{code} is not thawed."),
    "donor_moved": (lambda *_: True, ""),
    "bank_closes": (lambda *_: True, ""),
}
"""What shows each reason. That the donor moved or the bank closes is shown by no record: the reserve stands against it."""


def _not_allowed(route: Route, specimen: Snapshot) -> Refusal:
    return EndsMaterial(
        f"{specimen.code} is kept for treatment, and nothing usable of it would be left: it may be {VERBS[route]} only for an "
        "approved withdrawal, or when two people allowed it to be used up, one of them of quality.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _reserve_refusal(verb: str, specimen: Snapshot, left: Remaining) -> Refusal | None:
    if not left.below_reserve:
        return None
    return BelowReserve(
        f"{specimen.code} cannot be {verb}: less than the reserve would be left. {left.sentence}",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _announcement_refusal(route: Route, specimen: Snapshot, facts: Facts, reason: str | None) -> Refusal | None:
    known = facts.announced
    if known is None or (known.reason in USES) != (route is Route.USE_UP) or reason not in (None, known.reason):
        return NotAnnounced(
            f"{specimen.code} is kept frozen for treatment. Quality announces its end with this reason first; whom "
            "it concerns is told, and it is carried out when the time to think it over is past.",
            where_now=specimen.where_now,
            subject=specimen.code,
        )
    if facts.at < known.not_before:
        return CoolingOff(
            f"The end of {specimen.code} was announced and may be carried out from {rfc3339(known.not_before)} on.",
            where_now=specimen.where_now,
            subject=specimen.code,
            not_before=rfc3339(known.not_before),
        )
    return None

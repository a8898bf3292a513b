"""May this tube go back to its donor? One pure rule, asked at the request, the approval, the issue, the thaw and the bedside.

Order of the answer: whose it is, its custody (state, reservation, holds, the log's lag), what makes it unfit for anybody
(`quality/usable.py`, by which what remains is counted too), its condition for the route. Pages list every no, an act raises the
first.
"""

from collections.abc import Collection
from datetime import datetime

from biobank.custody.event import Event
from biobank.custody.exposure import length
from biobank.custody.legality import Snapshot, refusals_of
from biobank.custody.states import Condition
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.terms import words
from biobank.quality.findings import NOTHING_FOUND, Findings
from biobank.quality.legal_bases import place_refusals
from biobank.quality.usable import unfit_refusals
from biobank.specimens.amounts import said
from biobank.withdrawals.workflow import Route


class AnotherPersonsCells(Conflict):
    """Cells go back to the person they came from and to nobody else."""

    code = "another_persons_cells"
    title = "Another person's cells"


class AnotherMaterial(Conflict):
    """It is of another material than was asked for."""

    code = "another_material"
    title = "Another material"


class NotEnough(Conflict):
    """There is less than was asked for."""

    code = "not_enough"
    title = "Not enough"


def not_enough(tubes: Collection[Snapshot], asked: int | None, donor: str) -> NotEnough | None:
    """Return that these tubes hold less together than the least that was asked for (in their unit), or None. Pure."""
    together = sum(tube.projection.amount for tube in tubes)
    if asked is None or together >= asked:
        return None
    unit = next(iter(tubes)).unit
    return NotEnough(
        f"The tubes hold {said(together, unit)} together; {said(asked, unit)} were asked for. Ask for more tubes.",
        subject=donor,
        amount=together,
    )


class NoTimeForUse(Conflict):
    """It is not frozen, and nothing says until when it may be used."""

    code = "no_time_for_use"
    title = "No time for use"


class OutTooLong(Conflict):
    """It is frozen and has been out of the cold for longer than its site allows; quality has not decided about it."""

    code = "out_of_the_cold_too_long"
    title = "Out of the cold too long"


class WrongConditionForRoute(Conflict):
    """Its condition does not fit the route."""

    code = "wrong_condition_for_route"
    title = "Wrong condition for this route"


def use_refusals(
    event: type[Event],
    specimen: Snapshot,
    *,
    donor: str,
    at: datetime,
    route: Route | None = None,
    conditions: frozenset[Condition] | None = None,
    material: str | None = None,
    withdrawal: str | None = None,
    lagging: bool = False,
    findings: Findings = NOTHING_FOUND,
    treated_under: str | None = None,
) -> list[Refusal]:
    """Return every reason why `specimen` may not be used for `donor` by way of `event`; empty when it may.

    `at`: the instant of the act; `conditions`: physical conditions that `route` allows at this step; `withdrawal`: on whose
    behalf; `findings`: what the record tells of it beside its custody row; `treated_under`: under whose law the clinic works.
    """
    found = (
        _owner_refusal(specimen, donor),
        _material_refusal(specimen, material),
        *refusals_of(event, specimen, withdrawal=withdrawal, lagging=lagging),
        *unfit_refusals(specimen, findings, at),
        *place_refusals(specimen.regulatory_basis, specimen.code, treated_under, "the clinic that treats"),
        _condition_refusal(specimen, route, conditions),
        _clock_refusal(specimen),
        _warm_refusal(specimen, findings, at),
    )
    return [refusal for refusal in found if refusal is not None]


def _owner_refusal(specimen: Snapshot, donor: str) -> Refusal | None:
    if specimen.donor_code == donor:
        return None
    return AnotherPersonsCells(
        f"{specimen.code} does not come from {donor}. Cells go back to their own donor only.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _material_refusal(specimen: Snapshot, material: str | None) -> Refusal | None:
    if material is None or specimen.material == material:
        return None
    return AnotherMaterial(
        f"{specimen.code} is {specimen.material}; {material} was asked for. Choose another.", subject=specimen.code
    )


def _clock_refusal(specimen: Snapshot) -> Refusal | None:
    condition = Condition(specimen.projection.condition)
    if condition in (Condition.FROZEN, Condition.FREEZING) or specimen.projection.use_by is not None:
        return None
    now = condition.value.replace("_", " ")
    return NoTimeForUse(
        f"{specimen.code} is {now} and nothing says until when it may be used. It is not given; quality decides what becomes "
        f"of it, and sets how long {specimen.material.replace('_', ' ')} may be used when {now}.",
        where_now=specimen.where_now,
        subject=specimen.code,
    )


def _warm_refusal(specimen: Snapshot, findings: Findings, at: datetime) -> Refusal | None:
    """Asked in the act, not only by the timer that holds it: a worker may stand still, and nothing thaws it back."""
    now, most = specimen.projection, findings.warm_red_s
    if most is None or now.out_since is None:
        return None
    out = now.exposure_s + now.running_s(rfc3339(at))
    if out <= most:
        return None
    return OutTooLong(
        f"{specimen.code} is frozen and has been out of the cold for {length(out)}; {length(most)} are allowed. Put it into "
        "the cold now: it is held, and quality decides about it.",
        where_now=specimen.where_now,
        subject=specimen.code,
        out_s=out,
        allowed_s=most,
    )


def _condition_refusal(specimen: Snapshot, route: Route | None, conditions: frozenset[Condition] | None) -> Refusal | None:
    condition = Condition(specimen.projection.condition)
    if route is None or conditions is None or condition in conditions:
        return None
    wanted = " or ".join(sorted(c.value.replace("_", " ") for c in conditions))
    return WrongConditionForRoute(
        f"{specimen.code} is {condition.value.replace('_', ' ')}; to {words(route).lower()} it must be {wanted} now.",
        where_now=specimen.where_now,
        subject=specimen.code,
        condition=condition.value,
        route=route.value,
    )

"""Follicles out of the body and not frozen: how many would still grow, as far as anybody counted. Pure.

    logit S = a − b · h     at 4 °C, a = 2.55 (se 0.23), b = 0.052 per hour (se of log b 0.14)

pooled over Kim 2002 and Limmer 1992; both denominators were assumed (33 to 50 follicles per point). The interval is the
curve's, by the delta method: Var = se_a² + (b h · se_log_b)². Once warm, only intervals are given, and after a day nothing.
"""

import math
from dataclasses import dataclass

from biobank.viability import refusals
from biobank.viability.history import History
from biobank.viability.parameters import FreshFollicles
from biobank.viability.refusals import NoEstimate

Z90 = 1.6448536269514722
BASIS_POINTS = 10_000


@dataclass(frozen=True)
class Fresh:
    """The share of follicles expected to grow, in basis points; `centre_bp` None: only the interval is known."""

    centre_bp: int | None
    lower_bp: int
    upper_bp: int


def fresh_follicles(code: str, history: History, given: FreshFollicles, extrapolation: float) -> Fresh | NoEstimate:
    """Return what may be expected of fresh follicles after their hours out of the body, or why nothing."""
    if history.warm_hours is None or history.cold_hours is None:
        return refusals.RecordMissing(f"The log does not say when {code} left the body.", subject=code)
    whole = history.warm_hours + history.cold_hours
    if history.warm_hours <= given.warm_hours_negligible:
        if whole > extrapolation * given.cold_longest_hours:
            return _beyond(code, whole, extrapolation * given.cold_longest_hours)
        return _cold(whole, given)
    if whole <= given.warm_hours_near:
        lower, centre, upper = given.warm_near
        return Fresh(round(centre * BASIS_POINTS), math.floor(lower * BASIS_POINTS), math.ceil(upper * BASIS_POINTS))
    if whole <= given.warm_hours_far:
        lower, upper = given.warm_far
        return Fresh(None, math.floor(lower * BASIS_POINTS), math.ceil(upper * BASIS_POINTS))
    return _beyond(code, whole, given.warm_hours_far)


def _cold(hours: float, given: FreshFollicles) -> Fresh:
    level, error = given.cold_level
    fall = given.cold_per_hour * hours
    centre, half = level - fall, Z90 * math.hypot(error, fall * given.cold_log_per_hour_se)
    lower, middle, upper = (1 / (1 + math.exp(-x)) for x in (centre - half, centre, centre + half))
    return Fresh(round(middle * BASIS_POINTS), math.floor(lower * BASIS_POINTS), math.ceil(upper * BASIS_POINTS))


def _beyond(code: str, hours: float, reach: float) -> NoEstimate:
    return refusals.BeyondEvidence(
        f"{code} has been out of the body for {hours:.0f} hours; the evidence reaches to {reach:.0f}.", subject=code
    )

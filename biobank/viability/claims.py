"""Does a count show that at least so much lives? A claim has a side and a risk; a percentage has neither. Pure.

"At least p₀ live" is shown with confidence c when a sample with exactly p₀ would give k or more living among n counted with a
probability of at most 1 − c (Clopper and Pearson 1934, one-sided; exact, so the risk is never larger than stated):

    P(X ≥ k | n, p₀) = I_{p₀}(k, n − k + 1) ≤ 1 − c

So 70 of 100 does not show 70 %: a sample of exactly 70 % gives that or better half of the time. At 95 %, "at least 70 %" takes
41 of 50, 78 of 100, 152 of 200 or 296 of 400. Counting is the only error in it; see `cells.py` for the others.
"""

import math
from typing import Final

BASIS_POINTS: Final = 10_000
_TINY: Final = 1e-300
_ENOUGH: Final = 1e-15
_MOST_TERMS: Final = 1_000_000


def tail(successes: int, n: int, p: float) -> float:
    """Return P(X ≥ successes) for X ~ Binomial(n, p). Raises ValueError unless 0 ≤ successes ≤ n, n ≥ 1 and 0 ≤ p ≤ 1."""
    if n < 1 or not 0 <= successes <= n or not 0 <= p <= 1:
        raise ValueError("a tail needs 0 ≤ successes ≤ n, n ≥ 1 and 0 ≤ p ≤ 1")
    if successes == 0 or p == 1:
        return 1.0
    return 0.0 if p == 0 else _incomplete_beta(successes, n - successes + 1, p)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta I_x(a, b), by its continued fraction (Lentz), from the side that converges."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return min(1.0, max(0.0, math.exp(front) * fraction / a))


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def shows_at_least(live: int, counted: int, minimum_bp: int, confidence_bp: int = 9500) -> bool:
    """Say whether `live` of `counted` show, at this confidence, that at least `minimum_bp` per 10,000 live."""
    return tail(live, counted, minimum_bp / BASIS_POINTS) <= 1 - confidence_bp / BASIS_POINTS


def shown_bp(live: int, counted: int, confidence_bp: int = 9500) -> int:
    """Return the largest whole number of basis points that the count shows (the one-sided lower bound, rounded down)."""
    low, high = 0, BASIS_POINTS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shows_at_least(live, counted, middle, confidence_bp) else (low, middle - 1)
    return low

"""Plots as SVG, written by hand: no inline style, no script (the page policy forbids both); colours are classes of `app.css`.

Every plot stands beside a table that says the same in numbers. Pure: numbers in, safe markup out.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from markupsafe import Markup

WIDTH: Final = 560
HEIGHT: Final = 200
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
ACROSS: Final = WIDTH - LEFT - RIGHT
_UP: Final = HEIGHT - TOP - BOTTOM


def x_at(share: float) -> float:
    """Return where a share of the way across lies."""
    return round(LEFT + share * ACROSS, 1)


def y_at(share: float) -> float:
    """Return where a share of the way up lies."""
    return round(TOP + (1 - share) * _UP, 1)


def svg(title: str, *parts: Markup) -> Markup:
    """Frame the parts of a plot; `title` is what is read out."""
    frame = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}" focusable="false">').format(
        WIDTH, HEIGHT, title
    )
    return frame + Markup("").join(parts) + Markup("</svg>")


def text(x: float, y: float, words: str, anchor: str = "middle") -> Markup:
    """Write words at a point."""
    return Markup('<text class="plot-text" x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, words)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Draw a line of a class of `app.css`."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _percent_axis(words: str) -> Markup:
    ticks = [
        line("plot-axis", x_at(tick / 100), y_at(0), x_at(tick / 100), y_at(0) + 4)
        + text(x_at(tick / 100), y_at(0) + 16, f"{tick}")
        for tick in range(0, 101, 20)
    ]
    return line("plot-axis", x_at(0), y_at(0), x_at(1), y_at(0)) + Markup("").join(ticks) + text(x_at(0.5), HEIGHT - 3, words)


def density(quantiles: Sequence[int], levels: Sequence[float]) -> Markup:
    """Draw the forecast of one vial from its quantiles (ppm): a density by steps between them, the 90 % interval underneath."""
    steps = [
        (low / 1e6, high / 1e6, (levels[k + 1] - levels[k]) / max(high - low, 1))
        for k, (low, high) in enumerate(pairwise(quantiles))
    ]
    highest = max(height for _, _, height in steps)
    bars = [
        Markup('<rect class="plot-bar" x="{}" y="{}" width="{}" height="{}"/>').format(
            x_at(low), y_at(0.88 * height / highest), round((high - low) * ACROSS, 1), round(0.88 * height / highest * _UP, 1)
        )
        for low, high, height in steps
    ]
    lower, middle, upper = (quantiles[levels.index(level)] / 1e6 for level in (0.05, 0.5, 0.95))
    marks = line("plot-mark", x_at(lower), y_at(0.94), x_at(upper), y_at(0.94)) + line(
        "plot-mark", x_at(middle), y_at(0.98), x_at(middle), y_at(0)
    )
    title = f"Forecast of the living share of the next vial: 90 % between {100 * lower:.0f} and {100 * upper:.0f} %"
    return svg(title, *bars, marks, _percent_axis("living, % (expected, not measured)"))


def histogram(counts: Sequence[int]) -> Markup:
    """Draw how many thaws fell in each tenth of their forecast, with what a right forecast gives on average."""
    highest = max([*counts, 1])
    expected = sum(counts) / len(counts)
    bars = [
        Markup('<rect class="plot-bar" x="{}" y="{}" width="{}" height="{}"/>').format(
            x_at(k / len(counts)) + 1,
            y_at(0.95 * count / highest),
            round(ACROSS / len(counts) - 2, 1),
            round(0.95 * count / highest * _UP, 1),
        )
        for k, count in enumerate(counts)
    ]
    level = y_at(0.95 * expected / highest)
    heights = text(LEFT - 6, y_at(0.95) + 4, str(highest), "end") + text(LEFT - 6, y_at(0) + 4, "0", "end")
    title = "Where thaws fell in their forecast, by tenths; a right forecast gives equal bars"
    return svg(
        title, *bars, line("plot-mark", x_at(0), level, x_at(1), level), heights, _percent_axis("place in the forecast, %")
    )


def rolling(windows: Sequence[int], window: int, promised: int, alarm_below: int) -> Markup:
    """Draw how many per cent of each window of thaws the interval of `promised` per cent held, oldest window first.

    Raises IndexError without a window.
    """
    shares = [held / window for held in windows]
    last = max(len(shares) - 1, 1)
    points = " ".join(f"{x_at(k / last)},{y_at(share)}" for k, share in enumerate(shares))
    drawn = Markup('<polyline class="plot-line" points="{}"/>').format(points)
    dot = Markup('<circle class="plot-dot" cx="{}" cy="{}" r="4"/>').format(x_at((len(shares) - 1) / last), y_at(shares[-1]))
    ticks = [text(LEFT - 6, y_at(tick / 100) + 4, f"{tick}", "end") for tick in (0, 50, 100)]
    axes = line("plot-axis", x_at(0), y_at(0), x_at(1), y_at(0)) + line("plot-axis", x_at(0), y_at(0), x_at(0), y_at(1))
    title = f"Share of thaws that the {promised} % interval held, over windows of {window}"
    return svg(
        title,
        axes,
        line("plot-mark", x_at(0), y_at(promised / 100), x_at(1), y_at(promised / 100)),
        line("plot-alarm", x_at(0), y_at(alarm_below / 100), x_at(1), y_at(alarm_below / 100)),
        drawn,
        dot,
        *ticks,
        text(x_at(0.5), HEIGHT - 3, "windows of thirty thaws, the newest at the right"),
    )

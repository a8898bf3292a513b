"""The symbols of the printed command sheet."""

from markupsafe import Markup

from biobank.labels.matrix import ErrorCorrection, dark_runs, smallest_qr_matrix

_QUIET = 4


def symbol_of(text: str) -> Markup:
    """Draw a QR symbol of `text` as SVG, one unit a module, with its quiet zone; no style and no id, so the policy allows it."""
    matrix = smallest_qr_matrix(text, 1, ErrorCorrection.Q)
    side = len(matrix) + 2 * _QUIET
    path = "".join(f"M{x + _QUIET} {y + _QUIET}h{length}v1h-{length}z" for y, x, length in dark_runs(matrix))
    return Markup(
        '<svg class="symbol" viewBox="0 0 {0} {0}" role="img" aria-label="{1}"><rect width="{0}" height="{0}" fill="#fff"/>'
        '<path fill="#000" shape-rendering="crispEdges" d="{2}"/></svg>'
    ).format(side, text, path)

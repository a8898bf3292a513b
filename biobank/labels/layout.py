"""From template and data to a layout in printer dots. The writers draw a layout and decide nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import ClassVar

from biobank.foundation.codes import label_text, payload_url
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.labels.data import LabelData
from biobank.labels.geometry import (
    UM_PER_INCH,
    LabelDoesNotFit,
    Shape,
    UnknownResolution,
    box_in_dots,
    check_resolution,
    dots_below,
    place_symbol,
)
from biobank.labels.matrix import Matrix, smallest_qr_matrix, version_of
from biobank.labels.statements import SEE_SHEET, Statement
from biobank.labels.template import Payload, Template, TextBlock
from biobank.labels.typeface import TextRun, fit_text


class TemplateUnsuitable(Conflict):
    """The template is not made for this kind of thing."""

    code: ClassVar[str] = "label_template_unsuitable"
    title: ClassVar[str] = "Wrong label template"


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol on the label: upper left corner without quiet zone, and dots per module."""

    matrix: Matrix
    x_dots: int
    y_dots: int
    module_dots: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A label ready to draw, in dots of `dpi`.

    `printed` and `on_sheet` share out the statements: each is either on this label or for the accompanying sheet. On a
    companion label both are empty; the full label of the same thing has them.
    """

    code: str
    payload: str
    dpi: int
    shape: Shape
    width_dots: int
    height_dots: int
    turned: bool
    version: int
    symbols: tuple[Symbol, ...]
    texts: tuple[TextRun, ...]
    printed: tuple[Statement, ...]
    on_sheet: tuple[Statement, ...]

    @property
    def module_um(self) -> float:
        """The printed size of one module in micrometres."""
        return self.symbols[0].module_dots * UM_PER_INCH / self.dpi


def compose(template: Template, data: LabelData, dpi: int, host: str) -> Layout:
    """Lay a label out.

    :param host: host of the label address; not used by templates with a bare code
    :raises TemplateUnsuitable: the template is not for this kind of code
    :raises UnknownResolution: the template is not drawn for this resolution
    :raises PayloadTooLong: no symbol holds the address
    :raises LabelDoesNotFit: the symbol or a text has no room at its smallest readable size
    """
    check_resolution(dpi)
    if dpi not in template.resolutions:
        raise UnknownResolution(f"{template.name} is not drawn for {dpi} dots per inch, only for {template.resolutions}.")
    if data.code.prefix not in template.prefixes:
        raise TemplateUnsuitable(f"{template.name} is not a label for {words(data.code.prefix)} codes; choose another.")
    spec = template.symbol
    number = data.print_number
    payload = payload_url(host, data.code, number) if spec.payload is Payload.URL else label_text(data.code, number)
    matrix = smallest_qr_matrix(payload, spec.version, spec.correction)
    places = [place_symbol(len(matrix), box_in_dots(box, dpi), spec.quiet_tenths, dpi, template.shape) for box in spec.boxes_um]
    texts = [run for block in template.texts for run in _text(template, block, data, dpi)]
    statements, printed, on_sheet = _statements(template, data, dpi)
    return Layout(
        code=data.code.text,
        payload=payload,
        dpi=dpi,
        shape=template.shape,
        width_dots=dots_below(template.width_um, dpi),
        height_dots=dots_below(template.height_um, dpi),
        turned=template.turned,
        version=version_of(matrix),
        symbols=tuple(Symbol(matrix, place.x_dots, place.y_dots, place.module_dots) for place in places),
        texts=(*texts, *statements),
        printed=printed,
        on_sheet=on_sheet,
    )


def _text(template: Template, block: TextBlock, data: LabelData, dpi: int) -> tuple[TextRun, ...]:
    runs = _fit(block, _filled(block.rows, data.texts()), dpi)
    if runs is None:
        raise LabelDoesNotFit(
            f"The text {' / '.join(block.rows)!r} of {template.name} does not fit at its smallest size"
            f" ({block.smallest_um / 1000} mm); shorten it or use a larger label."
        )
    return runs


def _filled(rows: Sequence[str], texts: dict[str, str]) -> list[str]:
    filled = []
    for row in rows:
        fields = [field for _, field, _, _ in Formatter().parse(row) if field]
        if not fields or any(texts[field] for field in fields):
            filled.append(" ".join(row.format_map(texts).split()))
    return filled


def _statements(
    template: Template, data: LabelData, dpi: int
) -> tuple[tuple[TextRun, ...], tuple[Statement, ...], tuple[Statement, ...]]:
    """Fill the areas in order; what is left over goes to the sheet, and the last area says so."""
    if not data.statements or template.companion:
        return (), (), ()
    if not template.areas:
        raise TemplateUnsuitable(f"{template.name} has no room for the statements this thing must carry.")
    waiting = list(data.statements)
    held: list[list[Statement]] = []
    for area in template.areas:
        here: list[Statement] = []
        while waiting and _fit(area, [statement.text for statement in (*here, waiting[0])], dpi) is not None:
            here.append(waiting.pop(0))
        held.append(here)
    words = [[statement.text for statement in here] for here in held]
    if waiting:
        # The template check made sure that SEE SHEET alone has room.
        while _fit(template.areas[-1], [*words[-1], SEE_SHEET], dpi) is None:
            words[-1].pop()
            waiting.insert(0, held[-1].pop())
        words[-1].append(SEE_SHEET)
    runs = [run for area, texts in zip(template.areas, words, strict=True) for run in _fit(area, texts, dpi) or ()]
    return tuple(runs), tuple(statement for here in held for statement in here), tuple(waiting)


def _fit(block: TextBlock, paragraphs: Sequence[str], dpi: int) -> tuple[TextRun, ...] | None:
    return fit_text(paragraphs, box_in_dots(block.box_um, dpi), block.style(dpi))

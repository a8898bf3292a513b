"""The way in: a template, data and a format give the bytes of a label."""

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

from biobank.foundation.errors import NotAcceptable
from biobank.labels.data import LabelData
from biobank.labels.geometry import LabelDoesNotFit
from biobank.labels.layout import compose
from biobank.labels.pdf import Page, SheetStock, pdf, pdf_sheet
from biobank.labels.png import png
from biobank.labels.svg import svg
from biobank.labels.template import Template
from biobank.labels.zpl import zpl


class Format(StrEnum):
    """How a label is written."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"
    ZPL = "zpl"


MEDIA_TYPES: Final = {
    Format.PNG: "image/png",
    Format.SVG: "image/svg+xml",
    Format.PDF: "application/pdf",
    Format.ZPL: "application/zpl",
}

_SHEET_DPI: Final = 600  # what an office printer has


class UnknownFormat(NotAcceptable):
    """The asked-for format is not one labels are written in."""

    code: ClassVar[str] = "label_format_unknown"
    title: ClassVar[str] = "Label format not supported"


def render(template: Template, data: LabelData, fmt: str, dpi: int, *, host: str) -> bytes:
    """Write one label.

    :param fmt: one of `Format`; its media type is in `MEDIA_TYPES`
    :param dpi: dots per inch of the printer, one of `geometry.RESOLUTIONS`
    :param host: host of the label address
    :raises UnknownFormat: no such format
    :raises Refusal: whatever `layout.compose` refuses
    """
    layout = compose(template, data, dpi, host)
    match fmt:
        case Format.PNG:
            return png(layout)
        case Format.SVG:
            return svg(layout)
        case Format.PDF:
            return pdf([layout])
        case Format.ZPL:
            return zpl([layout])
    raise UnknownFormat(f"Labels are written as {', '.join(Format)}; choose one of them.")


def render_roll(template: Template, labels: Iterable[LabelData], fmt: str, dpi: int, *, host: str) -> bytes:
    """Write many labels for a roll printer, in one PDF (a page each) or one ZPL stream.

    :raises UnknownFormat: the format holds one label only
    :raises Refusal: whatever `layout.compose` refuses, for the first label that is refused
    """
    layouts = (compose(template, data, dpi, host) for data in labels)
    match fmt:
        case Format.PDF:
            return pdf(layouts)
        case Format.ZPL:
            return zpl(layouts)
    raise UnknownFormat("Several labels at once are written as pdf or zpl; choose one of them.")


def render_sheet(
    template: Template,
    labels: Iterable[LabelData],
    *,
    host: str,
    page: Page = Page.A4,
    stock: SheetStock | None = None,
    first_cell: int = 0,
    dpi: int = _SHEET_DPI,
) -> bytes:
    """Write many labels on sheets for an office printer, as PDF.

    :param stock: die-cut sheets; without it a grid for plain paper of size `page`
    :param first_cell: labels of the first sheet that are used up already
    :raises Refusal: whatever `layout.compose`, `SheetStock.filling` or `pdf_sheet` refuses
    """
    layouts = [compose(template, data, dpi, host) for data in labels]
    return pdf_sheet(layouts, stock or SheetStock.filling(page, template), first_cell)


def render_accompanying_sheet(template: Template, labels: Iterable[LabelData], *, host: str, page: Page = Page.A4) -> bytes:
    """Write the sheet that travels with containers whose labels could not hold every statement, as PDF.

    Each container has an entry with its symbol, its description and *all* of its statements, also those on its label.

    :param template: the layout of an entry
    :raises LabelDoesNotFit: an entry has no room for its statements either
    :raises Refusal: whatever `layout.compose` or `SheetStock.filling` refuses
    """
    layouts = [compose(template, data, _SHEET_DPI, host) for data in labels]
    for layout in layouts:
        if layout.on_sheet:
            raise LabelDoesNotFit(
                f"The statements of {layout.code} do not fit on the accompanying sheet; shorten the bank's own."
            )
    return pdf_sheet(layouts, SheetStock.filling(page, template))

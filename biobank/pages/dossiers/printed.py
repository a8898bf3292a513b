"""A dossier as PDF: the same content gives the same bytes. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from biobank.labels.paper import Paper
from biobank.pages.dossiers.contents import Dossier


def draw(dossier: Dossier, zone: ZoneInfo) -> bytes:
    """Return the PDF, with its times in the zone of the site where it is printed."""
    page = Paper(dossier.title, f"{dossier.title} · printed {_said(dossier.read_at, zone)} for {dossier.read_by}")
    page.heading(dossier.title)
    for label, value in dossier.facts:
        page.paragraph(f"{label}: {value}")
    for part in dossier.parts:
        page.gap()
        page.line(part.title, bold=True)
        if part.rows:
            page.table(part.columns, [tuple(_said(cell, zone) for cell in row) for row in part.rows])
        else:
            page.line(part.none)
    if dossier.signers:
        page.gap()
        page.line("Whose hands and signatures these are", bold=True)
        for badge, name in dossier.signers:
            page.line(f"{badge}  {name}".rstrip())
        page.line("Where no name stands, none is kept or it is not told to you.")
    page.gap()
    page.paragraph(
        f"Times are those of {zone.key}, each with its hours from UTC. A leaf hash, here its first 16 digits, finds the entry in "
        "the log."
    )
    return page.finish()


def _said(cell: str | datetime | None, zone: ZoneInfo) -> str:
    """Return a cell; an instant as `2026-11-03 13:34:56 +1`: on the night of a change of clocks one hour comes twice."""
    if isinstance(cell, datetime):
        local = cell.astimezone(zone)
        sign, hours, minutes = (offset := f"{local:%z}")[0], int(offset[1:3]), offset[3:5]
        return f"{local:%Y-%m-%d %H:%M:%S} {sign}{hours}{'' if minutes == '00' else ':' + minutes}"
    return cell or ""

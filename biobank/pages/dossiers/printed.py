"""A dossier as PDF: the same content gives the same bytes. Pure."""

from biobank.labels.paper import Paper
from biobank.pages.dossiers.contents import Dossier


def draw(dossier: Dossier) -> bytes:
    """Return the PDF."""
    page = Paper(dossier.title, f"{dossier.title} · printed {dossier.read_at} for {dossier.read_by}")
    page.heading(dossier.title)
    for label, value in dossier.facts:
        page.paragraph(f"{label}: {value}")
    for part in dossier.parts:
        page.gap()
        page.line(part.title, bold=True)
        if part.rows:
            page.table(part.columns, part.rows)
        else:
            page.line(part.none)
    if dossier.signers:
        page.gap()
        page.line("Whose hands and signatures these are", bold=True)
        for badge, name in dossier.signers:
            page.line(f"{badge}  {name}".rstrip())
        page.line("Where no name stands, none is kept or it is not told to you.")
    page.gap()
    page.paragraph("Times are UTC. A leaf hash, here its first 16 digits, finds the entry in the log.")
    return page.finish()

"""The sheet for the bedside on paper: what it is about, lines for two people to fill in, how it is checked later. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from biobank.labels.paper import Paper
from biobank.specimens.materials import amount_text
from biobank.withdrawals.paper_checks import Sheet

_LEAD = (
    "For use without network only. Two people, one after the other and without looking at what the other wrote, read the code on "
    "the wrist and the code on the product and write both down. If any of them is not what is printed here, or a line stays "
    "empty: give nothing, keep the product cold and apart, and call quality. File this sheet as a form on paper when the network "
    "is back, and enter it the same day, each from their own login."
)


def draw(sheet: Sheet) -> bytes:
    """Return the PDF; the same sheet gives the same bytes."""
    content = sheet.content
    page = Paper(f"Bedside check on paper, {content['withdrawal']}", f"{content['withdrawal']} · sheet {content['sheet']}")
    page.heading(f"Bedside check on paper: {content['withdrawal']}")
    until, fetched = (_clock(content[name], sheet.zone) for name in ("good_until", "fetched_at"))
    page.line(f"Good until {until}.", bold=True)
    page.line(f"Fetched {fetched} by {content['fetched_by']}. Write every time as the clocks of the clinic show it.")
    page.paragraph(_LEAD)
    page.gap()
    page.line(f"Donor and recipient: {content['donor']}    Clinic: {content['clinic']}")
    page.line(f"Wristband in force when this was fetched: {content['wristband'] or 'none'}")
    for tube in content["tubes"]:
        page.gap()
        page.line(f"{tube['specimen']}   {amount_text(tube['amount'], tube['unit'])}", bold=True)
        for person in ("First person", "Second person"):
            page.blank(f"{person}: badge", "band on the wrist", "product", "day and time")
        page.blank("Given: began", "ended", "volume, mL", "where on the body")
        page.blank(f"given, {tube['unit']}", "residue", "loss", "residue went to")
        page.blank("Reaction, yes or no", "signature of the first", "signature of the second")
    page.gap()
    page.line("Checking this sheet later", bold=True)
    page.paragraph(
        f"SHA-256 of what it says, as canonical JSON: {sheet.content_sha256}\nLeaf hash of its entry in the custody log: "
        f"{sheet.leaf_hash}\nReceipt, signed by the bank (`biobank receipt check`):"
    )
    page.paragraph(sheet.receipt)
    return page.finish()


def _clock(instant: str, zone: ZoneInfo) -> str:
    """Return an instant as the clocks of the clinic show it, with their zone."""
    shown = datetime.fromisoformat(instant).astimezone(zone)
    return f"{shown:%Y-%m-%d %H:%M} ({zone.key}, UTC{shown:%z})"

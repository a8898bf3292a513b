"""The post-thaw viability report on paper. From measured counts only; the same report gives the same bytes. Pure.

Some laws ask for such a report with the cells (Florida ss. 458.3245/459.0127, in force from 1 July 2025: "post-thaw viability
report"). What it must contain was read in summaries only; the bank's own quality decides whether this is enough.
"""

from typing import Any, Final

from biobank.foundation.terms import words
from biobank.labels.paper import Paper
from biobank.viability.schemas import ReportPublic

COLUMNS: Final = (
    ("Vial", 62),
    ("Counted", 92),
    ("Method", 62),
    ("Min", 26),
    ("Live", 40),
    ("Dead", 36),
    ("Viable", 40),
    ("95 % interval", 70),
    ("Cells per vial (95 %)", 74),
)
METHOD: Final = (
    "Interval: Wilson score, 95 %, counting error only. Cells per vial: counting and pipetting error, 95 %. "
    "A claim is shown when a sample with exactly the minimum would give this count or a better one with a probability of at "
    "most one minus the confidence (exact binomial, one-sided). "
    "Counted after thawing: dye exclusion is membrane integrity at that minute, outgrowth is follicles that grew. "
    "Nothing in this report is an estimate, and nothing in it says what the cells will do."
)


def draw(report: ReportPublic, signer: str | None) -> bytes:
    """Return the PDF. `signer`: the printed name under the signature; None once that person's name was erased."""
    page = Paper(f"Post-thaw viability of lot {report.lot}", f"{report.lot} · report {report.id}")
    content = report.content
    page.heading(f"Post-thaw viability of lot {content['lot']}")
    for label, value in (
        ("Material", content["title"]),
        ("Procedure", content["procedure"]),
        ("Site", content["site"]),
        ("Donor", content["donor"]),
        ("Containers in the lot", str(content["specimens"])),
    ):
        page.line(f"{label}: {value}")
    page.gap()
    page.table(COLUMNS, [_row(one) for one in content["counts"]])
    page.gap()
    page.paragraph(_together(content))
    page.gap()
    page.paragraph(METHOD)
    page.gap()
    signed = content["signature"]
    page.line("Signature", bold=True)
    page.line(f"{signer or 'name erased'} ({signed['by']}), {signed['at']}, meaning: {signed['meaning']}")
    page.line(f"Signature id {signed['id']}, report {content['report']}")
    page.line(f"SHA-256 of the content (canonical JSON): {report.content_sha256}")
    page.gap()
    page.line("Evidence in the custody log (leaf hashes of the counts)", bold=True)
    for one in content["counts"]:
        page.line(f"{one['specimen']}  {one['leaf_hash']}")
    page.gap()
    page.line("Receipt", bold=True)
    page.paragraph(report.receipt)
    return page.finish()


def _row(one: dict[str, Any]) -> list[str]:
    whole = one["cells_per_vial"]
    minutes = one["minutes_after_thaw"]
    return [
        one["specimen"],
        one["measured_at"][:16].replace("T", " ") + " UTC",
        words(one["method"]),
        "–" if minutes is None else str(minutes),
        str(one["live"]),
        str(one["dead"]),
        f"{one['viability_bp'] / 100:.1f} %",
        f"{one['wilson_95_lower_bp'] / 100:.1f}–{one['wilson_95_upper_bp'] / 100:.1f} %",
        "–" if whole is None else f"{_short(whole['cells'])} ({_short(whole['lower'])}–{_short(whole['upper'])})",
    ]


def _short(cells: str) -> str:
    number = int(cells)
    return f"{number / 1_000_000:.2f} M" if number >= 1_000_000 else str(number)


def _together(content: dict[str, Any]) -> str:
    whole = content["together"]
    counted = whole["live"] + whole["dead"]
    text = f"First count of each vial together: {whole['live']} of {counted} alive ({100 * whole['live'] / counted:.1f} %)."
    criterion = content["criterion"]
    if criterion is None:
        return f"{text} No acceptance criterion was set for this material at this site."
    verdict = "shown" if whole["verdict"] == "shown" else "NOT shown"
    return (
        f"{text} Acceptance: at least {criterion['minimum_bp'] / 100:g} % with {criterion['confidence_bp'] / 100:g} % "
        f"confidence: {verdict} (shown: at least {whole['shown_bp'] / 100:.1f} %), counting error only."
    )

"""How long a specimen was out of the cold, in words: of what was missing or found without a name nobody knows the whole."""

from biobank.pages.ui.filters import quantity_text
from biobank.specimens.schemas import ExposurePublic


def out_of_cold(out: ExposurePublic) -> str:
    """Write how long it was out of the cold, and where nobody knows the whole, that this is the least."""
    known = quantity_text(out.total_s, "seconds")
    return f"at least {known}; for a time nobody knows" if out.at_least else known

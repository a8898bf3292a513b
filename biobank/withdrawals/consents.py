"""May anything be given to this donor now? Pure; asked at the request, the approval, the thaw, the issue and the bedside."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from biobank.custody.recording import BACK_WITHOUT_REASON
from biobank.donors.consents import covering_consent
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import Conflict, Refusal
from biobank.specimens.materials import Tissue, tissue_of


class DonorNotTreated(Conflict):
    """The donor is dead or was forgotten: nobody is there to receive anything."""

    code = "donor_not_living"
    title = "No recipient"


def tissue_of_tube(material: str, specimen: str) -> Tissue:
    """Return the tissue whose consent covers a specimen."""
    return tissue_of(material, parse_code(specimen).prefix)


def treatment_consents(
    donor: str,
    status: str,
    given: Sequence[Any],
    material: str,
    specimens: Iterable[str],
    at: datetime,
    margin: timedelta = BACK_WITHOUT_REASON,
) -> tuple[list[bytes], list[Refusal]]:
    """Return the leaf hashes of the consents that cover giving these specimens at `at`, and every reason why not.

    `status`: the donor's; `given`: their treatment consents as `consents_given` reads them; `margin`: see `covering_consent`.
    """
    refusals: list[Refusal] = []
    if status in ("deceased", "erased"):
        refusals.append(
            DonorNotTreated(f"{donor} is recorded as {status}; nothing can be given to them any more.", subject=donor)
        )
    hashes: list[bytes] = []
    for tissue in sorted({tissue_of_tube(material, code) for code in specimens}):
        answer = covering_consent(given, donor, "treatment", at, tissue=tissue.value, margin=margin)
        if isinstance(answer, Refusal):
            refusals.append(answer)
        elif answer not in hashes:
            hashes.append(answer)
    return hashes, refusals

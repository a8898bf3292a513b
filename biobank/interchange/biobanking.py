"""MIABIS and SPREC of a specimen: the attributes that are recorded, in the words of research biobanks.

Both know too few materials for this bank: what has no word there is `Other`. No SPREC code is written: most of its elements (kind
of tube, centrifugation, fixation) are not recorded, and it has no letter for autologous material. What is recorded stands here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from biobank.foundation.clock import rfc3339
from biobank.interchange.fhir.saying import slim
from biobank.interchange.life import Life
from biobank.interchange.naming import Naming
from biobank.specimens.materials import MaterialName, TemperatureClass

_TYPES: Final[Mapping[str, str]] = {
    MaterialName.INTACT_FOLLICLES: "Hair",
    MaterialName.HF_STEM_CELLS: "Primary cells",
    MaterialName.DERMAL_PAPILLA_CELLS: "Primary cells",
    MaterialName.SVF: "Primary cells",
    MaterialName.ADSC: "Primary cells",
}
"""Material → MIABIS' type of sample; all others are "Other"."""
_STORED: Final[Mapping[str, str]] = {
    TemperatureClass.LN2_LIQUID: "LN",
    TemperatureClass.LN2_VAPOUR: "LN",
    TemperatureClass.MINUS_80: "-60to-85",
    TemperatureClass.MINUS_20: "-18to-35",
    TemperatureClass.FRIDGE: "2to10",
    TemperatureClass.AMBIENT: "RT",
    TemperatureClass.MINUS_150: "Other",
    TemperatureClass.INCUBATOR: "Other",
}
"""Class of the place → MIABIS' storage temperature."""


def document(life: Life, naming: Naming) -> dict[str, Any]:
    """Return the recorded attributes of a specimen."""
    row = life.row
    taken = life.told_at_first
    collected = life.entries[0].kind == "specimen.collected"
    runs = [one for one in life.standing if one.kind in ("specimen.process_started", "specimen.frozen")]
    delay = None
    if collected and row.collected_at is not None and runs:
        begun = datetime.fromisoformat(runs[0].said["occurred_at"])
        delay = int((begun - row.collected_at).total_seconds()) // 60
    stored = [one for one in life.standing if one.kind == "specimen.stored"]
    return {
        "miabis": slim(
            sampleId=f"{naming.base}/S/{row.code}",
            donorId=None if row.donor_code is None else f"{naming.codes_of('donor')}/{row.donor_code}",
            sampleType=_TYPES.get(row.material, "Other"),
            sampleTypeOfTheBank=row.material,
            collectedAt=None if row.collected_at is None else rfc3339(row.collected_at),
            anatomicalSite=taken.get("anatomical_site"),
            storageTemperature=None if life.kept_at is None else _STORED[life.kept_at],
            storageTemperatureIsOf="class of the place, not a measurement" if life.kept_at else None,
        ),
        "sprec": slim(
            sampleType="HAR" if row.material == MaterialName.INTACT_FOLLICLES else "ZZZ",
            collectionMethod=taken.get("method"),
            minutesFromCollectionToFirstProcessing=delay if delay is None or delay >= 0 else None,
            longTermStorage=life.kept_at,
            storedSince=stored[-1].said["occurred_at"] if stored and row.state == "stored" else None,
        ),
    }

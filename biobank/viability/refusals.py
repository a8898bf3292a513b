"""Why there is no number. Each reason is a class of its own, so that a program can tell them apart and a person can act.

`GET …/viability/estimate` raises them; `GET …/viability` shows the sentence where the number would stand.
"""

from biobank.foundation.errors import Conflict


class NoEstimate(Conflict):
    """The root of every reason to say nothing."""

    code = "viability_no_estimate"
    title = "No estimate"


class NotAnsweredHere(NoEstimate):
    """Potency, dose response and clinical outcome are never estimated."""

    code = "viability_not_answered"
    title = "Not a question the bank can answer"


class MaterialUnknown(NoEstimate):
    """The parameter file has no evidence for this material."""

    code = "viability_material_unknown"
    title = "No evidence for this material"


class AssayUnknown(NoEstimate):
    """No evidence exists in terms of this assay."""

    code = "viability_assay_unknown"
    title = "No evidence in terms of this assay"


class ProcedureUnknown(NoEstimate):
    """The log does not say by which procedure it was frozen."""

    code = "viability_procedure_unknown"
    title = "Freezing procedure not recorded"


class NotFrozen(NoEstimate):
    """The model is about what thawing will show; this was not frozen."""

    code = "viability_not_frozen"
    title = "Not frozen"


class AlreadyThawed(NoEstimate):
    """It was thawed: count it."""

    code = "viability_already_thawed"
    title = "Already thawed"


class RecordMissing(NoEstimate):
    """What happened before freezing is not in the log."""

    code = "viability_record_missing"
    title = "Record before freezing missing"


class FrozenTwice(NoEstimate):
    """It went through more than one freeze."""

    code = "viability_frozen_twice"
    title = "Frozen more than once"


class Vitrified(NoEstimate):
    """It was vitrified; the evidence is about slow cooling."""

    code = "viability_vitrified"
    title = "Vitrified"


class StoredTooWarm(NoEstimate):
    """It was kept at −20 °C or warmer."""

    code = "viability_stored_too_warm"
    title = "Stored too warm"


class StorageUncontrolled(NoEstimate):
    """For some time it was in no place of known temperature."""

    code = "viability_storage_uncontrolled"
    title = "Storage not under control"


class Minus80TooLong(NoEstimate):
    """It was at −80 °C for longer than six months."""

    code = "viability_minus_80_too_long"
    title = "Too long at −80 °C"


class Minus80WithoutOwnData(NoEstimate):
    """Nothing is known of −80 °C here but what the bank counted itself, and that is too little."""

    code = "viability_minus_80_without_own_data"
    title = "Too few own counts at −80 °C"


class TemperatureExcursion(NoEstimate):
    """It was recorded to be warmer than the validated limit."""

    code = "viability_temperature_excursion"
    title = "Temperature excursion recorded"


class DelayTooLong(NoEstimate):
    """Too many hours at room temperature before processing."""

    code = "viability_delay_too_long"
    title = "Too long before processing"


class FolliclesWithoutOwnData(NoEstimate):
    """For frozen follicles only the bank's own thaws count, and there are too few."""

    code = "viability_follicles_without_own_data"
    title = "Too few own thaws of follicles"


class BeyondEvidence(NoEstimate):
    """It was stored for longer than anything that was ever counted, by half."""

    code = "viability_beyond_evidence"
    title = "Beyond the evidence"


class NotFittedYet(NoEstimate):
    """The worker has not made the fit that an estimate is read from."""

    code = "viability_not_fitted"
    title = "Not prepared yet"


class FitOfAnother(NoEstimate):
    """The fit that was named is of another material, procedure, assay or storage."""

    code = "viability_fit_of_another"
    title = "A fit of other vials"

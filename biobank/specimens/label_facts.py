"""What a specimen's label says, in the words of the registry. Pure; layout and statements belong to `labels/`."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from biobank.custody.projection import Projection
from biobank.custody.snapshots import expiry_of
from biobank.custody.states import Condition
from biobank.donors.markers import Evaluation
from biobank.specimens.materials import Material, TemperatureClass, amount_text, material_of
from biobank.specimens.schemas import LabelFacts


def label_facts(row: Any, custody: Projection, *, unit_count: int | None, zone: ZoneInfo, evaluation: Evaluation) -> LabelFacts:
    """Build the facts from a row of `specimen` and the custody that goes with it; days are those of the bank's `zone`.

    The amount is the present one: a label printed after a part was used says what is in the tube.
    """
    material = material_of(row.material)
    return LabelFacts(
        code=row.code,
        material=material.short,
        passage=row.passage,
        amount=amount_text(custody.amount, row.unit),
        unit_number=row.unit_number,
        unit_count=unit_count,
        banked_on=None if custody.banked_at is None else day_of(datetime.fromisoformat(custody.banked_at), zone),
        expires_on=day_of(expiry_of(row.expires_at, custody.use_by), zone),
        zone=zone.key,
        storage=storage_words(material, Condition(custody.condition)),
        recipient=row.donor_code,
        markers_evaluated=evaluation.complete,
        evaluation=evaluation,
    )


def storage_words(material: Material, condition: Condition) -> str:
    """Return the storage temperature as printed.

    Living cells in the cold are labelled for nitrogen even where −80 °C is allowed on the way there.
    """
    if condition in {Condition.FROZEN, Condition.FREEZING}:
        return "below -130 °C" if material.estimand is not None else "-80 °C or colder"
    classes = material.classes_for(condition)
    if TemperatureClass.INCUBATOR in classes:
        return "37 °C"
    if classes == {TemperatureClass.FRIDGE}:
        return "2 to 8 °C"
    if classes == {TemperatureClass.AMBIENT}:
        return "room temperature"
    return "2 to 25 °C"


def day_of(instant: datetime | None, zone: ZoneInfo) -> date | None:
    """Return the day that a calendar in a zone shows at an instant; None without one. Pure."""
    return None if instant is None else instant.astimezone(zone).date()

"""At which temperature what keeps. Pure rules."""

from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words

CRYOGENIC = frozenset({"ln2_vapour", "ln2_liquid", "minus_150", "minus_80"})
COOL = frozenset({"fridge", "ambient", "incubator"})

SUITABLE: dict[Condition, frozenset[str]] = {
    Condition.FROZEN: CRYOGENIC,
    Condition.FREEZING: CRYOGENIC | {"minus_20"},
    Condition.FRESH: COOL,
    Condition.THAWED: COOL,
    Condition.IN_CULTURE: frozenset({"incubator"}),
}
"""Temperature classes that keep a condition what it is. A frozen vial in a fridge thaws; fresh cells in a freezer die."""


class WrongTemperature(Conflict):
    """The place is too warm or too cold for the specimen."""

    code = "wrong_temperature_class"
    title = "Wrong temperature"


def suits(condition: str, temperature_class: str | None) -> bool:
    """Say whether a place of `temperature_class` keeps a specimen of `condition`. A place without a class takes anything."""
    return temperature_class is None or temperature_class in SUITABLE[Condition(condition)]


def temperature_refusal(specimen: Snapshot, container: str, temperature_class: str | None) -> WrongTemperature | None:
    """Return why a container of this temperature class would spoil the specimen, or None."""
    condition = specimen.projection.condition
    if suits(condition, temperature_class):
        return None
    fitting = " or ".join(words(name) for name in sorted(SUITABLE[Condition(condition)]))
    return WrongTemperature(
        f"{specimen.code} is {condition.replace('_', ' ')} and {container} is {words(temperature_class)}. "
        f"Choose a place of class {fitting}.",
        where_now=specimen.where_now,
        subject=specimen.code,
        temperature_class=temperature_class,
    )

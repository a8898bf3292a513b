"""What a container takes. Pure rules, and the one shell that asks the database for the class of a place."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.foundation.errors import Conflict
from biobank.storage import queries

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


def require_suitable(session: Session, specimens: Sequence[Snapshot], container: Any) -> None:
    """Raise WrongTemperature for the first specimen that the container would spoil."""
    temperature = queries.temperature_class_of(session, container.code)
    for specimen in specimens:
        condition = specimen.projection["condition"]
        if not suits(condition, temperature):
            fitting = " or ".join(sorted(SUITABLE[Condition(condition)])).replace("_", " ")
            raise WrongTemperature(
                f"{specimen.code} is {condition.replace('_', ' ')} and {container.code} is {temperature}. "
                f"Choose a place of class {fitting}.",
                where_now=specimen.where_now,
                subject=specimen.code,
                temperature_class=temperature,
            )

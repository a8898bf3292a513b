"""What may stand in which place. Pure rules of one tube and one place; every way of placing asks them (`placing.py`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from biobank.custody.leaving import CLINIC, leaving_refusal
from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition, State
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.specimens.materials import material_of
from biobank.storage.allocation import Slot

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

COOLING: Final = frozenset({"room", "tank", "freezer"})
"""Kinds of container that have a temperature of their own; a rack, cane, box or shelf is as cold as what it stands in."""


_NAMED_BY_KIND: Final = {"tank": "ln2_vapour", "freezer": "minus_80"}
"""How a container of a kind is judged to which nobody gave a class."""


def own_class(kind: str, temperature_class: str | None) -> str | None:
    """Return the class of a container that has a temperature of its own; None where it has that of what it stands in."""
    return (temperature_class or _NAMED_BY_KIND.get(kind)) if kind in COOLING else None


def may_stand_in(kind: str, around: str) -> bool:
    """Say whether a container of a kind may stand in one of another: a room, tank or freezer stands in a room or in nothing."""
    return kind not in COOLING or around == "room"


def keeps_its_own_cold(kind: str, temperature_class: str | None) -> bool:
    """Say whether a container is a boundary: what is read around it (a warm room) says nothing of what is inside it.

    A tank, a freezer, a fridge, a dry shipper, a cold room. A rack or a box is as cold as what it stands in; so is a room that
    nobody gave a class, and whatever stands at room temperature.
    """
    return own_class(kind, temperature_class) not in (None, "ambient")


class WrongTemperature(Conflict):
    """The place is too warm or too cold for the specimen."""

    code = "wrong_temperature_class"
    title = "Wrong temperature"


class MaterialNotKeptThere(Conflict):
    """The registry of materials names other temperature classes for this material."""

    code = "material_not_kept_there"
    title = "Not a place for this material"


class KeptApart(Conflict):
    """Infectious material stands in isolated places only, and other material never does."""

    code = "kept_apart"
    title = "Kept apart for infection"


class PositionBlocked(Conflict):
    """Nothing may be put into this position."""

    code = "position_blocked"
    title = "The position is blocked"


class PositionKept(Conflict):
    """The slot is kept for the tubes of another donor."""

    code = "position_kept"
    title = "The position is kept"


class TravelsBetweenSites(Conflict):
    """Between two sites material travels, by a shipment or in somebody's hand: nothing is in a cold place of both at once."""

    code = "travels_between_sites"
    title = "It is at another site"


@dataclass(frozen=True)
class Standing:
    """What a container is with everything it stands in.

    `temperature`: the class that reaches it; `assumed`: in a tank or freezer that nobody gave a class, the one of its readings
    (`limits.class_judged_by`); `isolated`: it, or
    anything around it, is for infectious material; `safe`: it, or anything around it, is a quarantine or evacuation place, where
    everything is accepted; `lifted`: it, or anything around it, is out of its place; `unclassed`: the tank or freezer that it is
    in, or the outermost thing that it stands in, where nobody gave that one a class: how cold it is there is not known; `site`:
    the site that it is at; `clinic`: the clinic that it is in.
    """

    code: str
    temperature: str | None = None
    assumed: str | None = None
    unclassed: str | None = None
    isolated: bool = False
    safe: bool = False
    lifted: bool = False
    site: str | None = None
    clinic: str | None = None

    @property
    def judged(self) -> str | None:
        """The class by which fresh and thawed cells, and materials, are judged here."""
        return self.temperature or self.assumed

    def keeps(self, condition: str) -> bool:
        """Say whether a specimen of this condition is in the cold (or warmth) that it needs while it stands here: what is frozen
        is not where nobody knows how cold it is. Its clock runs there, though such a place takes it.
        """
        if self.temperature is None and condition == Condition.FROZEN.value:
            return False
        return not self.lifted and suits(condition, self.temperature)


def takes_everything(purposes: Iterable[str]) -> bool:
    """Say whether everything is accepted in a place. `purposes`: its own and those of what it stands in."""
    return any(purpose != "storage" for purpose in purposes)


def standing_of(chain: "list[Any]") -> Standing:
    """Return the standing of a container. `chain`: its row and those it stands in, from the inside out."""
    temperature, own = class_around(chain), up_to_its_cold(chain)[-1]
    return Standing(
        chain[0].code,
        temperature,
        own_class(own.kind, None) if temperature is None else None,
        own.code if temperature is None else None,
        isolated=any(row.isolated for row in chain),
        safe=takes_everything(row.purpose for row in chain),
        lifted=any(row.lifted_at is not None for row in chain),
        site=chain[-1].site_code,
        clinic=chain[-1].site_code if chain[-1].site_kind == CLINIC else None,
    )


def class_around(chain: "list[Any]") -> str | None:
    """Return the temperature class that reaches a container; None where nobody said how cold it is around it. Pure.

    What is said of a rack or a box makes no room, tank or freezer cold: it counts only where that stands in none of them.
    """
    reached = up_to_its_cold(chain)
    cooling = [row for row in reached if row.kind in COOLING]
    said = [row.temperature_class for row in cooling or reached if row.temperature_class is not None]
    # As its limits have it: a room that nobody gave a class keeps nothing frozen.
    return next(iter(said), "ambient" if reached[-1].kind == "room" else None)


def up_to_its_cold(chain: "list[Any]") -> "list[Any]":
    """Cut a chain after the first that keeps its own cold: what is said of the room is not said of the tank in it."""
    own = next((depth for depth, row in enumerate(chain) if keeps_its_own_cold(row.kind, row.temperature_class)), len(chain))
    return chain[: own + 1]


def suits(condition: str, temperature_class: str | None) -> bool:
    """Say whether a place of `temperature_class` keeps a specimen of `condition`. A place without a class takes anything."""
    return temperature_class is None or temperature_class in SUITABLE[Condition(condition)]


def place_faults(specimen: Snapshot, place: Standing) -> list[Conflict]:
    """Return everything that is wrong with this tube in this place, the gravest first; empty when it may stand there.

    An ordinary place refuses for it; a quarantine or evacuation place takes the tube and says it.
    """
    others = (_infection(specimen, place), _leaving(specimen, place), _journey(specimen, place))
    return [*class_faults(specimen, place), *(fault for fault in others if fault is not None)]


def class_faults(specimen: Snapshot, place: Standing) -> list[Conflict]:
    """Return why this tube may not be as cold or as warm as a place, or a shipment, is: for its condition, for its material."""
    return [fault for rule in (_temperature, _material) if (fault := rule(specimen, place)) is not None]


def slot_fault(specimen: Snapshot, slot: Slot) -> Conflict | None:
    """Return why the tube may not go into a slot that was blocked or is kept for a donor, or None."""
    members = {"where_now": specimen.where_now, "subject": specimen.code}
    if slot.blocked is not None:
        return PositionBlocked(f"{slot.label} is blocked: {words(slot.blocked).lower()}. Choose another place.", **members)
    if slot.kept_for is not None and slot.kept_for != specimen.donor_code:
        return PositionKept(f"{slot.label} is kept for the tubes of another donor. Choose another place.", **members)
    return None


def _leaving(specimen: Snapshot, place: Standing) -> Conflict | None:
    if place.clinic in (None, specimen.projection.site_code):
        return None
    return leaving_refusal(specimen, CLINIC)


def _journey(specimen: Snapshot, place: Standing) -> Conflict | None:
    """What is stored at one site is stored at another only after a journey: of a shipment, or one whose clock is running."""
    now = specimen.projection
    if specimen.state is not State.STORED or now.out_since is not None or now.site_code in (None, place.site):
        return None
    return TravelsBetweenSites(
        f"{specimen.code} is stored at {now.site_code} by the record, and {place.code} is at {place.site}. Send it with a "
        f"shipment. If somebody carries it, check it out at {now.site_code}, or lift its rack, before it goes.",
        where_now=specimen.where_now,
        subject=specimen.code,
        site=now.site_code,
    )


def _temperature(specimen: Snapshot, place: Standing) -> Conflict | None:
    condition = specimen.projection.condition
    if suits(condition, place.judged):
        return None
    return _wrong(WrongTemperature, specimen, place, condition, sorted(SUITABLE[Condition(condition)]))


def _material(specimen: Snapshot, place: Standing) -> Conflict | None:
    condition = Condition(specimen.projection.condition)
    if place.judged is None or condition is Condition.FREEZING or not suits(condition, place.judged):
        return None
    classes = material_of(specimen.material).classes_for(condition)
    if place.judged in classes:
        return None
    return _wrong(MaterialNotKeptThere, specimen, place, f"{condition} {words(specimen.material).lower()}", sorted(classes))


def _wrong(refusal: Callable[..., Conflict], specimen: Snapshot, place: Standing, what: str, classes: list[str]) -> Conflict:
    fitting = f"Choose a place of class {' or '.join(words(name) for name in classes)}." if classes else "Ask quality."
    unsaid = "" if place.unclassed is None else f", as far as anybody knows: nobody gave {place.unclassed} a class"
    return refusal(
        f"{specimen.code} is {what.replace('_', ' ')} and {place.code} is {words(place.judged)}{unsaid}. {fitting}",
        where_now=specimen.where_now,
        subject=specimen.code,
        temperature_class=place.judged,
    )


def _infection(specimen: Snapshot, place: Standing) -> Conflict | None:
    if specimen.kept_apart == place.isolated:
        return None
    sentence = (
        f"{specimen.code} is kept apart for infection and {place.code} is not an isolated place. Choose an isolated one."
        if specimen.kept_apart
        else f"{place.code} is for infectious material only, and {specimen.code} is not kept apart. Choose another place."
    )
    return KeptApart(sentence, where_now=specimen.where_now, subject=specimen.code)

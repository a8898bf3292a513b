"""What may be in the containers of a harvest, and whether every label of its kit is accounted for."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_codes
from biobank.foundation.codes import Prefix, parse_code
from biobank.foundation.errors import Conflict, MalformedRequest
from biobank.specimens.harvest_schemas import ContainerCollected, RecordHarvest
from biobank.specimens.materials import MATERIALS, MaterialName, Unit
from biobank.specimens.run_rules import UnitNotOfMaterial
from biobank.specimens.taking import KEEP, HarvestMethod, taking_refusal


class NotHarvested(Conflict):
    """This material is made in the laboratory, never taken from the person as it is."""

    code = "not_harvested"
    title = "Not a harvested material"


class CountsDiffer(Conflict):
    """The counts of follicles contradict each other or the amount, or are missing."""

    code = "counts_differ"
    title = "Counts do not agree"


class LabelOfAnotherMaterial(Conflict):
    """The label's code names another programme than the material in the container."""

    code = "label_of_another_material"
    title = "Wrong label for this material"


class LabelsNotReconciled(Conflict):
    """Not every label of the kit is on a container or listed as unused, or one is on two."""

    code = "labels_not_reconciled"
    title = "Labels not accounted for"


class KitNeeded(Conflict):
    """Without a kit nothing says which programme the material is for."""

    code = "kit_needed"
    title = "A kit is needed"


def require_takeable(request: RecordHarvest) -> None:
    """Check what is in each container and how it was taken. Raises NotHarvested, UnitNotOfMaterial, NotTakenSo, CountsDiffer."""
    for container in request.containers:
        material = MATERIALS[container.material]
        if not material.harvested:
            raise NotHarvested(
                f"{material.title} is made in the laboratory. Record what was taken, then its processing.", where_now=KEEP
            )
        if container.unit not in material.units:
            units = " or ".join(unit.value for unit in material.units)
            raise UnitNotOfMaterial(f"{material.title} is counted in {units}.", where_now=KEEP)
        wrong = taking_refusal(container.material, *way_of(request, container))
        if wrong is not None:
            raise wrong
        _require_counts(container)


def way_of(request: RecordHarvest, container: ContainerCollected) -> tuple[HarvestMethod, str]:
    """Return how and from where a container was filled: its own word, else that of the visit (one of them is there)."""
    method, site = container.method or request.method, container.anatomical_site or request.anatomical_site
    assert method is not None, "the request was checked for it"
    assert site is not None, "and for this"
    return method, site


def _require_counts(container: ContainerCollected) -> None:
    """Follicular units are not follicles, and cut follicles are counted apart: all three, and they agree with the amount."""
    counts = (container.follicular_units, container.follicles, container.transected)
    if container.material is not MaterialName.INTACT_FOLLICLES:
        if any(count is not None for count in counts):
            raise CountsDiffer("Only follicles are counted as follicles; leave the counts out.", where_now=KEEP)
        return
    units, follicles, transected = counts
    if units is None or follicles is None or transected is None:
        raise CountsDiffer("Count follicular units, follicles and transected follicles: all three.", where_now=KEEP)
    if transected > follicles or units > follicles:
        raise CountsDiffer(
            f"{units} follicular units, {follicles} follicles, {transected} transected: there are never more units or cut "
            "follicles than follicles. Count again.",
            where_now=KEEP,
        )
    counted = follicles if container.unit is Unit.FOLLICLES else units
    if container.amount != counted:
        raise CountsDiffer(
            f"The amount says {container.amount} and the count {counted}. Give the same number.",
            where_now=KEEP,
        )


def require_reconciled(request: RecordHarvest, labels: set[str]) -> list[str]:
    """Return the codes on the containers, in their order, when each label of the kit is used or listed as unused, once.

    Raises LabelsNotReconciled, LabelOfAnotherMaterial; MalformedRequest when a container names no label.
    """
    used = [container.specimen for container in request.containers if container.specimen is not None]
    if len(used) != len(request.containers):
        raise MalformedRequest("Scan the label on every container: this kit came with labels.")
    told = used + request.unused
    foreign = sorted(set(told) - labels)
    missing = sorted(labels - set(told))
    twice = sorted({code for code in told if told.count(code) > 1})
    for codes, words in (
        (foreign, "are not labels of this kit"),
        (twice, "stand twice"),
        (missing, "are neither on a container nor listed as unused"),
    ):
        if codes:
            raise LabelsNotReconciled(
                f"{', '.join(codes)} {words}. Find every label of {request.kit} before the harvest is closed.",
                where_now=KEEP,
                subject=request.kit,
                labels=codes,
            )
    for container, code in zip(request.containers, used, strict=True):
        if parse_code(code).prefix not in MATERIALS[container.material].prefixes:
            raise LabelOfAnotherMaterial(
                f"{code} is not a label for {MATERIALS[container.material].title.lower()}. Check what is in the container.",
                where_now=KEEP,
                subject=code,
            )
    return used


def allocate_codes(session: Session, act: Act, request: RecordHarvest) -> list[str]:
    """Return new codes for a harvest without a kit.

    Blood takes the programme of what is taken with it. Raises KitNeeded when only blood is taken, MalformedRequest when a
    label is named although there is no kit.
    """
    if request.unused or any(container.specimen is not None for container in request.containers):
        raise MalformedRequest("Labels belong to a kit. Name the kit, or leave the labels out.")
    choices = [MATERIALS[container.material].prefixes for container in request.containers]
    programme: Prefix | None = next((prefixes[0] for prefixes in choices if len(prefixes) == 1), None)
    chosen = [prefixes[0] if len(prefixes) == 1 else programme for prefixes in choices]
    if any(prefix is None for prefix in chosen):
        raise KitNeeded("Blood alone is collected with a kit, whose labels say what it is for.", where_now=KEEP)
    year = act.at.year % 100
    fresh = {
        prefix: iter(new_codes(session, prefix.value, chosen.count(prefix), year=year))
        for prefix in dict.fromkeys(chosen)
        if prefix is not None
    }
    return [next(fresh[prefix]) for prefix in chosen if prefix is not None]

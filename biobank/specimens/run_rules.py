"""May this run be? The rules of a run that makes specimens, as pure functions of what goes in and what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from biobank.custody.legality import Snapshot
from biobank.custody.states import Condition
from biobank.foundation.errors import Conflict, Refusal
from biobank.specimens.amounts import said, unit_shown
from biobank.specimens.materials import MATERIALS, MaterialName, Unit, material_of
from biobank.specimens.processes import Balance, PassageRule, Process

THERAPEUTIC: Final = "therapeutic"


class RunRefused(Conflict):
    """The run breaks a rule of its process."""

    code = "run_refused"
    title = "Not a possible run"


class SeveralDonors(RunRefused):
    """The inputs are of more than one person: nothing is ever made from two people's cells."""

    code = "several_donors"
    title = "Inputs of several donors"


class MaterialNotTaken(RunRefused):
    """The process does not take this material."""

    code = "material_not_taken"
    title = "This process does not take it"


class MaterialNotMade(RunRefused):
    """The process does not make this material from that one."""

    code = "material_not_made"
    title = "This process does not make it"


class UnitNotOfMaterial(RunRefused):
    """The amount is counted in a unit that the material (or the process) does not have."""

    code = "unit_not_of_material"
    title = "Wrong unit"


class FrozenInput(RunRefused):
    """A frozen specimen is thawed first, as an act of its own."""

    code = "thaw_first"
    title = "Frozen: thaw first"


class PassageOutOfStep(RunRefused):
    """The passage number does not follow from the inputs'."""

    code = "passage_out_of_step"
    title = "Passage number out of step"


class PassageBeyondLimit(RunRefused):
    """The site does not grow this material so far for treatment."""

    code = "passage_beyond_limit"
    title = "Grown too far"


class OutOfBalance(RunRefused):
    """More came out than went in, or the parts do not add up."""

    code = "out_of_balance"
    title = "Amounts do not add up"


class NotEnoughLeft(RunRefused):
    """The specimen holds less than the run says it used."""

    code = "not_enough_left"
    title = "Not enough left"


class VesselsNotStated(RunRefused):
    """A culture is one specimen with a number of vessels; nothing else has vessels."""

    code = "vessels_not_stated"
    title = "Vessel count"


class NotForTherapy(RunRefused):
    """What was set aside for tests or retained never becomes therapeutic again."""

    code = "not_for_therapy"
    title = "Not for therapy"


@dataclass(frozen=True, slots=True)
class Use:
    """An input: the specimen as it is, how much of it went in, and whether that was all of it."""

    specimen: Snapshot
    amount: int
    consumed: bool


@dataclass(frozen=True, slots=True)
class Making:
    """An output: `count` containers alike, of `amount` each."""

    material: MaterialName
    unit: Unit
    amount: int
    count: int
    purpose: str = THERAPEUTIC
    passage: int | None = None
    vessel_count: int | None = None


def refusal_of_run(process: Process, uses: Sequence[Use], makings: Sequence[Making], loss: int) -> Refusal | None:
    """Return why this run cannot be, or None. `uses` and `makings` are not empty; `loss` is in the unit of the inputs."""
    if len({use.specimen.donor_code for use in uses}) > 1:
        return SeveralDonors(
            "These specimens are of more than one donor. Clear the bench, keep one donor's tubes, and scan again.",
            subject=uses[0].specimen.code,
            specimens=[use.specimen.code for use in uses],
        )
    if len({use.specimen.unit for use in uses}) > 1:
        units = " and ".join(sorted({use.specimen.unit for use in uses}))
        return OutOfBalance(f"Amounts in {units} cannot be added. Run them apart.", subject=uses[0].specimen.code)
    for use in uses:
        refusal = _input_refusal(process, use)
        if refusal is not None:
            return refusal
    for making in makings:
        refusal = _output_refusal(process, uses, making)
        if refusal is not None:
            return refusal
    return _balance_refusal(process, uses, makings, loss)


def condition_after(process: Process, uses: Sequence[Use]) -> Condition:
    """Return the condition of what comes out.

    A culture is in culture. Everything else is as its inputs: cells that were thawed and not cultured since stay thawed, so
    that no run can turn them back into something that looks never frozen.
    """
    if process.culture:
        return Condition.IN_CULTURE
    if process.leaves_input:
        return Condition.FRESH
    thawed = any(use.specimen.projection.condition == Condition.THAWED for use in uses)
    return Condition.THAWED if thawed else Condition.FRESH


def used_total(uses: Sequence[Use]) -> int:
    """Return the amount that went in."""
    return sum(use.amount for use in uses)


def made_total(makings: Sequence[Making]) -> int:
    """Return the amount that came out."""
    return sum(making.amount * making.count for making in makings)


def _input_refusal(process: Process, use: Use) -> Refusal | None:
    specimen = use.specimen
    members = {"subject": specimen.code, "where_now": specimen.where_now}
    if specimen.material not in process.makes:
        taken = " or ".join(MATERIALS[name].title.lower() for name in process.makes)
        return MaterialNotTaken(
            f"{specimen.code} is {material_of(specimen.material).title.lower()}; this process takes {taken}.", **members
        )
    if process.units is not None and specimen.unit != process.units[0]:
        return UnitNotOfMaterial(
            f"{specimen.code} is counted in {unit_shown(specimen.unit)}; this process takes {unit_shown(process.units[0])}.",
            **members,
        )
    if specimen.projection.condition in {Condition.FROZEN, Condition.FREEZING}:
        return FrozenInput(f"{specimen.code} is frozen. Record its thawing first, then this run.", **members)
    left = specimen.projection.amount
    if use.amount > left:
        return NotEnoughLeft(
            f"{specimen.code} holds {said(left, specimen.unit)}, and this run says it used {said(use.amount, specimen.unit)}. "
            "Check the amount.",
            left=left,
            **members,
        )
    if use.consumed and use.amount != left:
        return OutOfBalance(
            f"{specimen.code} holds {said(left, specimen.unit)}: using {said(use.amount, specimen.unit)} does not use it up. Say "
            "that something is left; it is stored or discarded on its own.",
            left=left,
            **members,
        )
    if use.amount == 0 and not process.leaves_input:
        return OutOfBalance(f"This run uses nothing of {specimen.code}. State how much went in.", **members)
    return None


def _output_refusal(process: Process, uses: Sequence[Use], making: Making) -> Refusal | None:
    made, subject = MATERIALS[making.material], uses[0].specimen.code
    for use in uses:
        if making.material not in process.makes[MaterialName(use.specimen.material)]:
            origin = material_of(use.specimen.material).title.lower()
            return MaterialNotMade(f"This process does not make {made.title.lower()} from {origin}.", subject=subject)
    unit_out = process.units[1] if process.units is not None else None
    if making.unit not in made.units or (unit_out is not None and making.unit is not unit_out):
        units = " or ".join(unit_shown(unit) for unit in ((unit_out,) if unit_out is not None else made.units))
        return UnitNotOfMaterial(
            f"What this process makes is counted in {units}, not {unit_shown(making.unit)}.", subject=subject
        )
    if making.purpose == THERAPEUTIC and (process.tests_only or any(u.specimen.purpose != THERAPEUTIC for u in uses)):
        return NotForTherapy(
            "This output cannot be therapeutic: it is a test sample or comes from one. Give it the purpose qc or retained.",
            subject=subject,
        )
    if process.culture and (making.vessel_count is None or making.count != 1):
        return VesselsNotStated(
            "A culture is one specimen, in however many vessels. Enter it once, with the number of its vessels.", subject=subject
        )
    if not process.culture and making.vessel_count is not None:
        return VesselsNotStated("Only a culture has vessels. Leave their number out.", subject=subject)
    return _passage_refusal(process, uses, making)


def _passage_refusal(process: Process, uses: Sequence[Use], making: Making) -> Refusal | None:
    due: int | None = None
    if MATERIALS[making.material].passaged:
        passages = {use.specimen.passage for use in uses}
        if process.passage is PassageRule.FIRST:
            due = 0
        elif len(passages) > 1 or None in passages:
            return PassageOutOfStep(
                "These inputs are of different passages. Run them one passage at a time.", subject=uses[0].specimen.code
            )
        else:
            (parent,) = passages
            due = (parent or 0) + (1 if process.passage is PassageRule.NEXT else 0)
    if making.passage != due:
        passage = "no passage number" if making.passage is None else f"passage {making.passage}"
        right = "has none" if due is None else f"is passage {due}"
        return PassageOutOfStep(
            f"You say {passage}; what comes out of this run {right}.", subject=uses[0].specimen.code, passage_due=due
        )
    return None


def _balance_refusal(process: Process, uses: Sequence[Use], makings: Sequence[Making], loss: int) -> Refusal | None:
    used, made, subject = used_total(uses), made_total(makings), uses[0].specimen.code
    if process.balance is not Balance.CONSERVED and loss:
        return OutOfBalance("A loss is stated only where amounts are conserved. Leave it out.", subject=subject)
    if process.balance is Balance.CONSERVED:
        unit = uses[0].specimen.unit
        if any(making.unit != unit for making in makings):
            return OutOfBalance(f"Splitting keeps the unit: count what comes out in {unit_shown(unit)} too.", subject=subject)
        if used != made + loss:
            return OutOfBalance(
                f"{said(used, unit)} went in, {said(made, unit)} came out and {said(loss, unit)} is stated as lost: that does "
                "not add up.",
                subject=subject,
                used=used,
                made=made,
                loss=loss,
            )
    if process.balance is Balance.SHRINKS and made > used:
        return OutOfBalance(
            f"More came out ({made}) than went in ({used}). Check the amounts.", subject=subject, used=used, made=made
        )
    return None

"""How PRP and PRF were prepared from blood at the visit: what is asked, what is refused, and what may be said of them.

Asked of both: the device, from the registers, and every spin. Of PRP also the platelets of the blood before and of the product
after; whoever did not count says so and why, for a number that nobody counted is no number. PRF is a clot: nothing in it can be
counted, so nothing is asked.

How many times the platelets of the blood are in the product follows from both counts and from nothing else. What the platelets
hold was measured by nobody here (`GROWTH_FACTORS`). Read about it: counts in PRP of one way of making it did not follow the
donor's own (158 donors, Weibrich 2001, PMID 11669252); four devices gave different contents from the same blood (2022,
doi 10.5312/wjo.v13.i6.587, twelve volunteers). Nothing here is a claim about an effect.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.shapes import EquipmentCode, Strict
from biobank.specimens.taking import KEEP

PREPARED: Final = (MaterialName.PRP, MaterialName.PRF)
"""What is prepared from blood before its container is closed."""
GROWTH_FACTORS: Final = "Its growth factors were not measured; they differ between people and between preparations."
PER_UL: Final = 1000
"""One 10⁹ a litre is so many a microlitre."""

NotCounted = Literal["no_counter", "counter_out_of_order", "too_little_material", "platelets_clumped"]
Platelets = Annotated[int, Field(ge=1 * PER_UL, le=20_000 * PER_UL, description="Platelets in a microlitre.")]
Force = Annotated[int, Field(strict=True, ge=10, le=10_000, description="Relative centrifugal force, in g.")]
Minutes = Annotated[int, Field(strict=True, ge=1, le=120)]


class PreparationMissing(Conflict):
    """PRP or PRF without its device and spins, or PRP without counts of platelets and without a word why."""

    code = "preparation_missing"
    title = "Its preparation is missing"


class PreparationOfSomethingElse(Conflict):
    """A preparation is stated of what none of the containers holds, twice of one material, or with what it cannot have."""

    code = "preparation_of_something_else"
    title = "Not the preparation of this"


class Spin(Strict):
    """One run of the centrifuge."""

    force_g: Force
    minutes: Minutes


class Prepared(Strict):
    """How all containers of PRP, or all of PRF, of a visit were prepared."""

    material: Literal[MaterialName.PRP, MaterialName.PRF]
    prepared_with: EquipmentCode = Field(description="The centrifuge or the preparation system, from the registers.")
    spins: Annotated[list[Spin], Field(min_length=1, max_length=4)]
    blood_platelets_per_ul: Platelets | None = Field(default=None, description="PRP only: of the blood before the first spin.")
    product_platelets_per_ul: Platelets | None = Field(default=None, description="PRP only: of what was made.")
    not_counted: NotCounted | None = Field(default=None, description="PRP only: why one of the counts is missing, or both.")


class PreparationPublic(BaseModel):
    """How the PRP or PRF in a container was prepared."""

    specimen: str = Field(description="The container that was filled at the visit.")
    recorded: bool = Field(description="False: nobody recorded it, as of what was taken over from another bank.")
    prepared_with: str | None = None
    spins: list[Spin] = []
    blood_platelets_per_ul: int | None = None
    product_platelets_per_ul: int | None = None
    not_counted: str | None = None
    platelets_tenths_of_blood: int | None = Field(
        default=None,
        description="42: 4.2 times as many as in the blood; cut off, not rounded. Null when a count lacks.",
    )
    content: str = GROWTH_FACTORS

    @property
    def said(self) -> str:
        """The preparation in words; nothing of what is not known."""
        if not self.recorded:
            return "Not recorded"
        spins = ", then ".join(f"{one.force_g} g for {one.minutes} min" for one in self.spins)
        return " · ".join(filter(None, (f"{self.prepared_with}: {spins}", self.platelets_said)))

    @property
    def platelets_said(self) -> str | None:
        """What was counted of the platelets, and why not where somebody said so; None of a clot."""
        counts = (("blood", self.blood_platelets_per_ul), ("product", self.product_platelets_per_ul))
        parts = [f"{name} {_per_litre(count)}" for name, count in counts if count is not None]
        if self.platelets_tenths_of_blood is not None:
            whole, tenth = divmod(self.platelets_tenths_of_blood, 10)
            parts.append(f"platelets {whole}.{tenth} × blood")
        if self.not_counted is not None:
            lacking = [name for name, count in counts if count is None]
            parts.append(f"platelets of {' and '.join(lacking)} not counted: {words(self.not_counted).lower()}")
        return ", ".join(parts) or None


def require_prepared(materials: Sequence[MaterialName], stated: Sequence[Prepared]) -> dict[MaterialName, Prepared]:
    """Return the preparation of each material of a visit that has one. Raises PreparationMissing, PreparationOfSomethingElse."""
    of: dict[MaterialName, Prepared] = {}
    for one in stated:
        title = MATERIALS[one.material].title
        if one.material in of:
            raise PreparationOfSomethingElse(
                f"{title}: two preparations. Record what was prepared otherwise as a harvest of its own.", where_now=KEEP
            )
        if one.material not in materials:
            raise PreparationOfSomethingElse(f"No container holds {title.lower()}. Leave its preparation out.", where_now=KEEP)
        of[one.material] = one
    for material in dict.fromkeys(materials):
        if material in PREPARED and material not in of:
            raise PreparationMissing(
                f"{MATERIALS[material].title}: say how it was prepared, by which device and with which spins.", where_now=KEEP
            )
    for one in stated:
        _require_counted(one)
    return of


def _require_counted(one: Prepared) -> None:
    counts, title = (one.blood_platelets_per_ul, one.product_platelets_per_ul), MATERIALS[one.material].title
    if one.material is MaterialName.PRF:
        if any(said is not None for said in (*counts, one.not_counted)):
            raise PreparationOfSomethingElse(
                f"{title} is a clot: its platelets are not counted. Leave the counts and the reason out.", where_now=KEEP
            )
    elif None in counts and one.not_counted is None:
        raise PreparationMissing(
            f"{title}: give the platelets of the blood and of the product, or say why they were not counted.", where_now=KEEP
        )
    elif None not in counts and one.not_counted is not None:
        raise PreparationOfSomethingElse(
            f"{title}: both were counted, and a reason says that they were not. Leave one of them out.", where_now=KEEP
        )


def body_of(one: Prepared | None) -> dict[str, Any]:
    """Return what the first entry of a specimen says of its preparation; nothing where it has none."""
    if one is None:
        return {}
    said = one.model_dump(exclude={"material", "spins"})
    return said | {
        "spin_forces_g": tuple(spin.force_g for spin in one.spins),
        "spin_minutes": tuple(spin.minutes for spin in one.spins),
    }


def preparation_in(specimen: str, body: Mapping[str, Any]) -> PreparationPublic:
    """Return what a first entry with this body says: the other way of `body_of`, with what follows from the counts. Pure."""
    if body.get("prepared_with") is None:
        return PreparationPublic(specimen=specimen, recorded=False)
    blood, product = body["blood_platelets_per_ul"], body["product_platelets_per_ul"]
    return PreparationPublic(
        specimen=specimen,
        recorded=True,
        prepared_with=body["prepared_with"],
        spins=[
            Spin(force_g=force, minutes=minutes)
            for force, minutes in zip(body["spin_forces_g"], body["spin_minutes"], strict=True)
        ],
        blood_platelets_per_ul=blood,
        product_platelets_per_ul=product,
        not_counted=body["not_counted"],
        platelets_tenths_of_blood=None if blood is None or product is None else product * 10 // blood,
    )


def preparation_facts(prepared: Sequence[PreparationPublic]) -> list[tuple[str, str]]:
    """Return what pages and papers say of a preparation, with what is not known of its content. Pure."""
    facts = [("Prepared", one.said if len(prepared) == 1 else f"{one.specimen}: {one.said}") for one in prepared]
    return [*facts, ("Content", GROWTH_FACTORS)] if facts else []


def _per_litre(per_ul: int) -> str:
    return f"{Decimal(per_ul) / PER_UL:f} × 10⁹/L"

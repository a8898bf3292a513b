"""How much of a donor's material stays: what there is now, and setting the reserve of one material, signed."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.foundation.errors import NotFound
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.quality.reserves import (
    ReserveList,
    ReserveRequest,
    donor_for_reserves,
    list_reserves,
    set_reserve,
)
from biobank.specimens.materials import MATERIALS, MaterialName

router = APIRouter(include_in_schema=False)


def _reserves(session: Session, actor: Actor, asked: Asked) -> ReserveList:
    donor_for_reserves(session, actor, asked.code)
    found = list_reserves(session, actor, asked.code)
    if not found.items:
        raise NotFound(f"The bank has nothing of {asked.code}'s, so nothing of it can stay.", subject=asked.code)
    return found


def _draw(at: Opened[ReserveList]) -> ActForm:
    items = at.read.items
    units = {unit for item in items for unit in MATERIALS[MaterialName(item.material)].units}
    return ActForm(
        title="Set the reserve",
        submit="Sign and set",
        icon="pen",
        lead="Giving away or ending what would leave less than this takes a second signature of quality, or is refused. Say "
        "units (containers), an amount with its measure, or both; leave all empty to keep no reserve. Two of quality sign what "
        "lowers it. Now: " + " ".join(item.sentence for item in items),
        labels={"units": "Units that stay", "amount": "Amount that stays", "unit": "Measured in"},
        options={
            "material": [(item.material, MATERIALS[MaterialName(item.material)].title) for item in items],
            "unit": [("", "–"), *((unit.value, unit.value.replace("_", " ")) for unit in sorted(units))],
        },
        statement=f"You set how much of {at.code}'s material stays in the bank.",
        said="I decide this reserve for the donor.",
    )


def _done(at: Opened[ReserveList], _body: ReserveRequest, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "pending":
        return Done(f"/donors/{at.code}", "Proposed.", "Two of quality sign what lowers a reserve; the second finds it on Today.")
    return Done(f"/donors/{at.code}", "The reserve is set.", answer["sentence"])


ActPage(
    address="/donors/{code}/reserve",
    reads=_reserves,
    form=_draw,
    model=ReserveRequest,
    names=("material", "units", "amount", "unit"),
    meaning=Meaning.DECIDED,
    use_case=set_reserve,
    after=_done,
).on(router)

"""The clinician's request in two steps: say for whom and what, see what is there and why the rest is not, then ask.

With JavaScript the second step is drawn again while the first is typed; without, a button shows it. The same piece of page
serves both.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import NotFound
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.forms import FormFault, drawn, fields_of
from biobank.pages.ui.posted import Form
from biobank.pages.viability.presentation import dose_text
from biobank.pages.withdrawals.known import deviations_of, known_of
from biobank.specimens.amounts import read_amount, unit_shown
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.withdrawals import queries, service
from biobank.withdrawals.schemas import Feasibility, WithdrawalRequest
from biobank.withdrawals.workflow import Route

router = APIRouter(include_in_schema=False)

FIRST = ("donor", "material", "route")
LAST = ("units", "minimum_amount", "needed_at", "indication")
ROUTES = (
    (Route.SHIP_FROZEN.value, "Ship frozen, thaw at the chair"),
    (Route.THAW_AND_SHIP.value, "Thaw and prepare here, then ship"),
    (Route.SHIP_FRESH.value, "Ship fresh from culture"),
    (Route.EXPAND.value, "Grow more in a new run, and ask for what comes out"),
)


def _clean(form: Form) -> dict[str, str]:
    """Return what of the first step can be asked about; anything else counts as not typed yet."""
    wanted = {name: form.get(name, "")[:40] for name in FIRST} | {"donor": form.get("donor", "")[:40].upper()}
    known: dict[str, set[str]] = {"material": {str(name) for name in MATERIALS}, "route": {one.value for one in Route}}
    return {name: value for name, value in wanted.items() if value and (name == "donor" or value in known[name])}


@dataclass(frozen=True)
class Possible:
    """The first step as it was asked, and what there is for it. `unknown`: the reader may know of no such donor."""

    asked: dict[str, str]
    found: Feasibility | None = None
    unknown: NotFound | None = None

    @property
    def together(self) -> Any:
        """What the usable tubes hold together, when they are of one unit."""
        units = {item.unit for item in self.found.items if item.usable} if self.found else set()
        return quantity(self.found.amount, units.pop()) if self.found is not None and len(units) == 1 else None


def _read(session: Session, actor: Actor, asked: Asked) -> Possible:
    actor.require(Permission.WITHDRAWAL_REQUEST, at=ANYWHERE)
    wanted = _clean(asked.form)
    if "donor" not in wanted:
        return Possible(wanted)
    route = Route(wanted["route"]) if "route" in wanted else None
    try:
        found = queries.feasibility(session, actor, wanted["donor"], material=wanted.get("material"), route=route)
    except NotFound as unknown:
        return Possible(wanted, unknown=unknown)
    return Possible(wanted, found)


def _shows(at: Opened[Possible]) -> dict[str, Any]:
    found = at.read.found
    units = {item.unit for item in found.items if item.usable} if found else set()
    measure = f" ({unit_shown(units.pop())})" if len(units) == 1 else ""
    labels = {
        "units": "How many tubes, when none is chosen",
        "minimum_amount": f"The least that they must hold together{measure}, if it matters",
        "needed_at": "When they are needed",
    }
    return {
        "asked": at.read.asked,
        "materials": [(name, MATERIALS[name].title) for name in sorted(MATERIALS)],
        "routes": ROUTES,
        "found": found,
        "tubes": [
            item.model_dump() | {"amount": amount_text(item.amount, item.unit), "dose": item.dose and dose_text(item.dose)}
            for item in (found.items if found else [])
        ],
        "together": at.read.together,
        "allergies": [] if found is None else found.allergies,
        **({} if found is None else known_of(found.units, found.tests, found.harm, found.near_misses)),
        **({} if found is None else deviations_of(found.deviations)),
        "expected": None if found is None or found.dose.dose is None else dose_text(found.dose.dose),
        "expected_of": 0 if found is None else found.dose.vials,
        "chosen": at.form.all_of("specimens"),
        "last": fields_of(WithdrawalRequest, *LAST, values={"units": "1"} | at.form, labels=labels),
    }


def _least(at: Acting[Possible]) -> dict[str, int]:
    """Return the least amount as it was typed, in the unit of what is there; raise FormFault."""
    typed = at.form.get("minimum_amount")
    if typed is None:
        return {}
    units = {item.unit for item in at.read.found.items} if at.read.found is not None else set()
    if len(units) != 1:
        raise FormFault({"minimum_amount": "The least amount: choose the material first, or leave it empty and tick tubes."})
    try:
        return {"minimum_amount": read_amount(typed, units.pop())}
    except ValueError as error:
        raise FormFault({"minimum_amount": f"The least amount: {error}"}) from None


ActPage(
    address="/withdrawals/new",
    asks=FIRST,
    reads=_read,
    form=lambda at: OwnPage("withdrawal_new.html", **drawn(at.refusal or at.read.unknown), **_shows(at)),
    model=WithdrawalRequest,
    names=(*FIRST, "specimens", *LAST),
    given=_least,
    more=(),
    use_case=service.request_withdrawal,
    after=lambda _at, _body, answer: Done(f"/withdrawals/{answer['code']}", "Requested.", "Quality looks at it next."),
).on(router)

# The second step alone, for a page that is being typed into. An unknown code is no error: it may be half typed.
ActPage(
    address="/withdrawals/new/feasibility",
    asks=FIRST,
    reads=_read,
    form=lambda at: OwnPage("withdrawal_feasibility.html", **_shows(at)),
    model=WithdrawalRequest,
).shows(router)


def route_words(route: str) -> str:
    """Return how a route is told to people."""
    return dict(ROUTES).get(route) or words(route)

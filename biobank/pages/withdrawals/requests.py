"""The clinician's request in two steps: say for whom and what, see what is there and why the rest is not, then ask.

With JavaScript the second step is drawn again while the first is typed; without, a button shows it. The same piece of page
serves both.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import quantity
from biobank.pages.ui.forms import drawn, fields_of, parse
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.pages.viability.presentation import dose_text
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.withdrawals import queries, service
from biobank.withdrawals.schemas import Feasibility, WithdrawalRequest
from biobank.withdrawals.workflow import Route

router = APIRouter(include_in_schema=False)

Typed = Annotated[str, Query(max_length=40)]
REQUESTED = ("donor", "material", "route", "specimens", "units", "needed_at", "indication")
ROUTES = (
    (Route.SHIP_FROZEN.value, "Ship frozen, thaw at the chair"),
    (Route.THAW_AND_SHIP.value, "Thaw and prepare here, then ship"),
    (Route.SHIP_FRESH.value, "Ship fresh from culture"),
)


def _clean(donor: str, material: str, route: str) -> dict[str, str]:
    """Return what of the first step can be asked about; anything else counts as not typed yet."""
    wanted = {"donor": donor.strip().upper(), "material": material.strip(), "route": route.strip()}
    known: dict[str, set[str]] = {"material": {str(name) for name in MATERIALS}, "route": {one.value for one in Route}}
    return {name: value for name, value in wanted.items() if value and (name == "donor" or value in known[name])}


@router.get("/withdrawals/new")
async def show_new(
    request: Request, reading: PageReading, donor: Typed = "", material: Typed = "", route: Typed = ""
) -> Response:
    """Draw the request: the first step, and the second once a donor is named."""
    return await _draw(request, reading, "withdrawal_new.html", _clean(donor, material, route))


@router.get("/withdrawals/new/feasibility")
async def show_feasibility(
    request: Request, reading: PageReading, donor: Typed = "", material: Typed = "", route: Typed = ""
) -> Response:
    """Draw the second step alone, for a page that is being typed into. An unknown code is no error: it may be half typed."""
    return await _draw(request, reading, "withdrawal_feasibility.html", _clean(donor, material, route), quiet=True)


async def _draw(
    request: Request,
    reading: PageReading,
    template: str,
    asked: Mapping[str, str],
    *,
    typed: Mapping[str, str] | None = None,
    chosen: Sequence[str] = (),
    refusal: Refusal | None = None,
    quiet: bool = False,
) -> Response:
    request.state.actor.require(Permission.WITHDRAWAL_REQUEST, at=ANYWHERE)
    found: Feasibility | None = None
    if "donor" in asked:
        route = Route(asked["route"]) if "route" in asked else None
        try:
            found = await reading(queries.feasibility, asked["donor"], material=asked.get("material"), route=route)
        except NotFound as unknown:
            refusal = refusal or (None if quiet else unknown)
    return render(
        request,
        template,
        asked=asked,
        materials=[(name, MATERIALS[name].title) for name in sorted(MATERIALS)],
        routes=ROUTES,
        found=found,
        tubes=[
            item.model_dump() | {"amount": amount_text(item.amount, item.unit), "dose": item.dose and dose_text(item.dose)}
            for item in (found.items if found else [])
        ],
        together=_together(found),
        expected=None if found is None or found.dose.dose is None else dose_text(found.dose.dose),
        expected_of=0 if found is None else found.dose.vials,
        chosen=chosen,
        last=fields_of(
            WithdrawalRequest,
            "units",
            "needed_at",
            "indication",
            values={"units": "1"} | dict(typed or {}),
            labels={"units": "How many tubes, when none is chosen", "needed_at": "When they are needed"},
        ),
        **drawn(refusal),
    )


def _together(found: Feasibility | None) -> Any:
    """What the usable tubes hold together, when they are of one unit."""
    units = {item.unit for item in found.items if item.usable} if found else set()
    return quantity(found.amount, units.pop()) if found is not None and len(units) == 1 else None


@router.post("/withdrawals/new")
async def request_withdrawal(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Ask for a person's own cells back."""
    form = performing.form

    async def act() -> Response:
        body = parse(WithdrawalRequest, form, request.state.zone, *REQUESTED)
        answer = await performing(service.request_withdrawal, body)
        return await performing.done(f"/withdrawals/{answer['code']}", "Requested.", "Quality looks at it next.")

    asked = _clean(*(form.get(name, "")[:40] for name in ("donor", "material", "route")))
    tubes = form.all_of("specimens")
    return await or_again(
        act(),
        lambda refusal: _draw(request, reading, "withdrawal_new.html", asked, typed=form, chosen=tubes, refusal=refusal),
    )


def route_words(route: str) -> str:
    """Return how a route is told to people."""
    return dict(ROUTES).get(route) or words(route)

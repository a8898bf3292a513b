"""The first day of a bank: what is there, what is missing, and the page for each; it can be left and come back to at any time."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.scope import ANYWHERE
from biobank.labels.printers import printers
from biobank.pages.overview.set_up_state import read_set_up
from biobank.pages.ui.addresses import coming_back
from biobank.pages.ui.nav import opens
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

BY_THEMSELVES = ("/donors", "/scan")
"""Pages of which a step begins, and which do not lead back here."""


@router.get("/set-up")
async def show_set_up(request: Request, reading: PageReading) -> Response:
    """Draw the steps of setting a bank up, as they stand now."""
    steps = await reading.agreeing(read_set_up, list(printers(reading.bank.settings)))
    actor: Actor = request.state.actor
    checks = [one for step in steps for one in step.checks]
    return render(
        request,
        "set_up.html",
        steps=steps,
        done=sum(one.done for one in checks),
        all=len(checks),
        mine={one.what for one in checks if one.needs is not None and actor.may(one.needs, at=ANYWHERE)},
        coming_back=lambda href: href if href in BY_THEMSELVES else coming_back(href),
        opens=lambda href: opens(actor, href),
    )

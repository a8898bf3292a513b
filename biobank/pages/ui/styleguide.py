"""The style guide: every component with sample data. Mounted in test and demonstration mode only."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from biobank.pages.ui.styleguide_samples import sample_context
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/styleguide")
async def show_styleguide(request: Request) -> HTMLResponse:
    """Draw `styleguide.html`. Public: it shows nothing of the bank."""
    return render(request, "styleguide.html", **sample_context())

"""Names of the registers for the fields that offer them while somebody types (`registered.js`)."""

from typing import Final, get_args

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from biobank.foundation.errors import MalformedRequest
from biobank.foundation.terms import words
from biobank.pages.ui.session import PageReading, Visiting, posted_form
from biobank.registers.queries import names_in_use
from biobank.registers.schemas import RegisterKind

router = APIRouter(include_in_schema=False)

KINDS: Final[tuple[RegisterKind, ...]] = get_args(RegisterKind)


@router.post("/registers/names")
async def offer_names(request: Request, page: Visiting, reading: PageReading) -> JSONResponse:
    """Answer the names of one kind that are in use; a reason as people read it."""
    kind = (await posted_form(request, page, "kind")).get("kind", "")
    wanted = next((one for one in KINDS if one == kind), None)
    if wanted is None:
        raise MalformedRequest("Ask for one kind of the registers.")
    names = await reading(names_in_use, wanted)
    said = [words(name) if kind == "reason" else name for name in names]
    return JSONResponse({"names": said}, headers={"Cache-Control": "no-store"})

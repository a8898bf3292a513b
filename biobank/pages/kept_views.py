"""Keeping a view of any list, and forgetting it: both lead back to the list."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from biobank.exports.saved_views import forget_view, keep_view
from biobank.foundation.errors import NotFound
from biobank.pages.ui.listing import LISTINGS, Listing
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PagePerforming

router = APIRouter(include_in_schema=False)


def _list_of(form: Form) -> Listing:
    found = LISTINGS.get(form.get("list", ""))
    if found is None:
        raise NotFound("There is no such list.")
    return found


@router.post("/views")
async def keep(performing: PagePerforming) -> Response:
    """Keep the view that stands on the page, once it can be shown."""
    of = _list_of(performing.form)
    query, site = of.chosen(performing.form), performing.form.get("for_site")
    await performing(keep_view, of.address, query, site)
    shared = f"Whoever works at {site} finds it here." if site else "You find it here."
    return await performing.done(of.address_of(query), "The view is kept.", shared)


@router.post("/views/{view_id}/forget")
async def forget(view_id: UUID, performing: PagePerforming) -> Response:
    """Forget one of one's own views."""
    of = _list_of(performing.form)
    await performing(forget_view, view_id)
    return await performing.done(of.address, "The view is forgotten.")

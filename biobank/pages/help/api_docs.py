"""The documentation of the API as a page: every call of `/openapi.json`, drawn by Swagger UI, under the policy of every page.

Swagger UI comes as files of an installed package and stands in no folder of ours. The page shows; it sends nothing: an act
belongs to a program of somebody's own, with its key, its signature and the history that it saw (docs/adr 43).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.pages.ui.assets import VersionedStatic
from biobank.pages.ui.session import Visiting
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

DOCS: Final = "/docs"


def _files() -> Path:
    # Found and not imported: the package would import what it does for others.
    found = find_spec("fastapi_standalone_docs")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static" / "swagger"


SWAGGER = VersionedStatic(_files(), prefix="/swagger")
"""The files of Swagger UI: `app.mount(SWAGGER.prefix, SWAGGER)`."""


@router.get(DOCS)
async def show_api(request: Request, _page: Visiting) -> Response:
    """Draw the documentation."""
    return render(request, "api_docs.html", swagger=SWAGGER.url)

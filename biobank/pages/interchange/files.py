"""Files for other systems: what there is of a specimen or a donor, and the files themselves."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.snapshots import get_visible
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.errors import NotAcceptable
from biobank.interchange.formats import OF_A_DONOR, OF_A_SPECIMEN, FileFormat
from biobank.interchange.naming import Naming
from biobank.pages.ui.addresses import DonorCode, SpecimenCode
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render

router = APIRouter(include_in_schema=False)

Name = Annotated[str, Path(pattern=r"^[a-z0-9-]{2,40}$")]
COLUMNS = [Column("label", "Format"), Column("holds", "What is in it")]


def _page(request: Request, formats: Mapping[str, FileFormat], where: str, title: str, code: str) -> Response:
    rows = [
        {
            "label": one.label,
            "holds": one.holds,
            "href": f"/{where}/{code}/files/{one.name}",
            "act": "Download",
            "about": one.label,
        }
        for one in formats.values()
    ]
    return render(
        request,
        "dossier.html",
        kind="Files for other systems",
        code=code,
        trail=[(title, f"/{where}"), (code, f"/{where}/{code}"), ("Files for other systems", None)],
        acts=[],
        facts=[("Of", code)],
        tables=[("Files", COLUMNS, rows, "", "")],
        note="Nobody is named in them. What nobody recorded is left out.",
    )


async def _file(reading: PageReading, formats: Mapping[str, FileFormat], name: str, code: str) -> Response:
    chosen = formats.get(name)
    if chosen is None:
        raise NotAcceptable(f"There is no such file. There is {', '.join(one.label for one in formats.values())}.")
    data = await reading.agreeing(chosen.written, Naming.of(reading.bank.settings), code)
    headers = {"Content-Disposition": f'attachment; filename="{code}-{chosen.name}.{chosen.ending}"', "Cache-Control": "no-store"}
    return Response(data, media_type=chosen.media_type, headers=headers)


@router.get("/specimens/{code}/files")
async def show_specimen_files(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw which files there are of a specimen."""

    def query(session: Session, actor: Actor) -> str:
        return get_visible(session, actor, code).code

    return _page(request, OF_A_SPECIMEN, "specimens", "Specimens", await reading(query))


@router.get("/specimens/{code}/files/{name}")
async def fetch_specimen_file(code: SpecimenCode, name: Name, reading: PageReading) -> Response:
    """Send one."""
    return await _file(reading, OF_A_SPECIMEN, name, code)


@router.get("/donors/{code}/files")
async def show_donor_files(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw which files there are of a donor."""

    def query(session: Session, actor: Actor) -> str:
        return str(get_visible_donor(session, actor, code).code)

    return _page(request, OF_A_DONOR, "donors", "Donors", await reading(query))


@router.get("/donors/{code}/files/{name}")
async def fetch_donor_file(code: DonorCode, name: Name, reading: PageReading) -> Response:
    """Send one."""
    return await _file(reading, OF_A_DONOR, name, code)

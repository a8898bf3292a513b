"""Routes of labels."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from biobank.acts.web import Performing, Reading
from biobank.labels import prints
from biobank.labels.catalogue import catalogue
from biobank.labels.render import MEDIA_TYPES, Format
from biobank.labels.schemas import (
    PrintAnswer,
    PrintList,
    PrintRequest,
    TemplateList,
    TemplatePublic,
    VerifyAnswer,
    VerifyRequest,
)

router = APIRouter(prefix="/api/v1", tags=["labels"])
PathCode = Annotated[str, Path(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
BYTES = {200: {"content": {m: {} for m in sorted(set(MEDIA_TYPES.values()))}, "description": "The label."}}
UM_PER_MM = 1000


@router.get("/specimens/{code}/label", response_class=Response, responses=BYTES)  # type: ignore[arg-type]
async def preview_label(
    code: PathCode,
    reading: Reading,
    template: Annotated[str, Query(pattern=r"^[a-z0-9-]{2,60}$")] = "cryovial-25x13",
    format: Annotated[Literal["png", "svg", "pdf", "zpl"], Query()] = "png",
    dpi: Annotated[Literal["203", "300", "600"], Query()] = "300",
) -> Response:
    """The label as it would be printed now. A preview has no serial: printing is POST /label-sheets."""
    made = await reading(prints.preview, code.upper(), template, format, int(dpi), reading.bank.settings)
    return Response(made, media_type=MEDIA_TYPES[Format(format)], headers={"Cache-Control": "no-store"})


@router.get("/specimens/{code}/labels")
async def list_prints(code: PathCode, reading: Reading) -> PrintList:
    """Every label of this specimen that was ever printed."""
    return await reading(prints.prints_of, code.upper())


@router.post("/label-sheets", status_code=201)
async def print_labels(body: PrintRequest, performing: Performing) -> PrintAnswer:
    """Print labels: each gets a serial and an event; fetch the file at the address in the answer."""
    return await performing(prints.print_labels, body)


@router.get("/label-sheets/file", response_class=Response, responses=BYTES)  # type: ignore[arg-type]
async def printed_file(
    reading: Reading,
    serials: Annotated[str, Query(pattern=r"^[0-9]+(,[0-9]+)*$", max_length=6500)],
    format: Annotated[Literal["pdf", "zpl", "sheet"], Query()] = "pdf",
    dpi: Annotated[Literal["203", "300", "600"], Query()] = "300",
) -> Response:
    """The file of numbered prints."""
    numbers = [min(int(s), 2**62) for s in serials.split(",")]
    data, media = await reading(prints.printed_file, numbers, format, int(dpi), reading.bank.settings)
    return Response(data, media_type=media, headers={"Cache-Control": "no-store"})


@router.post("/labels/{serial}/verify")
async def verify_label(serial: Annotated[int, Path(ge=1, le=2**62)], body: VerifyRequest, performing: Performing) -> VerifyAnswer:
    """Scan a printed label back before it goes onto a tube."""
    return await performing(prints.verify_print, serial, body)


@router.get("/label-templates")
async def list_templates(reading: Reading) -> TemplateList:
    """The label templates of this installation."""
    return await reading(lambda _session, _actor: _templates())


def _templates() -> TemplateList:
    return TemplateList(
        items=[
            TemplatePublic(
                name=t.name,
                width_mm=t.width_um / UM_PER_MM,
                height_mm=t.height_um / UM_PER_MM,
                prefixes=sorted(p.value for p in t.prefixes),
            )
            for t in catalogue().values()
        ]
    )

"""Routes of labels."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import CodePath, Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.jobs.queue import MadeFile
from biobank.jobs.schemas import JobPublic
from biobank.labels import batches, files, prints, reconciling, rules
from biobank.labels.catalogue import catalogue
from biobank.labels.printers import printers
from biobank.labels.registered import House
from biobank.labels.render import MEDIA_TYPES
from biobank.labels.schemas import (
    BatchRequest,
    LabelBatch,
    LabelBatchList,
    LabelsReconciledAnswer,
    PrintAnswer,
    PrinterList,
    PrinterPublic,
    PrintList,
    PrintRequest,
    ReconcileLabels,
    RuleList,
    RuleRequest,
    SendRequest,
    TemplateList,
    TemplatePublic,
    VerifyAnswer,
    VerifyRequest,
)

router = APIRouter(prefix="/api/v1", tags=["labels"])
Template = Annotated[str | None, Query(pattern=r"^[a-z0-9-]{2,60}$", description="The first that fits when left out.")]
OneFormat = Annotated[Literal["png", "svg", "pdf", "zpl"], Query()]
Dpi = Annotated[Literal["203", "300", "600"], Query()]
BYTES = {200: {"content": {m: {} for m in sorted(set(MEDIA_TYPES.values()))}, "description": "The label."}}
UM_PER_MM = 1000


async def _drawn(drawing: files.Drawing, fmt: str, dpi: str) -> Response:
    content, media = await asyncio.to_thread(drawing.one, fmt, int(dpi))
    return Response(content, media_type=media, headers={"Cache-Control": "no-store"})


def _file(made: MadeFile) -> Response:
    return Response(made.content, media_type=made.media_type, headers={"Cache-Control": "no-store"})


@router.get("/specimens/{code}/label", response_class=Response, responses=BYTES)  # type: ignore[arg-type]
async def preview_label(
    code: CodePath, reading: Reading, template: Template = None, format: OneFormat = "png", dpi: Dpi = "300"
) -> Response:
    """The label as it would be printed now. A preview has no serial: printing is POST /label-sheets."""
    return await _drawn(await reading(files.preview, code.upper(), template, House.of(reading.bank.settings)), format, dpi)


@router.get("/labels/{code}/preview", response_class=Response, responses=BYTES)  # type: ignore[arg-type]
async def preview_any_label(
    code: CodePath, reading: Reading, template: Template = None, format: OneFormat = "png", dpi: Dpi = "300"
) -> Response:
    """The label of anything that has one: a specimen, container, position, kit, label of a kit, wristband or badge."""
    return await _drawn(await reading(files.preview, code.upper(), template, House.of(reading.bank.settings)), format, dpi)


@router.get("/specimens/{code}/labels")
async def list_prints(code: CodePath, reading: Reading) -> PrintList:
    """Every label of this specimen that was ever printed."""
    return await reading(prints.prints_of, code.upper())


@router.get("/labels/{code}/prints")
async def list_prints_of_anything(code: CodePath, reading: Reading) -> PrintList:
    """Every label of this thing that was ever printed."""
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
    dpi: Dpi = "300",
) -> Response:
    """The file of numbered prints."""
    numbers = [min(int(s), 2**62) for s in serials.split(",")]
    drawing = await reading(files.printed, numbers, House.of(reading.bank.settings))
    return _file(await asyncio.to_thread(drawing.file, format, int(dpi)))


@router.get("/label-sheets/accompanying", response_class=Response, responses=BYTES)  # type: ignore[arg-type]
async def accompanying_sheet(
    reading: Reading, specimens: Annotated[str, Query(pattern=r"^[A-Za-z0-9-]+(,[A-Za-z0-9-]+)*$", max_length=6500)]
) -> Response:
    """The sheet that travels with containers: every statement in full, also those their labels had no room for."""
    codes = [code.upper() for code in specimens.split(",")]
    drawing = await reading(files.accompanying, codes, reading.bank.settings.host_name)
    return _file(await asyncio.to_thread(drawing.accompanying))


@router.post("/label-batches", status_code=202)
async def print_batch(body: BatchRequest, performing: Performing) -> JobPublic:
    """Up to 20,000 labels in the background: follow the job, then fetch its file, or find them at the printer."""
    return await performing(batches.request_batch, body)


@router.get("/label-batches")
async def list_label_batches(
    reading: Reading,
    open: bool | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> LabelBatchList:
    """Labels that were numbered together, and what became of them; `open`: only those not reconciled, or only the others."""
    return await reading(reconciling.list_batches, open_only=open, paging=Paging(after, limit))


BatchNumber = Annotated[int, Path(ge=1, le=2**62, description="The serial of the first label of the batch.")]


@router.get("/label-batches/{batch}")
async def get_label_batch(batch: BatchNumber, reading: Reading) -> LabelBatch:
    """One batch of labels."""
    return await reading(reconciling.describe_batch, batch)


@router.post("/label-batches/{batch}/reconciliation")
async def reconcile_labels(
    batch: BatchNumber, body: ReconcileLabels, performing: Performing
) -> LabelsReconciledAnswer | Proposed:
    """Say what became of a batch: printed = applied + destroyed + unaccounted. Two people count and sign the same figures."""
    return await performing(reconciling.reconcile_labels, batch, body)


@router.post("/label-sendings", status_code=202)
async def send_labels(body: SendRequest, performing: Performing) -> JobPublic:
    """Send numbered prints to an allowed printer in the background."""
    return await performing(batches.request_sending, body)


@router.get("/printers")
async def list_printers(reading: Reading) -> PrinterList:
    """The printers labels may be sent to."""
    known = printers(reading.bank.settings).values()
    return await reading(lambda _session, _actor: PrinterList(items=[PrinterPublic(name=p.name, dpi=p.dpi) for p in known]))


@router.get("/print-rules")
async def list_rules(reading: Reading) -> RuleList:
    """Which template and printer each site uses for a kind of code."""
    return await reading(rules.list_rules)


@router.post("/print-rules")
async def set_rule(body: RuleRequest, performing: Performing) -> RuleList:
    """Set a print rule, or take it away."""
    return await performing(rules.set_rule, body)


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

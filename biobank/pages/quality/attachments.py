"""Attaching a file from a page: it is stored first, and its SHA-256 goes back into the form that asked for it."""

import base64
import hashlib
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from biobank.acts.web import BankDep
from biobank.foundation.errors import MalformedRequest, PayloadTooLarge, Refusal
from biobank.pages.ui.forms import FormFault, drawn
from biobank.pages.ui.session import Form, PagePerformer, PageReading, Visiting, local_path, or_again
from biobank.pages.ui.templating import render
from biobank.quality import attachments
from biobank.quality.schemas import ATTACHMENT_BYTES, MEDIA_TYPES, AttachmentRequest

router = APIRouter(include_in_schema=False)

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Query(max_length=200)]
OVERHEAD = 16 * 1024
"""Bytes of the form around the file."""
TARGETS = {"/deviations": "attachment"}
"""Forms that call the hash something else than `logger_sha256`, by the start of their address."""


@router.get("/attachments/new")
async def show_new(request: Request, _page: Visiting, back: Text = "/", donor: Text = "", site: Text = "") -> Response:
    """Draw the form. `back` is the page that asks for the hash, `donor` whose key encrypts the file."""
    return await _draw(request, {"back": local_path(back), "donor": donor, "site": site})


async def _draw(request: Request, kept: dict[str, str], refusal: Refusal | None = None) -> Response:
    return render(
        request,
        "attachment_new.html",
        kept={name: value for name, value in kept.items() if value},
        back=kept["back"],
        types=", ".join(MEDIA_TYPES),
        limit=ATTACHMENT_BYTES // 1024 // 1024,
        **drawn(refusal),
    )


@router.post("/attachments/new")
async def attach(request: Request, page: Visiting, reading: PageReading, bank: BankDep) -> Response:
    """Store the file and go back with its hash."""
    if int(request.headers.get("content-length") or ATTACHMENT_BYTES * 2) > ATTACHMENT_BYTES + OVERHEAD:
        raise PayloadTooLarge(f"A file may be at most {ATTACHMENT_BYTES // 1024 // 1024} MiB.")
    posted = await request.form()
    fields = Form([(name, value) for name, value in posted.multi_items() if isinstance(value, str)])
    page.require_csrf(fields.get("csrf_token"))
    kept = {"back": local_path(fields.get("back"))} | {name: fields.get(name, "") for name in ("donor", "site")}

    async def act() -> Response:
        body = await _request_of(posted.get("file"), fields)
        digest = hashlib.sha256(base64.b64decode(body.content)).hexdigest()
        named = Form([*fields.pairs, ("sha256", digest)])
        await reading(attachments.may_attach, body)
        stored = await to_thread.run_sync(attachments.keep_file, bank, body)
        performing = PagePerformer(request, page, named, bank)
        await performing(attachments.register_file, body, stored)
        return await performing.done(_with_hash(kept["back"], digest), "The file is kept.", f"SHA-256 {digest}")

    return await or_again(act(), lambda refusal: _draw(request, kept, refusal))


async def _request_of(file: Any, fields: Form) -> AttachmentRequest:
    if not isinstance(file, UploadFile) or not file.filename:
        raise FormFault({"file": "Choose a file."})
    data = await file.read()
    if file.content_type not in MEDIA_TYPES:
        raise FormFault({"file": f"Such a file is not kept. Kept are {', '.join(MEDIA_TYPES)}."})
    if len(data) < 3:
        raise FormFault({"file": "The file is empty."})
    try:
        return AttachmentRequest(
            media_type=file.content_type,
            content=base64.b64encode(data).decode(),
            donor=fields.get("donor"),
            site=fields.get("site"),
        )
    except ValueError:
        raise MalformedRequest("This form is not whole. Go back and attach the file again.") from None


def _with_hash(back: str, digest: str) -> str:
    name = next((one for start, one in TARGETS.items() if back.startswith(start)), "logger_sha256")
    return f"{back}{'&' if '?' in back else '?'}{name}={digest}"


@router.get("/attachments/{sha256}")
async def send(sha256: Sha256, reading: PageReading, bank: BankDep) -> Response:
    """Send a stored file to whoever may see it."""
    public, subject = await reading(attachments.find_file, sha256)
    data = await to_thread.run_sync(attachments.read_file, bank, sha256, subject)
    return Response(data, media_type=public.media_type, headers={"Content-Disposition": f'attachment; filename="{sha256[:16]}"'})

"""Attaching a file from a page: it is stored first, and its SHA-256 goes back into the form that asked for it."""

import base64
import hashlib
import mimetypes
from collections.abc import Iterable
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from sqlmodel import Session
from starlette.datastructures import UploadFile

from biobank.acts.web import BankDep
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.custody.legality import Snapshot
from biobank.foundation.errors import PayloadTooLarge
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PagePerformer, PageReading, Visiting, local_path
from biobank.quality import attachments
from biobank.quality.schemas import ATTACHMENT_BYTES, ATTACHMENT_MIB, MEDIA_TYPES, AttachmentRequest

router = APIRouter(include_in_schema=False)

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
OVERHEAD = 16 * 1024
"""Bytes of the form around the file."""
TYPES = "PDF, PNG, JPEG, CSV and plain text"


def about(actor: Actor, specimens: Iterable[Snapshot]) -> dict[str, str | None]:
    """Return where a file about these specimens is kept: under their donor's key, if they are one person's, and at the site that
    keeps them, where their donor is cared for or where they are: the first for which the actor may keep one."""
    donors: set[str | None] = set()
    sites: dict[str | None, None] = {}
    for one in specimens:
        donors.add(one.donor_code)
        sites |= dict.fromkeys((one.home_site_code, one.clinic_site_code, one.projection.site_code))
    own = [site for site in sites if site is not None and actor.may(Permission.DEVIATION_OPEN, at=site)]
    return {"donor": donors.pop() if len(donors) == 1 else None, "site": own[0] if own else None}


def _sites(session: Session, actor: Actor, _asked: Asked) -> Choices:
    """Read the sites for which the actor may keep a file."""
    actor.require(Permission.DEVIATION_OPEN, at=ANYWHERE)
    everywhere = [("", "Every site")] if actor.may(Permission.DEVIATION_OPEN, at=EVERYWHERE) else []
    return [*everywhere, *own_sites(session, actor, Permission.DEVIATION_OPEN)]


def _draw(at: Opened[Choices]) -> OwnPage:
    back, site = local_path(at.form.get("back")), at.form.get("site") or only(at.read)
    kept = {"back": back, "field": at.form.get("field", ""), "donor": at.form.get("donor", ""), "site": site}
    return OwnPage(
        "attachment_new.html",
        kept={name: value for name, value in kept.items() if value},
        sites=[] if site else at.read,
        back=back,
        types=TYPES,
    )


async def _keep(data: bytes, at: Acting[Choices]) -> Done | Response:
    """Store the file and go back to the field that asked for it with its hash; a script gets the hash alone."""
    if not data:
        raise FormFault({"file": "Choose a file that is not empty."})
    if at.form.get("media_type") not in MEDIA_TYPES:
        raise FormFault({"file": f"Such a file is not kept. Kept are {TYPES}."})
    site = at.form.get("site") or only(at.read)
    if not site and "" not in dict(at.read):
        raise FormFault({"site": "Say at which site it belongs first."})
    body = at.parse(AttachmentRequest, "media_type", "donor", content=base64.b64encode(data).decode(), site=site or None)
    digest, back, asking = at.form["sha256"], local_path(at.form.get("back")), at.form.get("field", "")
    await at.ask(attachments.may_attach, body, at.bank.settings)
    await attachments.keep(at.bank, body, lambda stored: at.performing(attachments.register_file, body, stored))
    if at.request.headers.get("accept") == "application/json":
        return JSONResponse({"sha256": digest})
    if not asking.isidentifier():
        return Done(back, "The file is kept.", f"It is known as {digest}.")
    return Done(f"{back}{'&' if '?' in back else '?'}{urlencode({asking: digest})}", "The file is kept.")


ATTACH = ActPage(
    address="/attachments/new",
    asks=("back", "field", "donor", "site"),
    reads=_sites,
    form=_draw,
    model=AttachmentRequest,
)
ATTACH.shows(router)


@router.post("/attachments/new")
async def attach(request: Request, page: Visiting, reading: PageReading, bank: BankDep) -> Response:
    """Take a form with a file in it; the file's hash stands in the form, so that the same press is one act."""
    if int(request.headers.get("content-length") or ATTACHMENT_BYTES * 2) > ATTACHMENT_BYTES + OVERHEAD:
        raise PayloadTooLarge(f"A file may be at most {ATTACHMENT_MIB} MiB.")
    posted = await request.form()
    fields = [(name, value) for name, value in posted.multi_items() if isinstance(value, str)]
    page.require_csrf(dict(fields).get("csrf_token"))
    file, data = posted.get("file"), b""
    if isinstance(file, UploadFile):
        data = await file.read()
        fields += [("media_type", _media_type(file)), ("sha256", hashlib.sha256(data).hexdigest())]
    performing = PagePerformer(request, page, Form(fields), bank)
    return await ATTACH.answer(request, performing, reading, {}, partial(_keep, data))


def _media_type(file: UploadFile) -> str:
    """Return what kind of file it is: as the browser says, unless its system calls it something that is not kept."""
    said = file.content_type or ""
    return said if said in MEDIA_TYPES else mimetypes.guess_type(file.filename or "")[0] or said


@router.get("/attachments/{sha256}")
async def send(
    sha256: Sha256,
    reading: PageReading,
    bank: BankDep,
    donor: Annotated[str | None, Query(pattern=r"^DN-[0-9A-Z]{7}$")] = None,
) -> Response:
    """Send a stored file to whoever may see it; `donor`: only as what was given about them."""
    public, subjects = await reading(attachments.find_file, sha256, donor)
    data = await to_thread.run_sync(attachments.read_file, bank, sha256, *subjects)
    return Response(data, media_type=public.media_type, headers={"Content-Disposition": f'attachment; filename="{sha256[:16]}"'})

"""Importing an old inventory: send the file, say what it means, look at its first rows, check the whole, import what is ready."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session
from starlette.datastructures import UploadFile

from biobank.acts.bank import Bank
from biobank.acts.web import BankDep
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation import clock
from biobank.foundation.errors import PayloadTooLarge, Refusal
from biobank.foundation.terms import words
from biobank.importing import jobs
from biobank.importing.drafting import Looked, look_at
from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.profile import Profile
from biobank.importing.reading import Rows, open_book
from biobank.importing.report import OUTCOMES, line_of
from biobank.importing.uploads import LARGEST, Upload, keep_upload, read_upload
from biobank.jobs import queue
from biobank.pages.importing.meaning import Section, as_sent, document_of, faults_of, profile_document, sections
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Needs, Opened, OwnPage
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.parts import Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PagePerformer, PagePerforming, PageReading, Visiting
from biobank.pages.ui.templating import render
from biobank.specimens.materials import MATERIALS, MaterialName

router = APIRouter(include_in_schema=False)

Kept = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
MIB = LARGEST // 1024 // 1024
OVERHEAD = 16 * 1024
FIRST_ROWS = 20
TRIED = [
    Column("line", "Line", "text"),
    Column("outcome", "Outcome", "text"),
    Column("read", "Read as", "text"),
    Column("reasons", "Why not", "text"),
    Column("notes", "Notes", "text"),
]
MAY = Needs(Permission.STORAGE_MANAGE)


async def _keep(upload: Upload, at: Acting[Actor]) -> Done:
    """Look at the file before it is kept: what cannot be read is said at once."""
    if not upload.data:
        raise FormFault({"file": "Choose a file that is not empty."})
    await to_thread.run_sync(lambda: look_at(open_book(upload.data), upload.name))
    kept = await to_thread.run_sync(keep_upload, at.bank, at.actor.code, upload)
    return Done(f"/imports/{kept}", "The file is read.", "Now go through what its columns and words mean.", "note")


SEND = ActPage(address="/imports/new", reads=MAY, model=Profile, form=lambda _at: OwnPage("import_new.html", limit=MIB))
SEND.shows(router)


@router.post("/imports/new")
async def send(request: Request, page: Visiting, reading: PageReading, bank: BankDep) -> Response:
    """Take the file."""
    if int(request.headers.get("content-length") or LARGEST * 2) > LARGEST + OVERHEAD:
        raise PayloadTooLarge(f"A file may be at most {MIB} MiB here. Divide it, or ask for the command at the bank's console.")
    posted = await request.form()
    fields = [(name, value) for name, value in posted.multi_items() if isinstance(value, str)]
    page.require_csrf(dict(fields).get("csrf_token"))
    file = posted.get("file")
    upload = Upload(file.filename or "", await file.read()) if isinstance(file, UploadFile) else Upload("", b"")
    return await SEND.answer(request, PagePerformer(request, page, Form(fields), bank), reading, {}, partial(_keep, upload))


@dataclass(frozen=True)
class Read:
    """The sites to choose from, and what an earlier check of this file was told."""

    sites: Choices
    clinics: Choices
    earlier: Mapping[str, Any] | None


def _read(session: Session, actor: Actor, asked: Asked) -> Read:
    actor.require(Permission.STORAGE_MANAGE, at=ANYWHERE)
    earlier = None
    if not asked.sent and "check" in asked.form:
        job, params = queue.read_params(session, actor, _identity(asked.form["check"]))
        earlier = params["profile"] if job.kind == jobs.CHECK else None
    return Read(own_sites(session, actor, Permission.STORAGE_MANAGE), own_sites(session, actor, None), earlier)


def _identity(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _looked(bank: Bank, by: str, name: str) -> tuple[Upload, Looked]:
    upload = read_upload(bank, by, name)
    return upload, look_at(open_book(upload.data), upload.name.rpartition(".")[0] or upload.name)


async def _draw(at: Opened[Read]) -> OwnPage:
    upload, looked = await to_thread.run_sync(_looked, at.bank, at.actor.code, str(at.path["upload"]))
    document = document_of(at.form, looked.document, looked) if at.sent else at.read.earlier or looked.document
    parts = sections(document, looked, at.read.sites, at.read.clinics)
    return _page(at, upload, as_sent(parts, at.form) if at.sent else parts)


def _page(at: Opened[Read], upload: Upload, parts: list[Section], **shows: Any) -> OwnPage:
    given: dict[str, Any] = {"rows": None, "said": [], "tried": TRIED, "ready": ""} | shows
    return OwnPage("import_meaning.html", upload=upload, sections=parts, action=at.request.url.path, **given)


def _try(data: bytes, profile: Profile) -> tuple[list[str], list[dict[str, str]]]:
    """Check the first rows alone: what only the whole file shows (a slot claimed twice) is not seen yet."""
    rows = Rows(data, profile)
    checked = check_rows(islice(rows, FIRST_ROWS), profile, clock.now().date())
    shown = [(line_of(one), _read_as(one)) for one in checked]
    return rows.said, [line._asdict() | {"outcome": OUTCOMES[line.outcome], "read": read} for line, read in shown]


def _read_as(one: CheckedRow) -> str:
    """Return what was understood of a row, for whoever sent the file to compare with it."""
    person, vial = one.person, one.vial
    parts = []
    if person is not None:
        said = (person.external_ids[0].value, person.family_name, person.given_names, person.date_of_birth, words(person.sex))
        parts.append(", ".join(filter(None, said)))
    if vial is not None:
        parts.append(f"{vial.alias}: {MATERIALS[MaterialName(vial.material)].title}, {vial.amount} {words(vial.unit).lower()}")
        parts.append(f"collected {vial.collected}, frozen {vial.frozen}")
    if one.slot is not None:
        parts.append(" / ".join((*one.slot[0], one.slot[1])))
    return " · ".join(parts)


async def _say(at: Acting[Read]) -> Done | OwnPage:
    """Try the first rows; sent again unchanged with the button for it, check the whole file in the background."""
    name = str(at.path["upload"])
    upload, looked = await to_thread.run_sync(_looked, at.bank, at.actor.code, name)
    said = document_of(at.form, looked.document, looked)
    if faults := faults_of(at.form, said, looked):
        raise FormFault(faults)
    document = profile_document(said)
    profile = Profile.of(document)
    found, rows = await to_thread.run_sync(_try, upload.data, profile)
    mark = json.dumps(document, sort_keys=True)
    if "whole" in at.form and at.form.get("seen") == mark:
        job = await at.performing(jobs.request_check, name, document)
        return Done(f"/jobs/{job['id']}", "The whole file is being checked.", "Nothing is written by it.", "note")
    return _page(at, upload, sections(said, looked, at.read.sites, at.read.clinics), rows=rows, said=found, ready=mark)


ActPage(
    address="/imports/{upload}",
    asks=("check",),
    params={"upload": Kept},
    reads=_read,
    form=_draw,
    model=Profile,
    acts=_say,
).on(router)


@router.post("/imports/checked/{check}")
async def import_it(request: Request, check: UUID, performing: PagePerforming) -> Response:
    """Import what a check found ready."""
    try:
        job = await performing(jobs.request_import, check)
    except Refusal as refusal:
        return render(request, "error.html", refusal.status, problem=refusal.problem(), next_step=None)
    return await performing.done(
        f"/jobs/{job['id']}", "The import has begun.", "You may leave this page; it goes on.", kind="note"
    )

"""How to check the log without trusting the bank: its checkpoints, a bundle to take away, and the program that checks it."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from sqlalchemy import func, select
from sqlmodel import Session

from biobank.acts.web import BankDep
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.exports.bundle import Wish
from biobank.exports.bundle_api import bundled
from biobank.foundation import clock
from biobank.foundation.codes import SPECIMENS, Prefix, parse_code
from biobank.foundation.db import table_of
from biobank.foundation.errors import MalformedRequest, NotFound
from biobank.pages.ui.parts import Column, Stat
from biobank.pages.ui.session import PageReading, Visiting, claims_of
from biobank.pages.ui.templating import render
from biobank.transparency import verify
from biobank.transparency.models import Cosignature, checkpoint, tree_head
from biobank.transparency.queries import seal_lag_s

router = APIRouter(include_in_schema=False)

_head, _checkpoint, _cosignature = tree_head, checkpoint, table_of(Cosignature)
CHECKPOINTS_SHOWN = 50
HEADS = [
    Column("sealed_at", "Sealed", "log_time"),
    Column("size", "Size of the log", "number"),
    Column("root", "Root hash"),
    Column("signed", "Checkpoint", "chip"),
    Column("witnesses", "Witnesses", "number"),
]


@router.get("/log/bundle")
async def take_bundle(page: Visiting, bank: BankDep, about: Annotated[str, Query(max_length=60)] = "") -> Response:
    """Send the log as a file that proves itself: the whole of it, or what is about one tube or one person."""
    return await bundled(bank, claims_of(page), wish_of(about))


def wish_of(about: str) -> Wish:
    """Return what a bundle is to hold. Raises MalformedRequest, or what parsing a code raises."""
    if not about.strip():
        return Wish()
    code = parse_code(about.strip().upper())
    if code.prefix in SPECIMENS:
        return Wish(specimen=code.text)
    if code.prefix == Prefix.DONOR:
        return Wish(donor=code.text)
    raise MalformedRequest("A copy is of the whole log, of one tube or of one donor. Scan the tube, or leave the field empty.")


@router.get("/log/verify.py")
async def send_program(_page: Visiting) -> Response:
    """Send the program that checks a bundle: one file that needs Python and one library, and nothing of this bank."""
    return FileResponse(Path(verify.__file__), media_type="text/x-python", filename="verify.py")


@router.get("/log/verification")
async def show_verification(request: Request, reading: PageReading, bank: BankDep) -> Response:
    """Draw the newest checkpoints with their witnesses, and how to check the log without trusting the bank."""

    def query(session: Session, actor: Actor) -> tuple[list[dict[str, Any]], float]:
        actor.require(Permission.LOG_READ, at=ANYWHERE)
        witnesses = select(func.count()).select_from(_cosignature).where(_cosignature.c.size == _head.c.size).scalar_subquery()
        rows = session.execute(
            select(
                _head.c.size, _head.c.root, _head.c.sealed_at, _checkpoint.c.size.label("signed"), witnesses.label("witnesses")
            )
            .select_from(_head.outerjoin(_checkpoint, _checkpoint.c.size == _head.c.size))
            .order_by(_head.c.size.desc())
            .limit(CHECKPOINTS_SHOWN)
        ).mappings()
        return [dict(row) for row in rows], seal_lag_s(session, clock.now())

    heads, lag = await reading.agreeing(query)
    limit = bank.settings.merge_delay_s
    newest = heads[0] if heads else None
    return render(
        request,
        "log_verification.html",
        origin=bank.settings.log_origin,
        published=any(head["signed"] is not None for head in heads),
        heads=[
            head | {"root": f"{bytes(head['root']).hex()[:24]}…", "signed": "signed" if head["signed"] is not None else "pending"}
            for head in heads
        ],
        columns=HEADS,
        stats=[
            Stat("Events in the log", newest["size"] if newest else 0, tone="good"),
            Stat("Seconds behind", int(lag), tone="stop" if lag > limit else "good", hint=f"at most {limit} are promised"),
            Stat(
                "Witnesses under the newest",
                newest["witnesses"] if newest else 0,
                tone="good" if newest and newest["witnesses"] else "wait",
                hint=None if newest and newest["witnesses"] else "none has signed it yet",
            ),
        ],
    )


@router.get("/log/checkpoint")
async def send_checkpoint(reading: PageReading) -> Response:
    """Send the newest signed checkpoint with the lines of its witnesses, as text to keep."""

    def query(session: Session, actor: Actor) -> str:
        actor.require(Permission.LOG_READ, at=ANYWHERE)
        row = session.execute(select(_checkpoint).order_by(_checkpoint.c.size.desc()).limit(1)).first()
        if row is None:
            raise NotFound("Nothing was sealed yet, so there is no checkpoint.")
        lines = session.execute(
            select(_cosignature.c.line).where(_cosignature.c.size == row.size).order_by(_cosignature.c.key_id)
        ).scalars()
        return str(row.note) + "".join(f"{line.rstrip()}\n" for line in lines)

    note = await reading.agreeing(query)
    headers = {"Content-Disposition": 'attachment; filename="checkpoint.txt"'}
    return Response(note, media_type="text/plain; charset=utf-8", headers=headers)

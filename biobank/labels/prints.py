"""Use cases of printing: preview, print with a number, verify by scanning back.

A preview carries no serial and is not a print. A print is an event of the specimen; a newer print of the same template
supersedes the older one, and an old label that is scanned afterwards alarms.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.codes import parse_code, resolve_payload
from biobank.config import Settings
from biobank.custody.recording import Move, acknowledge, record
from biobank.custody.snapshots import get_all_visible, get_visible
from biobank.db import table_of
from biobank.errors import Conflict, NotFound, Refusal, Refused
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.events import Labelled, LabelVerified
from biobank.labels.models import LabelPrint
from biobank.labels.render import render, render_roll, render_sheet
from biobank.labels.schemas import PrintAnswer, PrintList, PrintPublic, PrintRequest, VerifyAnswer, VerifyRequest
from biobank.labels.statements import Evaluation, Extent, StatementPolicy, required_statements
from biobank.labels.template import Template
from biobank.specimens.queries import describe_specimen

prints = table_of(LabelPrint)
POLICY = StatementPolicy()


class WrongTemplate(Conflict):
    """The template is not for this kind of code."""

    code = "label_template_unsuitable"
    title = "Not a label for this"


class LabelMismatch(Conflict):
    """The printed label does not say what it should. Destroy it; the tube keeps its old label."""

    code = "label_mismatch"
    title = "The label is wrong"


class LabelSuperseded(Conflict):
    """A newer print of this label exists; this one should have been destroyed."""

    code = "label_superseded"
    title = "An outdated label"


def template_for(name: str, code: str) -> Template:
    """Return a template that may carry `code`. Raises UnknownTemplate, WrongTemplate."""
    template = catalogue()[name]
    prefix = parse_code(code).prefix
    if prefix not in template.prefixes:
        fitting = ", ".join(t.name for t in catalogue().for_prefix(prefix)) or "none"
        raise WrongTemplate(f"{name} is not a label for {code}. Fitting templates: {fitting}.", subject=code)
    return template


def label_data(session: Session, actor: Actor, code: str, serial: int | None = None, copy_number: int = 1) -> LabelData:
    """Return what the label of a specimen says now; raise NotFound when the actor may not know of it."""
    facts = describe_specimen(session, actor, code).label
    evaluated = Extent.COMPLETE if facts.markers_evaluated else Extent.NOT_DONE
    return LabelData(
        code=parse_code(facts.code),
        material=facts.material,
        passage=facts.passage,
        amount=facts.amount,
        unit_number=facts.unit_number,
        unit_count=facts.unit_count,
        banked_on=facts.banked_on,
        expires_on=facts.expires_on,
        storage=facts.storage,
        recipient=None if facts.recipient is None else parse_code(facts.recipient),
        print_serial=serial,
        copy_number=copy_number,
        statements=required_statements(
            Evaluation(screening=evaluated, testing=evaluated),
            POLICY,
            None if facts.recipient is None else parse_code(facts.recipient),
        ),
    )


def preview(session: Session, actor: Actor, code: str, template: str, fmt: str, dpi: int, settings: Settings) -> bytes:
    """Return one label as it would be printed, without a serial."""
    chosen = template_for(template, code)
    return render(chosen, label_data(session, actor, code), fmt, dpi, host=settings.host_name)


def print_labels(session: Session, act: Act, request: PrintRequest) -> PrintAnswer:
    """Number the prints, record them on the specimens, supersede older ones. The bytes are fetched afterwards.

    Raises UnknownTemplate, WrongTemplate, NotFound, NotPermitted, and ReprintWithoutReason when a copy says "first_print".
    """
    codes = list(dict.fromkeys(c.upper() for c in request.specimens))
    for code in codes:
        template_for(request.template, code)
    specimens = get_all_visible(session, act.actor, codes, lock=True)
    copies = _copies(session, codes, request.template)
    again = [c for c in codes if copies.get(c)]
    if again and request.reason == "first_print":
        raise ReprintWithoutReason(
            f"{again[0]} has a label of this kind already. Say why another is printed in `reason`, e.g. `damaged`.",
            subject=again[0],
        )
    serials = list(session.execute(_SERIALS, {"n": len(codes)}).scalars())
    rows = [
        {"serial": serial, "code": code, "template": request.template, "copy_number": copies.get(code, 0) + 1,
         "reason": request.reason, "printed_at": act.at, "printed_by": act.actor.code}
        for serial, code in zip(serials, codes, strict=True)
    ]  # fmt: skip
    moves = [
        Move(
            specimen,
            Labelled(
                serial=row["serial"], template=request.template, copy_number=row["copy_number"], reason=request.reason,
                statements=tuple(s.key for s in label_data(session, act.actor, specimen.code).statements),
            ),
        )
        for specimen, row in zip(specimens, rows, strict=True)
    ]  # fmt: skip
    done = record(session, act, moves, request)
    session.execute(
        update(prints)
        .where(prints.c.code.in_(codes), prints.c.template == request.template, prints.c.superseded_at.is_(None))
        .values(superseded_at=act.at)
    )
    session.execute(_INSERT, [row | {"event_hash": a.leaf_hash} for row, a in zip(rows, done, strict=True)])
    serial_list = ",".join(str(s) for s in serials)
    return PrintAnswer(
        items=[_public(row) for row in rows],
        file=f"/api/v1/label-sheets/file?serials={serial_list}&format={request.format}&dpi={request.dpi}",
        receipt=acknowledge(act, done),
    )


class ReprintWithoutReason(Conflict):
    """A second label of the same kind exists in the world; the record says why."""

    code = "reprint_needs_reason"
    title = "Say why it is printed again"


def printed_file(
    session: Session, actor: Actor, serials: Sequence[int], fmt: str, dpi: int, settings: Settings
) -> tuple[bytes, str]:
    """Return the bytes of numbered prints and their media type."""
    rows = session.execute(select(prints).where(prints.c.serial.in_(serials)).order_by(prints.c.serial)).all()
    if len(rows) != len(set(serials)):
        raise NotFound("One of these prints does not exist.")
    if len({r.template for r in rows}) != 1:
        raise WrongTemplate("One file holds labels of one template. Fetch them apart.")
    actor.require(Permission.LABEL_PRINT)
    template = catalogue()[rows[0].template]
    labels = [label_data(session, actor, r.code, r.serial, r.copy_number) for r in rows]
    if fmt == "sheet":
        return render_sheet(template, labels, host=settings.host_name), "application/pdf"
    media = "application/pdf" if fmt == "pdf" else "application/zpl"
    return render_roll(template, labels, fmt, dpi, host=settings.host_name), media


def verify_print(session: Session, act: Act, serial: int, request: VerifyRequest) -> VerifyAnswer | Refused:
    """Compare what was scanned from a printed label with the ledger. A mismatch is evidence and is kept."""
    row = session.execute(select(prints).where(prints.c.serial == serial).with_for_update()).first()
    if row is None:
        raise NotFound(f"There is no label with the serial {serial}.")
    specimen = get_visible(session, act.actor, row.code, lock=True)
    settings = act.bank.settings
    if row.superseded_at is not None:
        return Refused(
            LabelSuperseded(
                f"Label #{serial} of {row.code} was replaced by a newer one. Destroy it and use the newer one.",
                subject=row.code,
                serial=serial,
            )
        )
    try:
        says = resolve_payload(request.scanned, settings.host_name, settings.former_hosts).text
    except Refusal:
        says = ""
    if says != row.code:
        return Refused(
            LabelMismatch(
                f"Label #{serial} should say {row.code} and does not. Destroy it; do not put it on a tube.",
                subject=row.code,
                serial=serial,
                where_now=specimen.where_now,
            )
        )
    done = record(session, act, [Move(specimen, LabelVerified(serial=serial))], request)
    session.execute(update(prints).where(prints.c.serial == serial).values(verified_at=act.at, verified_by=act.actor.code))
    return VerifyAnswer(serial=serial, code=row.code, verified=True, receipt=acknowledge(act, done))


def prints_of(session: Session, actor: Actor, code: str) -> PrintList:
    """Return the prints of a specimen, newest first."""
    get_visible(session, actor, code)
    rows = session.execute(select(prints).where(prints.c.code == code).order_by(prints.c.serial.desc()).limit(500))
    return PrintList(items=[_public(dict(r)) for r in rows.mappings()])


def _copies(session: Session, codes: Sequence[str], template: str) -> dict[str, int]:
    rows = session.execute(
        select(prints.c.code, func.max(prints.c.copy_number))
        .where(prints.c.code.in_(codes), prints.c.template == template)
        .group_by(prints.c.code)
    )
    return {code: int(copy) for code, copy in rows}


def _public(row: dict[str, Any]) -> PrintPublic:
    return PrintPublic.model_validate({name: row.get(name) for name in PrintPublic.model_fields})


_SERIALS = text("SELECT nextval(pg_get_serial_sequence('label_print', 'serial')) FROM generate_series(1, :n)")
_INSERT = text(
    "INSERT INTO label_print (serial, code, template, copy_number, reason, printed_at, printed_by, event_hash) "
    "OVERRIDING SYSTEM VALUE "
    "VALUES (:serial, :code, :template, :copy_number, :reason, :printed_at, :printed_by, :event_hash)"
)

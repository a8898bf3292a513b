"""Thousands of labels: numbered step by step in the background, drawn into a file or sent to a printer.

A batch says its codes, or names a container (every tube in it, or every position of it) or a lot or kit. Every step commits
its prints together with its progress, so a batch that is interrupted goes on where it stood and numbers nothing twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import NOW, require_permission
from biobank.custody.snapshots import get_all_visible
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import Conflict
from biobank.jobs.queue import MadeFile, enqueue
from biobank.jobs.running import JobRun, job_kind
from biobank.jobs.schemas import JobPublic
from biobank.labels.events import Labelled
from biobank.labels.files import Drawing, printed, template_for
from biobank.labels.printers import connected, printer_named
from biobank.labels.prints import number_prints
from biobank.labels.registered import House, require_registered
from biobank.labels.schemas import BatchRequest, SendRequest
from biobank.labels.things import is_thing, thing_of
from biobank.storage.queries import get_container

PRINT_KIND: Final = "labels.print"
SEND_KIND: Final = "labels.send"
STEP: Final = 200
SENT_AT_ONCE: Final = 25
MOST: Final = 20_000

_TUBES_IN = text(
    """
    WITH RECURSIVE below AS (
        SELECT code, ARRAY[name_key] AS names FROM storage_container WHERE code = :code
        UNION ALL
        SELECT c.code, below.names || c.name_key FROM below JOIN storage_container c ON c.parent_code = below.code
    )
    SELECT k.code
    FROM custody k JOIN below ON below.code = k.container_code LEFT JOIN storage_position p ON p.code = k.position_code
    ORDER BY below.names, k.container_code, p.row NULLS LAST, p.col, k.code LIMIT :most
    """
)
_POSITIONS_OF = text("SELECT code FROM storage_position WHERE container_code = :code ORDER BY row, col LIMIT :most")
_TUBES_OF_LOT = text("SELECT code FROM specimen WHERE lot_code = :code ORDER BY unit_number, code LIMIT :most")
_LABELS_OF_KIT = text(
    "SELECT specimen_code FROM kit_label WHERE kit_code = :code AND voided_at IS NULL ORDER BY specimen_code LIMIT :most"
)
SELECTIONS: Final[dict[str, TextClause]] = {
    "tubes_in": _TUBES_IN,
    "positions_of": _POSITIONS_OF,
    "lot": _TUBES_OF_LOT,
    "kit": _LABELS_OF_KIT,
}


class TooManyLabels(Conflict):
    """More labels than one batch makes."""

    code = "too_many_labels"
    title = "Too many labels"


class NothingToPrint(Conflict):
    """The selection is empty."""

    code = "nothing_to_print"
    title = "Nothing to print"


def request_batch(session: Session, act: Act, request: BatchRequest) -> JobPublic:
    """Check the batch and queue it.

    Raises NothingToPrint, NotFound, NotPermitted, WrongTemplate, NotRegistered, UnknownPrinter.
    """
    codes = _codes(session, act, request)
    for code in codes:
        require_registered(template_for(request.template, code), House.of(act.bank.settings))
    _require_printable(session, act, codes)
    if request.printer is not None:
        printer_named(act.bank.settings, request.printer)
    params = request.model_dump(mode="json", include={"template", "format", "dpi", "reason", "printer", "workstation"}) | {
        "codes": codes
    }
    return enqueue(session, act, PRINT_KIND, params, total=len(codes) * (1 if request.printer else 2))


def request_sending(session: Session, act: Act, request: SendRequest) -> JobPublic:
    """Queue the sending of numbered prints to a printer. Raises NotFound, WrongTemplate, NotPermitted, UnknownPrinter."""
    printer_named(act.bank.settings, request.printer)
    serials = sorted(set(request.serials))
    printed(session, act.actor, serials, House.of(act.bank.settings))
    return enqueue(session, act, SEND_KIND, {"serials": serials, "printer": request.printer}, total=len(serials))


@job_kind(PRINT_KIND)
def print_batch(run: JobRun) -> MadeFile | None:
    """Number the labels of a batch and draw them; with a printer, queue the sending instead of making a file.

    Numbering is half of the work and is done once, whatever happens; reading what the labels say is the other half.
    """
    codes: list[str] = run.params["codes"]
    template, reason = run.params["template"], run.params["reason"]
    while (numbered := len(run.answer.get("serials", []))) < len(codes):
        part = codes[numbered : numbered + STEP]
        run.step(
            partial(
                _number,
                codes=part,
                template=template,
                reason=reason,
                batch=next(iter(run.answer.get("serials", [])), None),
                workstation=run.params.get("workstation"),
            ),
            adds=len(part),
            answer=lambda serials: {"serials": [*run.answer.get("serials", []), *serials]},
        )
    serials: list[int] = run.answer["serials"]
    if run.params["printer"] is not None:
        request = SendRequest(serials=serials, printer=run.params["printer"])
        run.step(lambda s, act: request_sending(s, act, request), answer=lambda sending: {"sending": str(sending.id)})
        return None
    drawing = _read(run, serials, counted_from=len(codes))
    return drawing.file(run.params["format"], run.params["dpi"])


def _read(run: JobRun, serials: Sequence[int], *, counted_from: int) -> Drawing:
    parts: list[Drawing] = []
    for first in range(0, len(serials), STEP):
        part = serials[first : first + STEP]
        adds = max(0, counted_from + first + len(part) - run.done)
        parts.append(run.step(partial(_printed, serials=part), adds=adds))
    return replace(parts[0], labels=tuple(label for one in parts for label in one.labels))


def _number(
    session: Session, act: Act, codes: Sequence[str], template: str, reason: str, batch: int | None, workstation: str | None
) -> list[int]:
    return number_prints(session, act, codes, template, reason, NOW, batch=batch, workstation=workstation).serials


def _printed(session: Session, act: Act, serials: Sequence[int]) -> Drawing:
    return printed(session, act.actor, serials, House.of(act.bank.settings))


@job_kind(SEND_KIND, resumable=False)
def send_batch(run: JobRun) -> MadeFile | None:
    """Send numbered prints to a printer, a piece at a time; the progress is what the printer's side has taken."""
    printer = printer_named(run.bank.settings, run.params["printer"])
    serials: list[int] = run.params["serials"]
    with connected(printer) as connection:
        while run.done < len(serials):
            part = serials[run.done : run.done + SENT_AT_ONCE]
            drawing = run.step(partial(_printed, serials=part))
            connection.send(drawing.file("zpl", printer.dpi).content, part)
            run.step(lambda _session, _act: None, adds=len(part))
    return None


def _codes(session: Session, act: Act, request: BatchRequest) -> list[str]:
    if request.codes:
        return list(dict.fromkeys(code.upper() for code in request.codes))
    (name,) = [name for name in SELECTIONS if getattr(request, name) is not None]
    chosen = parse_code(getattr(request, name)).text
    if name in ("tubes_in", "positions_of"):
        get_container(session, act.actor, chosen)
    codes = list(session.execute(SELECTIONS[name], {"code": chosen, "most": MOST + 1}).scalars())
    if not codes:
        raise NothingToPrint(f"There is nothing in {chosen} that could have a label. Check the code.", subject=chosen)
    if len(codes) > MOST:
        raise TooManyLabels(f"{chosen} holds more than {MOST} things. Choose a smaller part of it.", subject=chosen)
    return codes


def _require_printable(session: Session, act: Act, codes: Sequence[str]) -> None:
    """Raise NotFound for what the actor may not know of, NotPermitted for what the actor may not print."""
    things = [code for code in codes if is_thing(session, code)]
    specimens = [code for code in codes if code not in set(things)]
    for code in things:
        thing_of(session, act, act.actor, code).require_printer(act.actor)
    for snapshot in get_all_visible(session, act.actor, specimens):
        require_permission(act, Labelled, snapshot, None)

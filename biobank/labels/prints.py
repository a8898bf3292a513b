"""The print ledger: labels are printed with a number and verified by scanning back.

A preview carries no serial and is not a print. A print is an event of what it names; a newer print of the same template
supersedes the older one, and an old label that is scanned afterwards, wherever that is, alarms (`labels/outdated.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.auth.stations import end_badge_sessions_of
from biobank.benches.at_bench import label_at_bench
from biobank.custody.ledger import Appended
from biobank.custody.recording import Circumstances, Move, acknowledge, record
from biobank.custody.snapshots import get_all_visible, get_visible
from biobank.foundation.codes import MOST_PRINTS, Prefix, resolve_payload
from biobank.foundation.errors import Conflict, NotFound, Refusal, Refused
from biobank.foundation.paging import Paging, read_page
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.events import Labelled, LabelVerified
from biobank.labels.files import prints, specimen_data, template_for
from biobank.labels.outdated import against_print
from biobank.labels.registered import House, require_registered
from biobank.labels.schemas import PrintAnswer, PrintList, PrintPublic, PrintRequest, VerifyAnswer, VerifyRequest
from biobank.labels.things import is_thing, thing_of
from biobank.quality.streams import record_on_stream
from biobank.transparency.models import event


class LabelMismatch(Conflict):
    """The printed label does not say what it should. Destroy it; the tube keeps its old label."""

    code = "label_mismatch"
    title = "The label is wrong"


class PrintedTooOften(Conflict):
    """A label says in two characters which print of its code it is, and all of them are taken."""

    code = "label_printed_too_often"
    title = "No more labels of this code"


class ReprintWithoutReason(Conflict):
    """A second label of the same kind exists in the world; the record says why."""

    code = "reprint_needs_reason"
    title = "Say why it is printed again"


@dataclass(frozen=True)
class Numbered:
    """Prints that have serials and events: rows of the ledger in the order asked for, and the events behind them."""

    rows: list[dict[str, Any]]
    events: list[Appended]

    @property
    def serials(self) -> list[int]:
        """The serials, in order."""
        return [row["serial"] for row in self.rows]


def print_labels(session: Session, act: Act, request: PrintRequest) -> PrintAnswer:
    """Number the prints and record them; the bytes are fetched afterwards. See `number_prints` for what it raises."""
    done = number_prints(
        session,
        act,
        [*request.specimens, *request.things],
        request.template,
        request.reason,
        request,
        workstation=request.workstation,
    )
    serials = ",".join(str(s) for s in done.serials)
    return PrintAnswer(
        items=[_public(row) for row in done.rows],
        file=f"/api/v1/label-sheets/file?serials={serials}&format={request.format}&dpi={request.dpi}",
        receipt=acknowledge(act, done.events),
    )


def number_prints(
    session: Session,
    act: Act,
    codes: Sequence[str],
    template: str,
    reason: str,
    given: Circumstances,
    *,
    batch: int | None = None,
    workstation: str | None = None,
) -> Numbered:
    """Give every label a serial, record it on what it names, and supersede older prints of the same kind.

    `batch`: the serial of the first label of the batch that these belong to; None: they begin one.
    `workstation`: where they are put on; they belong to the session that is open there.

    Specimens or things, not both: they are recorded on different streams. Raises UnknownTemplate, WrongTemplate, NotFound,
    NotPermitted, NotRegistered, NoNumberOfOurs, MixedLabels, PrintedTooOften, ReprintWithoutReason when a copy says
    "first_print", and where a workstation is named AnotherPersonsMaterial, NoOpenSession, NotAWorkstation.
    """
    wanted = list(dict.fromkeys(code.upper() for code in codes))
    for code in wanted:
        require_registered(template_for(template, code), House.of(act.bank.settings))
    things = [code for code in wanted if is_thing(session, code)]
    if things and len(things) != len(wanted):
        raise MixedLabels("Print labels of specimens and of other things apart.")
    keep = _keep_things if things else _keep_specimens
    rows = _rows(session, act, wanted, template, reason, batch)
    events = keep(session, act, rows, given)
    bench = None if workstation is None else _at_bench(session, act, workstation, wanted, things=bool(things))
    session.execute(
        update(prints)
        .where(prints.c.code.in_(wanted), prints.c.template == template, prints.c.superseded_at.is_(None))
        .values(superseded_at=act.at)
    )
    for code in wanted:
        if code.startswith(Prefix.BADGE.value):
            end_badge_sessions_of(session, code, act.at, because="badge_replaced")
    session.execute(
        _INSERT, [row | {"event_hash": a.leaf_hash, "bench_session": bench} for row, a in zip(rows, events, strict=True)]
    )
    return Numbered(rows, events)


def _at_bench(session: Session, act: Act, workstation: str, codes: Sequence[str], *, things: bool) -> str:
    """Return the session that these labels belong to, and record that the tubes were handled there."""
    if things:
        donors = {code: thing_of(session, act, act.actor, code).donor for code in codes}
        owners: dict[str, str | None] = {code: donor for code, donor in donors.items() if donor is not None}
    else:
        owners = {one.code: one.donor_code for one in get_all_visible(session, act.actor, codes)}
    return label_at_bench(session, act, workstation, owners, handled=[] if things else codes)


class MixedLabels(Conflict):
    """Specimens and other things in one print."""

    code = "labels_mixed"
    title = "Print them apart"


def _rows(
    session: Session, act: Act, codes: Sequence[str], template: str, reason: str, batch: int | None
) -> list[dict[str, Any]]:
    """Return the ledger's rows of new prints, serials taken, in the order of `codes`."""
    copies = _copies(session, codes, template)
    again = [code for code in codes if copies.get(code)]
    if again and reason == "first_print":
        raise ReprintWithoutReason(
            f"{again[0]} has a label of this kind already. Say why another is printed, such as that it was damaged.",
            subject=again[0],
        )
    taken = _numbers_taken(session, codes)
    full = next((code for code in codes if taken.get(code, 0) >= MOST_PRINTS), None)
    if full is not None:
        raise PrintedTooOften(
            f"{full} has had {MOST_PRINTS} labels, and no label more can say which it is. Call quality.", subject=full
        )
    serials = list(session.execute(_SERIALS, {"n": len(codes)}).scalars())
    return [
        {
            "serial": serial,
            "code": code,
            "template": template,
            "copy_number": copies.get(code, 0) + 1,
            "print_number": taken.get(code, 0) + 1,
            "batch": batch or serials[0],
            "reason": reason,
            "printed_at": act.at,
            "printed_by": act.actor.code,
        }
        for serial, code in zip(serials, codes, strict=True)
    ]


def _keep_specimens(session: Session, act: Act, rows: list[dict[str, Any]], given: Circumstances) -> list[Appended]:
    specimens = get_all_visible(session, act.actor, [row["code"] for row in rows], lock=True)
    house = House.of(act.bank.settings)

    def said(row: dict[str, Any]) -> LabelData:
        return specimen_data(session, act.actor, row["code"], catalogue()[row["template"]], house)

    moves = [
        Move(
            specimen,
            Labelled(
                serial=row["serial"],
                template=row["template"],
                copy_number=row["copy_number"],
                print_number=row["print_number"],
                reason=row["reason"],
                statements=tuple(s.key for s in said(row).statements),
            ),
        )
        for specimen, row in zip(specimens, rows, strict=True)
    ]
    return record(session, act, moves, given)


def _keep_things(session: Session, act: Act, rows: list[dict[str, Any]], given: Circumstances) -> list[Appended]:
    events = []
    for row in rows:
        thing = thing_of(session, act, act.actor, row["code"])
        thing.require_printer(act.actor)
        event = thing.labelled(
            code=row["code"],
            serial=row["serial"],
            template=row["template"],
            copy_number=row["copy_number"],
            print_number=row["print_number"],
            reason=row["reason"],
        )
        stream = thing.stream_id
        events.append(record_on_stream(session, act, stream, event, given, site=thing.site, donor_code=thing.donor))
    return events


def verify_print(session: Session, act: Act, serial: int, request: VerifyRequest) -> VerifyAnswer | Refused:
    """Compare what was scanned from a printed label with the ledger. A mismatch is evidence and is kept."""
    row = session.execute(select(prints).where(prints.c.serial == serial).with_for_update()).first()
    if row is None:
        raise NotFound(f"There is no label with the serial {serial}.")
    verified, where_now = _verifying(session, act, row.code, serial)
    settings = act.bank.settings
    if (outdated := against_print(row)) is not None:
        return Refused(outdated)
    try:
        says = resolve_payload(request.scanned, settings.host_name, settings.former_hosts)
    except Refusal:
        says = None
    if says is None or says.text != row.code or says.print_number not in (None, row.print_number):
        return Refused(
            LabelMismatch(
                f"Label #{serial} should say {row.code} and does not. Destroy it; do not put it on anything.",
                subject=row.code,
                serial=serial,
                where_now=where_now,
            )
        )
    done = verified(request)
    session.execute(update(prints).where(prints.c.serial == serial).values(verified_at=act.at, verified_by=act.actor.code))
    return VerifyAnswer(serial=serial, code=row.code, verified=True, receipt=acknowledge(act, done))


def _verifying(
    session: Session, act: Act, code: str, serial: int
) -> tuple[Callable[[Circumstances], list[Appended]], str | None]:
    """Return how a verified label of `code` is recorded, and where a tube goes after a stop. Raises NotFound."""
    if is_thing(session, code):
        thing = thing_of(session, act, act.actor, code)
        thing.require_printer(act.actor)
        event = thing.verified(code=code, serial=serial)

        def on_thing(given: Circumstances) -> list[Appended]:
            stream = thing.stream_id
            return [record_on_stream(session, act, stream, event, given, site=thing.site, donor_code=thing.donor)]

        return on_thing, None
    specimen = get_visible(session, act.actor, code, lock=True)
    return lambda given: record(session, act, [Move(specimen, LabelVerified(serial=serial))], given), specimen.where_now


def prints_of(session: Session, actor: Actor, code: str) -> PrintList:
    """Return the prints of a specimen or a thing, newest first."""
    if is_thing(session, code):
        thing_of(session, None, actor, code)
    else:
        get_visible(session, actor, code)
    rows = session.execute(select(prints).where(prints.c.code == code).order_by(prints.c.serial.desc()).limit(500))
    return PrintList(items=[_public(dict(r)) for r in rows.mappings()])


PRINTERS = (Permission.LABEL_PRINT, Permission.STORAGE_MANAGE, Permission.KIT_MANAGE)
ORDERS = {"serial": prints.c.serial, "code": prints.c.code, "printed_at": prints.c.printed_at}
_STANDS = and_(prints.c.superseded_at.is_(None), prints.c.destroyed_at.is_(None))
STANDINGS: Mapping[str, ColumnElement[bool]] = {
    "superseded": and_(prints.c.superseded_at.is_not(None), prints.c.destroyed_at.is_(None)),
    "destroyed": prints.c.destroyed_at.is_not(None),
    "verified": and_(_STANDS, prints.c.verified_at.is_not(None)),
    "not_scanned_back": and_(_STANDS, prints.c.verified_at.is_(None)),
}


def standing_of(one: PrintPublic) -> str:
    """Return which of STANDINGS a print has."""
    if one.destroyed_at is not None:
        return "destroyed"
    if one.superseded_at is not None:
        return "superseded"
    return "verified" if one.verified_at is not None else "not_scanned_back"


def list_prints(
    session: Session,
    actor: Actor,
    *,
    code: str | None = None,
    template: str | None = None,
    standing: str | None = None,
    paging: Paging = Paging(),
) -> PrintList:
    """List the prints that were recorded where the actor prints, and the actor's own, newest first."""
    scope = actor.scope(*PRINTERS)
    if not scope:
        actor.require(Permission.LABEL_PRINT, at=ANYWHERE)
    statement = (
        select(prints)
        .outerjoin(event, event.c.leaf_hash == prints.c.event_hash)
        .where(scope.of(event.c.site_code) | (prints.c.printed_by == actor.code))
    )
    if code is not None:
        statement = statement.where(prints.c.code == code)
    if template is not None:
        statement = statement.where(prints.c.template == template)
    if standing is not None:
        statement = statement.where(STANDINGS[standing])
    page = read_page(session, statement, paging, key=prints.c.serial, orders=ORDERS, default="-serial")
    return PrintList(items=[_public(dict(row._mapping)) for row in page.rows], **page.ends)


def _numbers_taken(session: Session, codes: Sequence[str]) -> dict[str, int]:
    rows = session.execute(
        select(prints.c.code, func.max(prints.c.print_number)).where(prints.c.code.in_(codes)).group_by(prints.c.code)
    )
    return {code: int(number) for code, number in rows}


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
    "INSERT INTO label_print "
    "(serial, code, template, copy_number, print_number, batch, bench_session, reason, printed_at, printed_by, event_hash) "
    "OVERRIDING SYSTEM VALUE "
    "VALUES (:serial, :code, :template, :copy_number, :print_number, :batch, :bench_session, :reason, :printed_at, :printed_by, "
    ":event_hash)"
)

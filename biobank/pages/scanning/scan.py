"""The scan page: choose what is done and where, scan tubes to a list, record it once, take it back if it was wrong.

The page is one form. A browser without scripts checks the list by sending it; with scripts every scan is checked at once, by
the same call with `Accept: application/json`, whose answer carries the same drawing of the list.
"""

import json
from dataclasses import replace
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter, ValidationError
from sqlmodel import Session

from biobank.acts.problems import wants_page
from biobank.acts.web import Reader
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.benches.at_bench import AnotherPersonsMaterial
from biobank.custody.events import CheckedOut
from biobank.foundation.errors import MalformedRequest, Refusal
from biobank.foundation.scanned_text import LONGEST_SCAN
from biobank.foundation.terms import words
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PagePerforming, PageReading, Visiting, posted_form
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.scanning import racks
from biobank.scanning.api import body_of, decoded
from biobank.scanning.commands import COMMAND_LABELS, WORDINGS, Action, Command, actions_of, command_code, only_site
from biobank.scanning.committing import RecordedList, SeenTube, UndoRequest, commit_list, undo_list, words_of
from biobank.scanning.kept import FOR_USE
from biobank.scanning.lists import Row, ScanList, TubeNotRead, Wanted, check_list
from biobank.scanning.rack_files import LONGEST_LIST, Line, ListTooLong
from biobank.scanning.rack_tables import LARGEST_FILE
from biobank.scanning.schemas import DecodeAnswer
from biobank.scanning.sheet import symbol_of

router = APIRouter(include_in_schema=False)

PURPOSES: tuple[str, ...] = get_args(CheckedOut.model_fields["purpose"].annotation)
_TUBES = TypeAdapter(list[SeenTube])


@router.post("/scans/decode")
async def decode_frame(
    request: Request, page: Visiting, reading: PageReading, x_csrf_token: Annotated[str | None, Header(max_length=200)] = None
) -> DecodeAnswer:
    """Decode one camera frame. It changes nothing and is kept nowhere; the token keeps other sites from using our CPU."""
    page.require_csrf(x_csrf_token)
    return await decoded(request, reading)


@router.get("/scan")
async def show_scan(
    request: Request,
    reading: PageReading,
    do: Annotated[str, Query(max_length=20)] = "",
    place: Annotated[str, Query(max_length=20, pattern=r"^[A-Za-z0-9-]*$")] = "",
    codes: Annotated[str, Query(max_length=1400, pattern=r"^[A-Za-z0-9 -]*$")] = "",
) -> Response:
    """Draw a list; `do` and `place` choose what it is for, `codes` what stands on it: a box or a list of specimens leads here."""
    form = Form([("action", do), ("place", place), ("codes", codes.replace(" ", "\n"))])
    return await _draw(request, reading, _wanted(form, request.state.actor), await _lines(form, reading))


@router.post("/scan/file")
async def read_rack_file(
    request: Request, page: Visiting, reading: PageReading, x_csrf_token: Annotated[str | None, Header(max_length=200)] = None
) -> JSONResponse:
    """Read a rack scanner's file: its lines as the list carries them, and the container that it names. Changes nothing."""
    page.require_csrf(x_csrf_token)
    data = await body_of(request, LARGEST_FILE, "A rack scanner's file")
    found = await reading(racks.read_file, data, reading.bank.settings)
    return JSONResponse({"lines": [f"{line.well or ''}|{line.text}" for line in found.lines], "place": found.rack})


_FIELDS = ("action", "place", "site", "purpose", "codes*", "one*", "line*", "tube*", "fresh", "drop", "commit")


@router.post("/scan/list")
async def show_list(request: Request, page: Visiting, reading: PageReading) -> Response:
    """Say of every tube whether it is ready. Changes nothing."""
    form = await posted_form(request, page, *_FIELDS)
    return await _draw(request, reading, _wanted(form, page.actor), await _lines(form, reading))


@router.post("/scan/commit")
async def record_list(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Record every tube that is ready, in one transaction, or nothing."""
    form = performing.form
    wanted = _wanted(form, performing.page.actor)
    lines = await _lines(form, reading)
    left = _Lines(line for line in lines if line.text not in {tube.text for tube in _tubes(form)})
    try:
        answer = await performing(commit_list, wanted, _tubes(form), performing.bank.settings)
    except Refusal as refusal:
        if not wants_page(request):
            raise
        return await _draw(request, reading, wanted, lines, refusal=refusal)
    recorded = RecordedList.model_validate(answer)
    if not wants_page(request):
        undo = _undo_of(recorded) if recorded.action is not Action.BENCH else None
        return JSONResponse({"words": words_of(recorded), "items": answer["items"], "undo": undo})
    return await _draw(request, reading, wanted, left, recorded=recorded)


@router.post("/scan/undo")
async def undo_recorded(request: Request, performing: PagePerforming) -> Response:
    """Take a recorded list back by reversals."""
    try:
        asked = UndoRequest.model_validate_json(performing.form.get("recorded", ""))
    except ValidationError:
        raise MalformedRequest("What is to be undone is not named. Undo it on the page of the tube instead.") from None
    answer = await performing(undo_list, asked)
    said = f"Undone for {len(answer['specimens'])} {'tube' if len(answer['specimens']) == 1 else 'tubes'}."
    if not wants_page(request):
        return JSONResponse({"words": said, "specimens": answer["specimens"]})
    return await performing.done("/scan", said, "Put each tube back where it was before.", kind="care")


@router.get("/scan/sheet")
async def show_sheet(request: Request, _reading: PageReading) -> Response:
    """Draw the printed commands, and the gun's test."""
    meanings: list[tuple[Action | Command, str, str]] = [
        (action, WORDINGS[action].label, WORDINGS[action].hint) for action in actions_of(request.state.actor)
    ]
    meanings += [(command, label, "") for command, label in COMMAND_LABELS.items()]
    codes = [
        {"label": label, "hint": hint, "code": command_code(meaning), "symbol": symbol_of(command_code(meaning))}
        for meaning, label, hint in meanings
    ]
    return render(request, "scan_sheet.html", codes=codes)


def _wanted(form: Form, actor: Actor) -> Wanted:
    """Read what the list is for; what is not offered counts as not chosen."""
    offered = actions_of(actor)
    chosen = form.get("action", "")
    action = Action(chosen) if chosen in set(offered) else (offered or [Action.LOOK])[0]
    purpose = form.get("purpose")
    return Wanted(
        action,
        place=form.get("place", "")[:300] or None,
        purpose=purpose if purpose in PURPOSES else None,
        site=form.get("site", "")[:8] or only_site(actor),
    )


class _Lines(list[Line]):
    """The tubes of a form. `fresh`: how many at the end were not looked at before; `rack`: the container that they name."""

    fresh: int = 0
    rack: str | None = None


async def _lines(form: Form, reading: Reader) -> _Lines:
    """Read the tubes of the form: those listed, less the one dropped, and what was pasted, typed or scanned."""
    listed = form.values_of("line")
    dropped = form.get("drop", "")
    if dropped.isdigit() and int(dropped) < len(listed):
        del listed[int(dropped)]
    lines = _Lines(
        Line(text[: LONGEST_SCAN + 1], well or None) for well, _, text in (value.partition("|") for value in listed) if text
    )
    fresh = form.get("fresh", "")
    lines.fresh = int(fresh) if fresh.isdecimal() and len(fresh) < 4 else 0
    typed = "\n".join([*form.values_of("codes"), *form.values_of("one")])
    if typed.strip():
        pasted = await reading(racks.read_pasted, typed, reading.bank.settings)
        lines += pasted.lines
        lines.fresh, lines.rack = lines.fresh + len(pasted.lines), pasted.rack
    if len(lines) > LONGEST_LIST:
        raise ListTooLong(f"A list takes {LONGEST_LIST} tubes. Record this one, then go on.")
    return lines


def _tubes(form: Form) -> list[SeenTube]:
    said = form.values_of("tube")
    try:
        return _TUBES.validate_json("[" + ",".join(said) + "]")
    except ValidationError:
        raise MalformedRequest("The list did not arrive whole. Check it again, then record it.") from None


def _undo_of(recorded: RecordedList) -> dict[str, Any]:
    items = [{"specimen": item.specimen, "seq": item.seq, "undo": item.undo} for item in recorded.items]
    return {"action": recorded.action.value, "items": items, "handover": recorded.handover}


async def _draw(
    request: Request,
    reading: PageReading,
    wanted: Wanted,
    lines: _Lines,
    *,
    refusal: Refusal | None = None,
    recorded: RecordedList | None = None,
) -> Response:
    actor: Actor = request.state.actor
    if wanted.action is Action.STORE and wanted.place is None and lines.rack is not None:
        wanted = replace(wanted, place=lines.rack)
    listed: ScanList = await reading(check_list, wanted, lines, reading.bank.settings)
    fresh = listed.rows[len(listed.rows) - lines.fresh :] if 0 < lines.fresh <= len(listed.rows) else []
    await reading.keep([row.refusals[0] for row in fresh if row.refusals and _is_kept(row)])
    if not wants_page(request):
        return _answer(request, listed)
    return render(
        request,
        "scan.html",
        200 if refusal is None else refusal.status,
        listed=listed,
        wanted=wanted,
        actions=[(action.value, WORDINGS[action], command_code(action)) for action in actions_of(actor)],
        commands={command.value: command_code(command) for command in Command},
        for_use=FOR_USE,
        purposes=[(purpose, words(purpose)) for purpose in PURPOSES],
        sites=await _sites(reading, actor),
        refusal=None if refusal is None else refusal.problem(),
        recorded=recorded,
        recorded_words=None if recorded is None else words_of(recorded),
        undo=None if recorded is None or recorded.action is Action.BENCH else json.dumps(_undo_of(recorded)),
    )


def _is_kept(row: Row) -> bool:
    """Say whether a scan is a near miss by itself: what nobody knows, or another person's tube at a workstation."""
    refusal = row.refusals[0]
    return isinstance(refusal, AnotherPersonsMaterial) or (row.code is None and not isinstance(refusal, TubeNotRead))


def _answer(request: Request, listed: ScanList) -> Response:
    drawn = render(request, "scan_list.html", listed=listed, commands={c.value: command_code(c) for c in Command})
    return JSONResponse(
        {
            "html": bytes(drawn.body).decode(),
            "ready": listed.counts["ready"],
            "fault": listed.fault,
            "place": None if listed.place is None else listed.place.name,
            "place_code": listed.wanted.place,
            "rows": [{name: getattr(row, name) for name in _SAID} for row in listed.rows],
        }
    )


_SAID = ("text", "code", "verdict", "why", "where_now", "slot")


async def _sites(reading: PageReading, actor: Actor) -> list[tuple[str, str]]:
    def query(session: Session, _: Actor) -> list[tuple[str, str]]:
        return [(one.code, one.name) for one in list_sites(session, actor, active=True).items]

    if not actor.may(Permission.CUSTODY_RECORD, at=ANYWHERE):
        return []
    return [(code, f"{code} · {name}") for code, name in await reading(query) if actor.may(Permission.CUSTODY_RECORD, at=code)]

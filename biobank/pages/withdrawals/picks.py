"""The pick on a telephone: one scan a page, outside in; the box goes back first; a second person scans blind.

Each scan is a small form, so it works without JavaScript, with a gun, and with the camera. A wrong scan stops loudly, is kept as
evidence, and says what to do with what is in the hand.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.errors import NotFound, Refusal
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.forms import FormFault, parse
from biobank.pages.ui.parts import BoxGrid
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.storage.maps import map_of
from biobank.withdrawals import picking
from biobank.withdrawals.pick_list import Level, PickLine, PickList, next_level, read_pick_list
from biobank.withdrawals.schemas import PickRequest, PlaceScan

router = APIRouter(include_in_schema=False)

WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
TubeCode = Annotated[str, Query(max_length=20, pattern=r"^((HF|AD|UN)[0-9]{2}-[0-9A-Z]{7})?$")]
PlaceCode = Annotated[str, Query(max_length=20, pattern=r"^((BX|PS)-[0-9A-Z]{7})?$")]
LEVELS = ("rack", "box", "slot")

ASKED = {
    "rack": ("Scan the rack", "BX", "Pull out this rack, no other."),
    "box": ("Scan the box", "BX", "Leave every other box where it is."),
    "slot": ("Scan the place", "PS", "The code of the place is on the map of the box."),
    "tube": ("Scan the tube", "HF AD UN", "Take out this tube and scan it before anything else."),
    "back": (
        "Box back first",
        "BX",
        "Put the box back now. Scan it when it is in its place; the tube waits, the others must not.",
    ),
}
"""What each page asks for: heading, prefixes a gun may send, and one sentence."""


@router.get("/withdrawals/{code}/pick")
async def show_pick(
    request: Request,
    code: WithdrawalCode,
    reading: PageReading,
    tube: TubeCode = "",
    rack: PlaceCode = "",
    box: PlaceCode = "",
    slot: PlaceCode = "",
    back: PlaceCode = "",
) -> Response:
    """Draw the next scan of the pick, or who comes next when everything is out."""
    scanned = {"rack": rack, "box": box, "slot": slot}
    return await _draw(request, reading, code, tube, scanned, back)


async def _draw(
    request: Request,
    reading: PageReading,
    code: str,
    tube: str,
    scanned: dict[str, str],
    back: str,
    refusal: Refusal | None = None,
) -> Response:
    def query(session: Session, actor: Actor) -> tuple[PickList, PickLine | None, BoxGrid | None]:
        picks = read_pick_list(session, actor, code)
        line = picks.line(tube) if tube else picks.next
        if line is None or (line.picked and not back):
            line = picks.next
        return picks, line, None if line is None or back else read_box(session, actor, line)

    picks, line, grid = await reading.agreeing(query)
    if line is not None and line.specimen != tube:
        scanned = {}
    level = None if line is None else next_level(line.levels, scanned)
    asked = "back" if back else level.kind if level is not None else "tube"
    return render(
        request,
        "withdrawal_pick.html",
        200 if refusal is None else refusal.status,
        picks=picks,
        line=line,
        asked=asked,
        question=ASKED[asked],
        target=_target(asked, level, line, back),
        target_code=level.code if level is not None and not back else None,
        box_name=None if line is None else next((one.name for one in line.levels if one.kind == "box"), None),
        scanned={name: value for name, value in scanned.items() if value},
        done=[] if line is None or back else [one for one in line.levels if scanned.get(one.kind) == one.code],
        back=back,
        grid=grid if asked in ("slot", "tube") else None,
        stop=_stop_of(refusal),
        errors=refusal.fields if isinstance(refusal, FormFault) else {},
    )


def _target(asked: str, level: Level | None, line: PickLine | None, back: str) -> str:
    if asked == "back":
        return back
    if level is not None:
        return level.name
    return "" if line is None else line.specimen


def _stop_of(refusal: Refusal | None) -> dict[str, Any] | None:
    return None if refusal is None or isinstance(refusal, FormFault) else refusal.problem()


@router.post("/withdrawals/{code}/pick")
async def take_scan(request: Request, code: WithdrawalCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Compare one scan with the record and go on to the next, or stop."""
    form = performing.form
    scanned = {name: form.get(name, "") for name in LEVELS}
    tube, asked, back = form.get("tube", ""), form.get("asked", ""), form.get("back", "")

    async def act() -> Response:
        here = f"/withdrawals/{code}/pick"
        if asked == "back":
            return await _box_back(performing, here, back)
        if asked in LEVELS:
            body = parse(PlaceScan, form, request.state.zone, "tube", "scan", level=asked)
            answer = await performing(picking.check_place, code, body)
            scanned[answer["level"]] = answer["code"]
            known = "&".join(f"{name}={value}" for name, value in scanned.items() if value)
            return await performing.done(f"{here}?tube={body.tube}&{known}", f"Right {answer['level']}.")
        place = scanned["slot"] or scanned["box"] or None
        if "scan" not in form:
            raise FormFault({"scan": "Scan the tube."})
        body_ = parse(PickRequest, form, request.state.zone, tube=form["scan"], place=place)
        await performing(picking.pick, code, body_)
        if scanned["box"]:
            return await performing.done(f"{here}?tube={tube}&back={scanned['box']}", "Right tube. It is picked.")
        return await performing.done(here, "Right tube. It is picked.")

    return await or_again(act(), lambda refusal: _draw(request, reading, code, tube, scanned, back, refusal))


async def _box_back(performing: PagePerforming, here: str, box: str) -> Response:
    """The box is back when it was scanned in its place, or when the person says so."""
    said = performing.form.get("scan", "").upper()
    if "confirmed" not in performing.form and not said.endswith(box):
        raise FormFault({"scan": f"That is not {box}. Put {box} back and scan it."})
    return await performing.done(here, f"{box} is back.")


@router.get("/withdrawals/{code}/confirm")
async def show_confirm(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw the second person's page. It says how many tubes wait and never which."""
    return await _draw_confirm(request, reading, code)


async def _draw_confirm(request: Request, reading: PageReading, code: str, refusal: Refusal | None = None) -> Response:
    actor = request.state.actor
    picks: PickList = await reading.agreeing(read_pick_list, code)
    waiting = [line for line in picks.lines if line.picked and not line.confirmed]
    return render(
        request,
        "withdrawal_confirm.html",
        200 if refusal is None else refusal.status,
        code=code,
        waiting=len(waiting),
        confirmed=sum(line.confirmed for line in picks.lines),
        total=len(picks.lines),
        own=bool(waiting) and all(line.picked_by == actor.code for line in waiting),
        stop=_stop_of(refusal),
        errors=refusal.fields if isinstance(refusal, FormFault) else {},
    )


@router.post("/withdrawals/{code}/confirm")
async def confirm(request: Request, code: WithdrawalCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Compare the second person's blind scan."""

    async def act() -> Response:
        body = parse(PickRequest, performing.form, request.state.zone, "tube", confirm=True)
        answer = await performing(picking.pick, code, body)
        more = any("second person" in wait for wait in answer["waits_for"])
        place = f"/withdrawals/{code}/confirm" if more else f"/withdrawals/{code}"
        return await performing.done(place, "Yes. Both of you scanned the same tube.")

    return await or_again(act(), lambda refusal: _draw_confirm(request, reading, code, refusal))


def read_box(session: Session, actor: Actor, line: PickLine) -> BoxGrid | None:
    """Return the box of a tube with its slot lit; None when it is in none, or at a site whose places the actor may not see."""
    if line.container is None:
        return None
    try:
        return grid_of(map_of(session, actor, line.container), line.slot)
    except NotFound:
        return None

"""The pick on a telephone: one scan a page, outside in; the box goes back first; a second person scans blind.

Each scan is a small form, so it works without JavaScript, with a gun, and with the camera. A wrong scan stops loudly, is kept as
evidence, and says what to do with what is in the hand.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.codes import Prefix, is_code
from biobank.foundation.errors import NotFound, Refusal
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.parts import BoxGrid
from biobank.storage.maps import map_of
from biobank.storage.queries import get_container
from biobank.withdrawals import picking
from biobank.withdrawals.pick_list import PickLine, PickList, next_level, read_pick_list
from biobank.withdrawals.schemas import PickRequest, PlaceScan
from biobank.withdrawals.standing import read_standing

router = APIRouter(include_in_schema=False)

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


RIGHT = {"rack": "Right rack.", "box": "Right box.", "slot": "Right place."}


@dataclass(frozen=True)
class Picking:
    """Where a pick stands: the tube to take out now (None: everything is out), its box, and why it may not be taken. `back`: the
    box that goes back first, `back_name` what it is called.
    """

    picks: PickList
    line: PickLine | None
    grid: BoxGrid | None
    back: str
    back_name: str
    scanned: dict[str, str]
    against: Refusal | None


def _read(session: Session, actor: Actor, asked: Asked) -> Picking:
    standing = read_standing(session, actor, asked.code, asked.bank)
    picks = read_pick_list(session, actor, standing.case)
    said = {name: asked.form[name] for name in ("tube", "back", *LEVELS) if is_code(asked.form.get(name, ""))}
    back = said.get("back", "")
    refused = {one.specimen: standing.refusals_of("pick", one.specimen) for one in picks.lines if not one.picked}
    # What is refused now is left where it is; the next tube that may be taken comes first.
    line = next((one for one in picks.lines if refused.get(one.specimen) == []), picks.next)
    if "tube" in said and (back or not picks.line(said["tube"]).picked):
        line = picks.line(said["tube"])
    scanned = {name: said[name] for name in LEVELS if name in said and line is not None and said.get("tube") == line.specimen}
    against = None if line is None or back else next(iter(refused[line.specimen]), None)
    grid = None if line is None or back else read_box(session, actor, line)
    return Picking(picks, line, grid, back, _name_of(session, actor, back), scanned, against)


def _name_of(session: Session, actor: Actor, box: str) -> str:
    """Return what a box is called; its code where the actor may not see the places of its site."""
    if not box:
        return ""
    try:
        return str(get_container(session, actor, box).name)
    except NotFound:
        return box


def _draw(at: Opened[Picking]) -> OwnPage:
    one = at.read
    line, back, scanned = one.line, one.back, one.scanned
    level = None if line is None else next_level(line.levels, scanned)
    asked = "back" if back else level.kind if level is not None else "tube"
    target = one.back_name if asked == "back" else level.name if level is not None else "" if line is None else line.specimen
    return OwnPage(
        "withdrawal_pick.html",
        picks=one.picks,
        line=line,
        asks=one.against is None,
        asked=asked,
        question=ASKED[asked],
        target=target,
        target_code=back or (level.code if level is not None else None),
        scanned=scanned,
        done=[] if line is None or back else [each for each in line.levels if scanned.get(each.kind) == each.code],
        back=back,
        grid=one.grid if asked in ("slot", "tube") else None,
        **_stop(at, one.against),
    )


def _stop(at: Opened[Any], against: Refusal | None = None) -> dict[str, Any]:
    """What is said hugely: why the scan was refused, or why none would be accepted."""
    refusal = against if at.refusal is None else at.refusal
    stop = None if refusal is None or isinstance(refusal, FormFault) else refusal.problem()
    # On the way to a tube nothing is in the hand yet.
    return {"stop": stop, "stop_now": "What to do now" if at.form.get("asked") in LEVELS else None, "refusal": None}


async def _take_scan(at: Acting[Picking]) -> Done:
    """Compare one scan with the record and go on to the next, or stop."""
    here, form = f"/withdrawals/{at.code}/pick", at.form
    asked = form.get("asked", "")
    form.know("tube", "scan", "back", "box", "slot", *LEVELS)
    if asked == "back":
        return _box_back(at, here)
    if asked in LEVELS:
        body = at.parse(PlaceScan, "tube", "scan", level=asked)
        answer = await at.performing(picking.check_place, at.code, body)
        known = {**at.read.scanned, answer["level"]: answer["code"]}
        way = {"tube": body.tube} | {name: known[name] for name in LEVELS if name in known}
        return Done(f"{here}?{urlencode(way)}", RIGHT[answer["level"]])
    if "scan" not in form:
        raise FormFault({"scan": "Scan the tube."})
    box = form.get("box")
    await at.performing(picking.pick, at.code, at.parse(PickRequest, tube=form["scan"], place=form.get("slot") or box))
    way = {"tube": form.get("tube", ""), "back": box} if box else {}
    return Done(f"{here}?{urlencode(way)}" if way else here, "Right tube. It is picked.")


def _box_back(at: Acting[Picking], here: str) -> Done:
    """The box is back when it was scanned in its place, or when the person says so."""
    box = at.read.back
    if "confirmed" not in at.form and ("scan" not in at.form or at.scanned("scan", Prefix.CONTAINER) != box):
        raise FormFault({"scan": f"That is not {at.read.back_name} ({box}). Put {at.read.back_name} back and scan it."})
    return Done(here, f"{at.read.back_name} is back.")


ActPage(
    address="/withdrawals/{code}/pick",
    asks=("tube", "back", *LEVELS),
    reads=_read,
    form=_draw,
    model=PickRequest,
    acts=_take_scan,
).on(router)


def _read_blind(session: Session, actor: Actor, asked: Asked) -> tuple[PickList, Refusal | None]:
    """Read how far the pick got, and why no second scan would be accepted now."""
    standing = read_standing(session, actor, asked.code, asked.bank)
    return read_pick_list(session, actor, standing.case), next(iter(standing.refusals("confirm")), None)


def _draw_confirm(at: Opened[tuple[PickList, Refusal | None]]) -> OwnPage:
    """The second person's page: it says how many tubes wait and never which."""
    picks, against = at.read
    waiting = [line for line in picks.lines if line.picked and not line.confirmed]
    own = bool(waiting) and all(at.actor.code in line.pickers for line in waiting)
    return OwnPage(
        "withdrawal_confirm.html",
        code=at.code,
        waiting=len(waiting),
        asks=against is None,
        confirmed=sum(line.confirmed for line in picks.lines),
        total=len(picks.lines),
        own=own,
        **_stop(at, against if waiting and not own else None),
    )


def _say_confirmed(at: Opened[Any], _body: PickRequest, answer: dict[str, Any]) -> Done:
    more = any("second person" in wait for wait in answer["waits_for"])
    here = f"/withdrawals/{at.code}"
    return Done(f"{here}/confirm" if more else here, "Yes. Both of you scanned the same tube.")


ActPage(
    address="/withdrawals/{code}/confirm",
    reads=_read_blind,
    form=_draw_confirm,
    model=PickRequest,
    names=("tube",),
    more=(),
    given=lambda _at: {"confirm": True},
    use_case=picking.pick,
    after=_say_confirmed,
).on(router)


def read_box(session: Session, actor: Actor, line: PickLine) -> BoxGrid | None:
    """Return the box of a tube with its slot lit; None when it is in none, or at a site whose places the actor may not see."""
    if line.container is None:
        return None
    try:
        return grid_of(map_of(session, actor, line.container), line.slot)
    except NotFound:
        return None

"""The bedside on two devices: each person scans band and product; the answer is a huge yes, a huge no, or "wait".

Nobody sees the other's scans. The page of the one who waits looks every two seconds whether something happened (and, without
JavaScript, every five); it stops looking when the first scans have lapsed, so that an unattended page still locks itself.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.addresses import WithdrawalCode
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, fields_of
from biobank.pages.ui.session import PageReading
from biobank.pages.withdrawals.steps import taken
from biobank.pages.withdrawals.withdrawals import clocks_of
from biobank.specimens.amounts import VOLUMES, read_amount, said, unit_shown
from biobank.specimens.materials import Unit, amount_text
from biobank.specimens.resolving import tube_named
from biobank.withdrawals import administering, bedside
from biobank.withdrawals.bedside_view import BedsideView, read_bedside
from biobank.withdrawals.described import items_of
from biobank.withdrawals.given_before import entering_refusals
from biobank.withdrawals.release_rules import NoRelease
from biobank.withdrawals.schemas import AdministerRequest, BedsideRequest
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.steps import STEPS

router = APIRouter(include_in_schema=False)

APART = "Keep the product cold and apart from every other, and call quality now."


@dataclass(frozen=True)
class Bedside:
    """A bedside as one person sees it, with what the rules say of it now."""

    standing: Standing
    view: BedsideView

    @property
    def against(self) -> Refusal | None:
        """Why the next thing at this bedside would be refused: giving what two people agreed on, else the check."""
        if self.view.stage in ("stopped", "given"):
            return None
        return next(iter(self.standing.refusals("administer" if self.view.releases else "check")), None)


def _read(session: Session, actor: Actor, asked: Asked) -> Bedside:
    standing = read_standing(session, actor, asked.code, asked.bank)
    return Bedside(standing, read_bedside(session, standing))


def _draw(at: Opened[Bedside]) -> OwnPage:
    view, refusal = at.read.view, None if isinstance(at.refusal, FormFault) else at.refusal
    may_check = not at.read.standing.refusals("check")
    asks = view.stage in ("start", "your_turn") or (view.stage == "released" and view.left > len(view.releases))
    return OwnPage(
        "withdrawal_bedside.html",
        view=view,
        verdict=_verdict(at, refusal or at.read.against),
        typed=at.form,
        asks=asks and may_check,
        given_before=not entering_refusals(at.read.standing),
        clocks=clocks_of(items_of(at.read.standing.case)),
        now=at.read.standing.grounds.at,
        again=not asks and may_check and view.stage in ("stopped", "waiting", "released"),
        refusal=None,
    )


def _verdict(at: Opened[Bedside], refusal: Refusal | None) -> dict[str, Any] | None:
    view = at.read.view
    if view.stage == "stopped" or isinstance(refusal, bedside.WrongRecipient):
        what = " and ".join(view.differing) or "scans"
        text = f"Band, product and withdrawal do not belong to one person (wrong: {what}). Open permissions have ended."
        return {"kind": "no", "word": "STOP. Give nothing.", "text": text, "place": APART}
    if refusal is not None:
        return {"kind": "no", "word": "NO", "text": refusal.detail, "place": refusal.where_now or APART}
    if view.stage == "released":
        text = "Two people scanned the same person's band and product. Use it before the time below."
        return {"kind": "yes", "word": "YES", "text": text, "place": None}
    if view.stage == "waiting":
        until = when(view.until, at.zone).striptags()
        text = f"Your scans agree. A second person scans on their own device before {until}."
        return {"kind": "wait", "word": "Wait", "text": text, "place": None}
    if view.stage == "given":
        return {"kind": "yes", "word": "Given", "text": "Nothing of it is left here to give.", "place": None}
    return None


@router.get("/withdrawals/{code}/check/now")
async def read_mark(code: WithdrawalCode, reading: PageReading) -> JSONResponse:
    """Say which version of the bedside is the present one, for a page that waits."""

    def query(session: Session, actor: Actor) -> BedsideView:
        return read_bedside(session, read_standing(session, actor, code, reading.bank))

    view = await reading.agreeing(query)
    return JSONResponse({"mark": f"{view.mark}-{view.stage}", "stop": view.stage == "stopped"})


def _say_check(at: Opened[Bedside], _body: BedsideRequest, answer: dict[str, Any]) -> Done:
    said = "Both of you agree." if answer["status"] == "released" else "Your scans agree."
    return Done(f"/withdrawals/{at.code}/check", said)


ActPage(
    address="/withdrawals/{code}/check",
    reads=_read,
    form=_draw,
    model=BedsideRequest,
    names=STEPS["check"].names,
    more=(),
    use_case=bedside.check_at_bedside,
    after=_say_check,
).on(router)


def _draw_administer(at: Opened[Bedside]) -> OwnPage:
    view = at.read.view
    against = at.read.against if view.releases else None
    stopped = view.stage == "stopped" or isinstance(at.refusal, bedside.WrongRecipient) or against is not None
    asked = ("volume_ul", "anatomical_site", "started_at", "reaction")
    about = fields_of(AdministerRequest, *asked, values=at.form, labels=STEPS["administer"].labels)
    more = fields_of(AdministerRequest, *CIRCUMSTANCES, values=at.form)
    shows: dict[str, Any] = {
        "view": view,
        "verdict": _verdict(at, against or at.refusal) if stopped else None,
        "tubes": [(one, amount_text(one.amount, one.unit), unit_shown(one.unit)) for one in view.releases],
        "whole": _whole(view),
        "typed": at.form,
        "about": about,
        "more": more,
        "given_before": stopped and not entering_refusals(at.read.standing),
    }
    return OwnPage("withdrawal_administer.html", **shows, **({"refusal": None} if stopped else {}))


def _whole(view: BedsideView) -> dict[str, Any] | None:
    """What the parts must come to, where there is one tube: the kept integer, how many make one as typed, and a sentence."""
    if len(view.releases) != 1:
        return None
    one = view.releases[0]
    return {"kept": one.amount, "per": 1000 if Unit(one.unit) in VOLUMES else 1, "said": said(one.amount, one.unit)}


async def given_scanned(at: Acting[Any], standing: Standing) -> dict[str, Any]:
    """Return what was typed of the parts, in the unit of the tube, and the release of what was scanned as the product, by
    whichever name; the use case says if that stands. Raises FormFault, NoRelease.
    """
    product = await at.ask(_plain_code, at.form.get("product", ""), at.bank.settings)
    release, tubes = release_of(standing, product), standing.case.tubes
    tube = tubes.get(product) or next(iter(tubes.values()))
    parts: dict[str, int] = {}
    faults: dict[str, str] = {}
    for name in ("given", "residue", "loss"):
        try:
            parts[name] = read_amount(at.form.get(name, ""), tube.unit, least=1 if name == "given" else 0)
        except ValueError as error:
            faults[name] = f"{name.capitalize()}: {error}"
    if faults:
        raise FormFault(faults)
    return release | parts


def _plain_code(session: Session, _actor: Actor, scanned: str, settings: Settings) -> str:
    try:
        return tube_named(session, scanned, settings)
    except Refusal:
        return scanned


def release_of(standing: Standing, product: str) -> dict[str, Any]:
    """Return the newest release of a scanned product, or of any when the scan names none of them (it is then refused).

    Whether it may be used is the rules' to say. Raises NoRelease when two people have not agreed on anything.
    """
    releases = standing.releases
    named = [one for one in releases if one["specimen_code"] == product] or releases
    if not named:
        text = "There is no open bedside release. Two people check wristband and product first."
        raise NoRelease(text, subject=standing.case.code)
    return {"release": str(named[-1]["id"])}


ActPage(
    address="/withdrawals/{code}/administer",
    reads=_read,
    form=_draw_administer,
    model=AdministerRequest,
    names=STEPS["administer"].names,
    more=CIRCUMSTANCES,
    labels=STEPS["administer"].labels,
    given=lambda at: given_scanned(at, at.read.standing),
    use_case=administering.administer,
    after=taken("administer"),
).on(router)

"""The bedside on two devices: each person scans band and product; the answer is a huge yes, a huge no, or "wait".

Nobody sees the other's scans. The page of the one who waits looks every two seconds whether something happened (and, without
JavaScript, every five); it stops looking when the first scans have lapsed, so that an unattended page still locks itself.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import when
from biobank.pages.ui.forms import CIRCUMSTANCES, FormFault, drawn, fields_of, parse
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.specimens.materials import amount_text
from biobank.withdrawals import administering, bedside
from biobank.withdrawals.bedside_view import BedsideView, OpenRelease, read_bedside
from biobank.withdrawals.schemas import AdministerRequest, BedsideRequest

router = APIRouter(include_in_schema=False)

WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
APART = "Keep the product cold and apart from every other, and call quality now."
GIVEN = ("product", "given", "residue", "loss", "residue_went", "anatomical_site", "reaction")


@router.get("/withdrawals/{code}/check")
async def show_bedside(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw the bedside as it stands for this person."""
    return await _draw(request, reading, code)


async def _draw(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    view = await reading.agreeing(read_bedside, code)
    fault = refusal if isinstance(refusal, FormFault) else None
    return render(
        request,
        "withdrawal_bedside.html",
        200 if refusal is None else refusal.status,
        view=view,
        verdict=_verdict(request, view, None if fault else refusal),
        typed=typed or {},
        asks=view.stage in ("start", "your_turn") or (view.stage == "released" and view.left > len(view.releases)),
        errors=fault.fields if fault else {},
    )


def _verdict(request: Request, view: BedsideView, refusal: Refusal | None) -> dict[str, Any] | None:
    zone = request.state.zone
    if view.stage == "stopped" or isinstance(refusal, bedside.WrongRecipient):
        what = " and ".join(view.differing) or "scans"
        text = f"Band, product and withdrawal do not belong to one person (wrong: {what}). Open permissions have ended."
        return {"kind": "no", "word": "STOP. Give nothing.", "text": text, "place": APART}
    if refusal is not None:
        return {"kind": "no", "word": "NO", "text": refusal.detail, "place": refusal.where_now or APART}
    if view.stage == "released":
        return {
            "kind": "yes",
            "word": "YES",
            "text": "Two people scanned the same person's band and product. Use it before the time below.",
            "place": None,
        }
    if view.stage == "waiting":
        text = f"Your scans agree. A second person scans on their own device before {when(view.until, zone).striptags()}."
        return {"kind": "wait", "word": "Wait", "text": text, "place": None}
    if view.stage == "given":
        return {"kind": "yes", "word": "Given", "text": "Nothing of it is left here to give.", "place": None}
    return None


@router.get("/withdrawals/{code}/check/now")
async def read_mark(code: WithdrawalCode, reading: PageReading) -> JSONResponse:
    """Say which version of the bedside is the present one, for a page that waits."""
    view = await reading.agreeing(read_bedside, code)
    return JSONResponse({"mark": f"{view.mark}-{view.stage}", "stop": view.stage == "stopped"})


@router.post("/withdrawals/{code}/check")
async def check(request: Request, code: WithdrawalCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Compare one person's scans; the second person's agreeing scans make the release."""

    async def act() -> Response:
        body = parse(BedsideRequest, performing.form, request.state.zone, "wristband", "product")
        answer = await performing(bedside.check_at_bedside, code, body)
        said = "Both of you agree." if answer["status"] == "released" else "Your scans agree."
        return await performing.done(f"/withdrawals/{code}/check", said)

    return await or_again(act(), lambda refusal: _draw(request, reading, code, refusal, performing.form))


@router.get("/withdrawals/{code}/administer")
async def show_administer(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw the form of an administration under the open release."""
    return await _draw_administer(request, reading, code)


async def _draw_administer(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    view = await reading.agreeing(read_bedside, code)
    stopped = view.stage == "stopped" or isinstance(refusal, bedside.WrongRecipient)
    return render(
        request,
        "withdrawal_administer.html",
        view=view,
        verdict=_verdict(request, view, refusal) if stopped else None,
        tubes=[(one, amount_text(one.amount, one.unit), words(one.unit).lower()) for one in view.releases],
        typed=typed or {},
        more=fields_of(AdministerRequest, "started_at", *CIRCUMSTANCES, values=typed, labels={"started_at": "When it began"}),
        **(drawn(None) if stopped else drawn(refusal)),
    )


@router.post("/withdrawals/{code}/administer")
async def administer(request: Request, code: WithdrawalCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Give it: the release is used up and every part of the tube accounted for."""

    async def act() -> Response:
        view = await reading.agreeing(read_bedside, code)
        release = release_for(view, performing.form.get("product", ""))
        names = (*GIVEN, "started_at", *CIRCUMSTANCES)
        body = parse(AdministerRequest, performing.form, request.state.zone, *names, release=release.id)
        answer = await performing(administering.administer, code, body)
        next_up = f"Next: {answer['waits_for'][0]}." if answer["waits_for"] else ""
        return await performing.done(f"/withdrawals/{code}", "Done: administer.", next_up)

    return await or_again(act(), lambda refusal: _draw_administer(request, reading, code, refusal, performing.form))


def release_for(view: BedsideView, scanned: str) -> OpenRelease:
    """Return the open release of the scanned product, or the newest when the scan names none of them (it is then refused).

    Raises NotFound when two people have not agreed within the last minutes.
    """
    if not view.releases:
        raise NotFound("There is no open bedside release. Two people check wristband and product first.", subject=view.code)
    named = [one for one in view.releases if scanned.upper().endswith(one.specimen)]
    return named[0] if named else view.releases[-1]

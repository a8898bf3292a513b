"""Something is wrong: scan it, say what, and it is on hold. Two taps, from every page, and nobody is blamed.

A hold is the cautious act that anyone at the bench or the bedside may take; quality sorts out afterwards what it was. What
has no label to scan is reported in words, as a deviation.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import TO_QUARANTINE
from biobank.custody.states import HoldKind, HoldScope
from biobank.foundation.codes import Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.quality.deviations import open_deviation
from biobank.quality.holds import place_hold
from biobank.quality.schemas import DeviationRequest, HoldRequest

router = APIRouter(include_in_schema=False)

SCOPES = {
    Prefix.HAIR_FOLLICLE: HoldScope.SPECIMEN,
    Prefix.ADIPOSE: HoldScope.SPECIMEN,
    Prefix.UNIDENTIFIED: HoldScope.SPECIMEN,
    Prefix.CONTAINER: HoldScope.CONTAINER,
    Prefix.LOT: HoldScope.LOT,
    Prefix.DONOR: HoldScope.DONOR,
    Prefix.SHIPMENT: HoldScope.SHIPMENT,
}
LONGEST_REMARK = 500


@dataclass(frozen=True)
class Wrong:
    """A kind of trouble as a person says it, and the hold it places."""

    label: str
    hint: str
    icon: str
    kind: HoldKind
    reason: str


WRONGS: dict[str, Wrong] = {
    "label": Wrong("Label", "Cannot be read, is loose, or belongs elsewhere", "vial", HoldKind.IDENTITY, "label_in_doubt"),
    "warm": Wrong("Too warm", "Was out of the cold, or has thawed", "snow", HoldKind.TEMPERATURE, "found_warm"),
    "broken": Wrong("Broken", "Leaks, is cracked, or may be contaminated", "drop", HoldKind.QUALITY, "container_damaged"),
    "place": Wrong("Wrong place", "Not where or what the record says", "box", HoldKind.IDENTITY, "not_as_recorded"),
    "other": Wrong(
        "Something else",
        "Stop first, sort it out together afterwards",
        "question",
        HoldKind.INVESTIGATION,
        "reported_at_the_bench",
    ),
}


@router.get("/wrong")
async def show_wrong(
    request: Request, _reading: PageReading, about: Annotated[str, Query(max_length=20, pattern=r"^[A-Za-z0-9-]*$")] = ""
) -> Response:
    """Ask what is wrong, and with what."""
    return _draw(request, {"about": about})


def _draw(request: Request, typed: dict[str, str], refusal: Refusal | None = None) -> Response:
    actor: Actor = request.state.actor
    fault = isinstance(refusal, FormFault)
    return render(
        request,
        "wrong.html",
        200 if refusal is None else refusal.status,
        wrongs=WRONGS,
        typed=typed,
        may=actor.may(Permission.HOLD_PLACE, at=ANYWHERE),
        errors=refusal.fields if isinstance(refusal, FormFault) else {},
        refusal=None if refusal is None or fault else refusal.problem(),
    )


@router.post("/wrong")
async def report_wrong(request: Request, performing: PagePerforming) -> Response:
    """Place the hold, or open a deviation when there was nothing to scan."""
    form = performing.form

    async def act() -> Response:
        wrong = WRONGS.get(form.get("what", ""))
        if wrong is None:
            raise FormFault({"": "Say what is wrong with one of the large buttons."})
        remark = form.get("remark", "")[:LONGEST_REMARK] or None
        if "about" not in form:
            return await _in_words(performing, wrong, remark)
        scope, code = _scope_of(form["about"], performing.bank.settings)
        body = HoldRequest(scope_kind=scope, scope_id=code, kind=wrong.kind, reason=wrong.reason, comment=remark)
        await performing(place_hold, body)
        where = TO_QUARANTINE if scope is HoldScope.SPECIMEN else "Everything in it is on hold. Leave it where it is cold."
        return await performing.done(code_href(code), f"{code} is on hold. Thank you for saying so.", where, kind="care")

    async def again(refusal: Refusal) -> Response:
        return _draw(request, dict(form), refusal)

    return await or_again(act(), again)


def _scope_of(text: str, settings: Settings) -> tuple[HoldScope, str]:
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except Refusal as refusal:
        raise FormFault({"about": refusal.detail}) from None
    scope = SCOPES.get(code.prefix)
    if scope is None:
        raise FormFault({"about": f"{code.text} cannot be put on hold. Scan the tube, its box, its lot or its shipment."})
    return scope, code.text


async def _in_words(performing: Any, wrong: Wrong, remark: str | None) -> Response:
    """Report what has no label: a deviation at the reporter's site, in words."""
    if remark is None:
        raise FormFault({"about": "Scan it, or say below in words what you see and where."})
    own = sorted(performing.page.actor.scope(Permission.DEVIATION_OPEN).sites)
    site = performing.form.get("site") or (own[0] if own else None)
    if site is None:
        raise FormFault({"about": "Scan it: a report in words needs a site, and your role is not bound to one."})
    body = DeviationRequest(severity="minor", topic=wrong.reason, site=site, description=remark)
    answer = await performing(open_deviation, body)
    said = f"Reported as {answer['code']}. Thank you for saying so."
    done: Response = await performing.done("/", said, "Quality sees it under Today.", kind="care")
    return done

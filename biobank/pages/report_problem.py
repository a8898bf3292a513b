"""Something is wrong: scan it, say what, and it is on hold. Two taps, from every page, and nobody is blamed.

A hold is the cautious act that anyone at the bench or the bedside may take; quality sorts out afterwards what it was. What
has no label to scan is reported in words, as a deviation.
"""

from dataclasses import dataclass

from fastapi import APIRouter

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.legality import TO_QUARANTINE
from biobank.custody.states import HoldKind, HoldScope
from biobank.foundation.codes import Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.pages.ui.act_pages import Acting, ActPage, Done, Needs, Opened, OwnPage
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.forms import FormFault
from biobank.quality.deviations import open_deviation
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.quality.schemas import DeviationRequest

router = APIRouter(include_in_schema=False)

SCOPES = {
    Prefix.HAIR_FOLLICLE: HoldScope.SPECIMEN,
    Prefix.ADIPOSE: HoldScope.SPECIMEN,
    Prefix.UNIDENTIFIED: HoldScope.SPECIMEN,
    Prefix.CONTAINER: HoldScope.CONTAINER,
    Prefix.LOT: HoldScope.LOT,
    Prefix.DONOR: HoldScope.DONOR,
    Prefix.SHIPMENT: HoldScope.SHIPMENT,
    Prefix.BENCH_SESSION: HoldScope.BENCH_SESSION,
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


def _draw(at: Opened[Actor]) -> OwnPage:
    """Ask what is wrong, and with what."""
    return OwnPage("report_problem.html", wrongs=WRONGS, typed=at.form, may=at.actor.may(Permission.HOLD_PLACE, at=ANYWHERE))


async def _report(at: Acting[Actor]) -> Done:
    """Place the hold, or open a deviation when there was nothing to scan."""
    wrong = WRONGS.get(at.form.get("what", ""))
    if wrong is None:
        raise FormFault({"": "Say what is wrong with one of the large buttons."})
    remark = at.form.get("remark", "")[:LONGEST_REMARK] or None
    if "about" not in at.form:
        return await _in_words(at, wrong, remark)
    scope, code = _scope_of(at.form["about"], at.bank.settings)
    body = HoldRequest(scope_kind=scope, scope_id=code, kind=wrong.kind, reason=wrong.reason, comment=remark)
    await at.performing(place_hold, body)
    where = TO_QUARANTINE if scope is HoldScope.SPECIMEN else "Everything in it is on hold. Leave it where it is cold."
    return Done(code_href(code), f"{code} is on hold. Thank you for saying so.", where, "care")


def _scope_of(text: str, settings: Settings) -> tuple[HoldScope, str]:
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except Refusal as refusal:
        raise FormFault({"about": refusal.detail}) from None
    scope = SCOPES.get(code.prefix)
    if scope is None:
        raise FormFault({"about": f"{code.text} cannot be put on hold. Scan the tube, its box, its lot or its shipment."})
    return scope, code.text


async def _in_words(at: Acting[Actor], wrong: Wrong, remark: str | None) -> Done:
    """Report what has no label: a deviation at the reporter's site, in words."""
    if remark is None:
        raise FormFault({"about": "Scan it, or say below in words what you see and where."})
    own = sorted(at.actor.scope(Permission.DEVIATION_OPEN).sites)
    site = at.form.get("site") or (own[0] if own else None)
    if site is None:
        raise FormFault({"about": "Scan it: a report in words needs a site, and your role is not bound to one."})
    body = DeviationRequest(severity="minor", topic=wrong.reason, site=site, description=remark)
    answer = await at.performing(open_deviation, body)
    return Done("/", f"Reported as {answer['code']}. Thank you for saying so.", "Quality sees it under Today.", "care")


ActPage(
    address="/wrong",
    asks=("about",),
    reads=Needs(),
    form=_draw,
    model=HoldRequest,
    tubes=("about",),
    acts=_report,
    old_labels="told",
).on(router)

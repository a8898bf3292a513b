"""Look-back and recall: from one code to everything it can have reached, and the button that freezes that set."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.foundation.codes import MalformedCode, Prefix, resolve_payload
from biobank.foundation.terms import counted
from biobank.pages.monitoring.said import sentence_on_own_cold
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.quality.dispositions import REACHED, reached_row
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Done, Needs, Opened, OwnPage, Shown
from biobank.pages.ui.forms import Field, FormFault, fields_of, parse
from biobank.pages.ui.parts import Stat
from biobank.pages.ui.scanned import ENTRY_WITHOUT_CODE
from biobank.quality import look_back
from biobank.quality.schemas import Criteria, ReachedSpecimen, RecallRequest

router = APIRouter(include_in_schema=False)

STARTS = {
    **dict.fromkeys((Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED), "specimen"),
    Prefix.LOT: "lot",
    Prefix.DONOR: "donor",
    Prefix.CONTAINER: "container",
    Prefix.SHIPMENT: "shipment",
    Prefix.BADGE: "operator",
    Prefix.REAGENT_LOT: "entry",
    Prefix.EQUIPMENT: "entry",
}
"""Where a look-back may start, by the prefix of the code."""
ASKED = ("since", "until", "derivatives")
RECALLED = ("reason", "severity", "site", "description")
LABELS = {
    "since": "From (for a box, a badge, a reagent or a device)",
    "until": "Until (for a box, a badge, a reagent or a device)",
    "derivatives": "With everything made of what is found",
    "reason": "Why",
    "description": "What is known, without names",
}


async def _draw(at: Opened[Actor]) -> Shown:
    """Ask where to look back from; a recall that was refused is drawn with its set and with what was typed."""
    if at.sent and any(name in at.form for name in RECALLED):
        try:
            criteria = criteria_of(at.form, at.bank.settings, at.zone)
            items, apart = await at.reading.agreeing(look_back.read_again, criteria)
            return _found(at, items, apart, await at.reading(own_sites, None), at.form)
        except (look_back.LookBackTooWide, FormFault):
            pass
    values = at.filled(derivatives="true")
    start = Field(
        "start",
        "Donor, lot, specimen, box, shipment, badge, reagent or device",
        "scan",
        values.get("start", ""),
        required=True,
        accepts="DN LT HF AD UN BX SH US RG EQ",
    )
    return ActForm(
        title="Look back",
        subject="from a cause",
        submit="Look back",
        icon="search",
        back="/deviations",
        trail=[("Deviations", "/deviations"), ("Look back", None)],
        lead="Every specimen and recipient it can have reached, read from the log. That you asked is recorded.",
        fields=[start, *fields_of(Criteria, *ASKED, values=values, labels=LABELS)],
    )


def criteria_of(form: Any, settings: Any, zone: Any) -> Criteria:
    """Return what a posted form asks; raise FormFault for what is no start of a look-back."""
    if ENTRY_WITHOUT_CODE.fullmatch(form.get("start", "")):
        return parse(Criteria, form, zone, *ASKED, entry=form["start"])
    try:
        code = resolve_payload(form.get("start", ""), settings.host_name, settings.former_hosts)
    except MalformedCode as error:
        raise FormFault({"start": error.detail}) from None
    if code.prefix not in STARTS:
        raise FormFault({"start": f"{code.text} is no place to start from."})
    return parse(Criteria, form, zone, *ASKED, **{STARTS[code.prefix]: code.text})


async def _look_back(at: Acting[Actor]) -> OwnPage:
    """Answer it. The page of the answer may be loaded again: it is one look-back."""
    criteria = criteria_of(at.form, at.bank.settings, at.zone)
    answer = await at.performing(look_back.make_look_back, criteria)
    items = [ReachedSpecimen.model_validate(one) for one in answer["items"]]
    return _found(at, items, answer["keep_their_own_cold"], await at.ask(own_sites, None), {})


def _found(
    at: Opened[Actor], items: Sequence[ReachedSpecimen], apart: Sequence[str], sites: Choices, typed: Mapping[str, Any]
) -> OwnPage:
    """Draw what was reached and, for whoever may freeze it, the form for that with what was `typed` into it."""
    recipients = look_back.recipients_of(items)
    may = at.actor.may(Permission.RECALL_START, at=EVERYWHERE) and bool(items)
    return OwnPage(
        "look_back.html",
        start=at.form.get("start", ""),
        apart=sentence_on_own_cold(apart),
        rows=[reached_row(one.model_dump()) for one in items],
        columns=REACHED,
        stats=[
            Stat("Specimens reached", len(items), tone="care" if items else "good"),
            Stat("People who were given some", recipients, tone="stop" if recipients else "good"),
        ],
        kept={name: at.form[name] for name in ("start", *ASKED) if name in at.form},
        recall=fields_of(RecallRequest, *RECALLED, values=typed, options={"site": sites}, labels=LABELS) if may else [],
    )


async def _recall(at: Acting[Actor]) -> Done:
    """Freeze the set: it is read again now, so that what was made meanwhile is in it."""
    body = at.parse(RecallRequest, *RECALLED, criteria=criteria_of(at.form, at.bank.settings, at.zone))
    answer = await at.performing(look_back.start_recall, body)
    ended = answer["releases_killed"]
    text = f"On hold: {counted(answer['specimens'], 'specimen')}. Bedside permissions ended: {ended}."
    return Done(f"/recalls/{answer['id']}", "Recall started.", text, "care")


LOOK_BACK = ActPage(
    address="/look-backs",
    reads=Needs(Permission.LOG_READ, at=EVERYWHERE),
    asks=("start",),
    form=_draw,
    model=Criteria,
    labels=LABELS,
    tubes=("start",),
    old_labels="told",
    acts=_look_back,
)
LOOK_BACK.on(router)
LOOK_BACK.also(router, "/recalls", _recall)

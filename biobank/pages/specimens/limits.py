"""How long materials are fit for use and may be out of the cold: what stands, and setting a site's own limits, signed."""

from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.terms import counted, words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.filters import quantity_text
from biobank.specimens.limits import LimitsList, SetLimits, list_limits, set_limits

router = APIRouter(include_in_schema=False)


def _limits(session: Session, actor: Actor, _asked: Asked) -> LimitsList:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    return list_limits(session, actor)


def _said(one: Any) -> str:
    parts = [] if one.use_by_s is None else [f"fit for use {quantity_text(one.use_by_s, 'seconds')}"]
    if one.warm_amber_s is not None:
        amber, red = quantity_text(one.warm_amber_s, "seconds"), quantity_text(one.warm_red_s, "seconds")
        parts.append(f"out of the cold amber {amber}, red {red}")
    for name, says in (("contact_s", "in cryoprotectant"), ("to_tank_s", "into the tank within")):
        if getattr(one, name) is not None:
            parts.append(f"{says} {quantity_text(getattr(one, name), 'seconds')}")
    if one.highest_passage is not None:
        parts.append(f"up to passage {one.highest_passage}")
    whose = (one.site or "registry") + (f" ({one.source})" if one.source else "")
    return f"{words(one.material)}, {words(one.condition).lower()}: {', '.join(parts) or 'no limit'} · {whose}"


def _draw(at: Opened[LimitsList]) -> ActForm:
    return ActForm(
        title="Limits of materials",
        subject="Materials",
        submit="Sign and set",
        icon="pen",
        lead="A site may be stricter than the registry, never looser; what is left out has no limit of its own. Over "
        "the red time a tube is held towards use and quality decides; putting it away is never refused. So is one that was too "
        "long in the cryoprotectant or on its way into the tank; a run past the last passage is refused. What stands: "
        + "; ".join(_said(one) for one in at.read.items),
        labels={
            "use_by_s": "Fit for use for",
            "warm_amber_s": "Out of the cold, amber after",
            "warm_red_s": "Out of the cold, red after",
            "contact_s": "In the cryoprotectant before cooling, at most",
            "to_tank_s": "From the end of freezing into the tank, at most",
            "highest_passage": "Grown for treatment up to passage",
            "source": "Where the times out of the cold come from (report, procedure, publication)",
        },
        statement="You set how long this material may be used and may be out of the cold at this site.",
        said="I decide these limits for the site.",
        back="/",
        trail=[("Today", "/"), ("Limits of materials", None)],
    )


def _set(_at: Opened[LimitsList], body: SetLimits, answer: dict[str, Any]) -> Done:
    said = {
        "held": "had been out of the cold for longer already: on hold.",
        "shortened": "may be used for a shorter time now.",
    }
    over = " ".join(f"{counted(answer[name], 'specimen')} {what}" for name, what in said.items() if answer[name])
    if not over:
        return Done("/material-limits", f"Set for {body.site}.")
    return Done("/material-limits", f"Set for {body.site}.", over, "care")


ActPage(
    address="/material-limits",
    reads=_limits,
    form=_draw,
    model=SetLimits,
    names=(
        "site",
        "material",
        "condition",
        "use_by_s",
        "warm_amber_s",
        "warm_red_s",
        "contact_s",
        "to_tank_s",
        "highest_passage",
        "source",
    ),
    meaning=Meaning.DECIDED,
    use_case=set_limits,
    args=lambda _at: (),
    after=_set,
).on(router)

"""Keeping everything of a donor apart for infection, and no longer."""

from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.states import HoldScope
from biobank.donors.queries import describe_donor
from biobank.donors.schemas import DonorPublic
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.quality.holds import find_scope
from biobank.quality.isolation import IsolationRequest, decide_isolation

router = APIRouter(include_in_schema=False)


def _donor_of(session: Session, actor: Actor, asked: Asked) -> DonorPublic:
    scope = find_scope(session, actor, HoldScope.DONOR, asked.code)
    actor.require(Permission.QUALITY_DECIDE, at=scope.sites, subject=asked.code)
    return describe_donor(session, actor, asked.code)


def _draw(at: Opened[DonorPublic]) -> ActForm:
    apart = at.read.kept_apart
    return ActForm(
        title="No longer keep apart" if apart else "Keep apart for infection",
        submit="No longer keep apart" if apart else "Keep apart",
        icon="octagon",
        lead="Its tubes may stand with others again, and no longer in isolated places."
        if apart
        else "From now on everything of this donor goes into isolated places only. What stands elsewhere is yours to move.",
    )


def _after(at: Opened[DonorPublic], body: IsolationRequest, answer: Any) -> Done:
    count = answer["to_move"]
    said = "Kept apart." if body.kept_apart else "No longer kept apart."
    tubes = f"{count} {'tube stands' if count == 1 else 'tubes stand'} where that is not allowed: Today of its site names each."
    return Done(f"/donors/{at.code}", said, tubes if count else "", "care" if count else "ok")


ActPage(
    address="/donors/{code}/isolation",
    reads=_donor_of,
    form=_draw,
    model=IsolationRequest,
    names=("reason",),
    given=lambda at: {"kept_apart": not at.read.kept_apart},
    use_case=decide_isolation,
    after=_after,
).on(router)

"""Stopping and going on: place a hold, lift it, decide on a specimen."""

from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.states import HoldScope
from biobank.foundation.errors import NotFound
from biobank.foundation.terms import words
from biobank.pages.specimens.about import about_specimen
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.code_pages import code_href
from biobank.quality.decisions import decide_specimen
from biobank.quality.events import Decision
from biobank.quality.holds import find_scope, hold, lift_hold, place_hold
from biobank.quality.schemas import DecisionRequest, HoldPublic, HoldRequest, LiftRequest
from biobank.specimens.schemas import SpecimenPublic

router = APIRouter(include_in_schema=False)

SCOPES = {"specimen": "This specimen and what is made of it", "donor": "Everything of its donor", "lot": "Its whole lot"}


def _scopes(specimen: SpecimenPublic) -> dict[str, str | None]:
    return {"specimen": specimen.code, "donor": specimen.donor, "lot": specimen.lot}


ActPage(
    address="/specimens/{code}/hold",
    reads=about_specimen,
    form=lambda at: ActForm(
        title="Place a hold",
        submit="Place the hold",
        icon="octagon",
        grave=True,
        lead="A hold stops acts until quality lifts it. Storing in quarantine is never stopped.",
        values={"scope_kind": "specimen"},
        options={"scope_kind": [(kind, SCOPES[kind]) for kind, of in _scopes(at.read).items() if of is not None]},
    ),
    labels={"scope_kind": "On what", "kind": "Why"},
    model=HoldRequest,
    names=("scope_kind", "kind", "reason"),
    given=lambda at: {"scope_id": _scopes(at.read).get(at.form.get("scope_kind", ""))},
    use_case=place_hold,
    args=lambda _at: (),
    after=lambda at, body, _answer: Done(f"/specimens/{at.code}", f"On hold: {words(body.kind.value).lower()}.", kind="care"),
).on(router)


def _find_hold(session: Session, actor: Actor, asked: Asked) -> HoldPublic:
    hold_id: UUID = asked.path["hold_id"]
    row = session.execute(select(hold).where(hold.c.id == hold_id)).mappings().first()
    if row is None:
        raise NotFound("There is no hold with this id that you may see.")
    scope = find_scope(session, actor, HoldScope(row["scope_kind"]), row["scope_id"])
    actor.require(Permission.HOLD_LIFT, at=scope.sites, subject=scope.id)
    return HoldPublic(**{name: row[name] for name in HoldPublic.model_fields})


def _draw_lift(at: Opened[HoldPublic]) -> ActForm:
    found, back = at.read, code_href(at.read.scope_id)
    return ActForm(
        title="Lift a hold",
        subject=found.scope_id,
        submit="Sign and lift",
        icon="pen",
        back=back,
        trail=[(found.scope_id, back), ("Lift a hold", None)],
        lead=f"{words(found.kind)} hold, placed by {found.placed_by}: {words(found.reason).lower()}.",
        statement=f"You lift the {words(found.kind).lower()} hold on {found.scope_id}.",
        said="The reason for this hold is gone.",
    )


ActPage(
    address="/holds/{hold_id}/lift",
    reads=_find_hold,
    form=_draw_lift,
    model=LiftRequest,
    names=("reason",),
    meaning=Meaning.HOLD_LIFTED,
    use_case=lift_hold,
    after=lambda at, _body, _answer: Done(code_href(at.read.scope_id), "The hold is lifted."),
).on(router)


def _draw_decision(at: Opened[SpecimenPublic]) -> ActForm:
    now, basis = at.read.custody.quality, at.read.regulatory_basis
    return ActForm(
        title="Decide on quality",
        submit="Sign the decision",
        icon="pen",
        lead=f"Now {words(now).lower()}; legal basis {words(basis).lower()}.",
        statement=f"You decide on the quality of {at.code}.",
        said="I have reviewed the record of this specimen and decide as stated above.",
    )


ActPage(
    address="/specimens/{code}/decision",
    reads=about_specimen,
    form=_draw_decision,
    model=DecisionRequest,
    names=("decision", "reason", "notification_plan"),
    meaning=lambda _at, body: Meaning.REJECTED if body.decision is Decision.REJECTED else Meaning.RELEASED,
    use_case=decide_specimen,
    after=lambda at, body, _answer: Done(f"/specimens/{at.code}", f"Decided: {words(body.decision.value).lower()}."),
).on(router)

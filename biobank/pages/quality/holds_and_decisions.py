"""Stopping and going on: place a hold, lift it."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.pages.specimens.about import about_specimen
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.code_pages import code_href
from biobank.quality.holds import hold_to_lift, lift_hold, place_hold
from biobank.quality.schemas import HoldPublic, HoldRequest, LiftRequest
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
    row, _scope = hold_to_lift(session, actor, asked.path["hold_id"])
    return HoldPublic.model_validate(dict(row))


def _draw_lift(at: Opened[HoldPublic]) -> ActForm:
    found, back = at.read, code_href(at.read.scope_id)
    return ActForm(
        title="Lift a hold",
        subject=found.scope_id,
        submit="Sign and lift",
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

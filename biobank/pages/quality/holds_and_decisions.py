"""Stopping and going on: place a hold, lift it, decide on a specimen."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.states import HoldScope
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.pages.quality import attachments, deviations, look_backs
from biobank.pages.ui.filters import code_href
from biobank.pages.ui.forms import CIRCUMSTANCES, act_page, fields_of, parse
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.quality.decisions import decide_specimen
from biobank.quality.events import Decision
from biobank.quality.holds import find_scope, hold, lift_hold, place_hold
from biobank.quality.schemas import DecisionRequest, HoldPublic, HoldRequest, LiftRequest
from biobank.specimens.queries import describe_specimen

router = APIRouter(include_in_schema=False)
ROUTERS = (deviations.router, look_backs.router, attachments.router, router)

SpecimenCode = Annotated[str, Path(pattern=r"^(HF|AD|UN)[0-9]{2}-[0-9A-Z]{7}$")]
SCOPES = {"specimen": "This specimen and what is made of it", "donor": "Everything of its donor", "lot": "Its whole lot"}


@router.get("/specimens/{code}/hold")
async def show_hold(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw the form of a hold."""
    return await _draw_hold(request, reading, code)


async def _draw_hold(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    specimen = await reading(describe_specimen, code)
    scopes = [("specimen", SCOPES["specimen"])]
    scopes += [(kind, SCOPES[kind]) for kind, of in (("donor", specimen.donor), ("lot", specimen.lot)) if of is not None]
    values = typed if typed is not None else {"scope_kind": "specimen"}
    return act_page(
        request,
        refusal,
        title="Place a hold",
        subject=code,
        lead="A hold stops acts until quality lifts it. Storing in quarantine is never stopped.",
        back=f"/specimens/{code}",
        trail=[("Specimens", "/specimens"), (code, f"/specimens/{code}"), ("Place a hold", None)],
        fields=fields_of(
            HoldRequest, "scope_kind", "kind", "reason", values=values, options={"scope_kind": scopes},
            labels={"scope_kind": "On what", "kind": "Why"},
        ),
        more=fields_of(HoldRequest, *CIRCUMSTANCES, values=typed),
        submit="Place the hold",
        icon="octagon",
        grave=True,
    )  # fmt: skip


@router.post("/specimens/{code}/hold")
async def hold_specimen(request: Request, code: SpecimenCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Place it."""

    async def act() -> Response:
        specimen = await reading(describe_specimen, code)
        kind = performing.form.get("scope_kind", "")
        scope = {"specimen": code, "donor": specimen.donor, "lot": specimen.lot}.get(kind)
        names = ("scope_kind", "kind", "reason", *CIRCUMSTANCES)
        body = parse(HoldRequest, performing.form, request.state.zone, *names, scope_id=scope)
        await performing(place_hold, body)
        return await performing.done(f"/specimens/{code}", f"On hold: {words(body.kind.value).lower()}.", kind="care")

    return await or_again(act(), lambda refusal: _draw_hold(request, reading, code, refusal, performing.form))


def _find_hold(session: Session, actor: Actor, hold_id: UUID) -> HoldPublic:
    actor.require(Permission.HOLD_LIFT, at=ANYWHERE)
    row = session.execute(select(hold).where(hold.c.id == hold_id)).mappings().first()
    if row is None:
        raise NotFound("There is no hold with this id that you may see.")
    find_scope(session, actor, HoldScope(row["scope_kind"]), row["scope_id"])
    return HoldPublic(**{name: row[name] for name in HoldPublic.model_fields})


@router.get("/holds/{hold_id}/lift")
async def show_lift(request: Request, hold_id: UUID, reading: PageReading) -> Response:
    """Draw the form that lifts a hold."""
    return await _draw_lift(request, reading, hold_id)


async def _draw_lift(
    request: Request, reading: PageReading, hold_id: UUID, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    found = await reading(_find_hold, hold_id)
    return act_page(
        request,
        refusal,
        title="Lift a hold",
        subject=found.scope_id,
        lead=f"{words(found.kind)} hold, placed by {found.placed_by}: {words(found.reason).lower()}.",
        back=code_href(found.scope_id),
        trail=[(found.scope_id, code_href(found.scope_id)), ("Lift a hold", None)],
        fields=fields_of(LiftRequest, "reason", values=typed),
        more=fields_of(LiftRequest, *CIRCUMSTANCES, values=typed),
        submit="Sign and lift",
        icon="pen",
        statement=f"You lift the {words(found.kind).lower()} hold on {found.scope_id}.",
        meaning=(Meaning.HOLD_LIFTED.value, "The reason for this hold is gone."),
    )


@router.post("/holds/{hold_id}/lift")
async def lift(request: Request, hold_id: UUID, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign and lift it."""

    async def act() -> Response:
        found = await reading(_find_hold, hold_id)
        body = parse(LiftRequest, performing.form, request.state.zone, "reason", *CIRCUMSTANCES)
        signed = body.model_copy(update={"signature": await performing.sign(Meaning.HOLD_LIFTED)})
        await performing(lift_hold, hold_id, signed)
        return await performing.done(code_href(found.scope_id), "The hold is lifted.")

    return await or_again(act(), lambda refusal: _draw_lift(request, reading, hold_id, refusal, performing.form))


@router.get("/specimens/{code}/decision")
async def show_decision(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw the form of quality's decision."""
    return await _draw_decision(request, reading, code)


async def _draw_decision(
    request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None
) -> Response:
    specimen = await reading(describe_specimen, code)
    return act_page(
        request,
        refusal,
        title="Decide on quality",
        subject=code,
        lead=f"Now {words(specimen.custody.quality).lower()}; legal basis {words(specimen.regulatory_basis).lower()}.",
        back=f"/specimens/{code}",
        trail=[("Specimens", "/specimens"), (code, f"/specimens/{code}"), ("Decide on quality", None)],
        fields=fields_of(DecisionRequest, "decision", "reason", "notification_plan", values=typed),
        more=fields_of(DecisionRequest, *CIRCUMSTANCES, values=typed),
        submit="Sign the decision",
        icon="pen",
        statement=f"You decide on the quality of {code}.",
        meaning=("decision", "I have reviewed the record of this specimen and decide as stated above."),
    )


@router.post("/specimens/{code}/decision")
async def decide(request: Request, code: SpecimenCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign and record it."""

    async def act() -> Response:
        names = ("decision", "reason", "notification_plan", *CIRCUMSTANCES)
        body = parse(DecisionRequest, performing.form, request.state.zone, *names)
        meaning = Meaning.REJECTED if body.decision is Decision.REJECTED else Meaning.RELEASED
        signed = body.model_copy(update={"signature": await performing.sign(meaning)})
        await performing(decide_specimen, code, signed)
        return await performing.done(f"/specimens/{code}", f"Decided: {words(body.decision.value).lower()}.")

    return await or_again(act(), lambda refusal: _draw_decision(request, reading, code, refusal, performing.form))

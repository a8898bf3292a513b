"""Stopping and going on: place a hold, lift it; on one thing, or on what was ticked in a list."""

from collections import Counter
from uuid import UUID

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import SPECIMENS
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.terms import counted, words
from biobank.pages.specimens.about import about_specimen
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.posted import Form
from biobank.quality.hold_schemas import HoldPublic, HoldRequest, HoldSeveral, LiftRequest, LiftSeveral
from biobank.quality.holding_several import hold_specimens, holds_to_lift, lift_holds, specimens_to_hold
from biobank.quality.holds import hold_to_lift, lift_hold, place_hold
from biobank.specimens.schemas import SpecimenPublic

router = APIRouter(include_in_schema=False)

SCOPES = {"specimen": "This specimen and what is made of it", "donor": "Everything of its donor", "lot": "Its whole lot"}


def _scopes(specimen: SpecimenPublic) -> dict[str, str | None]:
    return {"specimen": specimen.code, "donor": specimen.donor, "lot": specimen.lot}


def _scope(at: Acting[SpecimenPublic]) -> dict[str, str]:
    of = _scopes(at.read).get(at.form.get("scope_kind", ""))
    if of is None:
        raise FormFault({"scope_kind": "On what: choose one of the list."})
    return {"scope_id": of}


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
    labels={"scope_kind": "On what", "kind": "Kind of hold", "reason": "Why"},
    model=HoldRequest,
    names=("scope_kind", "kind", "reason"),
    given=_scope,
    use_case=place_hold,
    args=lambda _at: (),
    after=lambda at, body, _answer: Done(f"/specimens/{at.code}", f"On hold: {words(body.kind.value).lower()}.", kind="care"),
).on(router)


def _held_several(session: Session, actor: Actor, asked: Asked) -> int:
    actor.require(Permission.HOLD_PLACE, at=ANYWHERE)
    # What was typed into a posted form may be anything: the act reads it.
    return 0 if asked.sent else len(specimens_to_hold(session, actor, asked.form.all_of("specimens")))


ActPage(
    address="/specimens/hold",
    asks=("specimens",),
    reads=_held_several,
    form=lambda _at: ActForm(
        title="Place holds",
        submit="Place the holds",
        icon="octagon",
        grave=True,
        lead="Each of these gets a hold of its own, and so does what is made of it, until quality lifts it."
        " Storing in quarantine is never stopped.",
    ),
    labels={"kind": "Why"},
    model=HoldSeveral,
    names=("specimens", "kind", "reason"),
    scans={"specimens": tuple(SPECIMENS)},
    tubes=("specimens",),
    use_case=hold_specimens,
    after=lambda _at, body, answer: Done(
        "/specimens?hold=any",
        f"On hold: {words(body.kind.value).lower()}.",
        f"{counted(len(answer['items']), 'specimen')}.",
        kind="care",
    ),
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


def _ids(form: Form) -> list[UUID]:
    """Return the holds that a form is about; a page of ours wrote them there."""
    try:
        found = [UUID(one) for one in form.lines_of("holds")]
    except ValueError:
        found = []
    if not found:
        raise MalformedRequest("Tick the holds to lift in the list of holds.")
    return found


def _find_holds(session: Session, actor: Actor, asked: Asked) -> list[HoldPublic]:
    actor.require(Permission.HOLD_LIFT, at=ANYWHERE)
    return holds_to_lift(session, actor, _ids(asked.form))


def _draw_lift_several(at: Opened[list[HoldPublic]]) -> ActForm:
    kinds = Counter(words(one.kind).lower() for one in at.read)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    on = ", ".join(sorted({one.scope_id for one in at.read}))
    return ActForm(
        title="Lift several holds",
        submit="Sign and lift",
        lead=f"{by_kind[:1].upper()}{by_kind[1:]}. On {on}.",
        hidden={"holds": "\n".join(str(one.id) for one in at.read)},
        statement=f"You lift {counted(len(at.read), 'hold')}: {by_kind}.",
        said="The reason for each of these holds is gone.",
    )


ActPage(
    address="/holds/lift",
    asks=("holds",),
    reads=_find_holds,
    form=_draw_lift_several,
    model=LiftSeveral,
    names=("reason",),
    given=lambda at: {"holds": [one.id for one in at.read]},
    meaning=Meaning.HOLD_LIFTED,
    use_case=lift_holds,
    after=lambda _at, _body, answer: Done("/holds", "The holds are lifted.", f"{len(answer['items'])} of them."),
).on(router)

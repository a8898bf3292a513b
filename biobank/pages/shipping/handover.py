"""One hand-over: who gives what to whom, and the receiver's yes or no."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.forms import FormFault, fields_of
from biobank.shipping import handovers
from biobank.shipping.handover_queries import get_handover, public_of
from biobank.shipping.handover_rules import accept_refusals, decline_refusals, read_receiver, taker_refusal
from biobank.shipping.onward import refusals_onward
from biobank.shipping.schemas import AcceptRequest, DeclineRequest, HandoverPublic

router = APIRouter(include_in_schema=False)

REASONS = [
    ("not_here", "They are not here"),
    ("not_as_offered", "They are not what was offered"),
    ("damaged", "Something is broken or unreadable"),
    ("too_warm", "They are too warm"),
    ("not_now", "I cannot take them now"),
]


@dataclass(frozen=True)
class Standing:
    """A hand-over and what the reader may do with it. `receives`: they say yes or no; else they may take their offer back."""

    one: HandoverPublic
    receives: bool
    accepts: bool
    declines: bool
    against: Sequence[str] = ()
    """Why it may not be taken over now, whoever receives it, a sentence each."""

    @property
    def by_receipt(self) -> bool:
        """Whether a courier accepts it, by a receipt that its giver records."""
        return self.one.to_kind == "courier"


def _read(session: Session, actor: Actor, asked: Asked) -> Standing:
    handover: UUID = asked.path["handover_id"]
    row, items = get_handover(session, actor, handover)
    receives = row.to_kind != "courier" and taker_refusal(actor, row) is None
    accepts, declines = not accept_refusals(actor, row, clock.now()), not decline_refusals(actor, row)
    against: list[str] = []
    if accepts:
        tubes = load(session, [line.specimen_code for line in items], holds=True).values()
        receiver = read_receiver(session, row.to_kind, row.to_id)
        against = [one.detail for one in refusals_onward(session, asked.bank, clock.now(), tubes, receiver=receiver)]
    return Standing(public_of(session, [row])[0], receives, accepts and not against, declines, against)


def _draw(at: Opened[Standing]) -> OwnPage:
    receipt = fields_of(AcceptRequest, "evidence", values=at.form, needed=("evidence",))
    return OwnPage("handover.html", one=at.read.one, may=at.read, receipt=receipt, reasons=REASONS)


async def _accept(at: Acting[Standing]) -> Done:
    """Take everything over."""
    answer = await at.performing(handovers.accept, at.path["handover_id"], at.parse(AcceptRequest, "evidence"))
    if at.read.by_receipt:
        return Done(f"/handovers/{answer['id']}", f"{answer['to_id']} holds them now.", answer["evidence"])
    count = len(answer["specimens"])
    return Done("/", f"You hold {count} {'tube' if count == 1 else 'tubes'} now.", f"From {answer['from_id']}.")


async def _decline(at: Acting[Standing]) -> Done:
    """Say no and why, or take one's own offer back."""
    asked = at.form.get("reason", "") if at.read.receives else "taken_back"
    if at.read.receives and asked not in dict(REASONS):
        raise FormFault({"reason": "Why not: choose one of the list."})
    body = DeclineRequest(reason=asked)
    answer = await at.performing(handovers.decline, at.path["handover_id"], body)
    return Done("/", "The hand-over is ended.", f"{answer['from_id']} still holds everything.", "note")


HANDOVER = ActPage(address="/handovers/{handover_id}", reads=_read, form=_draw, model=AcceptRequest)
HANDOVER.shows(router)
HANDOVER.also(router, "/handovers/{handover_id}/accept", _accept)
HANDOVER.also(router, "/handovers/{handover_id}/decline", _decline)

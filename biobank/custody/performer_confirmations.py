"""Whose hands it was: a colleague named in `performed_by` says with their own credentials that it was their work.

The one with gloves on has no hands for a keyboard, so somebody else records and names them. An entry says so for ever as it
was: `{"user": badge, "confirmed": false}`. What the colleague says later is an event on their own stream that names the entries
by leaf hash, so a specimen's sequence does not move under those who work with it. Until then the work stays listed as
unconfirmed, and what somebody says was not theirs stays listed as disputed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import bindparam, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, SignatureUsed, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.events import PerformerConfirmed, PerformerDisputed
from biobank.custody.ledger import Fact, append
from biobank.custody.models import NamedPerformer
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.states import PerformerAnswer, StreamKind
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.paging import Listed
from biobank.transparency.models import event

AT_ONCE = 200
"""Entries that one signature confirms. Their hashes must fit into one entry of the log."""

named_performer = table_of(NamedPerformer)


class AlreadyAnswered(Conflict):
    """The colleague has said already whether it was their work. It is not said twice."""

    code = "hands_already_answered"
    title = "Already answered"


class ConfirmationState(StrEnum):
    """What is known of named hands. `open`: nothing yet."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"


def _each_once(hashes: list[str]) -> list[str]:
    if len(set(hashes)) != len(hashes):
        raise ValueError("names an event twice")
    return hashes


class ConfirmRequest(BaseModel):
    """What a colleague says about entries that name them: it was their work, or it was not."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]],
        Field(min_length=1, max_length=AT_ONCE, description="Leaf hashes of the entries."),
        AfterValidator(_each_once),
    ]
    answer: PerformerAnswer = PerformerAnswer.CONFIRMED
    signature: str | None = Field(default=None, description="Meaning `performed` or, for a dispute, `not_performed`.")


class Confirmed(BaseModel):
    """What was said stands in the log."""

    user: str
    answer: PerformerAnswer
    events: list[str]
    seq: int = Field(description="Sequence of the answer in the stream of the user.")
    leaf_hash: str
    receipt: str


class NamedPerformerPublic(BaseModel):
    """An entry and the colleague it names."""

    user: str
    event: str = Field(description="Leaf hash of the entry.")
    stream: str
    id: str
    seq: int
    kind: str
    recorded_by: str
    occurred_at: datetime
    recorded_at: datetime
    state: ConfirmationState
    answered_at: datetime | None
    answered_event: str | None = Field(description="Leaf hash of the colleague's answer.")


class NamedPerformerList(Listed[NamedPerformerPublic]):
    """Entries that name a colleague, oldest first."""


_find = (
    select(named_performer.c.leaf_hash, named_performer.c.answer)
    .where(named_performer.c.user_code == bindparam("user"), named_performer.c.leaf_hash.in_(bindparam("events", expanding=True)))
    .order_by(named_performer.c.leaf_hash)
    .with_for_update()
)


def confirm_performed(session: Session, act: Act, request: ConfirmRequest) -> Confirmed:
    """Say whether the named entries were the actor's own work, signed.

    Raises SignatureRequired and its kin, NotFound when an entry does not name the actor, AlreadyAnswered.
    """
    confirmed = request.answer is PerformerAnswer.CONFIRMED
    wanted = [bytes.fromhex(one) for one in request.events]
    found = {bytes(row.leaf_hash): row.answer for row in session.execute(_find, {"user": act.actor.code, "events": wanted})}
    for leaf in wanted:
        if leaf not in found:
            raise NotFound("An entry among these does not name you. Look again at what you are asked to confirm.")
        if found[leaf] is not None:
            raise AlreadyAnswered(
                f"You have answered for one of these already ({found[leaf]}). Look at what is left.", answer=found[leaf]
            )
    signature = use_signature(session, act, request.signature, Meaning.PERFORMED if confirmed else Meaning.NOT_PERFORMED)
    head = head_of(session, act, NOW, subject=None, site=None)
    appended = append(session, [Fact(StreamKind.USER, act.actor.code, _answer(request, signature), head)])
    session.execute(
        update(named_performer)
        .where(named_performer.c.user_code == act.actor.code, named_performer.c.leaf_hash.in_(wanted))
        .values(answer=request.answer.value, answered_at=act.at, answered_event=appended[0].leaf_hash)
    )
    return Confirmed(
        user=act.actor.code,
        answer=request.answer,
        events=request.events,
        seq=appended[0].seq,
        leaf_hash=appended[0].leaf_hash.hex(),
        receipt=acknowledge(act, appended),
    )


def _answer(request: ConfirmRequest, signature: SignatureUsed) -> Event:
    said = PerformerConfirmed if request.answer is PerformerAnswer.CONFIRMED else PerformerDisputed
    return said(events=tuple(request.events), signature=str(signature.id))


def list_hands(
    session: Session,
    actor: Actor,
    *,
    user: str | None = None,
    state: ConfirmationState = ConfirmationState.OPEN,
    after: int = 0,
    limit: int = 100,
) -> NamedPerformerList:
    """List entries that name a colleague: the actor's own, those the actor recorded, and where the actor reads the log, all."""
    statement = (
        select(
            named_performer.c.id,
            named_performer.c.user_code,
            named_performer.c.answer,
            named_performer.c.answered_at,
            named_performer.c.answered_event,
            event.c.leaf_hash,
            event.c.stream_kind,
            event.c.stream_id,
            event.c.seq,
            event.c.kind,
            event.c.recorded_by,
            event.c.occurred_at,
            event.c.recorded_at,
        )
        .select_from(named_performer.join(event, event.c.leaf_hash == named_performer.c.leaf_hash))
        .where(named_performer.c.id > after, _visible_to(actor))
        .order_by(named_performer.c.id)
        .limit(limit + 1)
    )
    answer = None if state is ConfirmationState.OPEN else state.value
    statement = statement.where(named_performer.c.answer.is_(None) if answer is None else named_performer.c.answer == answer)
    if user is not None:
        statement = statement.where(named_performer.c.user_code == user)
    rows = session.execute(statement).all()
    items = [
        NamedPerformerPublic(
            user=r.user_code,
            event=bytes(r.leaf_hash).hex(),
            stream=r.stream_kind,
            id=r.stream_id,
            seq=r.seq,
            kind=r.kind,
            recorded_by=r.recorded_by,
            occurred_at=r.occurred_at,
            recorded_at=r.recorded_at,
            state=ConfirmationState(r.answer or "open"),
            answered_at=r.answered_at,
            answered_event=None if r.answered_event is None else bytes(r.answered_event).hex(),
        )
        for r in rows[:limit]
    ]
    return NamedPerformerList(items=items, next=str(rows[limit - 1].id) if len(rows) > limit else None)


def own_open_confirmations(session: Session, actor: Actor) -> list[NamedPerformerPublic]:
    """Return the entries that wait for the actor's own answer, oldest first."""
    return list_hands(session, actor, user=actor.code, limit=AT_ONCE).items


def _visible_to(actor: Actor) -> Any:
    own = (named_performer.c.user_code == actor.code) | (event.c.recorded_by == actor.code)
    return own | actor.scope(Permission.LOG_READ).of(event.c.site_code)


def answers_to(session: Session, leaves: list[bytes]) -> dict[str, dict[str, str]]:
    """Return what the named colleagues said about entries: leaf hash (hex) → badge → state."""
    found: dict[str, dict[str, str]] = {}
    if leaves:
        rows = session.execute(
            select(named_performer.c.leaf_hash, named_performer.c.user_code, named_performer.c.answer).where(
                named_performer.c.leaf_hash.in_(leaves)
            )
        )
        for row in rows:
            found.setdefault(bytes(row.leaf_hash).hex(), {})[row.user_code] = row.answer or ConfirmationState.OPEN.value
    return found

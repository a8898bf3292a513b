"""What people want to be written, chosen by themselves. No event of the log; the address is in the vault."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.foundation.errors import MalformedRequest
from biobank.messages.kinds import KindName
from biobank.messages.models import message_choice
from biobank.vault.keystore import Keystore
from biobank.vault.vault import Erased, forget_documents, open_document, put_document

SiteName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]


class NoAddress(MalformedRequest):
    """Messages were chosen, and no address to send them to."""

    code: ClassVar[str] = "no_address"
    title: ClassVar[str] = "Where to?"


class OwnMessages(BaseModel):
    """What somebody wants to be written, to which address, about which sites (none named: all of theirs)."""

    model_config = ConfigDict(extra="forbid")

    e_mail: Annotated[str, Field(max_length=254, pattern=r"^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}$")] | None = None
    at_once: list[KindName] = Field(default=[], max_length=3)
    daily: list[KindName] = Field(default=[], max_length=3, description="In one message a day, unless they are sent at once.")
    sites: list[SiteName] = Field(default=[], max_length=200)


class MessagesChosen(BaseModel):
    """What was chosen. The answer of an act is kept for whoever asks again: no address stands in it."""

    at_once: list[KindName]
    daily: list[KindName]
    sites: list[SiteName]
    has_address: bool


def own_messages(session: Session, actor: Actor, keystore: Keystore) -> OwnMessages:
    """Return what the actor chose; whoever chose nothing is sent nothing."""
    actor.require_full("open your account")
    row = session.execute(select(message_choice).where(message_choice.c.user_code == actor.code)).first()
    if row is None:
        return OwnMessages()
    address = address_of(session, keystore, row.address)
    return OwnMessages(e_mail=address, at_once=row.at_once, daily=row.daily, sites=row.sites)


def address_of(session: Session, keystore: Keystore, commit: bytes | None) -> str | None:
    """Return the address that the vault has under a commitment; None when there is none, or none any more."""
    try:
        return None if commit is None else str(open_document(session, keystore, bytes(commit))["e_mail"])
    except Erased:
        return None


def set_own_messages(session: Session, act: Act, request: OwnMessages) -> MessagesChosen:
    """Keep what the actor chose, for what happens from now on. Raises NoAddress."""
    act.actor.require_full("change your account")
    code = act.actor.code
    if request.e_mail is None and (request.at_once or request.daily):
        raise NoAddress("Say to which address the messages go, or choose none.", field="e_mail")
    held = message_choice.c
    before = session.execute(select(held.address).where(held.user_code == code).with_for_update()).scalar()
    if before is not None:
        forget_documents(session, code, commit=bytes(before))
    commit = None if request.e_mail is None else put_document(session, act.keystore, code, {"e_mail": request.e_mail})
    chosen: dict[str, Any] = {"address": commit, **request.model_dump(exclude={"e_mail"})}
    statement = insert(message_choice).values(user_code=code, **chosen)
    session.execute(statement.on_conflict_do_update(index_elements=["user_code"], set_=chosen))
    return MessagesChosen(has_address=commit is not None, **request.model_dump(exclude={"e_mail"}))

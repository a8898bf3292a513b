"""What people want to be written, chosen by themselves. No event of the log; the address is in the vault."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.foundation.errors import MalformedRequest, Refused
from biobank.messages.confirming import ANEW_AFTER, GOOD_FOR, MOST_WRONG, AddressCodeWrong, is_code, mail_code
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
    code: Annotated[str, Field(pattern=r"^[0-9 ]{8,12}$", description="Was mailed to the address.")] | None = None


class OwnMessagesNow(BaseModel):
    """What somebody is written, to which address, and whether they confirmed it: before that, nothing is sent there."""

    e_mail: str | None = None
    confirmed: bool = False
    at_once: list[KindName] = []
    daily: list[KindName] = []
    sites: list[SiteName] = []


class MessagesChosen(BaseModel):
    """What was chosen. The answer of an act is kept for whoever asks again: no address stands in it."""

    at_once: list[KindName]
    daily: list[KindName]
    sites: list[SiteName]
    has_address: bool
    confirmed: bool = Field(description="Whether the address was confirmed; else a code was mailed to it.")


def own_messages(session: Session, actor: Actor, keystore: Keystore) -> OwnMessagesNow:
    """Return what the actor chose; whoever chose nothing is sent nothing."""
    actor.require_full("open your account")
    row = session.execute(select(message_choice).where(message_choice.c.user_code == actor.code)).first()
    if row is None:
        return OwnMessagesNow()
    address = address_of(session, keystore, row.address)
    chosen = {"at_once": row.at_once, "daily": row.daily, "sites": row.sites}
    return OwnMessagesNow(e_mail=address, confirmed=row.confirmed_at is not None, **chosen)


def address_of(session: Session, keystore: Keystore, commit: bytes | None) -> str | None:
    """Return the address that the vault has under a commitment; None when there is none, or none any more."""
    try:
        return None if commit is None else str(open_document(session, keystore, bytes(commit))["e_mail"])
    except Erased:
        return None


def set_own_messages(session: Session, act: Act, request: OwnMessages) -> MessagesChosen | Refused:
    """Keep what the actor chose, for what happens from now on. A new address is mailed a code, which confirms it.

    Raises NoAddress, TooManyAddressCodes. A wrong code is AddressCodeWrong, and counted.
    """
    act.actor.require_full("change your account")
    code = act.actor.code
    if request.e_mail is None and (request.at_once or request.daily):
        raise NoAddress("Say to which address the messages go, or choose none.", field="e_mail")
    held = message_choice.c
    before = session.execute(select(message_choice).where(held.user_code == code).with_for_update()).first()
    if before is not None and before.address is not None and address_of(session, act.keystore, before.address) == request.e_mail:
        if request.code is not None and before.confirmed_at is None and not _is_right(act, before, request.code):
            wrong = update(message_choice).where(held.user_code == code).values(wrong_codes=held.wrong_codes + 1)
            session.execute(wrong)
            return Refused(_wrong(act, before))
        address = _confirmed_or_asked_anew(session, act, before, request.code)
    else:
        if before is not None and before.address is not None:
            forget_documents(session, code, commit=bytes(before.address))
        address = {"address": None, "confirmed_at": None, "asked_at": None, "wrong_codes": 0}
        if request.e_mail is not None:
            mail_code(session, act)
            commit = put_document(session, act.keystore, code, {"e_mail": request.e_mail})
            address |= {"address": commit, "asked_at": act.at}
    chosen: dict[str, Any] = {**address, **request.model_dump(exclude={"e_mail", "code"})}
    statement = insert(message_choice).values(user_code=code, **chosen)
    session.execute(statement.on_conflict_do_update(index_elements=["user_code"], set_=chosen))
    return MessagesChosen(
        has_address=address["address"] is not None,
        confirmed=address["confirmed_at"] is not None,
        **request.model_dump(exclude={"e_mail", "code"}),
    )


def _confirmed_or_asked_anew(session: Session, act: Act, before: "Row[Any]", typed: str | None) -> dict[str, Any]:
    """Return what is kept of an address that stays: confirmed by a right code; else, after a while, with a new code."""
    kept = {name: getattr(before, name) for name in ("address", "confirmed_at", "asked_at", "wrong_codes")}
    if before.confirmed_at is not None:
        return kept
    if typed is not None:
        return kept | {"confirmed_at": act.at}
    if act.at < before.asked_at + ANEW_AFTER:
        return kept
    mail_code(session, act)
    return kept | {"asked_at": act.at, "wrong_codes": 0}


def _is_right(act: Act, row: "Row[Any]", typed: str) -> bool:
    fresh = row.wrong_codes < MOST_WRONG and act.at < row.asked_at + GOOD_FOR
    return fresh and is_code(act.bank, act.actor.code, bytes(row.address), row.asked_at, typed)


def _wrong(act: Act, row: "Row[Any]") -> AddressCodeWrong:
    over = row.wrong_codes >= MOST_WRONG or act.at >= row.asked_at + GOOD_FOR
    cure = "Keep your choice without a code, and a new one is mailed." if over else "Type the eight digits of the last mail."
    return AddressCodeWrong(f"This code does not confirm the address. {cure}", field="code")

"""The page on which a remark beside an entry is read, once; that somebody read it is recorded first."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.errors import NotPermitted
from biobank.foundation.terms import words
from biobank.pages.quality.kept_words import LEAD
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Answered, Asked, OwnPage
from biobank.pages.ui.code_pages import page_of
from biobank.quality.entry_words import EntryWords, entry_words_refusals, find_entry, read_entry_words

router = APIRouter(include_in_schema=False)

TITLE = "What was written beside an entry"


def _opens(session: Session, actor: Actor, asked: Asked) -> None:
    leaf = str(asked.path["leaf"])
    asked.opens(entry_words_refusals(actor, find_entry(session, leaf), leaf))


async def _show(at: Acting[None]) -> Answered:
    read: Any = await at.performing.disclose(read_entry_words, str(at.path["leaf"]))
    if not isinstance(read, EntryWords):
        raise NotPermitted("It was not shown.")
    said = " ".join(f"{words(name)}: {text}" for name, text in read.words.items())
    return OwnPage("words.html", title=TITLE, subject=read.id, said=said, back=page_of(read.id) or "/")


ActPage(
    address="/entries/{leaf}/words",
    params={"leaf": Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]},
    reads=_opens,
    form=lambda _at: ActForm(title=TITLE, submit="Read it", lead=LEAD, icon="search", more=(), back="/", trail=[(TITLE, None)]),
    model=BaseModel,
    acts=_show,
).on(router)

"""The page on which words of the vault are read, once, by those entitled; that somebody read them is recorded first."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.snapshots import get_visible
from biobank.foundation.errors import NotPermitted
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Answered, Asked, OwnPage
from biobank.quality.kept_words import plan_of, plan_refusals, read_plan

router = APIRouter(include_in_schema=False)

LEAD = "It is kept for those who decide and those who treat. That you read it will be recorded."


def words_page(
    address: str,
    title: str,
    opens: Callable[[Session, Actor, Asked], None],
    use_case: Callable[[Session, Act, str], BaseModel],
    member: str,
) -> ActPage[None, BaseModel]:
    """Declare a page that shows one member of what a use case reads and records. `opens` raises who may not."""

    async def show(at: Acting[None]) -> Answered:
        read: Any = await at.performing.disclose(use_case, at.code)
        if not isinstance(read, BaseModel):
            raise NotPermitted("It was not shown.", subject=at.code)
        back = address.format(code=at.code).rpartition("/")[0]
        return OwnPage("words.html", title=title, subject=at.code, said=getattr(read, member), back=back)

    acts: Callable[[Acting[None]], Awaitable[Answered]] = show
    return ActPage(
        address=address,
        reads=opens,
        form=lambda _at: ActForm(title=title, submit="Read it", lead=LEAD, icon="search", more=()),
        model=BaseModel,
        acts=acts,
    )


def _opens(session: Session, actor: Actor, asked: Asked) -> None:
    asked.opens(plan_refusals(actor, get_visible(session, actor, asked.code), plan_of(session, asked.code)))


words_page("/specimens/{code}/notification-plan", "Who is told of a late bad result", _opens, read_plan, "notification_plan").on(
    router
)

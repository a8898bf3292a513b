"""The page on which those who decide and those who treat read why a withdrawal was asked for."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.pages.quality.kept_words import words_page
from biobank.pages.ui.act_pages import Asked
from biobank.withdrawals.case import find_row, read_case
from biobank.withdrawals.indication import indication_refusals, read_indication

router = APIRouter(include_in_schema=False)


def _opens(session: Session, actor: Actor, asked: Asked) -> None:
    asked.opens(indication_refusals(actor, read_case(session, find_row(session, actor, asked.code))))


words_page("/withdrawals/{code}/indication", "Why it was asked for", _opens, read_indication, "indication").on(router)

"""The list of prints: which labels exist, which of them nobody scanned back."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.labels import prints
from biobank.labels.catalogue import catalogue
from biobank.labels.schemas import PrintList
from biobank.pages.labels.labels import PRINTS, row_of
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column

router = APIRouter(include_in_schema=False)


def read_prints(session: Session, actor: Actor, asked: Wanted) -> PrintList:
    """Read one page of the prints that the address asks for."""
    of = asked.of
    return prints.list_prints(
        session, actor, code=of["code"], template=of["template"], standing=of["standing"], paging=asked.paging
    )


Listing(
    address="/labels/prints",
    title="Prints",
    lead="Every label that was printed, with its number.",
    key="serial",
    columns=[Column("code", "Code", "code", sort="code"), *PRINTS],
    read=read_prints,
    row=row_of,
    default="-serial",
    filters=[
        Filter("code", "Code", "code"),
        Filter("template", "Label", "choice", [(one.name, one.title) for one in catalogue().values()]),
        Filter("standing", "Stands as", "choice", [(one, words(one)) for one in prints.STANDINGS]),
    ],
    quick=[("Not scanned back", {"standing": "not_scanned_back"})],
    empty="No prints",
    hint="A label gets its number when it is printed.",
).on(router)

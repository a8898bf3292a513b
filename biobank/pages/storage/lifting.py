"""A rack or box lifted out of its place, and put back: everything in it is out of the cold in between."""

from fastapi import APIRouter

from biobank.foundation.terms import counted
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Done, Opened
from biobank.storage.lifting import lift, put_back
from biobank.storage.schemas import ContainerPublic, LiftRequest

router = APIRouter(include_in_schema=False)


def _form(title: str, lead: str, at: Opened[ContainerPublic]) -> ActForm:
    return ActForm(
        title=title,
        submit=title,
        icon="snow",
        lead=lead.format(name=at.read.name, tubes=counted(at.read.occupied, "tube")),
        trail=trail_of(at.read, title),
    )


ActPage(
    address="/storage/{code}/lift",
    reads=about_place,
    form=lambda at: _form("It is lifted out", "{name} is out of its place. Out of the cold from now on: {tubes}.", at),
    model=LiftRequest,
    use_case=lift,
    after=lambda at, _body, answer: Done(
        f"/storage/{at.code}", "Lifted out.", f"The clock runs for {counted(answer['tubes'], 'tube')}. Put it back soon.", "care"
    ),
).on(router)

ActPage(
    address="/storage/{code}/put-back",
    reads=about_place,
    form=lambda at: _form(
        "It is back", "{name} is back in its place. The time it was out is added to every frozen tube in it.", at
    ),
    model=LiftRequest,
    use_case=put_back,
    after=lambda at, _body, answer: Done(
        f"/storage/{at.code}",
        "It is back.",
        f"Tubes in it: {answer['tubes']}. Their clocks stop where it is cold.",
    ),
).on(router)

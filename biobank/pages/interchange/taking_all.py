"""The form by which everything that one may read is taken as FHIR, in the background."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.interchange.fhir.bulk import request_export
from biobank.interchange.fhir.saying import Release
from biobank.jobs.schemas import JobPublic
from biobank.pages.ui.act_pages import ActForm, ActPage, Done, Needs

router = APIRouter(include_in_schema=False)


class TakeAll(BaseModel):
    """Which release the other system reads."""

    model_config = ConfigDict(extra="forbid")

    release: Literal["R4", "R5"] = Field(description="Hospital systems mostly read R4.")


def take_all(session: Session, act: Act, request: TakeAll) -> JobPublic:
    """Begin the export of everything the actor may read. Raises NotPermitted."""
    return request_export(session, act, Release(request.release), ())


ActPage(
    address="/log/exports/fhir",
    reads=Needs(Permission.LOG_EXPORT),
    form=lambda _at: ActForm(
        title="Take everything as FHIR",
        submit="Begin",
        lead="All that you may read, for a hospital system or a registry: one line for each thing. Nobody is named in it. "
        "It is made in the background, and that it was taken is an event of the log.",
        icon="download",
        back="/log/exports",
        trail=[("Exports", "/log/exports"), ("Take everything as FHIR", None)],
    ),
    labels={"release": "Release of FHIR"},
    model=TakeAll,
    names=("release",),
    more=(),
    use_case=take_all,
    after=lambda _at, _body, answer: Done(f"/jobs/{answer['id']}", "Begun.", "The file stands here when it is made."),
).on(router)

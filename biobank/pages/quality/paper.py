"""Filing a form that was filled in by hand, before what it says is entered."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import Prefix
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.quality.paper import PaperFormRequest, file_paper

router = APIRouter(include_in_schema=False)

LABELS = {
    "form_sha256": "The form, scanned or photographed",
    "did_by": "Who did it (badge or name)",
    "second": "The second person (badge or name)",
    "began_at": "When the form begins",
    "reason": "Why on paper",
    "description": "What happened",
}


def _sites(session: Session, actor: Actor, _asked: Asked) -> Choices:
    return own_sites(session, actor, Permission.DEVIATION_OPEN)


def _draw(at: Opened[Choices]) -> ActForm:
    return ActForm(
        title="File a form on paper",
        subject="Deviation",
        submit="File it",
        icon="pen",
        lead="Attach the form first. Two people stand for it; a deviation is opened, and its code names the form. Then enter "
        "each act on its own page: under “More”, say which form it is from and when it happened.",
        values=at.filled(site=only(at.read), did_by=at.actor.code),
        options={"site": at.read},
        back="/deviations",
        trail=[("Deviations", "/deviations"), ("File a form on paper", None)],
    )


ActPage(
    address="/paper-forms/new",
    asks=("site",),
    reads=_sites,
    form=_draw,
    model=PaperFormRequest,
    names=("site", "form_sha256", "did_by", "second", "began_at", "reason", "description"),
    more=(),
    labels=LABELS,
    scans={"did_by": (Prefix.BADGE,), "second": (Prefix.BADGE,)},
    use_case=file_paper,
    args=lambda _at: (),
    after=lambda _at, _body, answer: Done(f"/deviations/{answer['code']}", "Filed.", f"Enter what it says as {answer['code']}."),
).on(router)

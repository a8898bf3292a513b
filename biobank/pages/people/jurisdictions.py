"""Under whose law each site works, as quality says it, and what is released under a law that does not reach where it is."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.jurisdictions import Jurisdiction
from biobank.foundation.terms import counted
from biobank.pages.people.site_choices import Choices, among
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.people import jurisdictions
from biobank.people.queries import list_sites
from biobank.people.schemas import JurisdictionRequest
from biobank.quality.released_elsewhere import released_elsewhere

router = APIRouter(include_in_schema=False)

NAMED = {Jurisdiction.US: "United States", Jurisdiction.EU: "European Union", Jurisdiction.OTHER: "Another country"}
SHOWN = 40


def law_of(jurisdiction: Jurisdiction | None) -> str:
    """Write under whose law a site works, as part of a sentence."""
    return "not stated" if jurisdiction is None else NAMED[Jurisdiction(jurisdiction)]


@dataclass(frozen=True)
class Laws:
    """The sites that may be chosen, what is said of each site, and what that leaves released elsewhere."""

    sites: Choices
    said: str
    elsewhere: str


def _read(session: Session, actor: Actor, _asked: Asked) -> Laws:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    every = list_sites(session, actor, active=True).items
    codes, total = released_elsewhere(session, actor, SHOWN)
    listed = ""
    if codes:
        more = f" and {total - len(codes)} more" if total > len(codes) else ""
        listed = (
            f" Released under a law that does not reach where it is kept or given, and unusable until its basis is "
            f"determined anew: {counted(total, 'specimen')} ({', '.join(codes)}{more})."
        )
    said = "; ".join(f"{one.code}: {law_of(one.jurisdiction)}" for one in every)
    return Laws(among(every, actor, Permission.QUALITY_DECIDE), said, listed)


def _form(at: Opened[Laws]) -> ActForm:
    return ActForm(
        title="Law of a site",
        subject="Sites",
        submit="Sign and state",
        icon="pen",
        lead="A legal basis is the law of a place. It is compared with the law of the bank that keeps the material and of the "
        f"clinic that treats; where nothing is stated, it is not compared. Now {at.read.said}. Two of quality sign "
        f"another law than was stated.{at.read.elsewhere}",
        labels={"site": "Site", "jurisdiction": "Works under the law of"},
        options={"site": at.read.sites, "jurisdiction": [(one.value, said) for one, said in NAMED.items()]},
        statement="You state under whose law this site works.",
        said="I have assessed under whose law this site works.",
        back="/",
        trail=[("Today", "/"), ("Law of a site", None)],
    )


ActPage(
    address="/jurisdictions",
    reads=_read,
    form=_form,
    model=JurisdictionRequest,
    names=("site", "jurisdiction"),
    meaning=Meaning.DECIDED,
    use_case=jurisdictions.state_jurisdiction,
    args=lambda at: (at.form.get("site", ""),),
    after=lambda _at, body, answer: (
        proposed("/jurisdictions")
        if answer["status"] == "pending"
        else Done("/jurisdictions", f"{body.site} works under the law of: {NAMED[body.jurisdiction]}.")
    ),
).on(router)

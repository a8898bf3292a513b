"""What was begun and not finished, and how long each kind of act may take at a site."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.filters import quantity_text
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.unfinished.kinds import OpenAct, open_acts
from biobank.unfinished.service import TIMED, OpenActLimitList, SetOpenActLimit, list_open_act_limits, set_open_act_limit

router = APIRouter(include_in_schema=False)


def read_open(session: Session, actor: Actor, asked: Wanted) -> Listed[OpenAct]:
    """Read what the reader could finish."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    late = asked.of["late"]
    found = open_acts(session, actor=actor, timed_out=None if late is None else late == "yes")
    return Listed(items=found, total=len(found))


def row_of(one: OpenAct) -> Mapping[str, Any]:
    """Return the cells of one; it leads to where it is finished."""
    late = one.timed_out_at is not None
    return {
        "what": Markup('<a href="{}">{}</a>').format(one.href, one.kind.what),
        "subject": one.subject,
        "site": one.site,
        "since": one.since,
        "due": one.due,
        "stands": "Not finished in time; it can still be finished" if late else "Open",
    }


Listing(
    address="/open-acts",
    title="Begun and not finished",
    lead="What you could finish. Past its time it is put on record as timed out; finishing it later is still possible.",
    key="subject",
    columns=[
        Column("what", "What to do", sort="what"),
        Column("subject", "With", "code", sort="subject"),
        Column("since", "Begun", "when", sort="since"),
        Column("due", "To be finished by", "when", sort="due"),
        Column("stands", "State", sort="stands"),
        Column("site", "Site", "plain_code", sort="site"),
    ],
    read=read_open,
    row=row_of,
    default="due",
    filters=[Filter("late", "Not finished in time", "choice", [("yes", "Yes"), ("no", "No")])],
    links=[Link("How long acts may take", "/open-acts/limits", "pen", Permission.QUALITY_DECIDE)],
    empty="Nothing is open",
    hint="What is begun and not finished stands here.",
    whole=True,
).on(router)


def _limits(session: Session, actor: Actor, _asked: Asked) -> tuple[Choices, OpenActLimitList]:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    return own_sites(session, actor, Permission.QUALITY_DECIDE), list_open_act_limits(session, actor)


def _draw(at: Opened[tuple[Choices, OpenActLimitList]]) -> ActForm:
    sites, found = at.read
    said = "; ".join(
        f"{words(one.act).lower()} {quantity_text(one.minutes * 60, 'seconds')} · {one.site or 'usual'}" for one in found.items
    )
    return ActForm(
        title="How long acts may take",
        subject="Open acts",
        submit="Sign and set",
        icon="pen",
        lead=f"Past its time an act is put on record as timed out. The usual times are starting values. What stands: {said}",
        values=at.filled(site=only(sites)),
        options={"site": sites, "act": [(name, words(name)) for name in TIMED]},
        labels=LABELS,
        statement="You set how long this act may stay open at this site.",
        said="I decide this time for the site.",
        back="/open-acts",
        trail=[("Begun and not finished", "/open-acts"), ("How long acts may take", None)],
    )


LABELS = {"act": "Act", "minutes": "Minutes"}
ActPage(
    address="/open-acts/limits",
    reads=_limits,
    form=_draw,
    model=SetOpenActLimit,
    names=("site", "act", "minutes"),
    labels=LABELS,
    meaning=Meaning.DECIDED,
    use_case=set_open_act_limit,
    args=lambda _at: (),
    after=lambda _at, body, _answer: Done("/open-acts/limits", f"Set for {body.site}."),
).on(router)

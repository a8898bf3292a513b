"""The list of holds: what is stopped, why, since when, and the way to lift it."""

from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.states import HoldKind
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.ui.listing import Filter, Link, Listing, RowsAct, Wanted, repeated
from biobank.pages.ui.parts import Column
from biobank.quality.hold_schemas import HoldPublic
from biobank.quality.holds import liftable, list_holds, sites_of_holds

router = APIRouter(include_in_schema=False)


def read_holds(session: Session, actor: Actor, asked: Wanted) -> Listed[dict[str, Any]]:
    """Read one page of the holds that the address asks for, with where they count and whether the reader may lift them."""
    of = asked.of
    active = {"active": True, "lifted": False}.get(of["state"] or "")
    found = list_holds(session, actor, scope=of["on"], kind=of["kind"], active=active, site=of["site"], paging=asked.paging)
    active_ids = [one.id for one in found.items if one.lifted_at is None]
    sites = sites_of_holds(session, [one.id for one in found.items])
    may_lift = liftable(session, actor, active_ids)
    seen = actor.scope(Permission.SPECIMEN_READ)
    rows = [
        one.model_dump()
        | {
            "site": ", ".join(sorted(site for site in sites[one.id] if seen.covers(site))),
            "blocks": ", ".join(words(what) for what in one.blocks),
            "act": _act(one) if one.id in may_lift else None,
        }
        for one in found.items
    ]
    return Listed[dict[str, Any]](items=rows, next=found.next, total=found.total)


def _act(one: HoldPublic) -> Markup:
    if one.scope_kind == "excursion":
        return Markup('<a href="/excursions/{}">Assess<span class="hidden"> {}</span></a>').format(one.scope_id, one.scope_id)
    return _link(one.id, one.scope_id)


def _link(hold: Any, subject: str) -> Markup:
    return Markup('<a href="/holds/{}/lift">Lift<span class="hidden"> {}</span></a>').format(hold, subject)


Listing(
    address="/holds",
    title="Holds",
    lead="What is stopped until quality has looked at it.",
    key="id",
    named="scope_id",
    columns=[
        Column("scope_id", "On", "code", sort="scope_id"),
        Column("kind", "Hold", "words"),
        Column("reason", "Why", "words"),
        Column("placed_at", "Since", "when", sort="placed_at"),
        Column("placed_by", "By", "plain_code"),
        Column("site", "Site"),
        Column("act", "Act"),
        Column("blocks", "Stops", usual=False),
        Column("lifted_at", "Lifted", "when", usual=False),
        Column("lifted_by", "Lifted by", "plain_code", usual=False),
    ],
    read=read_holds,
    row=dict,
    default="-placed_at",
    filters=[
        Filter("state", "State", "choice", [("active", "In force"), ("lifted", "Lifted")], usual="active"),
        Filter("on", "On (code)", "code"),
        Filter("kind", "Hold", "choice", [(one.value, words(one.value)) for one in HoldKind]),
        Filter("site", "Site", "code"),
    ],
    quick=[("In force", {"state": "active"}), ("Lifted", {"state": "lifted"}), ("All", {"state": "all"})],
    acts=[RowsAct("lift", "Lift", "check", repeated("/holds/lift", "holds"), Permission.HOLD_LIFT)],
    links=[Link("Something is wrong", "/wrong", "octagon", Permission.HOLD_PLACE)],
    empty="No holds",
    hint="Nothing is stopped here.",
).on(router)

"""Counting a place: blind, by two people, resolved by quality; and the list of counts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.queries import logins_of
from biobank.foundation.paging import Listed
from biobank.foundation.terms import counted
from biobank.pages.storage.about import trail_of
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.pages.ui.scanned import found_in, nothing_in
from biobank.storage.counts import (
    CountPublic,
    count,
    counting_refusals,
    findings_of,
    list_counts,
    open_count,
    resolve_count,
    resolving_refusals,
)
from biobank.storage.queries import get_container, read_container
from biobank.storage.schemas import ContainerPublic, CountBlind, ResolveCount

router = APIRouter(include_in_schema=False)

SAID = {
    "agreed": "It agrees with the record",
    "to_recount": "To be counted by another person",
    "to_resolve": "Counted twice; quality resolves it",
    "resolved": "Resolved",
}


class _Place(NamedTuple):
    code: str
    site_code: str


def read_counts(session: Session, actor: Actor, asked: Wanted) -> Listed[Mapping[str, Any]]:
    """Read one page of the counts that the address asks for, each with the next act on it that is the reader's."""
    found = list_counts(session, actor, open_only=asked.of["open"] == "yes", container=asked.of["container"], paging=asked.paging)
    people = logins_of(session, [actor.code])
    return Listed(items=[_cells(actor, one, people) for one in found.items], next=found.next, total=found.total)


def _cells(actor: Actor, one: CountPublic, people: Collection[str]) -> Mapping[str, Any]:
    by = [*one.counted_by, *(one.recounted_by or []), *([one.resolved_by] if one.resolved_by else [])]
    return one.model_dump() | {"stands": SAID[one.status], "people": ", ".join(by), "to_do": _to_do(actor, one, people)}


def _to_do(actor: Actor, one: CountPublic, people: Collection[str]) -> Markup | None:
    """Return the link to the next act on a count, where its use case lets the actor do it."""
    place = _Place(one.container, one.site)
    if one.status == "to_recount" and not counting_refusals(actor, place, one, people):
        page, said = "count", "Count it again"
    elif one.status == "to_resolve" and not resolving_refusals(actor, place, one, people):
        page, said = "count/resolve", "Resolve it"
    else:
        return None
    link = Markup('<a href="/storage/{0}/{1}">{2}<span class="hidden"> {0}</span></a>')
    return link.format(one.container, page, said)


Listing(
    address="/counts",
    title="Counts",
    lead="What people really found in a place. A count moves nothing; what differs is counted again by another person.",
    key="container",
    columns=[
        Column("container", "Place", "code"),
        Column("counted_at", "Counted", "when", sort="counted_at"),
        Column("recounted_at", "Counted again", "when"),
        Column("resolved_at", "Resolved", "when"),
        Column("stands", "State"),
        Column("to_do", "For you to do"),
        Column("people", "By"),
        Column("site", "Site", "plain_code", usual=False),
    ],
    read=read_counts,
    row=lambda row: row,
    default="-counted_at",
    filters=[Filter("open", "Waiting", "choice", [("yes", "Yes")]), Filter("container", "Place", "code")],
    quick=[("Waiting", {"open": "yes"}), ("All", {})],
    empty="No counts",
    hint="Open a box and choose “Count what is in it”.",
).on(router)


def _to_count(session: Session, actor: Actor, asked: Asked) -> ContainerPublic:
    row = get_container(session, actor, asked.code)
    asked.opens(counting_refusals(actor, row, open_count(session, asked.code), logins_of(session, [actor.code])))
    return read_container(session, actor, asked.code)


def _draw(at: Opened[ContainerPublic]) -> OwnPage:
    return OwnPage(
        "storage_count.html",
        container=at.read,
        trail=trail_of(at.read, "Count"),
        typed=at.form.get("scanned", ""),
        fields=[nothing_in(at.form)],
        action=at.request.url.path,
    )


def _counted(at: Opened[ContainerPublic], _body: CountBlind, answer: dict[str, Any]) -> Done:
    kind = "ok" if answer["status"] == "agreed" else "care"
    return Done(f"/storage/{at.code}", f"Counted: {counted(answer['scanned'], 'tube')}.", SAID[answer["status"]] + ".", kind)


ActPage(
    address="/storage/{code}/count",
    reads=_to_count,
    form=_draw,
    model=CountBlind,
    lists=("scanned",),
    old_labels="left",
    given=lambda at: {"scanned": found_in(at.form, "scanned")},
    use_case=count,
    after=_counted,
).on(router)


@dataclass(frozen=True)
class _Differs:
    place: ContainerPublic
    lines: list[Any]


def _to_resolve(session: Session, actor: Actor, asked: Asked) -> _Differs:
    row = get_container(session, actor, asked.code)
    found = open_count(session, asked.code)
    asked.opens(resolving_refusals(actor, row, found, logins_of(session, [actor.code])))
    lines = [] if found is None else list(findings_of(session, found.id))
    return _Differs(read_container(session, actor, asked.code), lines)


def _draw_resolving(at: Opened[_Differs]) -> ActForm:
    missing = [line.specimen_code for line in at.read.lines if line.finding == "missing"]
    elsewhere = [line.specimen_code for line in at.read.lines if line.finding == "elsewhere"]
    plan = [f"Not found by the second person: {', '.join(missing)}"] if missing else []
    plan += [f"Seen here, recorded elsewhere: {', '.join(elsewhere)}"] if elsewhere else []
    return ActForm(
        title="Resolve the count",
        submit="Sign",
        icon="pen",
        lead="Two people counted. Nothing moves: what is to be moved or looked for becomes a task for the laboratory.",
        plan=plan,
        labels={"reason": "Cause"},
        statement="You resolved what two people counted in this place.",
        said="I take responsibility for this decision.",
        trail=trail_of(at.read.place, "Resolve the count"),
    )


ActPage(
    address="/storage/{code}/count/resolve",
    reads=_to_resolve,
    form=_draw_resolving,
    model=ResolveCount,
    names=("reason",),
    meaning=Meaning.DECIDED,
    use_case=resolve_count,
    after=lambda at, _body, _answer: Done(f"/storage/{at.code}", "Resolved.", "What is left to do stands at Today."),
).on(router)

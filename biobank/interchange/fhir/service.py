"""Reading, searching, everything of a donor. Nothing here writes but that an identity was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.strict import unknown_parameter
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors.schemas import IdentityPublic
from biobank.donors.service import read_identity
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import CursorUnknown, Paging, read_page
from biobank.interchange.fhir.people import patient
from biobank.interchange.fhir.resources import OF_A_DONOR, PARAMETERS, TYPES, checked
from biobank.interchange.fhir.saying import Resource, Saying
from biobank.interchange.fhir.sources import Source

Asked = Mapping[str, list[str]]
"""Search parameters and their values."""


class NoSuchResourceType(NotFound):
    """The address names a type of resource that this server does not have."""

    code = "no_such_resource_type"
    title = "No such resource type"


@dataclass(frozen=True)
class Found:
    """A page of resources, and where the next one begins."""

    resources: Sequence[Resource]
    next: str | None


def sources_of(kind: str) -> tuple[Source, ...]:
    """Return the sources of a type. Raises NoSuchResourceType."""
    if kind not in TYPES:
        raise NoSuchResourceType(f"There are no resources of the type {kind[:60]} here. There are {', '.join(TYPES)}.")
    return TYPES[kind]


def read(session: Session, actor: Actor, say: Saying, kind: str, identity: str) -> Resource:
    """Return one resource. Raises NotFound, also when it exists and the actor may not know of it; NotPermitted."""
    sources = sources_of(kind)
    named = [one for one in sources if one.name and identity.startswith(f"{one.name}-")]
    readable = [one for one in named or [one for one in sources if not one.name] if one.scope(actor)]
    if not readable:
        sources[0].ensure(actor)
    for source in readable:
        row = session.execute(source.rows(actor).where(source.by_id(identity))).first()
        if row is not None:
            return checked(say.release, source.build(say, row))
    raise NotFound(f"There is no {kind} {identity} that you may see.", subject=identity)


def search(session: Session, actor: Actor, say: Saying, kind: str, asked: Asked, count: int, cursor: str | None) -> Found:
    """Return a page of the resources of a type. Raises UnknownParameter, NotPermitted, CursorUnknown, MalformedRequest."""
    sources = sources_of(kind)
    unknown = unknown_parameter(asked, PARAMETERS[kind] | {"_count", "_cursor", "_format"})
    if unknown is not None:
        raise unknown
    readable = [one for one in sources if one.scope(actor)]
    if not readable:
        sources[0].ensure(actor)
    return _page(session, actor, say, [one for one in readable if asked.keys() <= one.parameters], asked, count, cursor)


def _page(
    session: Session, actor: Actor, say: Saying, sources: Sequence[Source], asked: Asked, count: int, cursor: str | None
) -> Found:
    """Go through the sources in order until the page is full: at most one statement for each."""
    number, colon, rest = (cursor or "0:").partition(":")
    if not colon or not number.isascii() or not number.isdigit() or int(number) > len(sources):
        raise CursorUnknown("This is no next page of this search. Begin at its first page.")
    found: list[Resource] = []
    for index in range(int(number), len(sources)):
        source = sources[index]
        page = read_page(
            session,
            source.rows(actor).where(*source.matching(asked)),
            Paging(rest or None, count - len(found)),
            key=source.key,
            orders={"order": source.key if source.at is None else source.at},
            default="order",
        )
        rest = ""
        found += [checked(say.release, source.build(say, row)) for row in page.rows]
        if page.next is not None:
            return Found(found, f"{index}:{page.next}")
        if len(found) == count and index + 1 < len(sources):
            return Found(found, f"{index + 1}:")
    return Found(found, None)


def read_patient(session: Session, act: Act, say: Saying, code: str) -> Resource:
    """Return a donor: as the person for who may read identities at the clinic, which is recorded, else by code alone.

    Raises NotFound, DonorMerged, NotPermitted, TooManyIdentities.
    """
    TYPES["Patient"][0].ensure(act.actor)
    row = get_visible_donor(session, act.actor, code)
    return checked(say.release, patient(say, row, _who(session, act, row)))


def _who(session: Session, act: Act, row: Any) -> IdentityPublic | None:
    known = row.identity_commit is not None and row.status != "erased"
    if not known or not act.actor.may(Permission.IDENTITY_READ, at=row.clinic_site_code):
        return None
    return read_identity(session, act, row.code)


def everything(session: Session, act: Act, say: Saying, code: str, kinds: Sequence[str], count: int, cursor: str | None) -> Found:
    """Return a page of what is kept of a donor, the donor first, as the actor may read each. Raises as `read_patient`."""
    first = [read_patient(session, act, say, code)] if cursor is None and (not kinds or "Patient" in kinds) else []
    if cursor is not None:
        get_visible_donor(session, act.actor, code)
    found = everything_but_who(session, act.actor, say, code, kinds, max(1, count - len(first)), cursor)
    return Found([*first, *found.resources], found.next)


def everything_but_who(
    session: Session, actor: Actor, say: Saying, code: str, kinds: Sequence[str], count: int, cursor: str | None
) -> Found:
    """Return a page of what is kept of a donor without the donor. What the actor may read nowhere is left out."""
    for kind in kinds:
        sources_of(kind)
    chosen = [kind for kind in OF_A_DONOR if kind != "Patient" and (not kinds or kind in kinds)]
    readable = [one for kind in chosen for one in TYPES[kind] if one.scope(actor)]
    return _page(session, actor, say, readable, {"patient": [code]}, count, cursor)


def pseudonymous(session: Session, actor: Actor, say: Saying, code: str) -> Sequence[Resource]:
    """Return all of what is kept of a donor, the donor by code alone. Raises NotFound, DonorMerged, NotPermitted."""
    TYPES["Patient"][0].ensure(actor)
    row = get_visible_donor(session, actor, code)
    resources = [checked(say.release, patient(say, row))]
    found = Found([], "0:")
    while found.next is not None:
        found = everything_but_who(session, actor, say, code, (), 500, found.next)
        resources += found.resources
    return resources


def about_specimen(session: Session, actor: Actor, say: Saying, code: str) -> Sequence[Resource]:
    """Return a specimen, the product that it is, its counts and its history. Raises NotFound, NotPermitted."""
    resources = [read(session, actor, say, "Specimen", code)]
    asked: Sequence[tuple[str, Asked]] = (
        ("BiologicallyDerivedProduct", {"_id": [code]}),
        ("Observation", {"specimen": [code]}),
        ("Provenance", {"target": [code]}),
    )
    for kind, of in asked:
        found = Found([], "0:")
        while found.next is not None:
            found = search(session, actor, say, kind, of, 500, found.next)
            resources += found.resources
    return resources


def all_of(session: Session, actor: Actor, say: Saying, kind: str, cursor: str | None, count: int = 500) -> Found:
    """Return a page of every resource of a type that the actor may know of; nothing for who may read none."""
    return _page(session, actor, say, [one for one in sources_of(kind) if one.scope(actor)], {}, count, cursor)

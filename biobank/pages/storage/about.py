"""What a form about one place reads, and its breadcrumb."""

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.pages.ui.act_pages import Asked
from biobank.storage.queries import read_container
from biobank.storage.schemas import ContainerPublic


def about_place(session: Session, actor: Actor, asked: Asked) -> ContainerPublic:
    """Read the place in the address for someone who may record there; raise NotFound, NotPermitted."""
    place = read_container(session, actor, asked.code)
    actor.require(Permission.STORAGE_RECORD, at=place.site)
    return place


def trail_of(place: ContainerPublic, title: str) -> list[tuple[str, str | None]]:
    """Return the breadcrumb of an act on a place."""
    return [("Storage", "/storage"), (place.name, f"/storage/{place.code}"), (title, None)]

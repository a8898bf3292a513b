"""What a form about one specimen reads."""

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import Asked
from biobank.specimens.queries import describe_specimen
from biobank.specimens.schemas import SpecimenPublic


def about_specimen(session: Session, actor: Actor, asked: Asked) -> SpecimenPublic:
    """Return the specimen in the address; raise NotFound."""
    return describe_specimen(session, actor, asked.code)

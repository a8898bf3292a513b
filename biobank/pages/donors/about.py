"""What a form about one donor reads."""

from collections.abc import Callable

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors import queries
from biobank.donors.schemas import DonorPublic
from biobank.pages.ui.act_pages import Asked


def about_donor(permission: Permission) -> Callable[[Session, Actor, Asked], DonorPublic]:
    """Return what reads the donor in the address for whoever has `permission` at their clinic; raises NotFound, NotPermitted."""

    def reads(session: Session, actor: Actor, asked: Asked) -> DonorPublic:
        donor = queries.describe_donor(session, actor, asked.code)
        actor.require(permission, at=donor.clinic_site, subject=asked.code)
        return donor

    return reads

"""Items nobody can name: a tube without a readable label gets a code at once, and its cold place right after.

It has no donor, is never issued, and stays what it is until two people resolve it.
"""

from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.permissions import Permission
from biobank.custody.legality import TO_QUARANTINE
from biobank.custody.recording import acknowledge
from biobank.custody.service import receipt_of
from biobank.people.queries import get_site
from biobank.specimens.creation import Draft, create_specimens
from biobank.specimens.events import UnidentifiedFound
from biobank.specimens.materials import MaterialName, Unit
from biobank.specimens.schemas import RegisterUnidentified, UnidentifiedRegistered


def register_unidentified(session: Session, act: Act, request: RegisterUnidentified) -> UnidentifiedRegistered:
    """Give an item a UN- code. Raises NotPermitted, NotFound for the site, ImplausibleTime; nothing about the item itself."""
    act.require(Permission.CUSTODY_RECORD, at=request.site)
    get_site(session, request.site)
    code = new_code(session, "UN", year=act.at.year % 100)
    what: dict[str, Any] = {"material": MaterialName.UNIDENTIFIED, "unit": Unit.ITEM, "purpose": "retained"}
    event = UnidentifiedFound(
        **what,
        amount=1,
        site=request.site,
        condition=request.condition,
        photo_sha256=request.photo_sha256,
        place=request.place,
    )
    draft = Draft(what | {"code": code, "home_site_code": request.site}, event)
    (made,), appended = create_specimens(session, act, [draft], request, site=request.site)
    return UnidentifiedRegistered(
        specimen=code,
        state=made.state,
        seq=made.seq,
        where_now=f"Write {code} on it. {TO_QUARANTINE}",
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )

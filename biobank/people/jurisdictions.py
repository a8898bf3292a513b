"""Under whose law a site works: quality says it, signed; two of quality change what was said.

A site of which nobody has said it is shown as "not stated". Which basis reaches a site is asked in `quality/legal_bases.py`.
"""

from sqlalchemy import update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import one_or_two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.models import site
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, NotFound
from biobank.people import events
from biobank.people.queries import get_site
from biobank.people.schemas import JurisdictionRequest, JurisdictionStated

CHANGE = "site.change_jurisdiction"


@two_person(
    CHANGE,
    "Change under whose law a site works",
    "I agree that this site works under this law. The legal basis of what it keeps or gives is compared with it from now on.",
    JurisdictionRequest,
)
def state_jurisdiction(session: Session, act: Act, code: str, request: JurisdictionRequest) -> JurisdictionStated | Proposed:
    """Say under whose law a site works, signed "decided"; or propose another than was said: two of quality there sign that.

    `code`: the request's own site. Raises NotPermitted, NotFound, Conflict without a change and what `one_or_two_sign` raises.
    """
    act.require(Permission.QUALITY_DECIDE, at=code)
    row = get_site(session, code, lock=True)
    if request.site != code:
        raise NotFound(f"This statement is about {request.site}, not about {code}.", subject=code)
    if row.jurisdiction == request.jurisdiction:
        raise Conflict(f"That is said of {code} already.", subject=code)
    values = {"site": code, "jurisdiction": request.jurisdiction.value}
    two = row.jurisdiction is not None
    signatures = one_or_two_sign(session, act, CHANGE, code, values, request, Permission.QUALITY_DECIDE, two=two, site=code)
    if isinstance(signatures, Proposed):
        return signatures
    event = events.SiteJurisdictionStated(**values, before=row.jurisdiction, signatures=signatures)
    head = head_of(session, act, request, subject=None, site=code)
    done = append(session, [Fact(StreamKind.SYSTEM, events.SITES, event, head)])
    session.execute(update(site).where(site.c.code == code).values(jurisdiction=request.jurisdiction.value))
    return JurisdictionStated(site=code, jurisdiction=request.jurisdiction, receipt=acknowledge(act, done))

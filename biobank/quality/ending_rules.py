"""A site's rule of ending: how long an announced end waits, and how much of a unit is a usable rest. Two sign what loosens it."""

from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import one_or_two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import NotFound
from biobank.people.queries import get_site
from biobank.quality.ending_facts import rule_of_site
from biobank.quality.events import EndingRuleSet
from biobank.quality.models import ending_rule
from biobank.quality.schemas import EndingRulePublic, EndingRuleRequest

LOOSEN = "site.loosen_ending_rule"


def loosens(now: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Say whether a rule lets material end sooner, or with less left, than the one in force: (days, percent) of each. Pure."""
    return wanted[0] < now[0] or wanted[1] < now[1]


@two_person(
    LOOSEN,
    "Loosen a site's rule of ending",
    "I agree that material of this site may end sooner, or with less of it left.",
    EndingRuleRequest,
)
def set_ending_rule(session: Session, act: Act, site: str, request: EndingRuleRequest) -> EndingRulePublic | Proposed:
    """Set a site's rule of ending, signed; or propose it where it loosens what is in force: two of quality there sign that.

    `site`: the request's own. Raises NotPermitted, NotFound and what `one_or_two_sign` raises.
    """
    act.require(Permission.QUALITY_DECIDE, at=site)
    get_site(session, site, lock=True)
    if request.site != site:
        raise NotFound(f"This rule is of {request.site}, not of {site}.", subject=site)
    values = {"cooling_off_days": request.cooling_off_days, "usable_rest_percent": request.usable_rest_percent}
    signatures = one_or_two_sign(
        session,
        act,
        LOOSEN,
        site,
        {"site": site} | values,
        request,
        Permission.QUALITY_DECIDE,
        two=loosens(rule_of_site(session, site), (request.cooling_off_days, request.usable_rest_percent)),
        site=site,
    )
    if isinstance(signatures, Proposed):
        return signatures
    event = EndingRuleSet(site=site, signatures=signatures, **values)
    done = append(session, [Fact(StreamKind.SYSTEM, site, event, head_of(session, act, request, subject=None, site=site))])
    row: dict[str, Any] = {**values, "event_hash": done[0].leaf_hash}
    keyed = insert(ending_rule).values(site_code=site, **row)
    session.execute(keyed.on_conflict_do_update(index_elements=["site_code"], set_=row))
    return EndingRulePublic(site=site, **values, receipt=acknowledge(act, done))

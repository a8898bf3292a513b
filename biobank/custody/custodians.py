"""Who answers for a specimen now, and who may therefore handle it. One pure rule for use cases, buttons and scan lists.

Whoever is not the custodian, nor at the custodian's site with the right, performs no act of custody on it. Open to whoever has
the right are bringing it into the cold, receiving it, reporting, and what quality decides (`Event.open_to_all`).
"""

from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.states import CustodianKind, State
from biobank.foundation.errors import NotPermitted

HELD = frozenset({CustodianKind.USER.value, CustodianKind.SITE.value, CustodianKind.COURIER.value})


class NotTheCustodian(NotPermitted):
    """Only the one who holds a specimen, or the people of the site that answers for it, handle it or give it away."""

    code = "not_the_custodian"
    title = "Somebody else holds it"


def needs_custody(event: type[Event]) -> bool:
    """Say whether an event is an act of custody: of the one who holds the specimen, or of that one's site. Pure."""
    open_to_all = event.open_to_all or event.starts or event.annotates or event.cold_first or event.arrives
    return not open_to_all and event.permission is not None


def answering_site(specimen: Snapshot) -> str | None:
    """Return the site whose people answer for a specimen beside its custodian; None while a courier has it on the road. Pure.

    A site that holds it; for what a person has in hand, the site where that is; for what a courier has taken over and has not
    left with, the site it leaves from.
    """
    projection = specimen.projection
    if projection.custodian_kind == CustodianKind.SITE.value:
        return projection.custodian_id
    return None if specimen.state is State.IN_TRANSIT else projection.site_code


def custodian_refusal(actor: Actor, event: type[Event], specimen: Snapshot) -> NotTheCustodian | None:
    """Return why the actor may not do this with what somebody else holds, or None. Pure.

    What is open to all is so where the specimen is: whoever works only where it is kept, or where its donor is treated, takes
    nothing out of the hands of people elsewhere.
    """
    here = specimen.projection.site_code
    far = event.taken_from_its_site and event.permission is not None and not actor.may(event.permission, at=here)
    return hands_refusal(actor, event, specimen) if needs_custody(event) or far else None


def hands_refusal(actor: Actor, event: type[Event], specimen: Snapshot) -> NotTheCustodian | None:
    """Return why the specimen is not in the actor's hands, nor in those of a site where the actor may do this, or None. Pure."""
    kind, name = specimen.projection.custodian_kind, specimen.projection.custodian_id
    if actor.code == SYSTEM_CODE or kind not in HELD:
        return None
    if kind == CustodianKind.USER.value and name == actor.code:
        return None
    site = answering_site(specimen)
    theirs = site is not None and event.permission is not None and actor.may(event.permission, at=site)
    if kind == CustodianKind.SITE.value and theirs:
        return None
    if kind == CustodianKind.USER.value and theirs and not event.in_person:
        return None
    if kind == CustodianKind.COURIER.value and theirs and event.from_courier:
        return None
    return NotTheCustodian(
        f"{specimen.code} is in the custody of {name or 'nobody'}{_words(kind, site)}. {_way(event, kind)}",
        where_now=specimen.where_now,
        subject=specimen.code,
        custodian_kind=kind,
    )


def in_other_hands(actor: Actor, specimen: Snapshot) -> NotTheCustodian | None:
    """Return that a person holds the specimen who is not the actor, for what only they give away, or None. Pure."""
    kind, name = specimen.projection.custodian_kind, specimen.projection.custodian_id
    if kind != CustodianKind.USER.value or name == actor.code:
        return None
    return NotTheCustodian(
        f"{specimen.code} is in the custody of {name}. They issue it, or hand it over to you first.",
        where_now=specimen.where_now,
        subject=specimen.code,
        custodian_kind=kind,
    )


def _words(kind: str, site: str | None) -> str:
    return f" at {site}" if kind == CustodianKind.USER.value and site is not None else ""


def _way(event: type[Event], kind: str) -> str:
    """What the actor can do about it."""
    if kind == CustodianKind.COURIER.value:
        return "Receive it where it arrives, or put it into a cold place; then go on."
    if event.in_person:
        return "They hand it over to you first, or do it themselves."
    return "Take it over first: by a hand-over or a receipt. Putting it into a cold place is always open to you."

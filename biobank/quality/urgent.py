"""What quality must look into at once: a deviation, and a notice by name to everybody of quality whom it concerns."""

from collections.abc import Collection

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_that_may
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW
from biobank.quality.deviations import Severity, add_deviation
from biobank.quality.notices import HOLDS, Told, give_notices


def call_quality(
    session: Session,
    act: Act,
    *,
    topic: str,
    about: str,
    description: str,
    units: Collection[str],
    site: str,
    sites: Collection[str | None],
    affected: Collection[tuple[str, str]] = (),
    severity: Severity = "critical",
) -> list[Appended]:
    """Open a deviation at `site` and tell quality there and at `sites` (the banks that keep the units) by notice.

    `about`: the code that the notice is about; its reason is the topic. Whoever did what it is about is not told.
    """
    subjects = [*(("specimen", unit) for unit in sorted(units)), *affected]
    code, opened = add_deviation(
        session, act, NOW, severity=severity, topic=topic, site=site, description=description, affected=subjects
    )
    places = sorted({site, *(one for one in sites if one is not None)})
    people = frozenset().union(*logins_that_may(session, Permission.DEVIATION_DECIDE, places).values()) - {act.actor.code}
    told = [Told(login, HOLDS, frozenset(units)) for login in sorted(people)]
    given = give_notices(session, act, told, reason=topic, about=about, deviation=code, site=site, relies_on=opened.leaf_hash)
    return [opened, *given]

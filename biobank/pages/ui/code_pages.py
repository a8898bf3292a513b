"""From a code to its page: the one table. Links, the find box, a label's address and the timeline all ask here."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import DATED, Prefix

PAGES: Final[Mapping[Prefix, str]] = {
    Prefix.HAIR_FOLLICLE: "/specimens/",
    Prefix.ADIPOSE: "/specimens/",
    Prefix.UNIDENTIFIED: "/specimens/",
    Prefix.DONOR: "/donors/",
    Prefix.WITHDRAWAL: "/withdrawals/",
    Prefix.CONTAINER: "/storage/",
    Prefix.SHIPMENT: "/shipments/",
    Prefix.DEVIATION: "/deviations/",
    Prefix.EXCURSION: "/excursions/",
    Prefix.ALARM: "/alarms/",
    Prefix.BENCH_SESSION: "/bench-sessions/",
    Prefix.SENSOR: "/sensors/",
    Prefix.WEBHOOK: "/webhooks/",
    Prefix.CLIENT: "/api-clients/",
    Prefix.KIT: "/kits/",
    Prefix.LOT: "/lots/",
    Prefix.BADGE: "/users/",
    Prefix.REAGENT_LOT: "/registers/",
    Prefix.EQUIPMENT: "/registers/",
}
"""Prefixes whose codes have a page of their own: the address that ends in the code."""

OPENED_WITH: Final[Mapping[Prefix, tuple[Permission, ...]]] = {
    Prefix.HAIR_FOLLICLE: (Permission.SPECIMEN_READ,),
    Prefix.ADIPOSE: (Permission.SPECIMEN_READ,),
    Prefix.UNIDENTIFIED: (Permission.SPECIMEN_READ,),
    Prefix.CONTAINER: (Permission.STORAGE_RECORD, Permission.STORAGE_MANAGE, Permission.QUALITY_DECIDE, Permission.LOG_READ),
    Prefix.BADGE: (Permission.USER_READ,),
    Prefix.WEBHOOK: (Permission.LOG_EXPORT,),
    Prefix.CLIENT: (Permission.USER_READ,),
}
"""One of these opens the pages of codes that others read as well: to them the code is no link."""

LOOKED_UP: Final = frozenset({Prefix.POSITION, Prefix.WRISTBAND, Prefix.COMMAND})
"""Prefixes whose codes lead to the page of something else, which `find` looks up: the box, the donor, the scan page."""


MANY: Final = 4096
"""Codes whose page is remembered: a list asks several times about each of its own."""

_DATED = "|".join(sorted(prefix.value for prefix in DATED))
_PLAIN = "|".join(sorted(prefix.value for prefix in Prefix if prefix not in DATED))
_SHAPE = re.compile(rf"(?P<dated>{_DATED})[0-9]{{2}}-[0-9A-Z]{{7}}|(?P<plain>{_PLAIN})-[0-9A-Z]{{7}}")


@lru_cache(MANY)
def prefix_of(text: str) -> Prefix | None:
    """Return what a text of the shape of our codes names; None for any other text. Whether it exists is not asked."""
    match = _SHAPE.fullmatch(text)
    return None if match is None else Prefix(match["dated"] or match["plain"])


@lru_cache(MANY)
def page_of(code: str) -> str | None:
    """Return the address that shows what a code of ours names: its page, or the find box where it has to be looked up.

    None for what has no page, and for what is no code.
    """
    # A box of a shipment (SH-…_2) stands on the shipment's page.
    code = code.partition("_")[0]
    prefix = prefix_of(code)
    if prefix is not None and prefix in PAGES:
        return f"{PAGES[prefix]}{code}"
    return f"/find?q={code}" if prefix in LOOKED_UP else None


def code_href(code: str) -> str:
    """Return the address that shows what a code names; the find box, which says what it is, for whatever has no page."""
    return page_of(code) or f"/find?q={quote(code, safe='')}"


def opens_for(actor: Actor, code: str) -> bool:
    """Say whether a code may be a link for this reader: it has a page, which this login is not refused at once."""
    prefix = prefix_of(code.partition("_")[0])
    needed = None if prefix is None else OPENED_WITH.get(prefix)
    return page_of(code) is not None and (needed is None or any(actor.may(one, at=ANYWHERE) for one in needed))

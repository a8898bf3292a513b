"""What is recorded of one specimen, as the files for other systems need it: read once, in a fixed number of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.models import site
from biobank.custody.entry import parse_entry
from biobank.custody.models import custody
from biobank.custody.snapshots import get_visible
from biobank.monitoring.models import excursion, excursion_item
from biobank.specimens.harvest_queries import told_at_first
from biobank.specimens.lineage import lineage_of
from biobank.specimens.models import specimen
from biobank.specimens.schemas import Lineage
from biobank.storage.queries import standings_of
from biobank.transparency.models import event


@dataclass(frozen=True)
class Entry:
    """One event: its leaf hash in hex, and what its bytes say."""

    leaf: str
    said: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of event."""
        return str(self.said["kind"])

    @property
    def body(self) -> Mapping[str, Any]:
        """What is particular to the kind."""
        body: Mapping[str, Any] = self.said["body"]
        return body


@dataclass(frozen=True)
class Life:
    """A specimen: its row with its state, its events in order, its lineage, the excursions it was in.

    `zones`: site → its clock; `kept_at`: the temperature class that reaches the place where it is.
    """

    row: "Row[Any]"
    entries: Sequence[Entry]
    lineage: Lineage
    excursions: Sequence["Row[Any]"]
    zones: Mapping[str, ZoneInfo]
    kept_at: str | None

    @property
    def code(self) -> str:
        """The specimen's code."""
        return str(self.row.code)

    @property
    def told_at_first(self) -> Mapping[str, Any]:
        """What its first event says, as it was corrected since."""
        return told_at_first((one.leaf, one.said) for one in self.entries)

    @property
    def standing(self) -> Sequence[Entry]:
        """Its events without those that were undone, and without the undoing."""
        undone = {one.body["reverses"] for one in self.entries if "reverses" in one.body}
        return [one for one in self.entries if one.leaf not in undone and "reverses" not in one.body]

    def offset(self, site_code: str | None, at: str) -> str:
        """Return how far the clocks of a site were from UTC at an instant, `+01:00`; UTC itself where no site is recorded."""
        zone = self.zones.get(site_code or "")
        if zone is None:
            return "+00:00"
        text = datetime.fromisoformat(at).astimezone(zone).strftime("%z")
        return f"{text[:3]}:{text[3:5]}"


def life_of(session: Session, actor: Actor, code: str) -> Life:
    """Read what is recorded of a specimen that the actor may know of. Raises NotFound."""
    get_visible(session, actor, code)
    row = session.execute(
        select(specimen, *(custody.c[name] for name in ("state", "container_code")))
        .join(custody, custody.c.code == specimen.c.code)
        .where(specimen.c.code == code)
    ).one()
    entries = session.execute(
        select(event.c.leaf_hash, event.c.entry)
        .where(event.c.stream_kind == "specimen", event.c.stream_id == code)
        .order_by(event.c.seq)
    )
    told = [Entry(one.leaf_hash.hex(), parse_entry(bytes(one.entry))) for one in entries]
    met = session.execute(
        select(excursion, excursion_item.c.since)
        .join(excursion_item, excursion_item.c.excursion_code == excursion.c.code)
        .where(excursion_item.c.specimen_code == code, excursion.c.annulled_at.is_(None), excursion_item.c.removed_at.is_(None))
        .order_by(excursion.c.began_at, excursion.c.code)
    ).all()
    zones = {one.code: ZoneInfo(one.timezone) for one in session.execute(select(site.c.code, site.c.timezone))}
    place = row.container_code
    kept_at = None if place is None else standings_of(session, [place])[place].temperature
    return Life(row, told, lineage_of(session, actor, code), met, zones, kept_at)

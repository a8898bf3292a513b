"""Bringing specimens into being: the row that says what it is, and the first event of its stream, together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import Circumstances, Move, record
from biobank.foundation.many_rows import insert_rows
from biobank.specimens.models import specimen
from biobank.specimens.shapes import SpecimenMade

_DEFAULTS: dict[str, Any] = {
    "donor_code": None,
    "purpose": "therapeutic",
    "passage": None,
    "vessel_count": None,
    "follicular_units": None,
    "follicles": None,
    "transected": None,
    "harvest_code": None,
    "lot_code": None,
    "unit_number": None,
    "home_site_code": None,
    "collected_at": None,
    "expires_at": None,
}
"""Every row of one INSERT has the same columns: then it is one statement, however many."""


@dataclass(frozen=True)
class Draft:
    """A specimen about to be: columns of its row (`code`, `material`, `unit` … at least), its first event, those that follow.

    `relies_on`: leaf hashes of the consents and other facts that this one rests on. `words`: the commitment to free text about
    this one, which the caller has put into the vault.
    """

    row: dict[str, Any]
    event: Event
    relies_on: tuple[bytes, ...] = ()
    then: tuple[Event, ...] = ()
    words: bytes | None = None


def create_specimens(
    session: Session,
    act: Act,
    drafts: Sequence[Draft],
    given: Circumstances,
    *,
    site: str,
    clinic_site: str | None = None,
) -> tuple[list[SpecimenMade], list[Appended]]:
    """Insert the rows and record their events: two statements for any number of specimens. Return what was made, and the events.

    The caller has locked the donor and checked what the act needs. Raises what `record` raises.
    """
    rows = [_DEFAULTS | draft.row | {"created_at": act.at, "created_by": act.actor.code} for draft in drafts]
    insert_rows(session, specimen, rows)
    moves = []
    for row, draft in zip(rows, drafts, strict=True):
        unborn = _unborn(row, clinic_site)
        moves.append(Move(unborn, draft.event, site=site, relies_on=draft.relies_on, words=draft.words))
        moves += [Move(unborn, event, site=site) for event in draft.then]
    appended = record(session, act, moves, given)
    last = {done.stream_id: done for done in appended}
    return [made_of(row, last[row["code"]]) for row in rows], appended


def made_of(row: dict[str, Any], done: Appended) -> SpecimenMade:
    """Describe a specimen after an event, from its row and what was appended."""
    after = done.after
    return SpecimenMade(
        code=row["code"],
        material=row["material"],
        unit=row["unit"],
        amount=after.amount,
        passage=row["passage"],
        purpose=row["purpose"],
        state=after.state,
        condition=after.condition,
        seq=done.seq,
        lot=row["lot_code"],
        harvest=row["harvest_code"],
    )


def made_of_snapshot(snapshot: Snapshot, done: Appended) -> SpecimenMade:
    """Describe a specimen that was there before, after its last event."""
    row = {
        name: getattr(snapshot, name) for name in ("code", "material", "unit", "passage", "purpose", "lot_code", "harvest_code")
    }
    return made_of(row, done)


def _unborn(row: dict[str, Any], clinic_site: str | None) -> Snapshot:
    return Snapshot(
        code=row["code"],
        donor_code=row["donor_code"],
        seq=0,
        head_hash=None,
        projection=Projection(),
        material=row["material"],
        unit=row["unit"],
        purpose=row["purpose"],
        passage=row["passage"],
        lot_code=row["lot_code"],
        harvest_code=row["harvest_code"],
        home_site_code=row["home_site_code"],
        clinic_site_code=clinic_site,
    )

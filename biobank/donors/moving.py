"""Rows that name a donor name another one: when a duplicate is merged, and when a harvest was another person's.

The database lets the donor of a row that is written once change only along a row of `donor_move`, and the donor of a specimen
only with an event of its own record. Foreign keys that hold a row to its donor are checked again before the act goes on.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Row, delete, insert, or_, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW
from biobank.donors.events import ContactChanged
from biobank.donors.models import donor, donor_allergy, donor_move
from biobank.donors.recording import record_on_donor
from biobank.foundation.db import metadata
from biobank.vault import forget_documents, open_documents, put_document

_NAMES: Final = ("donor_code", "recipient_code", "child_donor", "parent_donor", "kept_for")
_STAY: Final = frozenset({"event", "donor_move", "donor_index", "donor_reserve"})
"""History; what is written anew; and the reserve, which is set (`quality/merging.py`)."""

_LATER = text("SET CONSTRAINTS ALL DEFERRED")
_NOW = text("SET CONSTRAINTS ALL IMMEDIATE")


def note_move(session: Session, act: Act, before: str, after: str, appended: Appended, harvest: str | None = None) -> None:
    """Write down that rows of one donor become another's, by which event."""
    session.execute(
        insert(donor_move).values(
            event_hash=appended.leaf_hash, from_donor=before, to_donor=after, harvest_code=harvest, recorded_at=act.at
        )
    )


def move_everything(session: Session, before: str, after: str) -> None:
    """Let every row of every table that names one donor name the other. An allergy that both have stands once."""
    same = select(donor_allergy.c.substance).where(donor_allergy.c.donor_code == after)
    session.execute(delete(donor_allergy).where(donor_allergy.c.donor_code == before, donor_allergy.c.substance.in_(same)))
    with checked_afterwards(session):
        for table in metadata.sorted_tables:
            names = [table.c[name] for name in _NAMES if name in table.c and table.name not in _STAY]
            if names:
                values = {column.name: after for column in names}
                session.execute(update(table).where(or_(*(column == before for column in names))).values(values))


def take_over_contact(session: Session, act: Act, stays: Any, goes: Any) -> list[Appended]:
    """Let the donor who stays be reached as on the record that ends, where theirs says nothing; what it said is deleted there."""
    said = [one for one in (goes.contact_commit, goes.safety_commit) if one is not None]
    opened = open_documents(session, act.keystore, said)
    values: dict[str, Any] = {}
    facts: list[Event] = []
    if stays.contact_commit is None and goes.contact_commit in opened:
        values["contact_commit"] = put_document(session, act.keystore, stays.code, opened[goes.contact_commit])
        facts.append(ContactChanged(contact=values["contact_commit"].hex()))
    if stays.safety_commit is None and stays.contact_commit is None and goes.safety_commit in opened:
        values["safety_commit"] = put_document(session, act.keystore, stays.code, opened[goes.safety_commit])
    if values:
        session.execute(update(donor).where(donor.c.code == stays.code).values(**values))
    for one in said:
        forget_documents(session, goes.code, commit=one)
    return record_on_donor(session, act, stays.code, facts, NOW, site=stays.clinic_site_code) if facts else []


def end_record(session: Session, goes: Any, stays: str) -> None:
    """Let a record lead to the one that the person goes on under, and those that led to it as well."""
    ended = {"merged_into": stays, "identity_commit": None, "contact_commit": None, "safety_commit": None, "death_commit": None}
    session.execute(update(donor).where(donor.c.merged_into == goes.code).values(merged_into=stays))
    session.execute(update(donor).where(donor.c.code == goes.code).values(**ended))
    if goes.kept_apart:
        session.execute(update(donor).where(donor.c.code == stays).values(kept_apart=True))


def leave_behind(session: Session, specimens: Collection[str], before: str, after: str) -> None:
    """Let what other packages wrote of these specimens, which turned out to be another donor's, stay whose it was, and say so.

    What counts cells and no persons goes along.
    """
    for table in metadata.sorted_tables:
        if "specimen_code" not in table.c or "donor_code" not in table.c or table.name == "processing_input":
            continue
        of_them = update(table).where(table.c.specimen_code.in_(sorted(specimens)), table.c.donor_code == before)
        if "another_donors" in table.c:
            session.execute(of_them.values(another_donors=True))
        elif table.info.get("moves_with_its_donor"):
            session.execute(of_them.values(donor_code=after))


@contextmanager
def checked_afterwards(session: Session) -> Iterator[None]:
    """Check the foreign keys that hold rows to their donors when the rows have moved, and not before."""
    session.execute(_LATER)
    yield
    session.execute(_NOW)


def merged_into(session: Session, code: str) -> list[str]:
    """Return the codes of the records that were merged into this one."""
    return list(session.execute(select(donor.c.code).where(donor.c.merged_into == code).order_by(donor.c.code)).scalars())


def harvests_left(session: Session, code: str) -> "list[Row[Any]]":
    """Return the harvests that were on record of this donor and turned out to be another person's: harvest_code, recorded_at."""
    moved = select(donor_move.c.harvest_code, donor_move.c.recorded_at).where(donor_move.c.from_donor == code)
    return list(session.execute(moved.where(donor_move.c.harvest_code.is_not(None)).order_by(donor_move.c.recorded_at)))

"""What is done past the application to rows that follow streams of events, and what the comparison says of it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, delete, false, select, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from biobank.reconciliation.following import FOLLOWED, Follows, part_of
from biobank.reconciliation.log_itself import compare_log
from biobank.registries.tables import metadata
from tests.reconciliation.changes import another

ALL = 1_000_000

OF_SETS = {
    "api_client_grants": ("api_client", ("key_for",)),
    "slots": ("storage_position", ("label", "col")),
    "excursion_item_sets": ("excursion_item", ("removed_at",)),
    "deviation_subject": ("deviation_subject", ("subject_id",)),
    "recall_item": ("recall_item", ("specimen_code",)),
    "bank_closing_unit": ("bank_closing_unit", ("specimen_code",)),
}
"""Of a part that compares sets: whose rows are its members, and the columns of which a change makes another set."""


def table_of(one: Follows) -> Any:
    return metadata.tables[OF_SETS[one.name][0] if one.name in OF_SETS else one.name]


def columns_of(one: Follows) -> list[str]:
    return list(OF_SETS[one.name][1]) if one.name in OF_SETS else [*one.columns, *one.read_as]


def differing(session: Session, one: Follows) -> dict[str, str]:
    found = part_of(one)(session, "", ALL * one.share).differing
    return {subject: " ".join(differs.words() for differs in told) for subject, told in found.items()}


def changed(session: Session, table: Any, here: Any, column: "Column[Any]", value: Any) -> bool:
    try:
        return session.execute(update(table).where(*here).values({column.name: another(column, value)})).rowcount > 0  # type: ignore[no-any-return, attr-defined]
    except DBAPIError:
        return False  # a word or pair that no row may have


def unfound_changes(session: Session, one: Follows) -> Iterator[str]:
    """Change each column that is compared, in one row that has it; yield those that nothing told of, or no row has."""
    table, sound = table_of(one), differing(session, one)
    # Rows that the seed of the tests wrote are of no entry, whatever else they hold.
    seeded = table.c[one.of].in_(list(sound)) if one.of is not None and one.of in table.c else false()
    rows = session.execute(select(table).where(~seeded).limit(40)).all()
    for name in columns_of(one):
        tried = found = False
        for row in rows:
            here = [column == row._mapping[column.name] for column in table.primary_key.columns]
            point = session.begin_nested()
            if changed(session, table, here, table.c[name], row._mapping[name]):
                tried, found = True, differing(session, one) != sound
            point.rollback()
            if found:
                break
        if not found:
            yield f"{one.name}.{name} {'is not compared' if tried else 'has no row'}"


def unmissed(session: Session, one: Follows) -> bool:
    """Say whether the log does not miss the rows of a part that were deleted, one and all."""
    point = session.begin_nested()
    session.execute(delete(table_of(one)))
    told = [differs.what for told in compare_log(session, "", ALL).differing.values() for differs in told]
    point.rollback()
    return not any(what.startswith(f"{one.name}_") for what in told)


def all_unfound(session: Session) -> list[str]:
    """Return everything that could be done to rows that follow streams and would be told by nobody."""
    unfound = [what for one in FOLLOWED.values() for what in unfound_changes(session, one)]
    return unfound + [f"{name} is not missed" for name, one in FOLLOWED.items() if unmissed(session, one)]

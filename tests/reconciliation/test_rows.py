"""Whoever changes a row that decides who may get what, with the rights of the database's owner, is told of: column by column."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Row, create_engine, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from biobank.custody.event import rules
from biobank.reconciliation import walk
from biobank.reconciliation.following import FOLLOWED
from biobank.reconciliation.log_itself import compare_log
from biobank.reconciliation.written import WRITTEN, Written, part_of
from biobank.registries.tables import metadata
from biobank.transparency.models import event
from tests.browser.furnished import SENDS_TO, furnish
from tests.conftest import Api, TestBank
from tests.reconciliation.changes import another
from tests.reconciliation.followed_changes import OF_SETS, all_unfound
from tests.reconciliation.furnished import furnish_rules
from tests.reconciliation.furnished_streams import furnish_streams
from tests.sealing import seal

ALL = 1_000_000
SEEDED = ("logins", "lot_test", "donors", "register_entry", "register_authorisation")
"""Parts of which a test bank has rows that were written past the application: its people and registers, and some of stories."""


@pytest.fixture
def bank(make_bank: Callable[..., TestBank]) -> TestBank:
    """A bank that may be furnished."""
    return make_bank(**SENDS_TO)


@contextmanager
def past_every_guard(bank: TestBank) -> Iterator[Session]:
    """A transaction of the owner in which no trigger and no foreign key is asked; what it did is undone."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(bank.dsn()))
    with Session(engine) as session:
        for name in {*WRITTEN, *FOLLOWED, *(table for table, _ in OF_SETS.values())} & set(metadata.tables):
            session.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER ALL"))
        yield session
        session.rollback()
    engine.dispose()


def changes_of(session: Session, written: Written, row: "Row[Any]") -> Iterator[str]:
    """Yield the columns of a row that its events say: each event's own, and what it repeats of it."""
    for said in written.events:
        kind = session.execute(select(event.c.kind).where(event.c.leaf_hash == row._mapping[said.column])).scalar()
        if kind is not None:
            yield said.column
            yield from said.others.get(kind, said.members)


def found_in(session: Session, written: Written) -> set[str]:
    return set(part_of(written)(session, "", ALL).differing)


def unfound_changes(session: Session, written: Written, other: bytes) -> tuple[set[str], set[str]]:
    """Change each column that events say, in one row that has it; return those that nothing told of, and those no row has."""
    hashes = {said.column for said in written.events}
    left = {column for said in written.events for column in (said.column, *said.members)}
    unfound = set()
    # Results of lots in the stories of other tests are written by hand.
    by_hand = found_in(session, written)
    assert not by_hand or written.name == "lot_test"
    for row in session.execute(select(written.table)).all():
        key = list(written.table.primary_key.columns)
        here = [column == row._mapping[column.name] for column in key]
        if " ".join(str(row._mapping[column.name]) for column in key) in by_hand:
            continue
        for column in sorted(left & set(changes_of(session, written, row))):
            value = other if column in hashes else another(written.table.c[column], row._mapping[column])
            point = session.begin_nested()
            try:
                session.execute(update(written.table).where(*here).values({column: value}))
                if found_in(session, written) == by_hand:
                    unfound.add(column)
            except IntegrityError:
                pass  # a word that no row may have; another word of the list is compared alike
            point.rollback()
            left.discard(column)
    return unfound, left


def test_a_change_of_any_column_that_an_event_says_is_found_and_so_is_a_row_that_was_deleted(api: Api) -> None:
    furnish(api)
    furnish_rules(api)
    furnish_streams(api)
    bank = api.test_bank
    seal(bank)
    bank.write(sound)
    with past_every_guard(bank) as session:
        other = session.execute(select(event.c.leaf_hash).where(event.c.kind == "specimen.stored").limit(1)).scalar_one()
        found = {name: unfound_changes(session, written, other) for name, written in WRITTEN.items()}
        lost = {name for name, written in WRITTEN.items() if written.events[0].kinds and not written.may_go}
        unfound = {name: columns for name, (columns, _) in found.items() if columns}
        untried = {name: columns for name, (_, columns) in found.items() if columns}
        before = missed_by_the_log(session)
        unmissed = lost - {name for name in lost if name in missed_without(session, name)}
        assert (unfound, untried, before, unmissed) == ({}, {}, set(), set())
        assert (told := all_unfound(session)) == [], "\n".join(told)


def sound(session: Session) -> None:
    """A bank in which every kind of thing was done is as its log says."""
    told = [
        f"{name} {subject}: {' '.join(differs.words() for differs in differing)}"
        for name, part in walk.parts().items()
        for subject, differing in part(session, "", ALL).differing.items()
        if name not in SEEDED or (name != "logins" and any(differs.logged is not None for differs in differing))
    ]
    assert told == [], "\n".join(told)


def missed_without(session: Session, name: str) -> set[str]:
    """Return of which tables the log misses rows when those of one are gone."""
    point = session.begin_nested()
    session.execute(delete(WRITTEN[name].table))
    missed = missed_by_the_log(session)
    point.rollback()
    return missed


def missed_by_the_log(session: Session) -> set[str]:
    told = [one.what for told in compare_log(session, "", ALL).differing.values() for one in told]
    return {what.removeprefix("row_of_") for what in told if what.startswith("row_of_")}


def test_each_declaration_names_kinds_members_and_columns_that_there_are() -> None:
    for name, written in WRITTEN.items():
        for said in written.events:
            said_by = dict.fromkeys(said.kinds, said.members) | dict(said.others)
            for kind, members in said_by.items():
                fields = {f"body.{one}" for one in rules.by_kind[kind].model_fields}
                wrong = [
                    one for one in members.values() if isinstance(one, str) and one.startswith("body.") and one not in fields
                ]
                assert wrong == [], (name, kind)
                assert {said.column, *members} <= set(written.table.c.keys()), name
            assert said.marks is None or said.marks in written.table.c, name
            assert set(written.by_key) <= set(said.members), name

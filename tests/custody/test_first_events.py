"""The first event of a stream that has its name before it: two bring it at one instant, and neither is sent away."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import psycopg
import pytest
from sqlmodel import Session

from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.people.events import SITES, SiteChanged
from tests.conftest import TestBank

LONG_ENOUGH = 60


@pytest.mark.parametrize("stream", ["LAB", SITES])
def test_two_who_bring_the_first_events_of_a_stream_of_the_bank_are_both_recorded(bank: TestBank, stream: str) -> None:
    appended, go_on = Flag(), Flag()
    acts = [bank.act("admin"), bank.act("quality")]
    event = SiteChanged(site="LAB", timezone="Europe/London", active=True, name_sha256="0" * 64)

    def bring(session: Session) -> int:
        head = head_of(session, acts.pop(), NOW, subject=None, site=None)
        return append(session, [Fact(StreamKind.SYSTEM, stream, event, head)])[0].seq

    def first(session: Session) -> int:
        seq = bring(session)
        appended.set()
        assert go_on.wait(LONG_ENOUGH)
        return seq

    with ThreadPoolExecutor(2) as both:
        one = both.submit(bank.write, first)
        assert appended.wait(LONG_ENOUGH)
        other = both.submit(bank.write, bring)
        wait_until_one_waits(bank)
        go_on.set()
        assert [one.result(LONG_ENOUGH), other.result(LONG_ENOUGH)] == [1, 2]


def wait_until_one_waits(bank: TestBank) -> None:
    """Return when a connection to this bank's database waits for another's lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(bank.dsn(), autocommit=True) as connection:
        while not connection.execute(waits).fetchall()[0][0]:
            connection.execute("SELECT pg_sleep(0.01)")

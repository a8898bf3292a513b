"""What PostgreSQL refuses of counts, forms and times, whatever the code does."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from biobank.foundation import clock
from biobank.quality.models import paper_form
from biobank.storage.models import stock_count, stock_count_line
from biobank.unfinished.models import open_act_limit
from tests.conftest import TestBank

LEAF = bytes(32)
AT = clock.now()
COUNT: dict[str, Any] = {
    "id": uuid4(),
    "container_code": "BX-0000000",
    "site_code": "LAB",
    "open": True,
    "counted_at": AT,
    "counted_by": ["US-0000001"],
    "counted_event": LEAF,
    "recounted_at": AT,
    "recounted_by": ["US-0000002"],
    "recounted_event": LEAF,
}
LINE = {"count_id": uuid4(), "specimen_code": "AD26-KH0KJQL", "finding": "missing", "state_seq": 1}
FORM = {
    "deviation_code": "DV-0000000",
    "site_code": "LAB",
    "form_sha256": "00" * 32,
    "did_by": "US-0000001",
    "second": "US-0000002",
    "began_at": AT,
    "filed_at": AT,
    "filed_by": "US-0000001",
    "event_hash": LEAF,
}
LIMIT = {"site_code": "LAB", "act": "lift", "minutes": 1, "set_by": "US-0000001", "event_hash": LEAF}


@pytest.mark.parametrize(
    ("constraint", "table", "row", "changes"),
    [
        ("a_recount_is_by_others", stock_count, COUNT, {"recounted_by": ["US-0000001"]}),
        ("two_counts_are_resolved", stock_count, COUNT, {"resolved_at": AT, "recounted_at": None}),
        ("no_counter_resolves", stock_count, COUNT, {"resolved_at": AT, "resolved_by": "US-0000002"}),
        ("finding_is_known", stock_count_line, LINE, {"finding": "moved"}),
        ("a_form_has_two_people", paper_form, FORM, {"second": "US-0000001"}),
        ("a_form_begins_before_it_is_filed", paper_form, FORM, {"began_at": AT + timedelta(seconds=1)}),
        ("an_act_has_time", open_act_limit, LIMIT, {"minutes": 0}),
    ],
)
def test_the_database_refuses(bank: TestBank, constraint: str, table: Any, row: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        bank.write(lambda session: session.execute(insert(table).values(**row | changes)))

"""Events as entries of a timeline."""

import pytest

from biobank.auth.actor import SYSTEM
from biobank.custody.schemas import EventPublic
from biobank.pages.ui.entries import entry_of, facts_of, said_of

LEAF = "ab" * 32


def event(log_index: int | None) -> EventPublic:
    return EventPublic(
        stream="specimen",
        id="AD26-KH0KJQL",
        seq=1,
        kind="specimen.received",
        by="US-4X6MWJT",
        performed=[],
        source="live",
        site="LAB",
        occurred_at="2026-03-04T05:06:07.000Z",
        recorded_at="2026-03-04T05:06:07.000Z",
        late=False,
        comment=None,
        relies_on=[],
        body={},
        prev=None,
        leaf_hash=LEAF,
        log_index=log_index,
    )


@pytest.mark.parametrize(("log_index", "sealed", "href"), [(7, True, f"/api/v1/log/proofs/{LEAF}"), (None, False, None)])
def test_a_sealed_event_leads_to_its_proof_and_a_waiting_one_to_none(
    log_index: int | None, sealed: bool, href: str | None
) -> None:
    entry = entry_of(event(log_index), lambda _kind: None, SYSTEM, None)

    assert (entry.sealed, entry.receipt_href) == (sealed, href)


def test_an_instant_in_an_entry_is_whole_for_its_reader() -> None:
    body = {
        "since": "2026-11-30T14:38:52.052Z",
        "minutes": 1440,
        "begun": "not_taken_up",
        "value": -150_000,
        "reading": "temperature_mc",
    }

    assert dict(facts_of(body))["Since"] == "2026-11-30T14:38:52.052Z"
    assert said_of(body) == "Since: 2026-11-30 14:38 UTC; Minutes: 1\u202f440; Begun: Not taken up; Value: -150 °C"

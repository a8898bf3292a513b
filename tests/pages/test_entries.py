"""Events as entries of a timeline."""

import pytest

from biobank.auth.actor import SYSTEM
from biobank.custody.schemas import EventPublic
from biobank.pages.ui.entries import entry_of

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

"""Every interleaving of the log's steps keeps every promise, and each safeguard is needed for that.

`python -m tests.transparency.model` prints the shortest way to a broken promise for every safeguard that is taken away.
"""

from dataclasses import fields, replace

import pytest

from tests.transparency.model import EVERYTHING, TWO_FAULTS, counterexample, explore
from tests.transparency.model_state import Safeguards

BROKEN_WITHOUT = {
    "event_and_queue_row_in_one_commit": "event 0 is in 0 of pending, leaf and quarantine",
    "answer_after_commit": "acknowledged and lost: 0",
    "idempotency_key": "one request was recorded twice",
    "signed_acknowledgement": "acknowledged, lost by the restore, and nothing shows it",
    "durable_commits": "acknowledged and lost: (0,)",
    "row_lock": "the log halts (index_taken) although nothing was lost",
    "head_read_after_lock": "the log halts (index_taken) although nothing was lost",
    "memory_held_against_head": "the log halts (index_taken) although nothing was lost",
    "oldest_first": "recorded as (0, 1), sealed as (1, 0)",
    "hashes_recomputed": "sealed without its bytes: (0,)",
    "queue_row_to_leaf_in_one_commit": "event 0 is in 0 of pending, leaf and quarantine",
    "index_keys": "two leaves have the same index",
    "leaf_hash_unique": "one event was sealed twice: (0, 0)",
    "only_stored_heads_signed": "(0,) was published and is in no database",
    "register_read_before_head": "the log halts (rollback) although nothing was lost",
    "head_contains_registered": "(0,) was published, the disk of the register holds ()",
    "compare_and_swap": "(0, 1) was published, the disk of the register holds (0,)",
    "register_flushed": "(0,) was published, the disk of the register holds ()",
    "found_note_confirmed": "() was published, the disk of the register holds None",
    "register_before_readers": "(0,) was published, the disk of the register holds ()",
    "no_second_register": "(0,) was published, the disk of the register holds ()",
}


@pytest.mark.slow  # not for its seconds, but because no server of another version changes it
def test_no_interleaving_of_three_events_two_sealers_crashes_and_any_one_rare_fault_breaks_a_promise() -> None:
    finding = explore(EVERYTHING)
    assert finding.promise is None, "\n".join(finding.trace)
    assert finding.states > 100_000, "a search that saw little shows little"


def test_no_two_rare_faults_together_break_a_promise_to_one_event() -> None:
    finding = explore(TWO_FAULTS)
    assert finding.promise is None, "\n".join(finding.trace)
    assert finding.states > 20_000


def test_the_one_exception_is_a_lost_register_beside_a_backup_from_before_the_logs_birth() -> None:
    """Nothing in reach of the sealer remembers the log then. Witnesses and devices do: see ADR 21."""
    finding = explore(replace(TWO_FAULTS, backups_of_the_unborn=True))
    assert finding.promise == "(0,) was published, the disk of the register holds ()"
    assert "register deleted" in finding.trace
    assert "restored as database 1: recorded (), sealed ()" in finding.trace


@pytest.mark.parametrize("safeguard", [field.name for field in fields(Safeguards)])
def test_without_any_one_safeguard_some_interleaving_breaks_a_promise(safeguard: str) -> None:
    finding = counterexample(safeguard)
    assert finding.promise is not None, f"nothing in the model needs {safeguard}"
    assert finding.promise.startswith(BROKEN_WITHOUT[safeguard]), "\n".join(finding.trace)
    assert finding.trace, "and here is how"

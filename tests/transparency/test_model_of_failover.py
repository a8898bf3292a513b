"""No interleaving of failovers, cut waits and late replies loses what was answered; each safeguard is needed for that."""

from dataclasses import fields

import pytest

from tests.transparency.model_failover import Model, Safeguards, explore, without

BROKEN_WITHOUT = {
    "standby_confirms": "published and in no database: the head over 1",
    "strict": "published and in no database: the head over 1",
    "replay_waits": "acknowledged and lost: 1",
    "cut_wait_is_no_answer": "acknowledged and lost: 1",
    "head_waits": "published and in no database: the head over 1",
    "idempotency_key": "recorded twice: 1",
}


@pytest.mark.slow  # not for its seconds, but because no server of another version changes it
@pytest.mark.parametrize("model", [Model(), Model(requests=2, marks=1, sealed=False)])
def test_no_answer_outlives_the_loss_of_what_it_tells_of(model: Model) -> None:
    finding = explore(model)
    assert finding.promise is None, "\n".join(finding.trace)
    assert finding.states > 10_000, "a search that saw little shows little"


@pytest.mark.parametrize("safeguard", [field.name for field in fields(Safeguards)])
def test_without_any_one_safeguard_a_failover_breaks_a_promise(safeguard: str) -> None:
    finding = without(safeguard)
    assert finding.promise == BROKEN_WITHOUT[safeguard], "\n".join(finding.trace)


def test_the_loss_that_was_found_on_servers_is_found_by_the_model_too() -> None:
    """Issue and model agree: answered from a row that only the leader had, then the leader dies, and the answer outlives it."""
    assert without("replay_waits").trace == (
        "1 is recorded at 0",
        "the wait for 1 at 0 is cut off",
        "1 is answered from its row at 0",
        "the answer to 1 arrives",
        "the leader dies, the standby is promoted and followed",
    )

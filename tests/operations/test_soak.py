"""The soak of `bench.soak` in small: mixed load while processes are killed loses nothing and is answered as is meant."""

import pytest

from bench.house import house
from bench.soak import READS, Soaked, soak


@pytest.fixture(scope="module")
def soaked() -> Soaked:
    with house(access_token_s=3600, on_disk=True) as h:
        return soak(h, seconds=9, clients=2, kill_every=4, specimens=20)


def test_what_was_acknowledged_between_kills_is_in_the_log(soaked: Soaked) -> None:
    assert sum(soaked.kills.values()) >= 1
    assert (soaked.lost, soaked.unsealed) == (0, 0)


def test_every_answer_was_one_that_is_meant(soaked: Soaked) -> None:
    assert soaked.unexpected == []
    assert soaked.answers and soaked.answers.keys() <= {"scan", "look-up", "proof", *READS}


def test_memory_and_disk_are_taken_from_the_beginning_to_the_end(soaked: Soaked) -> None:
    first, last = soaked.samples[0], soaked.samples[-1]
    assert (first["s"], last["s"]) == (0, 9)
    assert last["sealer"] > 10 and first["database_mb"] > 10
    assert last["events"] >= first["events"]

"""Questions that share a statement: who is taken along, in which order, and what happens when the statement fails."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.foundation.batching import Batcher


class Doubler:
    """Doubles numbers, slowly; remembers its batches; fails on a batch that holds a 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.batches.append(list(questions))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        if 13 in questions:
            raise ValueError("thirteen")
        return [2 * q for q in questions]


def ask_all(run: Doubler, questions: Sequence[int], *, most: int = 32, at_once: int = 1) -> list[int | BaseException]:
    async def main() -> list[int | BaseException]:
        together = Batcher(run, most=most, at_once=at_once)
        return await asyncio.gather(*[together.ask(q) for q in questions], return_exceptions=True)

    return asyncio.run(main())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(14, 99), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 3))
def test_everyone_gets_the_answer_to_their_own_question(questions: list[int], most: int, at_once: int) -> None:
    run = Doubler()

    assert ask_all(run, questions, most=most, at_once=at_once) == [2 * q for q in questions]
    assert sorted(q for batch in run.batches for q in batch) == sorted(questions)
    assert max(map(len, run.batches)) <= most
    assert run.most_running <= at_once


def test_what_is_asked_in_one_turn_of_the_loop_is_one_batch() -> None:
    run = Doubler()
    ask_all(run, [1, 2, 3, 4])

    assert run.batches == [[1, 2, 3, 4]]


def test_what_arrives_while_a_batch_runs_is_the_next_batch() -> None:
    run = Doubler()

    async def main() -> None:
        together = Batcher(run)
        first = asyncio.create_task(together.ask(1))
        await asyncio.sleep(0.0005)
        await asyncio.gather(first, together.ask(2), together.ask(3))

    asyncio.run(main())

    assert run.batches == [[1], [2, 3]]


def test_a_failure_reaches_its_own_batch_and_no_other() -> None:
    answers = ask_all(Doubler(), [1, 13, 2, 3], most=2)

    assert [type(a) for a in answers[:2]] == [ValueError, ValueError]
    assert answers[2:] == [4, 6]


def test_an_asker_who_goes_away_does_not_take_the_others_along() -> None:
    async def main() -> int:
        together = Batcher(Doubler())
        leader = asyncio.create_task(together.ask(1))
        follower = asyncio.create_task(together.ask(2))
        later = asyncio.create_task(together.ask(3))
        await asyncio.sleep(0.0005)
        follower.cancel()
        await leader
        return await later + await together.ask(5)

    assert asyncio.run(main()) == 16

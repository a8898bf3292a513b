"""Requests that wait for the same statement share it.

A statement for eight costs the database and the driver little more than a statement for one. So while one runs, what arrives
is gathered, and the next one takes it all: no timer, no wait for a request that comes alone, and the busier the bank the
larger the share. Every question is answered by a statement that was sent after it was asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

TURNS = 3
"""Turns of the loop from a request's bytes to its question: they are read, its task starts, it asks."""


class Batcher(Generic[Q, A]):
    """Answers questions in batches of at most `most`, `at_once` of them at a time.

    `run` gets the questions of a batch and returns their answers in the same order; what it raises, every asker of the batch
    gets. For one event loop at a time.
    """

    def __init__(self, run: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, most: int = 32, at_once: int = 1) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Return the answer to `question`."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._running < self._at_once:
            # Who comes first runs the batch; a task of its own would cost more than many a statement.
            self._running += 1
            await self._lead()
        return await future

    async def _lead(self) -> None:
        try:
            # Turns of the loop, microseconds each: requests that have reached this process by now get as far as asking.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            await self._serve()
        finally:
            self._running -= 1
            if self._waiting and self._running < self._at_once:
                self._running += 1
                task = asyncio.create_task(self._lead())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if not taken:
            return
        try:
            answers = await self._run([question for question, _ in taken])
        except BaseException as error:
            for _, future in taken:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else TimeoutError("the bank is stopping"))
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():
                future.set_result(answer)

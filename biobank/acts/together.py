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


class Together(Generic[Q, A]):
    """Answers questions in batches of at most `most`, `at_once` of them at a time.

    `run` gets the questions of a batch and returns their answers in the same order; what it raises, every asker of the batch
    gets. For one event loop at a time.
    """

    def __init__(self, run: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, most: int, at_once: int) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Return the answer to `question`."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._running) < self._at_once:
            self._start()
        return await future

    def _start(self) -> None:
        # The task begins at the loop's next turn: who is asked in this one is still taken along.
        task = asyncio.create_task(self._serve())
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if self._waiting and len(self._running) < self._at_once:
            self._start()

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

"""Requests that wait for the same statement share it.

A statement for eight costs the database and the driver little more than a statement for one. So while one runs, what arrives
is gathered, and the next one takes it all: no timer, no wait for a request that comes alone, and the busier the bank the
larger the share. Every question is answered by a statement that was sent after it was asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

CLOSING_S = 1.0
"""How long a batch that was given up may take to end by itself, its connection having been cut, before it is cancelled."""
TURNS = 3
"""Turns of the loop from a request's bytes to its question: they are read, its task starts, it asks."""


class Batcher(Generic[Q, A]):
    """Answers questions in batches of at most `most`, `at_once` of them at a time.

    `run` gets the questions of a batch and returns their answers in the same order; what it raises, every asker of the batch
    gets. A batch that is not answered after `patience_s` seconds holds up nobody: its askers get TimeoutError, `on_silence` is
    called, the next batch runs. For one event loop at a time.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        most: int = 32,
        at_once: int = 1,
        patience_s: float = 60,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._patience_s = patience_s
        self._on_silence = on_silence
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Return the answer to `question`. Raises what `run` raises, and TimeoutError when it says nothing in time."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._running < self._at_once:
            # Who comes first runs the batch; a task of its own would cost more than many a statement.
            self._running += 1
            await self._lead()
        return await future

    async def _lead(self) -> None:
        batch = _Batch[Q, A]()
        try:
            # Turns of the loop, microseconds each: requests that have reached this process by now get as far as asking.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            batch.askers, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if batch.askers:
                await self._serve(batch)
        finally:
            if not batch.given_up:
                self._go_on()

    def _go_on(self) -> None:
        self._running -= 1
        if self._waiting and self._running < self._at_once:
            self._running += 1
            task = asyncio.create_task(self._lead())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, batch: "_Batch[Q, A]") -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                silence = loop.call_later(self._patience_s, self._give_up, batch, limit)
                try:
                    answers = await self._run([question for question, _ in batch.askers])
                finally:
                    silence.cancel()
        except BaseException as error:
            batch.fail(error if isinstance(error, Exception) else TimeoutError("the bank is stopping"))
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(batch.askers, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _give_up(self, batch: "_Batch[Q, A]", limit: asyncio.Timeout) -> None:
        """Let everybody but the one who runs the batch go on at once, and that one when its connection was cut (`on_silence`).

        Cancelling comes last: the driver takes ten seconds over a statement that hangs.
        """
        batch.given_up = True
        batch.fail(TimeoutError("the database says nothing"))
        limit.reschedule(asyncio.get_running_loop().time() + CLOSING_S)
        self._on_silence()
        self._go_on()


@dataclass
class _Batch(Generic[Q, A]):
    askers: list[tuple[Q, asyncio.Future[A]]] = field(default_factory=list)
    given_up: bool = False

    def fail(self, error: Exception) -> None:
        for _, future in self.askers:
            if not future.done():
                future.set_exception(error)

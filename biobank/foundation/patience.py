"""Work that is given up after a time, without waiting until it has ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_ending: set["asyncio.Task[Any]"] = set()


async def within(seconds: float, work: "Coroutine[Any, Any, T]") -> T:
    """Return what `work` returns, or raise TimeoutError after `seconds` and leave it to end by itself.

    `asyncio.timeout` waits for what it cancels, and the driver takes ten seconds over a statement that hangs.
    """
    task = asyncio.ensure_future(work)
    _ending.add(task)
    task.add_done_callback(_ended)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise TimeoutError("it was given up")
    return task.result()


def _ended(task: "asyncio.Task[Any]") -> None:
    _ending.discard(task)
    if not task.cancelled():
        task.exception()  # whatever it was, who asked has gone, or has it

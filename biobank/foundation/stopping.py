"""How a process is told to end: a flag that a signal handler may set whatever the thread it interrupts is doing.

`threading.Event` is not that. Its lock is no re-entrant one, so a handler that runs while the same thread is inside `wait` waits
for its own thread, for ever.
"""

import os
import select
import signal
from typing import Protocol

ENDS_WITHIN_S = 9
"""After this the kernel ends a process that was told to stop and has not: a system call that never returns, say."""


class Stop(Protocol):
    """What a loop asks: whether it should end, and for a pause that ends early when it should. A `threading.Event` is one."""

    def is_set(self) -> bool:
        """Say whether the loop should end."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Pause for at most `timeout` seconds; return whether the loop should end."""
        ...


class StopSignal:
    """A `Stop` that holds no lock: setting it writes one byte into a pipe, which nobody ever reads."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._set = False

    def set(self) -> None:
        """Set it. May be called by a signal handler, and more than once."""
        if not self._set:
            self._set = True
            os.write(self._write, b"!")

    def is_set(self) -> bool:
        """Say whether it was set."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; return whether it is."""
        if not self._set:
            select.select([self._read], [], [], timeout)
        return self._set


def on_signals() -> StopSignal:
    """Return a flag that SIGTERM and SIGINT set. A process that has not ended within `ENDS_WITHIN_S` is ended by the kernel."""
    stop = StopSignal()

    def told(*_: object) -> None:
        if not stop.is_set():
            signal.alarm(ENDS_WITHIN_S)  # SIGALRM has no handler here: it ends the process without any code of ours
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop

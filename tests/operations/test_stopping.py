"""SIGTERM ends every process, whatever it is doing when the signal comes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from biobank.foundation.stopping import ENDS_WITHIN_S, StopSignal
from biobank.operations.supervisor import STOP_TIMEOUT_S, Children

ROUNDS = int(os.environ.get("BIOBANK_TEST_KILLS", "12"))
WAITING = "while not stop.wait(0.000001): pass"
STATES = {
    "in and out of short waits": WAITING,
    "waits without an end": "stop.wait()",
    "works and looks now and then": "while not stop.is_set(): sum(range(1000))",
    "another thread waits as well": f"import threading; threading.Thread(target=stop.wait).start(); {WAITING}",
}


def started(loop: str) -> "subprocess.Popen[bytes]":
    """A process that prints a line when its handler stands, then loops."""
    lines = ["from biobank.foundation.stopping import on_signals", "stop = on_signals()", "print('ready', flush=True)"]
    body, _, last = loop.rpartition("; ")
    script = "\n".join([*lines, body, last])
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("loop", STATES.values(), ids=STATES.keys())
def test_a_process_ends_whenever_the_signal_comes(loop: str) -> None:
    dice = random.Random(20261129)
    for _ in range(ROUNDS):
        process = started(loop)
        time.sleep(dice.random() * 0.02)
        for _ in range(dice.randrange(1, 4)):
            process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) in (0, -signal.SIGTERM)  # the second may come while Python already ends
        finally:
            process.kill()
            process.wait()


def lines_at_which_setting_it_hangs(stop: Any, lines: int = 40, patience_s: float = 30) -> list[int]:
    """Set it from a handler that runs before the n-th line of `wait`, for every n; return those n that never came back.

    A handler of Python runs between two instructions of the main thread; a trace function runs at the same places.
    """
    hung = []
    for n in range(lines):
        flag, seen = stop(), [0]

        def handler(frame: FrameType, what: str, _: object, flag: Any = flag, seen: list[int] = seen, n: int = n) -> Any:
            if what == "line":
                seen[0] += 1
                if seen[0] == n:
                    flag.set()
            return handler

        def run(flag: Any = flag, handler: Any = handler) -> None:
            sys.settrace(handler)
            flag.wait(0.05)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(patience_s)
        if thread.is_alive():
            hung.append(n)
    return hung


def test_setting_it_at_any_moment_of_its_own_wait_does_not_hang() -> None:
    """What an event does there is the bank that never ended: its lock is held by the very thread that the handler interrupts."""
    assert lines_at_which_setting_it_hangs(StopSignal) == []
    assert lines_at_which_setting_it_hangs(threading.Event, 6, patience_s=2) != []


def test_a_wait_that_nobody_ends_is_over_in_time() -> None:
    assert not StopSignal().wait(0.01)


def test_every_thread_that_waits_is_woken() -> None:
    stop, woken = StopSignal(), []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert woken == [True] * 3


def test_a_process_that_hears_but_does_not_end_is_ended_by_the_kernel() -> None:
    process = started("import time; [time.sleep(60) for _ in range(9)]")
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(ENDS_WITHIN_S + 60) == -signal.SIGALRM
    finally:
        process.kill()
        process.wait()


def test_a_child_that_does_not_listen_and_its_own_children_are_ended(tmp_path: Path) -> None:
    assert STOP_TIMEOUT_S < ENDS_WITHIN_S
    child = tmp_path / "grandchild"
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    script = deaf + f"p = subprocess.Popen([sys.executable, '-c', {(deaf + 'time.sleep(60)')!r}]); "
    script += f"open({str(child)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    children = Children()
    children.start("web", [sys.executable, "-c", script], dict(os.environ))
    deadline = time.monotonic() + 60
    while not (child.exists() and child.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)

    children.stop()

    assert children.children["web"].process.returncode == -signal.SIGKILL
    # The kernel ends a killed process soon, not at once; left alone this one would sleep for a minute.
    deadline = time.monotonic() + 60
    while _runs(child.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child.read_text())


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False

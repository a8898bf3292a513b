"""The parent looks after its children: one that dies is started again, one that needs a person is not."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from biobank.operations.supervisor import FIRST_PAUSE_S, NEEDS_A_PERSON, Children

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
ENVIRON = dict(os.environ)


def writing(file: Path, then: str) -> list[str]:
    """A child that writes a line when it starts and then does `then`."""
    return [sys.executable, "-c", f"open({str(file)!r}, 'a').write('started\\n'); {then}"]


def starts(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def waited_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_part_that_is_killed_is_started_again_and_the_bank_goes_on(tmp_path: Path) -> None:
    file, children, stop = tmp_path / "part", Children(), threading.Event()
    children.start("web", SLEEP, ENVIRON)
    children.start("part", writing(file, "import time; time.sleep(60)"), ENVIRON)
    watching = threading.Thread(target=children.wait, args=("web", stop))
    watching.start()
    try:
        assert waited_for(lambda: starts(file) == 1)
        os.kill(children.children["part"].process.pid, signal.SIGKILL)
        assert waited_for(lambda: starts(file) == 2)
        assert children.children["web"].process.poll() is None
    finally:
        stop.set()
        watching.join()
        children.stop()
    assert children.children["part"].process.poll() is not None


def test_a_part_that_needs_a_person_is_left_alone(tmp_path: Path) -> None:
    file, children, stop = tmp_path / "part", Children(), threading.Event()
    children.start("web", SLEEP, ENVIRON)
    children.start("part", writing(file, f"raise SystemExit({NEEDS_A_PERSON})"), ENVIRON)
    watching = threading.Thread(target=children.wait, args=("web", stop))
    watching.start()
    try:
        assert waited_for(lambda: children.children["part"].again_at == float("inf"))
        time.sleep(3 * FIRST_PAUSE_S)  # another would have been started by now
    finally:
        stop.set()
        watching.join()
        children.stop()
    assert starts(file) == 1


def test_a_part_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    file, children, stop = tmp_path / "part", Children(), threading.Event()
    children.start("web", SLEEP, ENVIRON)
    children.start("part", writing(file, "raise SystemExit(1)"), ENVIRON)
    watching = threading.Thread(target=children.wait, args=("web", stop))
    began = time.monotonic()
    watching.start()
    try:
        assert waited_for(lambda: starts(file) == 3)
        took = time.monotonic() - began
    finally:
        stop.set()
        watching.join()
        children.stop()
    assert took >= FIRST_PAUSE_S * (2 + 4), "each pause is twice the one before"


def test_the_end_of_the_web_server_is_the_end_of_the_bank() -> None:
    children = Children()
    children.start("web", [sys.executable, "-c", "raise SystemExit(3)"], ENVIRON)
    assert children.wait("web", threading.Event()) == 3
    children.stop()

"""The register's disk fails at each single call, before or after the call did its work; a power cut may follow.

Whatever happens, readers are never shown a checkpoint that a power cut could take out of the register again, and when the
disk is well again the log goes on by itself.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biobank.transparency.checkpoint import open_checkpoint
from tests.transparency.conftest import KEY, ORIGIN, LogUnderTest


class Disk:
    """The calls under the folder of one register: counted, failing where told, and what of it a power cut would leave."""

    def __init__(self, register: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._register = register
        self._flushed: set[int] = set()
        self.durable: str | None = None
        self.calls: list[str] = []
        self.fails_at: int | None = None
        self.fails_after_the_fact = False
        monkeypatch.setattr(os, "open", self._watched("open", os.open, self._is_near))
        monkeypatch.setattr(Path, "open", self._watched("open for writing", Path.open, self._is_near))
        monkeypatch.setattr(os, "fsync", self._watched("fsync", os.fsync, lambda _: True))
        monkeypatch.setattr(Path, "replace", self._watched("rename", Path.replace, self._is_near))
        monkeypatch.setattr(fcntl, "flock", self._watched("lock", fcntl.flock, lambda _: True))

    def _is_near(self, path: Any) -> bool:
        return Path(path) == self._register.parent or Path(path).parent == self._register.parent

    def _watched(self, name: str, real: Callable[..., Any], concerns: Callable[[Any], bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not concerns(arguments[0]):
                return real(*arguments, **options)
            self.calls.append(name)
            fails = len(self.calls) == self.fails_at
            if fails and not self.fails_after_the_fact:
                raise OSError(errno.EIO, "Input/output error")
            answer = real(*arguments, **options)
            if name == "fsync":
                self._flush(arguments[0])
            if fails:
                raise OSError(errno.EIO, "Input/output error")
            return answer

        return call

    def _flush(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            self._flushed.add(status.st_ino)
        elif os.path.samestat(status, self._register.parent.stat()) and self._register.stat().st_ino in self._flushed:
            self.durable = self._register.read_text()


def shown_but_not_durable(log: LogUnderTest, disk: Disk) -> bool:
    """Whether readers know a checkpoint that a power cut would take from the register."""
    assert disk.durable is not None
    return log.checkpoints()[-1].size > open_checkpoint(disk.durable, ORIGIN, [KEY.verifier]).size


@pytest.mark.parametrize("retry", ["the same sealer goes on", "another sealer takes over"])
@pytest.mark.parametrize("done", [False, True], ids=["failed", "failed after it was done"])
def test_a_register_disk_that_fails_at_any_one_call_neither_forks_nor_stops_the_log(
    log: LogUnderTest, monkeypatch: pytest.MonkeyPatch, retry: str, done: bool
) -> None:
    disk = Disk(log.register._path, monkeypatch)
    log.drain()
    recorded: list[bytes] = []
    with log.sealer() as sealer:
        recorded += log.record()
        disk.calls.clear()
        sealer.step()
        steps = list(disk.calls)
        assert steps.count("fsync") == 2, steps
        assert {"lock", "rename", "open", "open for writing"} < set(steps)
        for number, name in enumerate(steps, 1):
            recorded += log.record()
            disk.calls.clear()
            disk.fails_at, disk.fails_after_the_fact = number, done
            with pytest.raises(OSError, match="Input/output"):
                sealer.step()
            disk.fails_at = None
            assert not shown_but_not_durable(log, disk), name
            if retry == "the same sealer goes on":
                assert sealer.step() is None
            else:
                log.drain()
            assert not shown_but_not_durable(log, disk), name
            assert disk.durable == log.register.read()
            assert log.checkpoints()[-1].size == len(recorded), name
    assert log.leaves() == recorded
    sizes = [checkpoint.size for checkpoint in log.checkpoints()]
    assert sizes == list(range(len(recorded) + 1))

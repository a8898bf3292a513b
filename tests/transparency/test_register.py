"""The file register: compare-and-swap between threads and processes, and what happens when a write dies half-way."""

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from biobank.transparency.register import FileRegister, RegisterError, RegisterMissing, RegisterMoved


def test_a_register_holds_the_last_note_swapped_in(tmp_path: Path) -> None:
    register = FileRegister(tmp_path / "deep" / "register")
    with pytest.raises(RegisterMissing):
        register.read()
    with pytest.raises(RegisterMissing):
        register.compare_and_swap("", "a\n")
    register.create("first \u2014\n")
    register.compare_and_swap("first \u2014\n", "second\n")
    assert FileRegister(tmp_path / "deep" / "register").read() == "second\n"


def test_a_register_is_created_once(tmp_path: Path) -> None:
    FileRegister(tmp_path / "register").create("first\n")
    with pytest.raises(RegisterMoved):
        FileRegister(tmp_path / "register").create("again\n")
    assert FileRegister(tmp_path / "register").read() == "first\n"


def test_a_swap_from_a_note_that_is_no_longer_registered_changes_nothing(tmp_path: Path) -> None:
    register = FileRegister(tmp_path / "register")
    register.create("first\n")
    register.compare_and_swap("first\n", "second\n")
    with pytest.raises(RegisterMoved):
        register.compare_and_swap("first\n", "third\n")
    assert register.read() == "second\n"


def test_a_register_the_disk_emptied_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "register"
    register = FileRegister(path)
    register.create("first\n")
    path.write_bytes(b"")
    with pytest.raises(RegisterError, match="empty"):
        register.read()
    with pytest.raises(RegisterMoved):
        register.create("again\n")


def increment(path: Path, times: int, together: Barrier) -> None:
    register = FileRegister(path)
    together.wait()
    for _ in range(times):
        while True:
            now = register.read()
            try:
                register.compare_and_swap(now, f"{int(now) + 1}\n")
                break
            except RegisterMoved:
                continue


def test_of_racing_processes_every_swap_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "register"
    FileRegister(path).create("0\n")
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(4)
    children = [spawn.Process(target=increment, args=(path, 50, together)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert FileRegister(path).read() == "200\n"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_half_way_leaves_the_old_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    register = FileRegister(tmp_path / "register")
    register.create("first\n")
    with monkeypatch.context() as broken:
        broken.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(OSError, match="no space"):
            register.compare_and_swap("first\n", "second\n")
    assert register.read() == "first\n"
    register.compare_and_swap("first\n", "second\n")
    assert register.read() == "second\n"


def test_when_only_the_folder_could_not_be_flushed_the_caller_is_told_and_can_read_what_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = FileRegister(tmp_path / "register")
    register.create("first\n")
    real, calls = os.fsync, []

    def fail_second_time(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            fail()
        real(descriptor)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail_second_time)
        with pytest.raises(OSError, match="no space"):
            register.compare_and_swap("first\n", "second\n")
    assert register.read() == "second\n"


def fail(*_: object) -> None:
    raise OSError("no space")


def test_a_note_whose_writer_died_before_the_folder_was_flushed_is_flushed_when_it_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = FileRegister(tmp_path / "register")
    with pytest.raises(RegisterMissing):
        register.confirm()
    register.create("first\n")
    flushed: list[os.stat_result] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        real(descriptor)
        flushed.append(os.fstat(descriptor))

    monkeypatch.setattr(os, "fsync", watched)
    assert register.confirm() == "first\n"
    assert [each.st_ino for each in flushed] == [(tmp_path / "register").stat().st_ino, tmp_path.stat().st_ino]


def test_a_register_the_disk_filled_with_noise_is_not_taken_for_text(tmp_path: Path) -> None:
    path = tmp_path / "register"
    register = FileRegister(path)
    register.create("first\n")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegisterError, match="not text"):
        register.read()

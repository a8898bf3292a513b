"""The log in files: extended by what is new, never past a contradiction."""

from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from biobank.cli import app
from biobank.exports.tile_mirror import MirrorContradicted, Mirrored, mirror
from biobank.foundation.file_store import Folder
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import split_note
from biobank.transparency.tiles import TileName, decode_bundle, tile_names
from biobank.transparency.tree import hash_leaf
from tests.conftest import TestBank
from tests.exports.test_log_api import fill, root
from tests.exports.test_log_keys import environment


def run(bank: TestBank, folder: Path) -> Mirrored:
    with psycopg.connect(bank.dsn("auditor"), autocommit=True) as connection:
        return mirror(lambda sql, values: connection.execute(sql, values, binary=True).fetchall(), Folder(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


def size_of(folder: Path) -> int:
    return Checkpoint.from_text(split_note((folder / "checkpoint").read_text())[0]).size


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_mirror_is_whole_and_a_second_run_writes_only_what_is_new(bank: TestBank, folder: Path) -> None:
    hashes = fill(bank, 300)
    assert run(bank, folder).files == 5  # two tiles of level 0, one of level 1, two bundles
    hashes += fill(bank, 300)
    unchanged = (folder / "tile/0/000").stat().st_mtime_ns
    done = run(bank, folder)

    assert (done.size, done.files, size_of(folder)) == (600, 5, 600)
    assert (folder / "tile/0/000").stat().st_mtime_ns == unchanged
    bundles = [TileName(None, 0), TileName(None, 1), TileName(None, 2, 88)]
    assert files(folder) == {"checkpoint", *(n.path() for n in tile_names(600)), *(n.path() for n in bundles), "tile/1/000.p/1"}
    entries = [entry for name in bundles for entry in decode_bundle((folder / name.path()).read_bytes())]
    assert [hash_leaf(entry) for entry in entries] == hashes
    assert Checkpoint.from_text(split_note((folder / "checkpoint").read_text())[0]).root == root(hashes)
    assert run(bank, folder).files == 0


def test_a_folder_with_another_history_is_not_touched(bank: TestBank, folder: Path) -> None:
    fill(bank, 4)
    folder.mkdir()
    note = Checkpoint("bank.example/custody", 3, bytes(32)).text() + "\n— x AAAAAAA=\n"
    (folder / "checkpoint").write_text(note)
    with pytest.raises(MirrorContradicted, match="two histories"):
        run(bank, folder)
    (folder / "checkpoint").write_text(note.replace("\n3\n", "\n9\n"))
    with pytest.raises(MirrorContradicted, match="set back"):
        run(bank, folder)
    assert files(folder) == {"checkpoint"}


def test_an_entry_that_was_changed_does_not_leave_by_this_door(bank: TestBank, folder: Path) -> None:
    fill(bank, 4)
    with psycopg.connect(bank.dsn()) as connection:
        for table in ("event", "leaf"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        connection.execute("UPDATE leaf SET leaf_hash = 'x' WHERE log_index = 2")
    bad = CliRunner().invoke(app, ["log", "tiles", str(folder)], env=environment(bank.bank.settings))
    assert bad.exit_code == 1
    assert not (folder / "checkpoint").exists()


def test_the_verb_mirrors_a_running_bank(bank: TestBank, folder: Path) -> None:
    fresh = CliRunner().invoke(app, ["log", "tiles", str(folder)], env=environment(bank.bank.settings))
    fill(bank, 5)
    done = CliRunner().invoke(app, ["log", "tiles", str(folder)], env=environment(bank.bank.settings))
    assert (fresh.exit_code, done.exit_code, size_of(folder)) == (1, 0, 6)  # with the rule table's
    assert "6 entries" in done.stdout

"""An import that is killed, two at once, and somebody who stores meanwhile: nothing doubled, nothing lost."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session
from typer.testing import CliRunner

from biobank.cli import app
from biobank.donors.service import register_donors
from biobank.importing.places import Places
from biobank.importing.plan import CheckedRow
from biobank.importing.service import at_console, import_ready
from tests.conftest import Api, TestBank
from tests.importing.test_import import GOOD, checked, imported, profile, written

PIECEWISE = """
import sys
from biobank.importing import service
service.TUBES_AT_ONCE = 12
from biobank.cli import app
app(sys.argv[1:])
"""
SLOTS = [f"{row}{column}" for row in "ABCDEFGHI" for column in range(1, 10)]


def people(number: int, tubes: int = 3) -> list[dict[str, Any]]:
    """Rows of so many people with so many tubes each, in boxes of 81."""
    rows = []
    for n in range(number * tubes):
        box, slot = divmod(n, 81)
        rows.append(GOOD | {"Pt ID": f"P{n // tubes}", "Vial": n % tubes + 1, "Box": box + 1, "Pos": SLOTS[slot]})
    return rows


def there(bank: TestBank) -> dict[str, int]:
    """What the bank holds, each counted in its own table."""
    counted = {
        "people": "donor",
        "tubes": "specimen",
        "slots taken": "(SELECT DISTINCT position_code FROM custody) s",
        "old identifiers": "(SELECT DISTINCT value FROM specimen_alias) s",
        "boxes": "storage_container WHERE kind = 'box'",
        "events of tubes": "event WHERE stream_kind = 'specimen'",
        "waiting for the log": "pending WHERE leaf_hash IN (SELECT leaf_hash FROM event WHERE stream_kind = 'specimen')",
    }

    def count(session: Session) -> dict[str, int]:
        return {name: session.execute(text(f"SELECT count(*) FROM {of}")).scalar_one() for name, of in counted.items()}

    found: dict[str, int] = bank.write(count)
    return found


def test_an_import_that_was_killed_goes_on_and_its_report_says_so(
    bank: TestBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    meaning, report = tmp_path / "profile.toml", tmp_path / "report.csv"
    meaning.write_text(page.split("```toml\n")[1].split("```")[0].replace("MEADOW", "CLINIC").replace("HARBOUR", "LAB"))
    file = written(tmp_path, people(30))
    for name, value in bank.bank.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"BIOBANK_{name.upper()}", str(value))
    words = ["import", str(file), "--profile", str(meaning), "--report", str(report), "--commit"]

    with subprocess.Popen(
        [sys.executable, "-c", PIECEWISE, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as running:
        assert running.stderr is not None
        told = [running.stderr.readline().decode() for _ in range(3)]
        running.kill()
    between = there(bank)
    again = CliRunner().invoke(app, words)

    assert ["of 90 tubes, about" in line for line in told[1:]] == [True, True]
    assert 24 <= between["tubes"] < 90
    assert between["tubes"] == between["slots taken"] == between["old identifiers"]
    assert again.exit_code == 0, again.output
    assert f"{90 - between['tubes']} imported" in again.output
    assert f"{between['tubes']} here already" in again.output
    assert there(bank) == {
        "people": 30,
        "tubes": 90,
        "slots taken": 90,
        "old identifiers": 90,
        "boxes": 2,
        "events of tubes": 270,
        "waiting for the log": 270,
    }
    outcomes = [line.split(",")[2] for line in report.read_text().splitlines()[1:]]
    assert (outcomes.count("already"), outcomes.count("imported")) == (between["tubes"], 90 - between["tubes"])


def test_two_imports_at_once_bring_every_tube_and_every_person_in_once(
    bank: TestBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when they are two files that name the same new people, and no tube of the one stands in the other."""
    monkeypatch.setattr("biobank.importing.service.TUBES_AT_ONCE", 6)
    rows = people(8, tubes=3)
    whole, first, rest = (checked(tmp_path, *some) for some in (rows, rows[::2], rows[1::2]))

    def run(ready: list[CheckedRow]) -> list[str]:
        done = import_ready(at_console(bank.bank), ready, profile(), lambda _done, _of: None)
        return [result.outcome for some in done for result in some]

    with ThreadPoolExecutor(2) as at_once:
        halves = [outcome for done in at_once.map(run, (first, rest)) for outcome in done]
        twice = [outcome for done in at_once.map(run, (whole, whole)) for outcome in done]

    assert halves == ["imported"] * 24
    assert twice == ["already"] * 48
    found = there(bank)
    assert (found["people"], found["tubes"], found["slots taken"], found["boxes"]) == (8, 24, 24, 1)


def waits_for_another(bank: TestBank) -> bool:
    """Say whether a session waits for a lock by name, which the database sees and a clock does not."""
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(bank.write(lambda session: session.execute(waiting).scalar_one()))


def test_a_person_whom_two_imports_bring_at_the_same_moment_is_registered_once(
    bank: TestBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one has found that nobody has this number, and is about to register; there the other one begins, and has to wait."""
    first, second = checked(tmp_path, GOOD), checked(tmp_path, GOOD | {"Vial": 2, "Pos": "D3"})
    real = register_donors
    others: list[Any] = []

    with ThreadPoolExecutor(1) as beside:

        def overtaken(*given: Any) -> Any:
            if not others:
                others.append(None)
                others[0] = beside.submit(imported, bank, second)
                while not others[0].done() and not waits_for_another(bank):
                    time.sleep(0.01)
            return real(*given)

        monkeypatch.setattr("biobank.importing.known.register_donors", overtaken)
        done = [*imported(bank, first), *others[0].result()]

    assert [one.outcome for one in done] == ["imported", "imported"]
    assert there(bank)["people"] == 1


def test_one_file_twice_at_once_is_imported_once(bank: TestBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biobank.importing.service.TUBES_AT_ONCE", 6)
    ready = checked(tmp_path, *people(6, tubes=3))

    with ThreadPoolExecutor(2) as at_once:
        outcomes = [one.outcome for done in at_once.map(lambda some: imported(bank, some), (ready, ready)) for one in done]

    assert sorted(outcomes) == ["already"] * 18 + ["imported"] * 18
    assert there(bank)["people"] == 6


def test_a_slot_that_is_filled_while_the_import_runs_is_refused_and_the_others_are_imported(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import has read that the slot is free; then somebody puts another tube there."""
    (other,) = imported(api.test_bank, checked(tmp_path, GOOD | {"Pt ID": "P9", "Pos": "I9"}))
    box = api.lab_tech.get(f"/specimens/{other.code}").json()["custody"]["container"]
    ready = checked(tmp_path, GOOD | {"Pos": "A1"}, GOOD | {"Pt ID": "P2", "Pos": "A2"})
    real = Places.load
    stored: list[Any] = []

    def overtaken(self: Places, *given: Any) -> None:
        real(self, *given)
        if not stored:
            put = {"container": box, "position": "A1", "expected_seq": 3}
            stored.append(api.lab_tech.post(f"/specimens/{other.code}/store", json=put))

    with monkeypatch.context() as between:
        between.setattr(Places, "load", overtaken)
        done = imported(api.test_bank, ready)

    assert stored[0].status_code < 300, stored[0].text
    assert sorted((one.outcome, one.reason) for one in done) == [
        ("imported", None),
        ("refused", "A tube of this bank is in that position already. Look into the box."),
    ]

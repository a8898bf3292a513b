"""docs/asvs.md, docs/validation.md, SECURITY.md: every answer has what it stands on, and the command tells the last results."""

import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from biobank.cli import app
from biobank.commands.validation import PAGES, STATUSES, Requirement, requirements
from tests.test_docs import names_in

ROOT = Path(__file__).resolve().parent.parent
ASKED = {page: list(requirements((ROOT / "docs" / page).read_text(), page)) for page in PAGES}
EVERY = [one for asked in ASKED.values() for one in asked]
NAMED = re.compile(r"((?:[\w-]+/)*test_\w+\.py): ((?:\w+\.)?test_\w+)")


def number(one: Requirement) -> tuple[int, ...]:
    return tuple(int(part) for part in one.number.split("."))


def test_every_requirement_of_asvs_levels_1_and_2_is_answered_once_and_in_order() -> None:
    """Version 5.0.0 has 70 requirements of level 1 and 183 of level 2 in 17 chapters."""
    numbers = [number(one) for one in ASKED["asvs.md"]]

    assert numbers == sorted(set(numbers))
    assert Counter(one.cells["level"] for one in ASKED["asvs.md"]) == {"1": 70, "2": 183, "3": 1}
    assert {first for first, *_ in numbers} == set(range(1, 18))
    assert [one.status for one in ASKED["asvs.md"] if one.number == "2.3.5"] == ["met"]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: f"{one.page}-{one.number}")
def test_an_answer_has_a_known_status_and_what_it_stands_on(one: Requirement) -> None:
    assert one.status in STATUSES
    assert one.plain("subject")
    if one.status == "met":
        assert NAMED.search(one.cells["shown by"]), "a test shows what is met"
    if one.status in ("partly", "not met"):
        assert one.plain("enforced in") or one.plain("shown by"), "what is missing is said"


@pytest.mark.parametrize("page", ["docs/asvs.md", "docs/validation.md", "SECURITY.md"])
def test_every_test_that_is_named_is_there(page: str) -> None:
    named = set(NAMED.findall((ROOT / page).read_text()))
    loose = re.findall(r"\btest_[a-z]\w+\b(?!\.py)", (ROOT / page).read_text())
    missing = [f"{file}: {name}" for file, name in named if name not in names_in(ROOT / "tests" / file)]

    assert missing == []
    assert {word for word in loose if word not in {name.rpartition(".")[2] for _, name in named}} == set()
    assert len(named) > 30


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["validation", *(str(word) for word in words)])


JUNIT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
<testcase classname="tests.auth.test_tokens" name="test_a_key_in_the_header_is_not_trusted" time="0.1" />
<testcase classname="tests.auth.test_passwords" name="test_the_policy[a-None]" time="0.1" />
<testcase classname="tests.auth.test_passwords" name="test_the_policy[b-None]" time="0.1"><failure>x</failure></testcase>
<testcase classname="tests.operations.test_proxy" name="test_a_bank_behind_the_proxy"><skipped message="no nginx" /></testcase>
<testcase classname="tests.test_compose" name="test_no_password_has_a_default_and_every_variable_is_required_somewhere" />
</testsuite></testsuites>"""


def told(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "validation.csv").open(newline="") as file:
        return {(row["requirement"], row["test"].rpartition("::")[2]): row for row in csv.DictReader(file)}


def test_the_command_tells_each_requirement_with_its_tests_and_their_last_result(tmp_path: Path) -> None:
    junit = tmp_path / "results.xml"
    junit.write_text(JUNIT)

    done = run("--results", junit, "--out", tmp_path / "evidence")

    rows = told(tmp_path / "evidence")
    assert {number for number, _ in rows} == {one.number for one in EVERY}
    assert rows["9.1.3", "test_a_key_in_the_header_is_not_trusted"]["result"] == "passed"
    assert rows["6.2.11", "test_the_policy"]["result"] == "failed"
    assert rows["6.2.11", "test_the_policy"]["runs"] == "1 failed, 1 passed"
    assert rows["12.1.1", "test_a_bank_behind_the_proxy"]["result"] == "skipped"
    assert rows["13.2.3", "test_no_password_has_a_default_and_every_variable_is_required_somewhere"]["result"] == "passed"
    assert rows["9.1.1", "test_every_changed_character_of_a_token_is_noticed"]["result"] == "not run"
    assert (rows["15.2.1", ""]["status"], rows["15.2.1", ""]["result"]) == ("not met", "")
    assert rows["11.10(e)", "test_nor_by_the_owner"]["result"] == "not run"
    page = (tmp_path / "evidence" / "validation.html").read_text()
    assert all(word in page for word in ("not run", "skipped", "9.1.3", "11.10(e)", "SHA-256"))
    assert done.exit_code == 1, "a test on which a requirement stands has failed"
    assert "1 tests that requirements name have failed" in " ".join(done.output.split())


def test_where_nothing_failed_the_command_ends_well(tmp_path: Path) -> None:
    junit = tmp_path / "results.xml"
    junit.write_text("<testsuites><testsuite /></testsuites>")

    done = run("--results", junit, "--out", tmp_path)

    assert done.exit_code == 0, done.output
    assert {row["result"] for row in told(tmp_path).values()} == {"not run", ""}


@pytest.mark.parametrize("text", ["", "no xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'])
def test_a_file_that_holds_no_results_is_refused_in_words(tmp_path: Path, text: str) -> None:
    junit = tmp_path / "results.xml"
    junit.write_text(text)

    done = run("--results", junit, "--out", tmp_path / "evidence")

    assert done.exit_code == 1
    assert "no JUnit file" in " ".join(done.output.split())
    assert not (tmp_path / "evidence").exists()


def test_a_folder_without_the_pages_is_refused_in_words(tmp_path: Path) -> None:
    junit = tmp_path / "results.xml"
    junit.write_text(JUNIT)

    done = run("--results", junit, "--out", tmp_path / "evidence", "--pages", tmp_path)

    assert done.exit_code == 1
    assert "checkout" in done.output


def test_the_results_of_a_real_run_are_read(tmp_path: Path) -> None:
    """pytest itself writes the file: of a test with parameters, and of one in a class."""
    junit = tmp_path / "results.xml"
    for name, source in {
        "auth/test_passwords.py": "@pytest.mark.parametrize('x', [1, 2])\ndef test_the_policy(x):\n    pass\n",
        "pages/test_templating.py": "class TestStaticFiles:\n    def test_nothing_outside_the_folder_is_served(self):\n"
        "        pytest.skip('today')\n",
    }.items():
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True)
        file.write_text(f"import pytest\n\n{source}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", "tests"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    done = run("--results", junit, "--out", tmp_path / "evidence")

    rows = told(tmp_path / "evidence")
    assert done.exit_code == 0, done.output
    assert rows["6.2.11", "test_the_policy"]["runs"] == "2 passed"
    assert rows["13.4.3", "test_nothing_outside_the_folder_is_served"]["result"] == "skipped"

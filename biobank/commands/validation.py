"""Validation evidence: requirement → enforcement → test → last result, as CSV and HTML.

The requirements are the tables of docs/asvs.md and docs/validation.md, which name their tests as `file: test`; the results are
those of a JUnit file of the test suite. What is not in the file was not run, and is said so. Nothing is judged here: a status is
what the page says, a result is what the file says.
"""

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated
from xml.etree.ElementTree import ParseError

import typer
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from biobank import __version__
from biobank.commands.console import console, fail
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339

PAGES = ("asvs.md", "validation.md")
DOCS = Path(__file__).resolve().parents[2] / "docs"
STATUSES = ("met", "partly", "not met", "n/a", "the bank's")
RESULTS = ("failed", "not run", "skipped", "passed")
"""In the order in which they are told. Of a test with several parameters one that failed counts, then one that passed."""
COLUMNS = ("page", "part", "requirement", "level", "subject", "status", "enforced in", "test", "result", "runs")

_TEST = re.compile(r"`((?:[\w-]+/)*test_\w+\.py): ((?:\w+\.)?test_\w+)`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")

Test = tuple[str, str]
"""A file under tests/, and a function in it, `Class.function` where it is in a class."""


@dataclass(frozen=True)
class Requirement:
    """A row of a table: what is asked, and the answer."""

    page: str
    part: str
    cells: Mapping[str, str]
    tests: tuple[Test, ...]

    @property
    def number(self) -> str:
        """The number of the requirement, or the clause."""
        return self.cells.get("#") or self.cells["clause"]

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        return self.cells["status"]

    def plain(self, name: str) -> str:
        """Return a cell without the marks of the page."""
        return _LINK.sub(r"\1", self.cells.get(name, "")).replace("`", "").replace("**", "")


@dataclass
class Ran:
    """What a test did: how often it passed, failed, or was skipped."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def result(self) -> str:
        """One of `RESULTS`."""
        return next((one for one in ("failed", "passed", "skipped") if self.counts.get(one)), "not run")

    @property
    def runs(self) -> str:
        """How often each, in words; empty when it was not run."""
        return ", ".join(f"{self.counts[one]} {one}" for one in RESULTS if self.counts.get(one))


def requirements(text: str, page: str) -> Iterator[Requirement]:
    """Yield the rows of every table with a status on a page."""
    part = ""
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            part = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            names = []
        elif not names:
            names = cells if "status" in cells and "shown by" in cells else ["other"]
        elif names != ["other"] and set(line) - set("|-: "):
            yield Requirement(page, part, dict(zip(names, cells, strict=True)), tuple(dict.fromkeys(_TEST.findall(line))))


def results(junit: Path) -> dict[Test, Ran]:
    """Return what each test of a JUnit file did. Raises ParseError, DefusedXmlException, OSError."""
    found: dict[Test, Ran] = defaultdict(Ran)
    for case in parse(junit).getroot().iter("testcase"):
        parts = case.get("classname", "").removeprefix("tests.").split(".")
        classes = [part for part in parts if part[:1].isupper()]
        file = "/".join(part for part in parts if part not in classes) + ".py"
        name = ".".join([*classes, case.get("name", "").partition("[")[0]])
        children = {child.tag for child in case}
        outcome = "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
        found[file, name].counts[outcome] += 1
    return dict(found)


def rows(asked: Iterable[Requirement], ran: Mapping[Test, Ran]) -> Iterator[dict[str, str]]:
    """Yield a row for each requirement and test; one without a test has one row."""
    for one in asked:
        head = {
            "page": one.page,
            "part": one.part,
            "requirement": one.number,
            "level": one.cells.get("level", ""),
            "subject": one.plain("subject"),
            "status": one.status,
            "enforced in": one.plain("enforced in"),
        }
        for test in one.tests or (None,):
            did = Ran() if test is None else ran.get(test, Ran())
            shown = (
                {"test": "", "result": "", "runs": ""}
                if test is None
                else {"test": f"tests/{test[0]}::{test[1].replace('.', '::')}"}
            )
            yield {"result": did.result, "runs": did.runs} | head | shown


def as_csv(target: Path, found: Iterable[Mapping[str, str]]) -> None:
    """Write the rows as CSV (RFC 4180)."""
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(found)


def as_html(target: Path, found: list[dict[str, str]], facts: Mapping[str, str]) -> None:
    """Write the rows as one page that needs nothing else."""

    def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
        names = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>\n" for line in lines)
        return f"<table><thead><tr>{names}</tr></thead><tbody>\n{body}</tbody></table>"

    style = "body{font:1rem sans-serif}table{border-collapse:collapse}td,th{border:1px solid;padding:.2rem;text-align:left}"
    target.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Validation evidence</title>'
        f"<style>{style}</style></head><body><h1>Validation evidence</h1>"
        f"{table(('What', 'Value'), facts.items())}"
        "<p>A status is the answer of the program's own pages, not an auditor's. A result is of the named file; "
        "a test that is not in it was not run.</p>"
        f"{table(COLUMNS, ([row[name] for name in COLUMNS] for row in found))}</body></html>\n",
        encoding="utf-8",
    )


def validation(
    results_file: Annotated[Path, typer.Option("--results", help="JUnit file of the tests (`pytest --junitxml`).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for validation.csv and validation.html; made if missing.")],
    pages: Annotated[Path, typer.Option("--pages", help="Folder of asvs.md and validation.md.")] = DOCS,
) -> None:
    """Write requirement, enforcement, test and last result of every row of docs/asvs.md and docs/validation.md."""
    try:
        asked = [one for page in PAGES for one in requirements((pages / page).read_text(encoding="utf-8"), page)]
    except OSError as error:
        raise fail(f"{error.filename} cannot be read. Run this in a checkout, or name the folder: --pages.") from error
    try:
        ran, digest = results(results_file), hashlib.sha256(results_file.read_bytes()).hexdigest()
    except (OSError, ParseError, DefusedXmlException) as error:
        raise fail(f"{results_file} is no JUnit file that can be read. Make one: pytest --junitxml={results_file}") from error
    found = list(rows(asked, ran))
    named = {test: ran.get(test, Ran()).result for one in asked for test in one.tests}
    counts = {result: sum(1 for one in named.values() if one == result) for result in RESULTS}
    facts = {
        "Program": f"biobank {__version__}",
        "Results": f"{results_file.name}, SHA-256 {digest}, {len(ran)} tests",
        "Made": rfc3339(clock.now()),
        "Requirements": ", ".join(f"{sum(1 for one in asked if one.status == s)} {s}" for s in STATUSES),
        "Tests that are named": ", ".join(f"{count} {result}" for result, count in counts.items()),
    }
    out.mkdir(parents=True, exist_ok=True)
    as_csv(out / "validation.csv", found)
    as_html(out / "validation.html", found, facts)
    console.print(f"Requirements: {facts['Requirements']}.", highlight=False)
    console.print(f"Tests that are named: {facts['Tests that are named']}.", highlight=False)
    if counts["failed"]:
        raise fail(f"{counts['failed']} tests that requirements name have failed; the files say which.")

"""The pages that are written by programs are what the programs write, and every link between pages leads somewhere."""

import ast
import re
from pathlib import Path

import pytest

from biobank.cli import app as command_line
from tools import client_calls, custody_rules, refusal_codes, traceability

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
UNTESTED = 182
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def test_the_python_client_knows_every_call_of_the_api() -> None:
    for path, text in client_calls.files().items():
        assert path.read_text() == text, "Run: python tools/client_calls.py"


def test_the_page_of_custody_rules_is_what_the_event_classes_say() -> None:
    assert custody_rules.PAGE.read_text() == custody_rules.page(), "Run: python tools/custody_rules.py"


def test_the_page_of_refusals_is_what_the_classes_say() -> None:
    assert refusal_codes.PAGE.read_text() == refusal_codes.page(), "Run: python tools/refusal_codes.py"


def test_the_page_of_traceability_names_every_rule_and_no_rule_loses_its_last_test() -> None:
    """The number of rules that no test names only goes down: write the test, then lower it here."""
    text = traceability.PAGE.read_text()

    assert list(traceability.outdated(text)) == [], "Run: python -m tools.traceability"
    assert traceability.untested(text) <= UNTESTED
    assert text.endswith(traceability.steps_table()), "Run: python -m tools.traceability"


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            broken.append(target)

    assert broken == []


def test_every_command_is_in_the_operations_page() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    names = {c.name or (c.callback.__name__ if c.callback else "") for c in command_line.registered_commands}
    names |= {
        f"{g.name} {c.name}"
        for g in command_line.registered_groups
        if g.typer_instance
        for c in g.typer_instance.registered_commands
    }

    assert {n for n in names if f"biobank {n}" not in text} == set()


@pytest.mark.parametrize("folder", ["biobank", "tests", "labels", "tools", "bench", "alembic", "docs"])
def test_the_map_names_every_package_and_every_folder(folder: str) -> None:
    text = (ROOT / "README.md").read_text()

    assert f"{folder}/" in text
    if folder == "biobank":
        packages = {p.name for p in (ROOT / folder).iterdir() if p.is_dir() and (p / "__init__.py").exists()}
        assert {p for p in packages if f"{p}/" not in text} == set()


FILE = re.compile(r"(?<![\w./<*])((?:[\w-]+/)*\w+\.py)\b\b(?!\()(?::\s(\w[\w.]*\b))?")
MODULE = re.compile(r"\bbiobank(?:\.[a-z_]\w*)+")
SOURCES = [p for folder in ("biobank", "tests", "tools", "bench", "alembic") for p in sorted((ROOT / folder).rglob("*.py"))]
NAMES = {p.name for p in SOURCES}
HISTORY = {"CHANGELOG.md"}
"""What was true when it was written, and is kept as it was."""


def docstrings_of(path: Path) -> str:
    """Every string that stands as a statement: docstrings, and the sentences under constants and members."""
    return "\n".join(
        node.value.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def names_in(path: Path) -> set[str]:
    """What a module defines: functions, classes, their members as `Class.member`, constants."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        for target in [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []:
            if isinstance(target, ast.Name):
                found.add(target.id)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def cited_in_vain(text: str, beside: Path) -> list[str]:
    """Return the files, names in files and modules that `text` cites and that are not there."""
    broken = []
    for cited, name in FILE.findall(text):
        places = [root / cited for root in (ROOT, ROOT / "biobank", ROOT / "tests", beside)]
        file = next((place for place in places if place.is_file()), None)
        if file is None and not ("/" not in cited and cited in NAMES):
            broken.append(cited)
        elif file is not None and name and name not in names_in(file):
            broken.append(f"{cited}: {name}")
    for cited in MODULE.findall(text):
        parts = cited.split(".")
        stems = [ROOT.joinpath(*parts[:length]) for length in (len(parts), len(parts) - 1, len(parts) - 2)]
        if not any(stem.with_suffix(".py").is_file() or (stem / "__init__.py").is_file() for stem in stems if stem != ROOT):
            broken.append(cited)
    return broken


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in HISTORY], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_file_function_and_module_that_a_page_cites_is_there(page: Path) -> None:
    assert cited_in_vain(page.read_text(), page.parent) == []


def test_every_file_function_and_module_that_a_docstring_cites_is_there() -> None:
    broken = {p.relative_to(ROOT).as_posix(): cited_in_vain(docstrings_of(p), p.parent) for p in SOURCES}

    assert {name: found for name, found in broken.items() if found} == {}


def test_the_page_of_architecture_names_every_package_and_cites_functions() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    packages = {p.name for p in (ROOT / "biobank").iterdir() if (p / "__init__.py").is_file()}

    assert {p for p in packages if not re.search(rf"\b{p}\b", page)} == set()
    assert sum(1 for _, name in FILE.findall(page) if name) > 30

"""The pages that are written by programs are what the programs write, and every link between pages leads somewhere."""

import re
from pathlib import Path

import pytest

from biobank.cli import app as command_line
from tools import custody_rules, refusal_codes

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def test_the_page_of_custody_rules_is_what_the_event_classes_say() -> None:
    assert custody_rules.PAGE.read_text() == custody_rules.page(), "Run: python tools/custody_rules.py"


def test_the_page_of_refusals_is_what_the_classes_say() -> None:
    assert refusal_codes.PAGE.read_text() == refusal_codes.page(), "Run: python tools/refusal_codes.py"


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

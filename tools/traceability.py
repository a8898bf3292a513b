"""Write docs/traceability.md: each rule with a name → what enforces it → the tests that name it.

python -m tools.traceability          write the page
python -m tools.traceability --check  say what on the page is no longer so

Rules with a name are the codes of refusals, the kinds of event, and what the database itself refuses (constraints of the models,
triggers of the migrations). What enforces a code are the functions in which its class is made; what shows it are the tests that
name the code, its class, the kind or the constraint in their text, or call a function of their own module that does.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint

from biobank.custody.event import rules
from biobank.foundation.errors import Refusal
from biobank.registries import event_kinds
from biobank.registries.tables import metadata
from tests.withdrawals.test_hostile import REFUSED, WHO
from tools.refusal_codes import all_refusals

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "traceability.md"
MOST = 3
"""How many functions, and how many tests, a row names."""
NO_TEST = "**no test**"

HEAD = """# Traceability

Written by `tools/traceability.py` from the sources of the program and of the tests. Do not edit it: run
`python -m tools.traceability`. `tests/test_docs.py` fails when a rule has no row, when a row names what is gone, and when a rule
loses its last test. A row names the first three functions and tests.

A test counts for a rule when it names it: the code or the class of a refusal, the kind of an event, the constraint or trigger; or
when it calls a function of its own file that does. So a row says where to look, not how well: that a test fails when its rule is
broken is shown by `make mutants`. A test that tries a rule without naming it is not listed.
"""

STEPS_HEAD = """\
`withdrawals/test_hostile.py: test_every_step_refuses_everything_that_may_be_wrong_with_it` takes one withdrawal from its request
to the administration, does every wrong to it before each step and compares the answers with this table. Each step is taken by
two workers at once, and happens once. "–" is a wrong that does not bear on the step: it is accepted, or cannot be tried there.

A tube that is thawed to be shipped is looked at by `withdrawals/test_final_label.py`, one handed on by
`withdrawals/test_handed_on.py`, what comes between the halves of two people by `withdrawals/test_picked_anew.py`,
`withdrawals/test_last_vial.py` and `withdrawals/test_refusals.py`.
"""

Row = tuple[str, list[str], list[str]]
"""A rule, what enforces it, the tests that name it."""
Tests = Mapping[str, list[str]]
"""A word → the tests whose text holds it, as `file: test`."""


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield functions and methods with their dotted names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{n.name}", n) for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def makers() -> dict[str, list[str]]:
    """Return, for each name that is called or raised in the program, the functions that do so, as `file: function`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "biobank").rglob("*.py")):
        place = path.relative_to(ROOT / "biobank").as_posix()
        for name, function in functions(ast.parse(path.read_text())):
            used = {n.func for n in ast.walk(function) if isinstance(n, ast.Call)}
            used |= {n.exc for n in ast.walk(function) if isinstance(n, ast.Raise) and n.exc is not None}
            for word in {ast.unparse(u).rpartition(".")[2] for u in used if isinstance(u, ast.Name | ast.Attribute)}:
                found[word].append(f"`{place}: {name}`")
    return found


def words_of(node: ast.AST) -> set[str]:
    """Return the names in a piece of code and the words of its texts: `specimen.stored`, `on_hold`, `OnHold`."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            found.add(inner.id)
        elif isinstance(inner, ast.Attribute):
            found.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            found.update(word.rstrip(".") for word in re.findall(r"[A-Za-z_][\w.]*", inner.value))
    return found


def tests() -> Tests:
    """Return which test names what. What a test's own parameters say belongs to it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT / "tests").as_posix()
        tree = ast.parse(path.read_text())
        local = {
            target.id if isinstance(target, ast.Name) else "": node
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        } | {name: node for name, node in functions(tree) if not name.startswith("test_")}
        for name, function in functions(tree):
            if not name.rpartition(".")[2].startswith("test_"):
                continue
            words = words_of(function)
            for near in sorted(words & local.keys()):
                words |= words_of(local[near])
            for word in words:
                found[word].append(f"`{place}: {name}`")
    return found


def refusal_rows(named: Tests) -> Iterator[Row]:
    """Yield code, where it is made, and its tests."""
    made = makers()
    by_code: dict[str, list[type[Refusal]]] = defaultdict(list)
    for cls in all_refusals():
        by_code[cls.code].append(cls)
    for code, classes in sorted(by_code.items()):
        places = [place for cls in classes for place in made.get(cls.__name__, [])]
        shown = [test for word in (code, *(cls.__name__ for cls in classes)) for test in named.get(word, [])]
        yield code, places or ["the framework, or a subclass"], shown


def kind_rows(named: Tests) -> Iterator[Row]:
    """Yield kind, its class, and its tests."""
    assert event_kinds.MODULES
    for kind, event in sorted(rules.by_kind.items()):
        place = f"`{event.__module__.removeprefix('biobank.').replace('.', '/')}.py: {event.__name__}`"
        yield kind, [place], [*named.get(kind, []), *named.get(event.__name__, [])]


def guard_rows(named: Tests) -> Iterator[Row]:
    """Yield what the database refuses by a name of its own: constraint or trigger, its table or migration, its tests."""
    found: dict[str, str] = {}
    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            own = isinstance(constraint, CheckConstraint | ForeignKeyConstraint | UniqueConstraint)
            name = str(constraint.name or "")
            if own and name and not re.match(r"(fk|pk|uq|ck)_", name):
                found[name] = f"constraint of `{table.name}`"
    for path in sorted((ROOT / "alembic" / "versions").glob("*.py")):
        for name in re.findall(r"(?:CREATE FUNCTION (\w+)\(\) RETURNS trigger)", path.read_text()):
            found.setdefault(name, f"trigger, `alembic/versions/{path.name}`")
        for table, name in re.findall(r'^    \("(\w+)", "(\w+)", \(', path.read_text(), re.M):
            found.setdefault(name, f"trigger of `{table}`: filled in once")
    for name, place in sorted(found.items()):
        yield name, [place], named.get(name, [])


def sections() -> dict[str, tuple[str, list[Row]]]:
    """Return the parts of the page: title → heads of the columns, rows."""
    named = tests()
    return {
        "Refusals": ("| code | raised or returned by | tests |", list(refusal_rows(named))),
        "Events": ("| kind | class | tests |", list(kind_rows(named))),
        "What the database refuses by itself": ("| name | where | tests |", list(guard_rows(named))),
    }


def page() -> str:
    """Return the whole page."""
    text = HEAD
    for title, (head, rows) in sections().items():
        text += f"\n## {title}\n\n{head}\n|---|---|---|\n"
        for rule, places, shown in rows:
            cells = ["<br>".join(list(dict.fromkeys(found))[:MOST]) or NO_TEST for found in (places, shown)]
            text += f"| `{rule}` | {' | '.join(cells)} |\n"
    return text + steps_table()


def steps_table() -> str:
    """Return the part about the steps of a withdrawal: what is wrong with a step × the step, and what the step answers."""
    steps = list(WHO)
    text = f"\n## Every wrong at every step of a withdrawal\n\n{STEPS_HEAD}\n| | {' | '.join(steps)} |\n"
    text += "|---" * (len(steps) + 1) + "|\n"
    for wrong, cells in REFUSED.items():
        answers = ("<br>".join(f"`{code}`" for code in cells[step].split(", ")) if step in cells else "–" for step in steps)
        text += f"| {wrong} | {' | '.join(answers)} |\n"
    return text


def outdated(text: str) -> Iterator[str]:
    """Yield the rules whose rows on a page are missing or name what is no longer so."""
    written = {row[0]: row[1:] for row in re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \|$", text, re.M)}
    fresh = {rule: (places, shown) for _, rows in sections().values() for rule, places, shown in rows}
    yield from sorted(written.keys() ^ fresh.keys())
    for rule in sorted(written.keys() & fresh.keys()):
        for cell, found in zip(written[rule], fresh[rule], strict=True):
            if not set(cell.split("<br>")) <= set(found or [NO_TEST]):
                yield rule


def untested(text: str) -> int:
    """Return how many rules of a page no test names."""
    return text.count(f"| {NO_TEST} |\n")


def main(arguments: list[str]) -> int:
    """Write or check the page; return an exit code."""
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    wrong = list(outdated(PAGE.read_text()))
    if wrong:
        print(
            "docs/traceability.md is out of date for:", *wrong, "Run: python -m tools.traceability", sep="\n  ", file=sys.stderr
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

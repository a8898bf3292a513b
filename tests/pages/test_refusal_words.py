"""Every refusal is said in words that a person can act on: each sentence of the code is read; the few for programs are named."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import biobank
from biobank.foundation.errors import Refusal
from tests.pages.plain_words import signs_in

ROOT = Path(biobank.__file__).parent
STARTS_SOMETHING = {"biobank.__main__", "biobank.asgi"}
FOR_PROGRAMS: dict[str, str] = {
    "acts/answers_and_attempts.py": "a key that a program chose twice; a form brings its own",
    "acts/malformed.py": "names the members of a program's body; forms have sentences of their own",
    "acts/problems.py": "a body that no form sends",
    "acts/signing.py": "how a program signs; a page asks for the password",
    "acts/strict.py": "a body that no form sends",
    "acts/web.py": "how a program signs in and names its request",
    "auth/tokens.py": "the tokens of programs",
    "commands": "the console of the bank",
    "client": "the client's own",
    "exports/bundle.py": "parts of the log for programs that check it",
    "exports/log_queries.py": "proofs of the log for programs that check it",
    "importing/profile_faults.py": "a profile written by hand, for the command line",
    "interchange/fhir/bulk.py": "how a program asks; a page begins it with a form",
    "interchange/fhir/sources.py": "search parameters of a program",
    "monitoring/sensor_readings.py": "what an instrument is answered",
    "operations": "what a monitor, a proxy or an operator is answered",
    "scanning/frames.py": "a frame of a camera, which a page's own script sends",
    "scanning/rack_tables.py": "names the format of a scanner's file",
    "transparency": "the log's own programs",
    "viability/records.py": "the parameter files of the model",
}
"""Where a sentence is for a program, and why."""
SAID_BY_FORMS = {"custody/recording.py": ("expected_seq",)}
"""What a form always sends, so that nobody reads that it is missing."""


def refusals() -> set[str]:
    for module in pkgutil.walk_packages(biobank.__path__, "biobank."):
        if module.name not in STARTS_SOMETHING:
            importlib.import_module(module.name)
    found, waiting = set(), [Refusal]
    while waiting:
        cls = waiting.pop()
        found.add(cls.__name__)
        waiting += cls.__subclasses__()
    return found


def literal(node: ast.expr) -> str:
    """What of a sentence stands in the code; a value is written as the bare fact that it is one, or as what gives it away."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        raw = isinstance(node.value, ast.Attribute) and node.value.attr == "value"
        hashed = isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") == "hex"
        return "`a bare word`" if raw else "`a hash`" if hashed else "…"
    if isinstance(node, ast.BinOp):
        return literal(node.left) + literal(node.right)
    if isinstance(node, ast.IfExp):
        return f"{literal(node.body)} {literal(node.orelse)}"
    return ""


def sentences() -> Iterator[tuple[str, int, str]]:
    names = refusals()
    for path in sorted(ROOT.rglob("*.py")):
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in names:
                told = [keyword.value for keyword in node.keywords if keyword.arg == "where_now"]
                for one in (node.args[0], *told):
                    yield where, node.lineno, literal(one)


def is_for_programs(where: str) -> bool:
    return any(where == one or where.startswith(f"{one}/") for one in FOR_PROGRAMS)


def test_no_refusal_that_a_person_can_meet_speaks_of_members_routes_or_hashes() -> None:
    found = list(sentences())
    assert len(found) > 700
    wrong = [
        f"{where}:{line}: {sign}"
        for where, line, sentence in found
        if not is_for_programs(where)
        for sign in signs_in(sentence, *SAID_BY_FORMS.get(where, ()))
    ]
    assert wrong == []


def test_what_is_for_programs_is_still_there() -> None:
    for one in FOR_PROGRAMS:
        assert (ROOT / one).exists(), one


def test_titles_of_refusals_are_words_too() -> None:
    refusals()
    waiting, wrong = [Refusal], []
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.code not in ("idempotency_key_required", "idempotency_key_reused", "expected_seq_required"):
            wrong += [f"{cls.__name__}: {sign}" for sign in signs_in(cls.title)]
    assert wrong == []

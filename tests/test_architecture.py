"""The rules of the house that no reviewer should have to remember. Each says why."""

import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from biobank.acts.web import performer, proven_claims, reader
from biobank.custody.event import Event, rules
from biobank.registries import declarations, event_kinds, tables
from biobank.registries.routes import PAGES, ROUTERS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "biobank"
SOURCES = sorted(p for p in PACKAGE.rglob("*.py"))

PUBLIC = {
    # A load balancer and a monitor have no login.
    "/healthz",
    "/readyz",
    "/metrics",
    # Whoever verifies a token needs the keys before having one.
    "/.well-known/jwks.json",
    # Hashes and one number: whoever holds the bank to what it has shown must not need an account for it.
    "/api/v1/log/checkpoint",
    "/api/v1/log/proofs/{leaf_hash}",
    "/api/v1/log/consistency",
    # What the FHIR server can do, which clients ask before they have a token; nothing of what the bank keeps.
    "/fhir/{release}/metadata",
    # These are how one gets a token, with credentials in the body.
    "/api/v1/auth/token",
    "/api/v1/auth/passkey-challenge",
    "/api/v1/auth/refresh",
    # Signing in, and the pages a browser needs for it.
    "/login",
    "/station",
    # What a browser shows without network: the same for everybody, and it says nothing of anybody.
    "/scan/offline",
    "/styleguide",
}

GUARDS = {"performer", "reader", "proven_claims", "proven_key", "page_performer", "page_reader", "page_session", "signed_in"}


def routes() -> Iterator[APIRoute]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def dependencies(dependant: Any) -> Iterator[str]:
    for sub in dependant.dependencies:
        yield getattr(sub.call, "__name__", type(sub.call).__name__)
        yield from dependencies(sub)


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_every_route_has_an_actor_or_is_on_the_public_list() -> None:
    """A route that forgot to ask who is calling is the commonest way a record leaks."""
    assert performer.__name__ in GUARDS
    assert reader.__name__ in GUARDS
    assert proven_claims.__name__ in GUARDS
    open_routes = {r.path for r in routes() if not GUARDS & set(dependencies(r.dependant))}

    assert open_routes <= PUBLIC


def test_only_db_ends_a_transaction() -> None:
    """One request is one transaction. A commit in the middle of a use case makes half an act permanent."""
    offenders = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        if path.name != "db.py" and "transparency" not in path.parts
        for call in calls(path)
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"commit", "rollback"}
    ]

    # The sealer is another process with its own connection and its own rule about commits (docs/custody-log.md).
    assert offenders == []


def test_there_is_one_clock() -> None:
    """A second clock is a second truth about when something happened, and the first one can be moved in tests."""
    offenders = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        if path.name != "clock.py"
        for call in calls(path)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"now", "utcnow", "today"}
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in {"datetime", "date"}
    ]

    assert offenders == []


def test_one_module_knows_jose() -> None:
    """python-jose is a dependency with a history; leaving it must be a change of one file."""
    importers = [
        path.relative_to(ROOT).as_posix() for path in SOURCES if re.search(r"^\s*(from|import) jose\b", path.read_text(), re.M)
    ]

    assert importers == ["biobank/auth/tokens.py"]


def test_nothing_raises_the_frameworks_own_exception() -> None:
    """A refusal without a stable code is one that no program can react to."""
    offenders = [p.name for p in SOURCES if "HTTPException" in p.read_text() and p.name not in {"problems.py", "errors.py"}]

    assert offenders == []


def test_every_models_module_is_in_tables() -> None:
    """A table nobody imported is missing from the metadata, and Alembic would quietly drop it."""
    modules = {p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in SOURCES if p.stem.endswith("models")}

    assert modules == {m.__name__ for m in tables.MODULES}


def test_every_events_module_is_in_kinds_and_every_event_class_in_the_rule_table() -> None:
    """An event outside the rule table cannot be verified by anybody outside the house."""
    modules = {p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in SOURCES if p.name.endswith("events.py")}
    assert modules == {m.__name__ for m in event_kinds.MODULES}

    listed = {row["kind"] for row in rules.table}
    for name in sorted(modules):
        for _, cls in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if issubclass(cls, Event) and cls.__module__ == name and "kind" in cls.model_fields:
                assert cls.model_fields["kind"].default in listed, cls


def test_every_module_that_declares_a_timer_a_job_or_an_act_of_two_people_is_imported_by_its_registry() -> None:
    """A timer that nobody imports never runs, an act of two people has no page then, and a table is not compared with the log."""
    declared = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for by in node.decorator_list
        if isinstance(by, ast.Call) and ast.unparse(by.func) in ("timer", "job_kind", "two_person", "is_compared")
    } | {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) in ("is_written", "follows")
    }

    assert declared == {module.__name__ for module in declarations.MODULES}


def test_a_fixed_address_is_tried_before_one_with_a_code_in_its_place() -> None:
    """`/specimens/new` answered by `/specimens/{code}` would say that there is no specimen called new."""
    seen: list[tuple[str, re.Pattern[str]]] = []
    hidden = []
    for route in PAGES.routes:
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            hidden += [route.path for other, pattern in seen if other == method and pattern.match(route.path)]
            seen.append((method, route.path_regex))

    assert hidden == []


def test_use_case_events_are_not_taken_by_the_public_endpoint() -> None:
    """Issued, administered, discarded, released: only the service that checks may say so."""
    direct = {row["kind"] for row in rules.table if row["mode"] == "direct"}

    assert direct == {
        "specimen.received",
        "specimen.checked_out",
        "specimen.sampled",
        "specimen.inspected",
        "specimen.annotated",
        "specimen.missing",
        "specimen.found",
    }


@pytest.mark.parametrize("banned", ["utils", "helpers", "common", "manager", "repository", "constants", "base"])
def test_no_module_is_named_after_what_kind_of_code_it_holds(banned: str) -> None:
    """Such a name attracts whatever has no home, and hides what it is about."""
    assert [p for p in SOURCES if p.stem == banned] == []


def test_the_formatter_is_nowhere_switched_off() -> None:
    """Laid out by hand, a line stays as it was when its neighbours change, and every reader finds another style."""
    switches = ("fmt" + ": skip", "fmt" + ": off")
    places = (path for folder in ("biobank", "tests", "tools", "bench") for path in (ROOT / folder).rglob("*.py"))

    assert [path.name for path in places if any(switch in path.read_text() for switch in switches)] == []


def test_alembic_folder_is_not_a_package() -> None:
    """An __init__.py there would shadow the library of the same name."""
    assert not (ROOT / "alembic" / "__init__.py").exists()


VERIFIER = PACKAGE / "transparency" / "verify.py"


def test_the_verifier_imports_nothing_of_the_bank_and_one_library() -> None:
    """An auditor copies this one file to a machine of their own and reads it before trusting it."""
    tree = ast.parse(VERIFIER.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}


def test_no_file_has_outgrown_its_room() -> None:
    """Past this size a file answers two questions. The verifier is one file because it travels alone."""
    large = {p.relative_to(ROOT).as_posix(): n for p in SOURCES if p != VERIFIER and (n := len(p.read_text().splitlines())) > 450}

    assert large == {}


def test_the_page_script_and_the_sentences_know_every_prefix_of_our_codes() -> None:
    """A gun that reads a new kind of code would otherwise find it "not ours" on the scan page."""
    from biobank.acts.malformed import PREFIXES
    from biobank.foundation.codes import DATED, Prefix

    script = (PACKAGE / "pages" / "ui" / "static" / "codes.js").read_text()
    lists = {name: set(re.findall(r"[A-Z]{2}", text)) for name, text in re.findall(r"const (UN)?DATED = \[([^\]]*)\]", script)}

    assert lists == {"": set(DATED), "UN": set(Prefix) - DATED}
    assert set(PREFIXES) == set(Prefix) - {Prefix.COMMAND}


def test_every_setting_is_documented_where_it_is_declared_and_in_the_operations_page() -> None:
    """An undocumented setting is found by the one who needs it, at three in the morning."""
    from biobank.foundation.config import Settings

    page = (ROOT / "docs" / "operations.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"BIOBANK_{name.upper()}" in page, name


def test_every_question_about_a_permission_says_where() -> None:
    """Quality at one site destroyed another site's tube because a question without a place meant "anywhere"."""
    offenders = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call in calls(path)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"may", "require"}
        and (len(call.args) != 1 or "at" not in {word.arg for word in call.keywords})
    ]

    assert offenders == []


def test_the_gate_is_asked_in_one_way() -> None:
    """Six spellings of "may they, and where" drifted apart; grants are read by the gate and by those who give them."""
    asked_otherwise = {"sites_with", "may_at_any", "sites_seen", "require_at"}
    reads_grants = {"auth/actor.py", "auth/identity.py", "people/queries.py"}
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in asked_otherwise)
        or (isinstance(node, ast.Name) and node.id in asked_otherwise)
        or (isinstance(node, ast.FunctionDef) and node.name in asked_otherwise)
        or (
            isinstance(node, ast.Attribute)
            and node.attr == "grants"
            and isinstance(node.value, ast.Name)
            and node.value.id == "actor"
            and path.relative_to(PACKAGE).as_posix() not in reads_grants
        )
    ]

    assert offenders == []


def test_roles_are_named_in_the_table_of_permissions_and_nowhere_else() -> None:
    """A rule that names a role is a rule the table cannot change. The demonstration names the roles of its people."""
    named = {
        f"{path.relative_to(PACKAGE).as_posix()}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Role"
        and node.attr.isupper()
    }

    assert named <= {"auth/permissions.py", "auth/actor.py", "demo/people.py"}


def test_no_scope_in_sql_lets_through_what_has_no_site() -> None:
    """An auditor of one site read every site's refusals, because a row without a site belonged to everybody."""
    pattern = re.compile(r":sites AS text\[\]\) IS NULL|site_code IS NULL OR|site_code\.is_\(None\) *\|", re.I)
    offenders = [path.relative_to(ROOT).as_posix() for path in SOURCES if pattern.search(path.read_text())]

    assert offenders == []


def test_no_module_imports_a_private_name_of_another() -> None:
    """A name with an underscore may change without a look around; whoever imports it makes that untrue."""
    files = [p for folder in ("biobank", "tests", "tools", "bench") for p in (ROOT / folder).rglob("*.py")]
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno} {alias.name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]

    assert offenders == []


def test_every_function_class_and_constant_is_used_somewhere() -> None:
    """What nobody calls is read, kept true and moved for nothing. What a framework finds by itself carries a decorator."""
    files = [p for folder in ("biobank", "tests", "tools", "bench", "alembic") for p in (ROOT / folder).rglob("*.py")]
    files += list((PACKAGE / "pages").rglob("*.html"))
    words = Counter(word for path in files if path != Path(__file__) for word in re.findall(r"\w+", path.read_text()))
    unused = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        names = [t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
        for node in ast.walk(tree):
            # What has a decorator is called by whatever took it; a class with keywords is a table.
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list
            plain_class = isinstance(node, ast.ClassDef) and not node.keywords
            if function or plain_class:
                names.append(str(vars(node)["name"]))
        unused += [f"{path.relative_to(ROOT)} {name}" for name in names if words[name] == 1 and not name.startswith("__")]

    assert {name for name in unused if name.split()[1] not in FOUND_BY_NAME} == set()


FOUND_BY_NAME = {
    # The server of the standard library calls them.
    "do_GET",
    "do_POST",
    "log_message",
    # The SDK of OpenTelemetry calls it.
    "force_flush",
    # The client's own users call them.
    "post_signed",
    "record_events",
}

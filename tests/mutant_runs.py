"""Runs of the suite for `tools/mutants.py`: a process that has imported everything, and forks of it with one rule broken."""

import ast
import ctypes
import gc
import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import psycopg
import pytest

import biobank
from biobank.postgres.embedded import EmbeddedPostgres
from tests import conftest, speed
from tests.scratch import reachable_folder
from tools import traceability
from tools.mutation import Mutant, definitions

NOT_APPLIED = 77
"""The exit status of a fork in which the change cannot be made."""
A_TEST_FAILED = int(pytest.ExitCode.TESTS_FAILED)
"""The exit status of a fork in which a test failed: the only one by which a rule was missed."""
NOTING_S = 1800
"""How long the first run may take."""
PR_SET_PDEATHSIG = 1
ACTS_ON_IMPORT = {"biobank.__main__", "biobank.asgi"}
# Races and crashes take long and start processes, which import the program anew, unbroken.
COMMON = [
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-p",
    "no:schemathesis",
    "--assert=plain",
    "-m",
    "not browser and not slow",
]


@contextmanager
def prepared() -> Iterator["Ready"]:
    """Import the program, start one PostgreSQL, make the templates; children attach to it."""
    for module in pkgutil.walk_packages(biobank.__path__, "biobank."):
        if module.name not in ACTS_ON_IMPORT:
            importlib.import_module(module.name)
    with reachable_folder() as folder, EmbeddedPostgres(folder) as postgres:
        speed.made_quick(postgres)
        conftest.make_templates(postgres)
        os.environ[conftest.SHARED_CLUSTER] = str(folder)
        try:
            yield Ready()
        finally:
            del os.environ[conftest.SHARED_CLUSTER]


class Ready:
    """Everything is imported and PostgreSQL runs."""

    def noted(self, tests: Sequence[str]) -> "Runs":
        """Run `tests` unbroken once; return which test calls what. Raises SystemExit when one fails."""
        with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
            pid = _fork()
            if pid == 0:
                _pytest_and_exit([*COMMON, *tests], [Notes(Path(file.name))])
            status = _waited(pid, NOTING_S)
            if status is None:
                raise SystemExit(f"The tests took more than {NOTING_S} s without any change: {' '.join(tests)}")
            text = file.read()
            if os.waitstatus_to_exitcode(status) != 0 or not text:
                raise SystemExit(f"The tests fail without any change: {' '.join(tests)}")
            return Runs(json.loads(text))


class Notes:
    """A plugin that writes, for each test that passes, its seconds and the functions of the program that it called."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._codes: set[CodeType] = set()
        self._notes: dict[str, dict[str, Any]] = {}
        self._home = os.path.dirname(biobank.__file__)

    def pytest_sessionstart(self) -> None:
        """Watch every thread from now on; the server's is not there yet."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self._codes.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note one test."""
        self._codes.clear()
        begun = time.monotonic()
        result = yield
        ours = {f"{c.co_filename}:{c.co_qualname.split('.<locals>')[0]}" for c in list(self._codes) if self._ours(c)}
        self._notes[item.nodeid] = {"seconds": time.monotonic() - begun, "calls": sorted(ours)}
        return result

    def _ours(self, code: CodeType) -> bool:
        return code.co_filename.startswith(self._home)

    def pytest_sessionfinish(self) -> None:
        """Write the notes."""
        self._file.write_text(json.dumps(self._notes))


@dataclass
class Runs:
    """Which test calls what, and forks of this process."""

    notes: dict[str, dict[str, Any]]

    def seconds(self, tests: Sequence[str]) -> float:
        """How long the tests took unbroken."""
        return sum(float(self.notes[test]["seconds"]) for test in tests)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """The tests that call what a mutant broke, the quickest first; of a table, those that call what reads it."""
        file = str(sys.modules[mutant.module].__file__)
        wanted = {f"{file}:{mutant.name}"}
        if not isinstance(mutant.tree, ast.FunctionDef | ast.AsyncFunctionDef):
            wanted = _readers({mutant.name.rpartition(".")[2], *_built_from(sys.modules[mutant.module], mutant.name)})
        calling = [test for test, note in self.notes.items() if not wanted.isdisjoint(note["calls"])]
        return sorted(calling, key=lambda test: float(self.notes[test]["seconds"]))

    def fork(self, mutant: Mutant, tests: Sequence[str]) -> int:
        """Start the tests in a fork with the rule broken; return its process id. Its status: 0 when every test passes."""
        pid = _fork()
        if pid == 0:
            try:
                apply(mutant)
            except Exception:
                os._exit(NOT_APPLIED)
            _pytest_and_exit([*COMMON, "-x", *tests], [])
        return pid


@dataclass(frozen=True)
class Guard:
    """A named constraint of a table, and the tests that name it."""

    table: str
    name: str
    tests: tuple[str, ...]

    @property
    def id(self) -> str:
        """The stable name by which a survivor is explained."""
        return f"database:{self.table}: dropped {self.name}"


def guards() -> list[Guard]:
    """Return the constraints that some test names."""
    found = []
    for name, (place,), shown in traceability.guard_rows(traceability.tests()):
        tests = dict.fromkeys("tests/" + test.strip("`").replace(": ", "::") for test in shown)
        if tests and place.startswith("constraint of"):
            found.append(Guard(place.split("`")[1], name, tuple(tests)))
    return found


def run_without(guard: Guard) -> int | None:
    """Run the tests of a guard over a template that lacks it; return the status of the run, None when it took too long."""
    with EmbeddedPostgres(Path(os.environ[conftest.SHARED_CLUSTER])) as postgres:
        bare = f"{conftest.TEMPLATE}_without_{os.getpid()}"
        with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {bare} TEMPLATE {conftest.TEMPLATE}")
        try:
            with psycopg.connect(postgres.dsn("owner", bare)) as connection:
                connection.execute(f"ALTER TABLE {guard.table} DROP CONSTRAINT {guard.name} CASCADE")
            pid = _fork()
            if pid == 0:
                conftest.TEMPLATE = bare
                _pytest_and_exit([*COMMON, "-x", *guard.tests], [])
            status = _waited(pid, 60 + 30 * len(guard.tests))
            return None if status is None else os.waitstatus_to_exitcode(status)
        finally:
            with psycopg.connect(postgres.dsn("owner", "postgres"), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {bare} WITH (FORCE)")


def _fork() -> int:
    """Fork a process that ends with this one (Linux)."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # A run that is stopped must leave nobody behind who goes on breaking rules on half of the machine.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(70)
    return pid


def _waited(pid: int, seconds: float) -> int | None:
    """Wait for a child; return its status, or None when it took longer and was ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _pytest_and_exit(arguments: list[str], plugins: list[object]) -> None:
    # For a look at what happens: MUTANTS_OUTPUT=/dev/stderr.
    silence = os.open(os.environ.get("MUTANTS_OUTPUT", os.devnull), os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    code = 70
    try:
        code = int(pytest.main(arguments, plugins=plugins))
    finally:
        os._exit(code)


def _built_from(module: Any, name: str) -> dict[str, Any]:
    """The tables that a module builds from one of its names, directly or by way of others, with their assignments."""
    found: dict[str, Any] = {}
    for other, node in definitions(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and "." not in other and other != name:
            named = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
            if named & {name, *found}:
                found[other] = node
    return found


def _readers(names: set[str]) -> set[str]:
    """Every function of the program that mentions one of the names, as `file:qualified name`."""
    return {
        f"{f.__code__.co_filename}:{f.__code__.co_qualname.split('.<locals>')[0]}"
        for f in gc.get_objects()
        if isinstance(f, FunctionType) and f.__module__ and f.__module__.startswith("biobank.") and _mentions(f.__code__, names)
    }


def _mentions(code: CodeType, names: set[str]) -> bool:
    return not names.isdisjoint(code.co_names) or any(_mentions(c, names) for c in code.co_consts if isinstance(c, CodeType))


def apply(mutant: Mutant) -> None:
    """Break the rule in this process. Raises when the change cannot be made."""
    module = sys.modules[mutant.module]
    if isinstance(mutant.tree, ast.FunctionDef | ast.AsyncFunctionDef):
        _swap_code(module, mutant)
    else:
        _swap_value(module, mutant)


def _swap_code(module: Any, mutant: Mutant) -> None:
    tree = ast.parse(inspect.getsource(module))
    parent: Any = tree
    if "." in mutant.name:
        owner = mutant.name.partition(".")[0]
        parent = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == owner)
    old_node = next(n for n in parent.body if type(n) is type(mutant.tree) and n.lineno == mutant.tree.lineno)
    parent.body[parent.body.index(old_node)] = mutant.tree
    first = min([mutant.tree.lineno, *(d.lineno for d in mutant.tree.decorator_list)])
    compiled = _codes(compile(tree, str(module.__file__), "exec"))
    new = next(c for c in compiled if c.co_qualname == mutant.name and c.co_firstlineno == first)
    functions = [f for f in gc.get_objects() if isinstance(f, FunctionType) and f.__code__.co_filename == module.__file__]
    old = [f for f in functions if f.__code__.co_qualname == mutant.name and f.__code__.co_firstlineno == first]
    if not old:
        raise LookupError(mutant.name)
    for function in old:
        function.__code__ = new


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _swap_value(module: Any, mutant: Mutant) -> None:
    value = _value(mutant.tree, vars(module))
    if "." in mutant.name:
        owner, _, attribute = mutant.name.partition(".")
        setattr(getattr(module, owner), attribute, value)
        return
    _spread(module, mutant.name, value)
    for name, node in _built_from(module, mutant.name).items():
        _spread(module, name, _value(node, vars(module)))


def _value(assignment: Any, names: dict[str, Any]) -> Any:
    return eval(compile(ast.fix_missing_locations(ast.Expression(assignment.value)), "mutant", "eval"), names)


def _spread(module: Any, name: str, value: Any) -> None:
    """Give every module that imported the value the new one; a dictionary changes in place too."""
    old = vars(module)[name]
    if isinstance(old, dict):
        old.clear()
        old.update(value)
        return
    for other in [m for n, m in list(sys.modules.items()) if n.startswith("biobank.")]:
        for key, held in list(vars(other).items()):
            if held is old:
                setattr(other, key, value)

"""Breaking rules on purpose: the ways in which one line of Python is made wrong.

Each mutant is one change of one place: a comparison turned or moved by one, `and` for `or`, a condition or a filter left out, a
guard call left out, a permission asked anywhere instead of at a site, an element more or less in a set of a rule table.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
GUARDS = ("require", "refuse", "check", "ensure", "raise", "forbid", "assert", "lock", "use_signature")
"""How calls begin that stop an act by raising; they are left out one at a time."""

Path = tuple[tuple[str, int | None], ...]
"""The way from a definition to a node: (field, index in a list or None), step by step."""


@dataclass(frozen=True)
class Mutant:
    """One broken rule: in the definition `name` (a function, `Class.method`, `Class.attribute` or a name) of a module."""

    module: str
    name: str
    line: int
    what: str
    tree: Any

    @property
    def id(self) -> str:
        """The stable name by which a survivor is explained: no line number, so that it outlives a moved function."""
        return f"{self.module.removeprefix('biobank.')}:{self.name}: {self.what}"


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module's functions, class attributes and tables."""
    seen: dict[str, int] = {}
    tree = ast.parse(source)
    words = _words(tree)
    for name, node in definitions(tree):
        changes = _of_function(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else _of_table(node, words)
        for path, replacement, what in changes:
            key = f"{name}: {what}"
            seen[key] = seen.get(key, 0) + 1
            said = what if seen[key] == 1 else f"{what} ({seen[key]})"
            yield Mutant(module, name, getattr(_at(node, path), "lineno", node.lineno), said, _replaced(node, path, replacement))


def definitions(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield functions, methods and assigned names with their dotted names, as far as they are reached from outside."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                yield from ((f"{node.name}.{name}", found) for name, found in _definition(inner))
        else:
            yield from _definition(node)


def _definition(node: ast.stmt) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name, node
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node


def _walk(node: ast.AST, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        if isinstance(value, ast.AST):
            yield from _walk(value, (*path, (field, None)))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _walk(item, (*path, (field, index)))


def _at(node: Any, path: Path) -> Any:
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node


def _replaced(root: Any, path: Path, replacement: ast.AST) -> Any:
    changed = copy.deepcopy(root)
    if not path:
        return replacement
    parent, (field, index) = _at(changed, path[:-1]), path[-1]
    old = _at(changed, path)
    for node in ast.walk(replacement):
        if isinstance(node, ast.expr | ast.stmt):
            ast.copy_location(node, old)
    if index is None:
        setattr(parent, field, replacement)
    else:
        getattr(parent, field)[index] = replacement
    return ast.fix_missing_locations(changed)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else text[:87] + "…"


Change = tuple[Path, ast.AST, str]


def _of_function(function: Any) -> Iterator[Change]:
    for path, node in _walk(function):
        if not path or path[0][0] != "body":
            continue
        match node:
            case ast.If() | ast.IfExp():
                yield (*path, ("test", None)), ast.Constant(False), f"never: if {_short(node.test)}"
            case ast.Compare():
                yield from _of_comparison(path, node)
            case ast.BoolOp():
                yield from _of_junction(path, node)
            case ast.UnaryOp(op=ast.Not()):
                yield path, node.operand, f"dropped not: {_short(node)}"
            case ast.Expr(value=ast.Call() as call) if _called(call).startswith(GUARDS):
                yield path, ast.Pass(), f"dropped: {_short(node)}"
            case ast.Call():
                yield from _of_call(path, node)
            case ast.comprehension():
                for index, _ in enumerate(node.ifs):
                    kept = copy.deepcopy(node)
                    dropped = kept.ifs.pop(index)
                    yield path, kept, f"dropped filter: {_short(dropped)}"


def _of_comparison(path: Path, node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        turned = TURNED.get(type(operator))
        if turned is not None:
            changed = copy.deepcopy(node)
            changed.ops[index] = turned()
            yield path, changed, f"{_short(node)} → {_short(changed)}"
    for index, side in enumerate(node.comparators):
        if isinstance(side, ast.Constant) and type(side.value) is int:
            changed = copy.deepcopy(node)
            changed.comparators[index] = ast.Constant(side.value + 1)
            yield path, changed, f"{_short(node)} → {_short(changed)}"


def _of_junction(path: Path, node: ast.BoolOp) -> Iterator[Change]:
    other = copy.deepcopy(node)
    other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield path, other, f"{_short(node)} → {_short(other)}"
    for index, value in enumerate(node.values):
        rest = [v for number, v in enumerate(node.values) if number != index]
        kept = rest[0] if len(rest) == 1 else ast.BoolOp(op=node.op, values=rest)
        yield path, copy.deepcopy(kept), f"without {_short(value)} in: {_short(node)}"


def _of_call(path: Path, node: ast.Call) -> Iterator[Change]:
    for index, keyword in enumerate(node.keywords):
        if keyword.arg == "at" and _called(node).rpartition(".")[2] in ("require", "may"):
            changed = copy.deepcopy(node)
            changed.keywords[index].value = _anywhere()
            if _short(keyword.value) != "ANYWHERE":
                yield path, changed, f"anywhere instead of at: {_short(node)}"
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("where", "filter"):
        for index, argument in enumerate(node.args):
            changed = copy.deepcopy(node)
            del changed.args[index]
            yield path, changed if changed.args else copy.deepcopy(node.func.value), f"dropped where: {_short(argument)}"


def _anywhere() -> ast.expr:
    """`ANYWHERE` without an import: the mutated function keeps the globals of its module."""
    return ast.parse("__import__('biobank.auth.scope', fromlist=['ANYWHERE']).ANYWHERE", mode="eval").body


def _called(node: ast.Call) -> str:
    name = ast.unparse(node.func)
    return name.rpartition(".")[2] if not name.startswith("__") else name


def _of_constant(path: Path, node: ast.Constant) -> Iterator[Change]:
    """A flag of a class is turned; a number of a rule is one more: the minutes a release lasts, the most attempts."""
    if isinstance(node.value, bool):
        yield path, ast.Constant(not node.value), f"{node.value} → {not node.value}"
    elif isinstance(node.value, int):
        yield path, ast.Constant(node.value + 1), f"{node.value} → {node.value + 1}"


def _words(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Every word that stands in a set literal of the module, by its family: strings, or the members of one enumeration."""
    found: dict[str, dict[str, ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Set):
            for item in node.elts:
                if family := _family(item):
                    found.setdefault(family, {})[ast.unparse(item)] = item
    return {family: [items[text] for text in sorted(items)] for family, items in found.items()}


def _family(item: ast.expr) -> str | None:
    if isinstance(item, ast.Constant) and isinstance(item.value, str):
        return "text"
    return ast.unparse(item.value) if isinstance(item, ast.Attribute) else None


def _of_table(assignment: Any, words: dict[str, list[ast.expr]]) -> Iterator[Change]:
    """A constant, a bound or an order of a table is moved by one; a flag turned; sets lose an element or gain one that the module
    uses elsewhere; a permission of a class is taken away."""
    name = assignment.target if isinstance(assignment, ast.AnnAssign) else assignment.targets[0]
    if ast.unparse(name) == "permission":
        yield (("value", None),), ast.Constant(None), f"no permission: {_short(assignment.value)}"
    for path, node in _walk(assignment):
        if isinstance(node, ast.Constant) and path[:1] == (("value", None),):
            yield from _of_constant(path, node)
        if not isinstance(node, ast.Set):
            continue
        for index, item in enumerate(node.elts):
            changed = copy.deepcopy(node)
            del changed.elts[index]
            if changed.elts:
                yield path, changed, f"without {_short(item)} in {_short(node)}"
        family = _family(node.elts[0])
        here = {ast.unparse(item) for item in node.elts}
        if family:
            for more in words.get(family, []):
                if ast.unparse(more) not in here:
                    changed = copy.deepcopy(node)
                    changed.elts.append(copy.deepcopy(more))
                    yield path, changed, f"with {_short(more)} in {_short(node)}"

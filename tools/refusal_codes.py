"""Write docs/refusals.md: every code of a problem document, from the classes of refusals.

python tools/refusal_codes.py          write the page
python tools/refusal_codes.py --check  fail when the page is not what would be written
"""

import importlib
import pkgutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import biobank
from biobank.foundation.errors import Refusal

PAGE = Path(__file__).resolve().parent.parent / "docs" / "refusals.md"
STARTS_SOMETHING = {"biobank.__main__", "biobank.asgi"}
"""Modules that act when they are imported."""

HEAD = """# Refusals

Written by `tools/refusal_codes.py` from the classes under `biobank.foundation.errors.Refusal`. Do not edit it: change
the class, then run `python tools/refusal_codes.py`. `tests/test_docs.py` fails while the two differ.

Every refusal is an `application/problem+json` document ([API guide](api.md#refusals)). `code` never changes once published and
never means two things. A page of the web interface shows the same refusals.

| status | code | title | when |
|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    classes: dict[tuple[int, str], list[type[Refusal]]] = defaultdict(list)
    for cls in all_refusals():
        classes[cls.status, cls.code].append(cls)
    rows = []
    for (status, code), meanings in sorted(classes.items()):
        first = min(meanings, key=lambda cls: (len(cls.__mro__), cls.__module__, cls.__name__))
        rows.append(f"| {status} | `{code}` | {first.title} | {sentence_of(first)} |\n")
    return HEAD + "".join(rows)


def all_refusals() -> Iterator[type[Refusal]]:
    """Yield the root and every class below it, once every module of the package is imported."""
    for module in pkgutil.walk_packages(biobank.__path__, "biobank."):
        if module.name not in STARTS_SOMETHING:
            importlib.import_module(module.name)
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        cls = waiting.pop()
        yield cls
        waiting += [below for below in cls.__subclasses__() if below.__module__.startswith("biobank.")]


def sentence_of(cls: type[Refusal]) -> str:
    """Return the first paragraph of the docstring, safe in a cell."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write or check the page; return an exit code."""
    text = page()
    if "--check" in arguments:
        if PAGE.read_text() == text:
            return 0
        print("docs/refusals.md is not what the classes say. Run: python tools/refusal_codes.py", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""The label templates on file: one TOML file each, nothing else to register.

A file's keys are the attributes of `template.Template`; boxes are `[x, y, width, height]` in micrometres. Unknown,
missing or wrongly typed keys stop the start, with the file's name and what to mend.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from biobank.foundation.carried_files import carried
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import NotFound
from biobank.labels.geometry import RESOLUTIONS, Box, Shape
from biobank.labels.matrix import ErrorCorrection
from biobank.labels.template import Payload, SymbolSpec, Template, TemplateError, TextBlock
from biobank.labels.typeface import Align

T = TypeVar("T")


class UnknownTemplate(NotFound):
    """No label template has this name."""

    code: ClassVar[str] = "label_template_unknown"
    title: ClassVar[str] = "No such label template"


class Catalogue(Mapping[str, Template]):
    """Templates by name."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._templates = dict(sorted(templates.items()))

    def __getitem__(self, name: str) -> Template:
        """:raises UnknownTemplate: no template has this name"""
        if name not in self._templates:
            raise UnknownTemplate(f"There is no such label template; there are {', '.join(self._templates)}.")
        return self._templates[name]

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def __iter__(self) -> Iterator[str]:
        return iter(self._templates)

    def __len__(self) -> int:
        return len(self._templates)

    def for_prefix(self, prefix: Prefix) -> tuple[Template, ...]:
        """Return the templates that may carry this kind of code: the preferred first, full labels before companions."""
        fitting = [template for template in self._templates.values() if prefix in template.prefixes]
        return tuple(sorted(fitting, key=lambda template: (not template.preferred, template.companion, template.name)))


@cache
def catalogue() -> Catalogue:
    """Return the templates of this installation, read once."""
    return load_catalogue(templates_directory())


def templates_directory() -> Path:
    """Return `labels/` of the installed package, or of the source checkout this package lies in.

    :raises TemplateError: neither is there
    """
    found = carried("labels")
    if found is None:
        raise TemplateError("the label templates are missing: no labels directory in the package or beside it")
    return found


def load_catalogue(directory: Path) -> Catalogue:
    """Read every `*.toml` of a directory.

    :raises TemplateError: a file is wrong, two templates share a name, or there is none
    """
    templates: dict[str, Template] = {}
    for path in sorted(directory.glob("*.toml")):
        template = _read(path)
        if template.name in templates:
            raise TemplateError(f"{path.name}: another file already has a label template {template.name!r}")
        if template.name != path.stem:
            raise TemplateError(f"{path.name}: the file must be called {template.name}.toml")
        templates[template.name] = template
    if not templates:
        raise TemplateError("there is no label template on file")
    return Catalogue(templates)


def _read(path: Path) -> Template:
    try:
        entry = _Entry(tomllib.loads(path.read_text(encoding="utf-8")))
        symbol = _Entry(entry.take("symbol", dict))
        template = Template(
            name=entry.take("name", str),
            title=entry.take("title", str),
            shape=Shape(entry.take("shape", str)),
            width_um=entry.take("width_um", int),
            height_um=entry.take("height_um", int),
            margin_um=entry.take("margin_um", int),
            prefixes=frozenset(map(Prefix, entry.take("prefixes", list))),
            resolutions=tuple(entry.take("resolutions", list, [*RESOLUTIONS])),
            symbol=SymbolSpec(
                payload=Payload(symbol.take("payload", str)),
                version=symbol.take("version", int),
                correction=ErrorCorrection[symbol.take("correction", str)],
                quiet_tenths=symbol.take("quiet_tenths", int),
                boxes_um=tuple(map(_box, symbol.take("boxes_um", list))),
            ),
            texts=tuple(_block(_Entry(table), with_rows=True) for table in entry.take("text", list, [])),
            areas=tuple(_block(_Entry(table), with_rows=False) for table in entry.take("statements", list, [])),
            companion=entry.take("companion", bool, False),
            preferred=entry.take("preferred", bool, False),
            turned=entry.take("turned", bool, False),
        )
        symbol.done()
        entry.done()
    except (ValueError, KeyError, TypeError) as fault:
        raise TemplateError(f"{path.name}: {fault}") from fault
    return template


def _block(entry: "_Entry", *, with_rows: bool) -> TextBlock:
    block = TextBlock(
        box_um=_box(entry.take("box_um", list)),
        rows=tuple(entry.take("rows", list)) if with_rows else (),
        largest_um=entry.take("largest_um", int),
        smallest_um=entry.take("smallest_um", int),
        bold=entry.take("bold", bool, False),
        align=Align(entry.take("align", str, Align.LEFT.value)),
    )
    entry.done()
    return block


def _box(numbers: list[Any]) -> Box:
    if len(numbers) != 4 or not all(type(number) is int for number in numbers):
        raise ValueError(f"a box is [x, y, width, height] in whole micrometres, not {numbers}")
    return Box(*numbers)


class _Entry:
    """One TOML table, each of whose keys must be taken exactly once and have the right type."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._left = dict(table)

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        value = self._left.pop(key, default)
        if value is None:
            raise ValueError(f"the key {key!r} is missing")
        if type(value) is not kind:
            raise ValueError(f"the key {key!r} must be of type {kind.__name__}")
        return value

    def done(self) -> None:
        if self._left:
            raise ValueError(f"unknown keys {sorted(self._left)}")

"""Marks of a member of a model: what its shape says beside the type, wherever in the annotation it stands."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo


def marks_of(info: FieldInfo) -> Iterator[Any]:
    """Yield every piece of metadata of a member, of the parts of its type too. Pure."""
    yield from info.metadata
    yield from _within(info.annotation)


def _within(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield from getattr(part, "__metadata__", ())
        yield from _within(part)

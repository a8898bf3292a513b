"""Words of a request that stand in a list of the bank's registers: a reason, a topic, a cause.

A field is marked with `FromList` where its shape is declared. Every act asks for all marked words of its request before its use
case runs (`acts/web.py: Runner`), so no route takes another word; what the lists hold, the registers say
(`registers/reasons.py`).
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from sqlmodel import Session

from biobank.foundation.from_above import FromAbove
from biobank.foundation.marks import marks_of

CODED = Field(pattern=r"^[a-z0-9_]{2,40}$", description="A word from the bank's list. Anything more goes into the remark.")


@dataclass(frozen=True)
class FromList:
    """Marks a field whose word stands in a list of the registers. `about`: which of the reasons its form offers.

    What is of another `kind` goes by its name; its use case asks whether it may be used (`registers/using.py`).
    """

    about: str = ""
    kind: str = "reason"


in_lists: FromAbove[Callable[[Session, Collection[str]], None]] = FromAbove("registers")
"""Raise when one of these words stands in no list."""

MarkedOnly = Annotated[str, FromList("handling")]
"""The mark alone, for a field of an event whose shape is frozen."""
Handling = Annotated[str, CODED, FromList("handling")]
"""Why a tube, a place or a reading is corrected, missing, moved or put right."""


def listed_by(info: FieldInfo) -> FromList | None:
    """Return how a field is marked, or None."""
    return next((one for one in marks_of(info) if isinstance(one, FromList)), None)


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the marked fields of a model, and those that may hold further models."""
    fields = model.model_fields.items()
    marked = tuple(name for name, info in fields if (mark := listed_by(info)) is not None and mark.kind == "reason")
    return marked, tuple(name for name, info in fields if name not in marked and _holds_models(info.annotation))


def _holds_models(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_holds_models(part) for part in get_args(annotation))


def words_in(given: object) -> Iterator[str]:
    """Return every listed word of a request, of its parts too."""
    if isinstance(given, BaseModel):
        marked, parts = _fields(type(given))
        if hasattr(given, "listed"):
            yield from given.listed()
        yield from (word for name in marked if (word := getattr(given, name)) is not None)
        for name in parts:
            yield from words_in(getattr(given, name))
    elif isinstance(given, list | tuple):
        for one in given:
            yield from words_in(one)


def require_listed(session: Session, given: Collection[object]) -> None:
    """Ask the registers for every listed word of a request; nothing is asked where there is none."""
    require_words(session, {word for one in given for word in words_in(one)})


def require_words(session: Session, words: Collection[str]) -> None:
    """Ask the registers for words that come by another way than a request: from the console."""
    if words:
        in_lists.get()(session, words)

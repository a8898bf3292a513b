"""Words that are taken elsewhere than by a call: each form of a page, each parameter of the command line."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel

from biobank.cli import app
from biobank.foundation.listed import listed_by
from biobank.pages.ui.act_pages import ActPage
from biobank.registries.routes import PAGES
from tests.registers.test_lists import OTHER_LISTS, models_of, patterns_of


def forms() -> set[type[BaseModel]]:
    """Every model that a form of a page is read into, with its parts."""
    held = {id(one): one for route in PAGES.routes for one in held_by(getattr(route, "endpoint", None))}
    return {part for page in held.values() for part in models_of(page.model)}


def held_by(endpoint: Any) -> Iterator[ActPage[Any, Any]]:
    """The declaration that serves a route."""
    for cell in getattr(endpoint, "__closure__", None) or ():
        if isinstance(cell.cell_contents, ActPage):
            yield cell.cell_contents


def test_every_coded_word_that_a_form_takes_comes_from_a_list() -> None:
    found = forms()
    free = {
        f"{model.__name__}.{name}"
        for model in found
        for name, info in model.model_fields.items()
        if name not in OTHER_LISTS and "[a-z0-9_]" in patterns_of(info) and listed_by(info) is None
    }
    assert free == set()
    assert len(found) > 80


WORDS = {
    "label number": "why it is printed: a reason of the list (`labels/console.py`)",
    **dict.fromkeys(
        ("bundle donor", "bundle specimen", "export donor", "export specimen", "exchange code", "label codes"),
        "a code, looked up",
    ),
    **dict.fromkeys(("exchange fmt", "fhir kind", "fhir release"), "one of a few"),
    **dict.fromkeys(("label template", "export fmt", "keys change name", "bench name", "restore-drill by"), "one of a few"),
    **dict.fromkeys(("users create name", "users create username"), "a person's: kept in the vault, or their login"),
    **dict.fromkeys((f"banks {verb} name" for verb in ("create", "start", "stop", "close", "reopen")), "a bank, looked up"),
    **dict.fromkeys((f"banks {verb} server" for verb in ("create", "close", "reopen", "check")), "of the machine"),
    **dict.fromkeys(("banks create host_name", "banks create log_origin"), "of a bank: no other has it"),
    "users create site": "a site's code, looked up",
    **dict.fromkeys(
        ("users create second", "users reset-password second", "users reset-password username"), "a login, looked up"
    ),
    **dict.fromkeys(
        ("keys token take", "log tiles place", "receipt check bank", "receipt check leaf", "serve host"), "of the machine"
    ),
    **dict.fromkeys(("witness address", "witness host", "witness name", "witness origin", "log recover new_origin"), "of a log"),
}
"""Command and parameter → what becomes of the word. An import takes files alone (`benches/test_entered_late.py`)."""


def texts(group: typer.Typer, name: str = "") -> Iterator[str]:
    """Every parameter of the command line that takes any text."""
    for one in group.registered_groups:
        assert one.typer_instance is not None
        yield from texts(one.typer_instance, f"{name}{one.name} ")
    for verb in group.registered_commands:
        assert verb.callback is not None
        called = verb.name or verb.callback.__name__.replace("_", "-")
        for parameter, annotation in get_type_hints(verb.callback).items():
            if takes_text(annotation):
                yield f"{name}{called} {parameter}"


def takes_text(annotation: Any) -> bool:
    """Say whether a parameter takes any text: a string, one or none, or several."""
    return annotation is str or any(takes_text(part) for part in get_args(annotation) if get_origin(annotation) is not Literal)


def test_every_word_of_the_console_has_its_place() -> None:
    assert set(texts(app)) == set(WORDS)

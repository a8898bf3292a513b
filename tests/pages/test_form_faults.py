"""What is typed wrongly is answered in plain sentences: no pattern, member name, type or route of the program reaches a page."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from biobank.donors.schemas import Contact
from biobank.donors.visit_schemas import Stated
from biobank.pages.ui.faults import faults_of, is_term, term_of
from biobank.pages.ui.forms import LABELS, FormFault, fields_of, parse
from biobank.pages.ui.posted import Form
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.schemas import Criteria, DeviationRequest
from biobank.registries.routes import ROUTERS
from biobank.specimens.harvest_schemas import ContainerCollected
from biobank.specimens.processing_schemas import RunInput, RunOutput, Treated
from biobank.storage.layout import LayoutPlan

ZONE = ZoneInfo("Europe/London")
RUBBISH = ("", "x", "-1", "0", "1.5", "1e99", "9" * 30, "Ä ö", "\u202e<b>", "a_b", "A B", "_" * 300, "2026-02-31", "yes please")
MACHINE = re.compile(
    r"should (be|match|have)|pattern|valid (integer|string|uuid|datetime|date)|literal|enum\b|null|none\b|boolean|`|\^|\\|\{|\[|"
    r"_|/api|\bPOST\b|\bGET\b|\bJSON\b|schema|field required|sha256:|m°C|millidegrees",
    re.IGNORECASE,
)
"""Words and signs that belong to the program. An underline stands in no sentence for people."""


def form_models() -> Iterator[type[BaseModel]]:
    """Every request that a call of the API takes (a page's form builds one of them), and the rows inside them."""
    found: dict[str, type[BaseModel]] = {}
    for router in ROUTERS:
        for route in router.routes:
            for param in getattr(getattr(route, "dependant", None), "body_params", ()):
                kind = param.field_info.annotation
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    for kind in (Contact, Criteria, ContainerCollected, RunInput, RunOutput, Treated, Stated, LayoutPlan):
        found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    yield from (found[name] for name in sorted(found))


MODELS = list(form_models())


def said_about(model: type[BaseModel], name: str, typed: str) -> dict[str, str]:
    try:
        parse(model, Form([(name, typed)]), ZONE, name)
    except FormFault as fault:
        return fault.fields
    return {}


def test_the_models_of_the_forms_are_found() -> None:
    assert len(MODELS) > 60
    assert {"DeviationRequest", "HoldRequest", "UserCreate", "RegisterDonor", "LayoutPlan"} <= {one.__name__ for one in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_field_of_any_form_is_refused_in_words_of_the_program(model: type[BaseModel]) -> None:
    for name in model.model_fields:
        for typed in RUBBISH:
            for about, sentence in said_about(model, name, typed).items():
                assert not MACHINE.search(sentence), (name, typed, about, sentence)
                assert sentence.endswith(".") and sentence[0].isupper(), (name, typed, sentence)
                assert not typed or len(typed) < 4 or typed not in sentence, (name, typed, sentence)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_a_form_asks_is_called_in_words(model: type[BaseModel]) -> None:
    for field in fields_of(model, *model.model_fields):
        assert "_" not in field.label, field.name


@pytest.mark.parametrize(
    ("kind", "typed"),
    [(int, "x"), (bool, "x"), (list[int], ["x"]), (dict[str, int], 3), (bytes, 3), (BaseModel, 3), (frozenset[int], 3)],
)
def test_an_error_of_an_unknown_kind_still_speaks_to_people(kind: Any, typed: Any) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(kind).validate_python(typed)
    assert not any(MACHINE.search(sentence) for sentence in faults_of(error.value, LABELS).values())


def rules_of_models() -> Iterator[tuple[str, str]]:
    """The sentences that models raise themselves, about several fields at once."""
    for path in sorted({Path(inspect.getfile(model)) for model in MODELS}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ValueError":
                texts = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant) and len(str(one.value)) > 1]
                yield path.name, " ".join(map(str, texts))


def test_the_rules_that_models_state_themselves_are_plain_sentences_too() -> None:
    said = list(rules_of_models())
    assert len(said) > 15
    for path, sentence in said:
        assert not MACHINE.search(sentence), (path, sentence)


def test_words_typed_for_a_term_become_the_term() -> None:
    assert term_of(" Found warm, ") == "found_warm,"  # what no term may hold is left for the model to refuse
    assert term_of("Not in-its  slot") == "not_in_its_slot"
    assert is_term(HoldRequest.model_fields["reason"]) and not is_term(DeviationRequest.model_fields["site"])
    form = Form([("scope_kind", "lot"), ("scope_id", "LT-4T8N2WJ"), ("kind", "quality"), ("reason", "Found warm")])
    assert parse(HoldRequest, form, ZONE, "scope_kind", "scope_id", "kind", "reason").reason == "found_warm"

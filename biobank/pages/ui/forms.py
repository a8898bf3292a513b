"""Forms drawn from request models, so that a new kind of event has a page the day its class is written.

`fields_of` turns the fields of a pydantic model into inputs, `parse` turns a posted form into the model. What a person types
differs from what the wire carries in three places only: a measure is typed in the unit that people read (`MEASURES`), an instant
is typed in the zone in which the page shows times, and a list is typed as codes with spaces or lines between them.
"""

import re
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from biobank.foundation.errors import MalformedRequest, Refusal
from biobank.foundation.kept_files import names_file
from biobank.foundation.listed import listed_by
from biobank.foundation.marks import marks_of
from biobank.foundation.terms import words
from biobank.foundation.zones import NamesZone, zone_typed
from biobank.pages.ui.faults import faults_of, is_day, is_term, plain_name, term_of
from biobank.pages.ui.posted import Form
from biobank.pages.ui.typed_times import WHICH, day_typed, instant_typed
from biobank.registers.reasons import STANDARD

M = TypeVar("M", bound=BaseModel)
_TERM = re.compile(r"[a-z][a-z0-9_]*")

SCANNED = {
    "tube": "HF AD UN",
    "tubes": "HF AD UN",
    "product": "HF AD UN",
    "specimens": "HF AD UN",
    "container": "BX PS",
    "containers": "BX",
    "place": "BX PS",
    "to": "BX",
    "wristband": "WB",
    "donor": "DN",
    "specimen": "HF AD UN",
    "kit": "KT",
    "instrument": "EQ",
    "prepared_with": "EQ",
    "shipper": "EQ",
    "transport_medium": "RG",
    "media_lots": "RG",
    "workstation": "EQ",
    "witnessed_by": "US",
}
"""Fields that a gun fills, and the codes each waits for."""


@dataclass(frozen=True)
class Measure:
    """How people type a number: `per` stored units make one of theirs; `say` is what they are told when it is none."""

    unit: str
    per: int
    say: str


MEASURES: Mapping[str, Measure] = {
    "_mc_per_min": Measure("°C a minute", 1000, "enter degrees a minute as a number, such as 5."),
    "_ppm_per_h": Measure("% an hour", 10_000, "enter percent an hour as a number, such as 15."),
    "_mc": Measure("°C", 1000, "enter degrees Celsius as a number, such as -150."),
    "_platelets_per_ul": Measure("× 10⁹/L", 1000, "enter 10⁹ a litre as a number, such as 250."),
    "volume_ul": Measure("mL", 1000, "enter millilitres as a number, such as 1.5."),
    "_ppm": Measure("%", 10_000, "enter percent as a number, such as 20."),
    "_milli_eu_per_ml": Measure("EU/mL", 1000, "enter endotoxin units a millilitre as a number, such as 0.25."),
    "dilution_milli": Measure("-fold", 1000, "enter how many times it was diluted as a number, such as 2; undiluted is 1."),
    "viable_bp": Measure("%", 100, "enter percent as a number, such as 92.5."),
    "use_by_s": Measure("min", 60, "enter minutes as a number, such as 90."),
    "warm_amber_s": Measure("min", 60, "enter minutes as a number, such as 10."),
    "warm_red_s": Measure("min", 60, "enter minutes as a number, such as 20."),
}
"""How the name of a number ends → how it is typed. The longer ending stands first."""


def names_zone(info: FieldInfo) -> bool:
    """Say whether a field holds the name of a time zone."""
    return any(isinstance(one, NamesZone) for one in marks_of(info))


def measure_of(name: str) -> Measure | None:
    """Return how a field of this name is typed, or None where it is typed as it is stored."""
    return next((measure for ending, measure in MEASURES.items() if name.endswith(ending)), None)


def stored(text: str, measure: Measure) -> int:
    """Turn what was typed into stored units; raise ValueError with what to type instead."""
    try:
        number = Decimal(text.replace(",", ".").replace("−", "-")) * measure.per
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > 10**9:
        raise ValueError(measure.say)
    if number != int(number):
        raise ValueError("give fewer decimals.")
    return int(number)


def as_typed(value: int, measure: Measure) -> str:
    """Write a stored number as people type it: the other way of `stored`."""
    return f"{(Decimal(value) / measure.per).normalize():f}"


TIME_ZONES = "time_zone"
"""The kind under which a field offers the names of time zones; the browser knows them (registered.js)."""
AMOUNTS = frozenset({"given", "residue", "loss", "minimum_amount"})
"""Amounts that a page reads by the unit of what they are of (`specimens/amounts.py`): 2.4 M, 1.5 mL."""
LONG = frozenset(
    {
        *("comment", "reason_text", "indication", "words", "notification_plan", "description", "corrective_action"),
        *("representative", "address"),
    }
)
"""Free text. It may name people, so no draft of it is kept (`drafts.js`)."""
LABELS = {
    "occurred_at": "When it happened",
    "reason_text": "Why the time lies back",
    "comment": "Remark",
    "performed_by": "Done by",
    "temperature_mc": "Temperature",
    "container_intact": "The container is intact",
    "label_legible": "The label can be read",
    "manifest_matches": "The papers match",
    "contents_as_expected": "The contents are as expected",
    "words": "In words",
    "given": "Given",
    "evidence": "The courier's receipt number",
    "logger_sha256": "The logger's file",
    "zone": "Time zone of the file",
    "dates": "What 03/04 means in the file",
    "late_entry": "It happened before the last entry of the record",
    "paper": "From a form on paper",
}
HINTS = {
    "courier": None,
    "disposition": None,
    "paper": "The code under which the form was filed, such as DV-0000000. Then say when it happened.",
    "occurred_at": "Leave empty for now; more than 15 minutes ago needs a reason.",
    "comment": "Kept in the vault, never in the log. No names.",
    "performed_by": "The colleague whose hands it was, if not yours: scan the badge, or type the name.",
    "started_at": "Leave empty when it was the same minute.",
    "zone": "Only if the file does not say, such as Europe/Vienna.",
    "dates": "Only if the file leaves open which is the day.",
    "anatomical_site": "Such as abdomen or scalp vertex.",
    "transport_medium": "Scan its RG label; what is missing is entered under Registers.",
    "procedure_version": "What is missing here is entered under Registers.",
    "tissues": "Tick nothing when the form names no tissue.",
    "reason": "Choose from the list: type a part of a word.",
    "units": "The longest banked ones are taken. Without meaning when tubes are ticked.",
    "indication": "Kept in the vault under the donor's key, never in the log. No names.",
    "tube": None,
    "to_id": "Scan the badge, or type the name.",
    "evidence": "Under which the courier took it over.",
}


@dataclass(frozen=True)
class Field:
    """An input. `kind`: text · number · measure · select · checkbox · choices · date · datetime · textarea · scan · scans ·
    file · files · listed.

    `choices` are boxes to tick, any number of them: its `value` is a list. `which`: what was said of a day
    or a time that can be two. `listed`: the kind of register whose names it offers while somebody types.
    """

    name: str
    label: str
    kind: str
    value: Any = ""
    required: bool = False
    hint: str | None = None
    options: Sequence[tuple[str, str]] = ()
    accepts: str = ""
    unit: str | None = None
    which: str = ""
    listed: str = ""


@dataclass(frozen=True)
class Rows:
    """Inputs that repeat, one row a thing: `name` is the part of the form, `each` what one row is."""

    name: str
    legend: str
    each: str
    rows: Sequence[Sequence[Field]]
    hint: str | None = None


class FormFault(MalformedRequest):
    """What was typed cannot be read; `errors` names the fields and never repeats their values."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("Look at the marked entries and send the form again.")
        self.fields = dict(errors)


def drawn(refusal: Refusal | None) -> dict[str, Any]:
    """Return what a form's page needs to say why it was refused: `status`, `errors`, `refusal`."""
    if refusal is None:
        return {"refusal": None}
    if isinstance(refusal, FormFault):
        return {"status": refusal.status, "errors": refusal.fields, "refusal": None}
    return {"status": refusal.status, "refusal": refusal.problem()}


def _plain_type(annotation: Any) -> tuple[Any, bool]:
    """Strip Annotated and `| None`; return (type, may be None)."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _plain_type(kept[0])[0], len(kept) < len(get_args(annotation))
    return annotation, False


def _choices(plain: Any) -> list[tuple[str, str]] | None:
    if get_origin(plain) is Literal:
        return [(str(value), words(value)) for value in get_args(plain)]
    if isinstance(plain, type) and issubclass(plain, Enum):
        return [(str(member.value), words(member.value)) for member in plain]
    return None


def fields_of(
    model: type[BaseModel],
    *names: str,
    values: Mapping[str, Any] | None = None,
    options: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    labels: Mapping[str, str] | None = None,
    needed: Collection[str] = (),
) -> list[Field]:
    """Return the inputs for `names` of `model`, in that order.

    `values` fill them, `options` make a field a choice, `needed` are required here though the model can do without.
    """
    fields = [
        _field(
            name,
            model.model_fields[name],
            _value(values, name, model.model_fields[name]),
            (options or {}).get(name),
            (labels or {}).get(name),
        )
        for name in names
    ]
    said = {name: str((values or {}).get(WHICH + name) or "") for name in names}
    return [_needed(replace(field, which=said[field.name]), field.required or field.name in needed) for field in fields]


def _needed(field: Field, required: bool) -> Field:
    """Mark a field as required; what has to be filled in is not told to be left empty."""
    hint = None if required and field.hint is not None and field.hint.startswith("Leave empty") else field.hint
    return replace(field, required=required, hint=hint)


def _value(values: Mapping[str, Any] | None, name: str, info: FieldInfo) -> Any:
    """What fills a field; of a list that was posted, every value of it."""
    if isinstance(values, Form) and get_origin(_plain_type(info.annotation)[0]) is list:
        return values.all_of(name)
    return None if values is None else values.get(name)


def _field(name: str, info: FieldInfo, value: Any, options: Sequence[tuple[str, str]] | None, label: str | None) -> Field:
    plain, optional = _plain_type(info.annotation)
    required = info.is_required()
    if value is None:
        value = "" if required or info.default is None else info.get_default(call_default_factory=True)
    choices = options if options is not None else _choices(plain)
    # A box left unticked must not say "no, it is broken" by itself: what has no default is asked for.
    if plain is bool and (optional or required):
        choices, value = [("true", "Yes"), ("false", "No")], {True: "true", False: "false"}.get(value, value)
    kind, unit = "text", None
    if get_origin(plain) is list and (ticks := options or _choices(get_args(plain)[0])):
        kind, choices, value = "choices", list(ticks), list(value or [])
    elif choices is not None:
        kind = "select"
    elif plain is bool:
        kind, value, required = "checkbox", value in (True, "true", "yes"), False
    elif name in SCANNED:
        kind = "scans" if get_origin(plain) is list else "scan"
        value = "\n".join(value) if isinstance(value, list) else str(value or "")
    elif plain is int and (measure := measure_of(name)) is not None:
        kind, unit = "measure", measure.unit
    elif plain is int and name not in AMOUNTS:
        kind = "number"
    elif plain is datetime or plain is AwareDatetime:
        kind = "datetime"
    elif plain is date or is_day(info):
        kind = "date"
    elif name in LONG:
        kind = "textarea"
    elif names_file(info):
        kind = "files" if get_origin(plain) is list else "file"
        value = "\n".join(value) if isinstance(value, list) else value
    elif get_origin(plain) is list:
        value = " ".join(value) if isinstance(value, list) else value
    if isinstance(value, Enum):
        value = value.value
    said = label or called(name, {})
    hint = (
        None
        if kind in ("measure", "file", "files") or (kind == "select" and name in {"reason", "anatomical_site"})
        else HINTS.get(name, info.description)
    )
    if hint is not None and hint.rstrip(".").lower() == said.lower():
        hint = None
    mark = listed_by(info) if kind == "text" else None
    offered = [(words(word), word) for word in STANDARD.get(mark.about, ())] if mark is not None else choices or ()
    listed = TIME_ZONES if names_zone(info) else "" if mark is None else mark.kind
    if mark is not None and isinstance(value, str) and is_term(info) and _TERM.fullmatch(value):
        value = words(value)  # what no term can be stays as it was typed
    drawn_as = "listed" if listed else kind
    return Field(name, said, drawn_as, value, required, hint, offered, SCANNED.get(name, ""), unit, "", listed)


def called(name: str, labels: Mapping[str, str]) -> str:
    """Return how a page calls a field."""
    return labels.get(name) or LABELS.get(name) or plain_name(name)


def parse(model: type[M], form: Form, zone: ZoneInfo, *names: str, **given: Any) -> M:
    """Build `model` from the posted fields `names` and from `given`; raise FormFault with a sentence per field."""
    return parse_labelled(model, form, zone, names, given, {})


def parse_labelled(
    model: type[M], form: Form, zone: ZoneInfo, names: Sequence[str], given: Mapping[str, Any], labels: Mapping[str, str]
) -> M:
    """Do the same for a page that calls its fields by `labels`. Words typed for a term ("Found warm") become `found_warm`."""
    body: dict[str, Any] = dict(given)
    errors: dict[str, str] = {}
    for name in names:
        try:
            value = typed(model.model_fields[name], name, form, zone)
        except ValueError as error:
            errors[name] = f"{called(name, labels)}: {error}"
            continue
        if value is not None:
            body[name] = value
    if not errors:
        try:
            return model.model_validate(body)
        except ValidationError as error:
            errors = faults_of(error, {**LABELS, **labels})
    raise FormFault(errors)


def typed(info: FieldInfo, name: str, form: Form, zone: ZoneInfo) -> Any:
    """Return what one field of a form says, None when it says nothing; raise ValueError with what to type instead."""
    plain, optional = _plain_type(info.annotation)
    timed = plain in (datetime, AwareDatetime, date) or is_day(info)
    text, which = form.get(name), form.get(WHICH + name) if timed else None
    if plain is bool and not optional and not info.is_required():
        return text in ("yes", "true")
    if text is None:
        return None
    if get_origin(plain) is list:
        return form.all_of(name)
    if get_origin(plain) is Literal and text.isascii() and text.isdigit() and int(text) in get_args(plain):
        return int(text)
    if plain is int and (measure := measure_of(name)) is not None:
        return stored(text, measure)
    if names_zone(info):
        return zone_typed(text)
    if plain is datetime or plain is AwareDatetime:
        return instant_typed(text, which, zone)
    if plain is date or is_day(info):
        return day_typed(text, which).isoformat()
    return term_of(text) if plain is str and is_term(info) else text


CIRCUMSTANCES = ("occurred_at", "reason_text", "late_entry", "performed_by", "comment", "paper")
"""What any act may carry beside its own fields; drawn folded away."""
NAMELESS = (*(name for name in CIRCUMSTANCES if name not in LONG), f"{WHICH}occurred_at")
"""What of it names nobody's patient: the form about a person keeps it when it is refused (`ActPage.keeps`)."""

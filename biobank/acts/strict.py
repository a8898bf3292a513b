"""A request says what is documented and nothing else: one check for every route of the API.

The framework and its models are lenient: a parameter that no route knows is dropped, of two members of one name the last wins,
`"5"`, `5.0` and `true` are taken for whole numbers, and a number for a time. A filter that is dropped answers another question
than was asked, so this refuses each, naming what is wrong and what is known. It is a dependency of every router
(`registries/routes.py`), and the fast lane asks the same functions.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from anyio import to_thread
from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import QueryParams

from biobank.acts.malformed import NOT_A_DAY, NOT_A_TIME, NUMBER, TEXT, WHOLE, YES_OR_NO, refusal_of_fields
from biobank.acts.problems import unreadable
from biobank.acts.web import missing_proof
from biobank.foundation.errors import MalformedRequest

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)
ON_THE_LOOP: Final = 64 * 1024
"""Bytes of JSON; a longer body is judged on a thread, so that the process goes on answering others meanwhile."""
NAMED: Final = 100
"""Characters of an unknown name that a refusal repeats."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half of a character of two."""


class UnknownParameter(MalformedRequest):
    """The address has a parameter that this call does not know: it would have answered another question."""

    code: ClassVar[str] = "unknown_parameter"
    title: ClassVar[str] = "Unknown parameter"


class DuplicateMember(MalformedRequest):
    """An object of the body has two members of one name, or the address a parameter twice; which one counts is a guess."""

    code: ClassVar[str] = "duplicate_member"
    title: ClassVar[str] = "Given twice"


@dataclass(frozen=True)
class Contract:
    """What a route takes: its query parameters with their JSON schema, and the JSON schema of its body."""

    query: Mapping[str, Mapping[str, Any]]
    body: Mapping[str, Any] | None


_contracts: dict[int, tuple[APIRoute, Contract]] = {}


def contract_of(route: APIRoute) -> Contract:
    """Return what a route takes; it is read from the route once."""
    if id(route) not in _contracts:
        _contracts[id(route)] = (route, _read(route))
    return _contracts[id(route)][1]


def _read(route: APIRoute) -> Contract:
    body = None
    field = route.body_field
    if field is not None and "Form" not in type(field.field_info).__name__ and "File" not in type(field.field_info).__name__:
        promised: Any = Annotated[field.field_info.annotation, field.field_info]
        body = TypeAdapter(promised).json_schema(mode="validation")
    return Contract(dict(_query_of(route.dependant)), body)


def _query_of(dependant: Dependant) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in dependant.query_params:
        kind: Any = field.field_info.annotation
        schema = TypeAdapter(kind).json_schema(mode="validation")
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from schema.get("properties", {}).items()
        else:
            yield field.alias, schema
    for inner in dependant.dependencies:
        yield from _query_of(inner)


async def as_documented(request: Request) -> None:
    """Raise UnknownParameter, DuplicateMember or MalformedRequest for what the route does not document; 401 comes first."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    refusal = refusal_of_query(route, request)
    if refusal is None:
        raw = await _json_of(request)
        if len(raw) <= ON_THE_LOOP:
            refusal = refusal_of_body(route, raw)
        else:
            refusal = await to_thread.run_sync(refusal_of_body, route, raw)
    if refusal is not None:
        raise await missing_proof(request) or refusal


def unknown_parameter(given: Iterable[str], known: Iterable[str]) -> UnknownParameter | None:
    """Say which of the names in an address is not known there, and which are."""
    listed = sorted(known)
    for name in given:
        if name not in listed:
            named = f"It knows {', '.join(listed)}." if listed else "It takes none."
            return UnknownParameter(f"There is no parameter {name[:NAMED]!r} here. {named}", parameter=name[:NAMED], known=listed)
    return None


def given_twice(given: QueryParams, name: str, known: Mapping[str, Mapping[str, Any]]) -> DuplicateMember | None:
    """Say that a parameter is given twice in an address and is no list. `known`: the schema of each."""
    if _is_list(known[name]) or len(given.getlist(name)) < 2:
        return None
    return DuplicateMember(f"The parameter {name!r} is given twice. Send it once.", member=name)


def refusal_of_query(route: APIRoute, request: Request) -> MalformedRequest | None:
    """Say what is wrong with the parameters of an address."""
    known = contract_of(route).query
    given = request.query_params.multi_items()
    unknown = unknown_parameter([name for name, _ in given], known)
    if unknown is not None:
        return unknown
    for name, value in given:
        twice = given_twice(request.query_params, name, known)
        if twice is not None:
            return twice
        words = _text_fault(known[name], value)
        if words is not None:
            return refusal_of_fields([{"field": name, "problem": words}])
    return None


def refusal_of_body(route: APIRoute, raw: bytes) -> MalformedRequest | None:
    """Say what is wrong with the JSON of a body: two members of one name, a member that nobody knows, a value of another type.

    Only UTF-8 is JSON (RFC 8259, 8.1). The framework would read other encodings too, and past every check here.
    """
    if not raw:
        return None
    try:
        text = raw.decode("utf-8-sig")
        value = _decoder.decode(text)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except MalformedRequest as refusal:
        return refusal
    except UnicodeEncodeError:
        return MalformedRequest("A text of the body has half of a character (a lone surrogate). Send whole characters.")
    except (ValueError, RecursionError):
        return unreadable()
    schema = contract_of(route).body
    if schema is None:
        return MalformedRequest("This call takes no JSON. Send it without a body.") if value else None
    faults = _faults(schema, value, schema.get("$defs", {}), "")
    if not faults:
        return None
    return refusal_of_fields([{"field": path or "body", "problem": words} for path, words in faults[:20]])


async def _json_of(request: Request) -> bytes:
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    return await request.body() if media.endswith("json") and request.method != "GET" else b""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    answer = dict(pairs)
    if len(answer) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:NAMED]
        raise DuplicateMember(f"The member {twice!r} is given twice in one object. Send it once.", member=twice)
    return answer


def _no_number(word: str) -> Any:
    raise MalformedRequest(f"{word} is no value of JSON. Leave the member out, or send a number.")


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def _is_list(schema: Mapping[str, Any]) -> bool:
    return any(one.get("type") == "array" for one in schema.get("anyOf", [schema]))


def _text_fault(schema: Mapping[str, Any], text: str) -> str | None:
    """Say why a text of an address is not what its schema promises; kinds that are text anyway are left to the model."""
    branches = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    kinds = {(one.get("type"), one.get("format")) for one in branches}
    if kinds == {("integer", None)} and _WHOLE.fullmatch(text) is None:
        return "must be a whole number"
    if kinds == {("string", "date-time")} and _RFC3339.fullmatch(text) is None:
        return NOT_A_TIME
    if kinds == {("string", "date")} and _DAY.fullmatch(text) is None:
        return NOT_A_DAY
    return None


def _faults(schema: Mapping[str, Any], value: Any, defs: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    """Return where a value is not of the JSON type that the schema promises: (path, words)."""
    if "$ref" in schema:
        return _faults(defs[schema["$ref"].rpartition("/")[2]], value, defs, path)
    chosen = _chosen(schema, value)
    if chosen is not None:
        return _faults(chosen, value, defs, path)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        if value is None and any(one.get("type") == "null" for one in branches):
            return []
        tried = [_faults(one, value, defs, path) for one in branches if one.get("type") != "null"]
        return min(tried, key=len, default=[])
    if "allOf" in schema:
        return [fault for one in schema["allOf"] for fault in _faults(one, value, defs, path)]
    return _of_type(schema, value, defs, path)


def _chosen(schema: Mapping[str, Any], value: Any) -> Mapping[str, Any] | None:
    told = schema.get("discriminator")
    if told is None or not isinstance(value, dict):
        return None
    kind = value.get(told["propertyName"])
    name = told.get("mapping", {}).get(kind) if isinstance(kind, str) else None
    return None if name is None else {"$ref": name}


def _of_type(schema: Mapping[str, Any], value: Any, defs: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    kind = schema.get("type")
    if kind == "integer" and (not isinstance(value, int) or isinstance(value, bool)):
        return [(path, WHOLE)]
    if kind == "number" and (not isinstance(value, int | float) or isinstance(value, bool)):
        return [(path, NUMBER)]
    if kind == "boolean" and not isinstance(value, bool):
        return [(path, YES_OR_NO)]
    if kind == "string":
        form = schema.get("format")
        if form == "date-time" and not (isinstance(value, str) and _RFC3339.fullmatch(value)):
            return [(path, NOT_A_TIME)]
        if form == "date" and not (isinstance(value, str) and _DAY.fullmatch(value)):
            return [(path, NOT_A_DAY)]
        return [] if isinstance(value, str) else [(path, TEXT)]
    if kind == "array" and isinstance(value, list):
        items = schema.get("items", {})
        return [fault for n, one in enumerate(value) for fault in _faults(items, one, defs, f"{path}.{n}".lstrip("."))]
    if kind == "object" and isinstance(value, dict):
        return _of_members(schema, value, defs, path)
    return [(path, "must be a list" if kind == "array" else "must be an object")] if kind in ("array", "object") else []


def _of_members(schema: Mapping[str, Any], value: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    found: list[tuple[str, str]] = []
    for name, member in value.items():
        at = f"{path}.{name[:NAMED]}".lstrip(".")
        if name in known:
            found += _faults(known[name], member, defs, at)
        elif isinstance(others, dict):
            found += _faults(others, member, defs, at)
        elif known and others is not True:
            found.append((at, f"is no member here; known are {', '.join(sorted(known))}"))
    return found

"""Write what the Python client knows of the API: `biobank/client/calls.json` and `calls.pyi`, from the OpenAPI document.

python tools/client_calls.py          write both
python tools/client_calls.py --check  fail when they are not what would be written
"""

import json
import keyword
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from biobank.acts import problems
from biobank.operations import health, security_txt
from biobank.operations.openapi_document import calls_of, document_of
from biobank.registries.routes import ROUTERS

Json = dict[str, Any]
CLIENT = Path(__file__).resolve().parent.parent / "biobank" / "client"
BODIES = {"application/json": "json", "application/x-www-form-urlencoded": "form"}
OURS = {"idempotency-key"}
"""Headers that the client sends by itself."""
HEAD = """# Written by tools/client_calls.py from the OpenAPI document. Do not edit it.
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from biobank.client.exchange import Exchange, Json, Steps

FILE: Path

def described() -> dict[str, Json]: ...
def prepared(exchange: Exchange, name: str, *values: Any, body: Any = ..., key: str | None = ..., **named: Any) -> Steps: ...
"""
KINDS = {
    "Calls": ("Every call of the API, which waits for its answer.", "httpx.Response", "def"),
    "AsyncCalls": ("Every call of the API, to be awaited.", "Awaitable[httpx.Response]", "async def"),
}


def document() -> Json:
    """Return the OpenAPI document of every call."""
    app = FastAPI(responses=problems.PROBLEM_RESPONSES)
    health.install(app)
    security_txt.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return document_of(app)


def python_name(name: str) -> str:
    """Return the parameter's name as an argument."""
    plain = name.replace("-", "_").lower() if "-" in name else name
    return f"{plain}_" if keyword.iskeyword(plain) or plain in ("body", "key", "name", "self", "exchange") else plain


def calls(found: Json) -> dict[str, Json]:
    """Return the description of every call that a client needs, by name."""
    schemes = found["components"]["securitySchemes"]
    told: dict[str, Json] = {}
    for method, path, described in calls_of(found):
        parameters = described.get("parameters", [])
        of = {
            where: {python_name(one["name"]): one["name"] for one in parameters if one["in"] == where and one["name"] not in OURS}
            for where in ("path", "query", "header")
        }
        secured = [scheme for one in described.get("security", []) for scheme in one]
        own = {python_name(schemes[one]["name"]): schemes[one]["name"] for one in secured if schemes[one]["type"] == "apiKey"}
        body = described.get("requestBody")
        kind = None if body is None else next(iter(body["content"]))
        told[described["operationId"]] = {
            "method": method,
            "path": renamed(path, of["path"]),
            "in_path": list(of["path"]),
            "query": of["query"],
            "headers": of["header"] | own,
            "required": [python_name(one["name"]) for one in parameters if one.get("required") and one["name"] not in OURS]
            + [*own],
            "body": None if kind is None else BODIES.get(kind, kind),
            "body_required": bool(body and body.get("required")),
            "keyed": any(one["name"] in OURS for one in parameters),
            "open": not secured or bool(own),
            "types": {python_name(one["name"]): type_of(one["schema"]) for one in parameters if one["in"] == "query"},
        }
    return dict(sorted(told.items()))


def type_of(schema: Json) -> str:
    """Return the type of an argument: a number, yes or no, several; whatever else is text."""
    kinds = {one.get("type", "string") for one in schema.get("anyOf", [schema])} - {"null"}
    if kinds == {"array"}:
        return "Sequence[Any]"
    return {"integer": "int", "boolean": "bool"}.get(next(iter(kinds)), "str") if len(kinds) == 1 else "Any"


def renamed(path: str, names: Json) -> str:
    """Return an address with the arguments' names in it."""
    for python, sent in names.items():
        path = path.replace(f"{{{sent}}}", f"{{{python}}}")
    return path


def signature(call: Json) -> str:
    """Return a call's arguments as Python writes them."""
    parts = ["self", *(f"{one}: str" for one in call["in_path"])]
    named = {one: call["types"].get(one, "str") for one in {**call["query"], **call["headers"]}}
    keyed = [f"{one}: {of}" if one in call["required"] else f"{one}: {of} | None = ..." for one, of in named.items()]
    if call["body"] is not None:
        of = "Mapping[str, Any]" if call["body"] in ("json", "form") else "bytes"
        keyed.append(f"body: {of}" if call["body_required"] else f"body: {of} | None = ...")
    if call["keyed"]:
        keyed.append("key: str | None = ...")
    return ", ".join([*parts, *(["*", *keyed] if keyed else [])])


def stub(told: dict[str, Json]) -> str:
    """Return what a type checker reads."""
    text = HEAD
    for name, (says, answers, define) in KINDS.items():
        text += f'\nclass {name}:\n    """{says}"""\n\n'
        text += f"    def __init__(self, exchange: Exchange, run: Callable[[Steps], {answers}]) -> None: ...\n"
        for call, one in told.items():
            text += f"    {define} {call}({signature(one)}) -> Any: ...\n"
    return text


def files() -> dict[Path, str]:
    """Return both files as they should be."""
    told = calls(document())
    known = {name: {part: of for part, of in one.items() if part != "types"} for name, one in told.items()}
    table = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in known.items())
    return {CLIENT / "calls.json": "{\n" + table + "\n}\n", CLIENT / "calls.pyi": stub(told)}


def main(arguments: list[str]) -> int:
    """Write or check the files; return an exit code."""
    wrong = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        if wrong:
            print("The Python client does not know every call. Run: python tools/client_calls.py", file=sys.stderr)
        return 1 if wrong else 0
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

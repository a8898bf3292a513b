"""Examples of the API: a short story, told call by call, in `api_examples.json`. A test runs it as it stands there.

A step names its call, who makes it, the body that is sent and what is answered. `keep` says which values of the answer are the
bank's own (a code, an identifier): where the story says the sample, the test sends what its own bank answered.
"""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]
FILE = Path(__file__).with_name("api_examples.json")


@cache
def steps() -> list[Json]:
    """Return the steps of the story: `says`, `call`, `path`, `as`, `status`, `answer`; some `body`, `form`, `keep`."""
    read: list[Json] = orjson.loads(FILE.read_bytes())
    return read


def put_into(document: Json) -> None:
    """Put each step as an example into the body and the answer of its call."""
    for number, step in enumerate(steps(), 1):
        method, address = step["call"].split(" ")
        described = document["paths"][address][method.lower()]
        name = f"step_{number:02}"
        for kind, sent in (("application/json", step.get("body")), ("application/x-www-form-urlencoded", step.get("form"))):
            if sent is not None:
                _add(described["requestBody"]["content"][kind], name, step["says"], sent)
        content = described["responses"][str(step["status"])].get("content", {})
        kind = "application/json" if step["status"] < 400 else "application/problem+json"
        if kind in content:
            _add(content[kind], name, step["says"], step["answer"])


def _add(media: Json, name: str, summary: str, value: Any) -> None:
    media.setdefault("examples", {})[name] = {"summary": summary, "value": value}

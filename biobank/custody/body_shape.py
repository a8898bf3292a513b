"""What the members of an event's body are, as the rule table tells an offline verifier.

A member's shape is one word or several joined by `|`, sorted: `array`, `boolean`, `integer`, `null`, `object`, `string`, and
`commitment`, which is a string of 64 hex digits that commits to a document in the vault. Finer rules (patterns, ranges) are the
bank's own business when it takes a request; a verifier needs to know which members there are, of which type, and which of
them are promises about personal data.
"""

from typing import Any, Final

from pydantic import BaseModel

COMMITS: Final[dict[str, Any]] = {"commitment": True}
"""Give a field `json_schema_extra=COMMITS` when its value is the commitment to a vault document."""


def shape_of(cls: type[BaseModel]) -> dict[str, str]:
    """Return member → shape of a payload class, without `kind`. Raises TypeError for a member of a type that entries lack."""
    schema = cls.model_json_schema(mode="serialization")
    shapes = {}
    for name, member in schema.get("properties", {}).items():
        if name != "kind":
            types = _types(member, schema.get("$defs", {}), f"{cls.__name__}.{name}")
            if member.get("commitment"):
                types = {"commitment" if word == "string" else word for word in types}
            shapes[name] = "|".join(sorted(types))
    return dict(sorted(shapes.items()))


def _types(schema: dict[str, Any], definitions: dict[str, Any], where: str) -> set[str]:
    if "$ref" in schema:
        return _types(definitions[schema["$ref"].rpartition("/")[2]], definitions, where)
    if "anyOf" in schema:
        return set().union(*(_types(part, definitions, where) for part in schema["anyOf"]))
    if "type" in schema and schema["type"] != "number":
        return {schema["type"]}
    raise TypeError(f"{where}: its type has no place in an entry")

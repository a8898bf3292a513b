"""What surrounds resources: bundles with their links, the statement of what the server can do, and refusals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from biobank import __version__
from biobank.foundation.errors import Refusal
from biobank.interchange.fhir.resources import OF_A_DONOR, PARAMETERS, TYPES, checked
from biobank.interchange.fhir.saying import Resource, Saying, slim

MEDIA_TYPE: Final = "application/fhir+json"
_STATED_ON: Final = "2026-11-30"
"""When what the server can do last changed."""

Query = Sequence[tuple[str, str]]

_ISSUES: Final[Mapping[int, str]] = {
    400: "required",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    428: "required",
    429: "throttled",
    500: "exception",
    503: "transient",
}
"""Status of a refusal → HL7's kind of issue."""

_REFERENCES: Final = frozenset({"patient", "subject", "specimen", "parent", "target", "partof", "entity"})
_DATES: Final = frozenset({"date", "recorded", "authored"})


def bundle(base: str, path: str, query: Query, resources: Sequence[Resource], following: str | None) -> Resource:
    """Return a page of a search. `base`: the address of the release's root; `query`: the parameters but for the cursor's."""
    links = [("self", query)] if following is None else [("self", query), ("next", [*query, ("_cursor", following)])]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": name, "url": _address(base, path, asked)} for name, asked in links],
    } | slim(entry=[_entry(base, one) | {"search": {"mode": "match"}} for one in resources])


def collection(base: str, resources: Sequence[Resource]) -> Resource:
    """Return resources that belong together as one document."""
    return {"resourceType": "Bundle", "type": "collection"} | slim(entry=[_entry(base, one) for one in resources])


def _entry(base: str, resource: Resource) -> Resource:
    return {"fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def _address(base: str, path: str, query: Query) -> str:
    return f"{base}/{path}?{urlencode(query)}" if query else f"{base}/{path}"


def outcome(refusal: Refusal) -> Resource:
    """Return a refusal as HL7 says one: its stable code stands in `details.coding`, what to do in `diagnostics`."""
    issue = {
        "severity": "error",
        "code": _ISSUES.get(refusal.status, "processing"),
        "details": {"coding": [{"code": refusal.code}], "text": refusal.title},
        "diagnostics": refusal.detail,
    }
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _kind_of(name: str) -> str:
    return "reference" if name in _REFERENCES else "date" if name in _DATES else "token"


def capability(say: Saying, base: str) -> Resource:
    """Return what this server can do, in a release: made from the table that reading and searching are made from."""
    resources = [
        {
            "type": kind,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": name, "type": _kind_of(name)} for name in sorted(PARAMETERS[kind])],
        }
        | (_everything() if kind == "Patient" else {})
        for kind in TYPES
    ]
    rest: dict[str, Any] = {
        "mode": "server",
        "security": {"description": "A bearer token of POST /api/v1/auth/token. What a login may not see is not found."},
        "resource": resources,
        "operation": [{"name": "export", "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"}],
    }
    return checked(
        say.release,
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": _STATED_ON,
            "kind": "instance",
            "software": {"name": "biobank", "version": __version__},
            "implementation": {"description": "Inventory and chain of custody of a bank of people's own cells.", "url": base},
            "fhirVersion": say.release.version,
            "format": ["json"],
            "rest": [rest],
        },
    )


def _everything() -> Resource:
    return {
        "operation": [
            {
                "name": "everything",
                "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
                "documentation": f"Answers {', '.join(OF_A_DONOR)}, as far as the reader may read each.",
            }
        ]
    }

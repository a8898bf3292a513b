"""Which resources there are, of which rows each is made, and the models that every one of them is checked by."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from biobank.interchange.fhir import care, findings, material, people, places, record
from biobank.interchange.fhir.saying import Release, Resource
from biobank.interchange.fhir.sources import Source

TYPES: Final[Mapping[str, tuple[Source, ...]]] = {
    "Patient": (people.PATIENTS,),
    "Specimen": (material.SPECIMENS,),
    "BiologicallyDerivedProduct": (material.PRODUCTS,),
    "Consent": (people.CONSENTS,),
    "ServiceRequest": (care.ORDERS,),
    "Procedure": (care.HARVESTS, care.RUNS, care.ADMINISTRATIONS),
    "AdverseEvent": (care.REACTIONS,),
    "Observation": (findings.VIABILITY, findings.MARKED),
    "Device": (places.DEVICES, places.SENSORS),
    "Location": (places.SITES, places.CONTAINERS),
    "Provenance": (record.PROVENANCES,),
    "AuditEvent": (record.AUDIT_EVENTS,),
}
OF_A_DONOR: Final = tuple(kind for kind, sources in TYPES.items() if all(one.donor is not None for one in sources))
"""What `$everything` answers. AuditEvent is not among it: a copy of the log is taken, and recorded, as a copy of the log."""

PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset().union(*(one.parameters for one in sources)) for kind, sources in TYPES.items()
}
"""Type → what it can be searched by."""


@cache
def _model(release: Release, kind: str) -> Any:
    # R4B differs from R4 in none of these types; loaded when first asked for, because that takes a second.
    place = "fhir.resources" if release is Release.R5 else "fhir.resources.R4B"
    return getattr(import_module(f"{place}.{kind.lower()}"), kind)


def checked(release: Release, resource: Resource) -> Resource:
    """Return a resource that its release's model accepts; raise pydantic's ValidationError otherwise: it would be our mistake."""
    _model(release, resource["resourceType"]).model_validate(resource)
    return resource

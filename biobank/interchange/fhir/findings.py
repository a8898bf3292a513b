"""Observations: counts of living and dead with the interval that they support, and markers of infection."""

from typing import Any

from sqlalchemy import Row, Select, false, select, true

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.models import custody
from biobank.donors.markers import MARKERS, MarkerName
from biobank.donors.models import donor, donor_marker
from biobank.donors.visibility import visible
from biobank.foundation.terms import words
from biobank.interchange.fhir.saying import Resource, Saying, instant, slim
from biobank.interchange.fhir.sources import Source, dated, equal, holds, referring
from biobank.specimens.materials import material_of
from biobank.specimens.models import specimen, viability_assay
from biobank.specimens.queries import whole
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.specimens.viability import viability_bp, wilson_bp

assay = viability_assay
_MARKER_STATUS = {"entered": "preliminary", "confirmed": "final", "rejected": "entered-in-error"}


def _assays(actor: Actor) -> "Select[Any]":
    joined = whole().join(assay, assay.c.specimen_code == specimen.c.code)
    return (
        select(assay, specimen.c.donor_code, specimen.c.material, custody.c.site_code)
        .select_from(joined)
        .where(specimens_at_sites_of(actor))
    )


def _viability(say: Saying, row: "Row[Any]") -> Resource:
    interval = wilson_bp(row.live, row.dead)
    estimand = material_of(row.material).estimand
    parts = [
        ("live", say.count(row.live, "living")),
        ("dead", say.count(row.dead, "dead")),
        ("wilson_95_lower", say.percent(interval.lower_bp)),
        ("wilson_95_upper", say.percent(interval.upper_bp)),
    ]
    if row.minutes_after_thaw is not None:
        minutes = {"value": row.minutes_after_thaw, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}
        parts.append(("minutes_after_thaw", minutes))
    return slim(
        resourceType="Observation",
        id=f"viability-{row.id}",
        status="final",
        code=say.concept(
            "observation", "viability", "Viability" if estimand is None else f"Viability: {words(estimand).lower()}"
        ),
        subject=say.reference("Patient", row.donor_code),
        effectiveDateTime=instant(row.measured_at),
        issued=instant(row.recorded_at),
        performer=[say.person(row.operator)],
        valueQuantity=say.percent(viability_bp(row.live, row.dead)),
        method=say.concept("assay", row.method),
        specimen=say.reference("Specimen", row.specimen_code),
        device=None if row.instrument is None else {"type": "Device", "display": row.instrument},
        component=[{"code": say.concept("viability-part", name), "valueQuantity": value} for name, value in parts],
    )


VIABILITY = Source(
    name="viability",
    permissions=(Permission.SPECIMEN_READ,),
    rows=_assays,
    key=assay.c.id,
    donor=specimen.c.donor_code,
    build=_viability,
    has_id=holds(assay.c.id),
    filters={
        "specimen": referring(assay.c.specimen_code, "Specimen"),
        "date": dated(assay.c.measured_at),
        "code": lambda text: true() if text.rpartition("|")[2] == "viability" else false(),
    },
)


def _results(actor: Actor) -> "Select[Any]":
    return select(donor_marker).join(donor, donor.c.code == donor_marker.c.donor_code).where(visible(actor))


def _marker(say: Saying, row: "Row[Any]") -> Resource:
    return slim(
        resourceType="Observation",
        id=f"marker-{row.id}",
        status=_MARKER_STATUS[row.state],
        code=say.concept("marker", row.marker, MARKERS[MarkerName(row.marker)].title),
        subject=say.reference("Patient", row.donor_code),
        effectiveDateTime=instant(row.sampled_at),
        issued=instant(row.entered_at),
        performer=[{"type": "Organization", "display": row.laboratory}],
        valueCodeableConcept=say.concept("marker-result", row.result),
        method={"text": row.kit},
    )


MARKED = Source(
    name="marker",
    permissions=(Permission.DONOR_READ,),
    rows=_results,
    key=donor_marker.c.id,
    donor=donor_marker.c.donor_code,
    build=_marker,
    has_id=holds(donor_marker.c.id),
    filters={"code": equal(donor_marker.c.marker), "date": dated(donor_marker.c.sampled_at)},
)

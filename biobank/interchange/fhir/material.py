"""Specimens, and what of them is kept for treatment, as biologically derived products.

HL7 draws the line so: material for a patient is a BiologicallyDerivedProduct, what is tested is a Specimen. Every tube here is a
Specimen, because its collection, processing and place are said there; one whose purpose is treatment is a product too, under the
same code.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.entry import parse_entry
from biobank.custody.models import custody
from biobank.custody.snapshots import expiry_of
from biobank.custody.states import HOLDS_A_POSITION, TERMINAL, State
from biobank.foundation.scanned_text import spellings
from biobank.foundation.terms import words
from biobank.interchange.fhir.saying import Resource, Saying, instant, slim
from biobank.interchange.fhir.sources import Source, equal
from biobank.specimens.foreign_codes import ISBT_128, SEC
from biobank.specimens.harvest_queries import told_at_first
from biobank.specimens.materials import MaterialName, material_of
from biobank.specimens.models import processing as run
from biobank.specimens.models import processing_input as run_input
from biobank.specimens.models import specimen
from biobank.specimens.models import specimen_parent as parent
from biobank.specimens.queries import whole
from biobank.specimens.resolving import alias, same_identifier
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.transparency.models import event

_RELEASED: Final = frozenset({"released_to_bank", "released_conditionally"})
_CATEGORY: Final = {
    MaterialName.INTACT_FOLLICLES: "tissue",
    MaterialName.LIPOASPIRATE: "tissue",
    MaterialName.MICRO_NANOFAT: "tissue",
    MaterialName.HF_STEM_CELLS: "cells",
    MaterialName.DERMAL_PAPILLA_CELLS: "cells",
    MaterialName.SVF: "cells",
    MaterialName.ADSC: "cells",
    MaterialName.PRP: "fluid",
    MaterialName.PRF: "fluid",
}
"""HL7's category of a product. What has none there (a preparation of particles) is said without one."""


def _list(value: ColumnElement[Any], order: ColumnElement[Any]) -> Any:
    return select(func.array_agg(aggregate_order_by(value, order)))


def _parents(which: ColumnElement[bool] | None = None) -> Any:
    found = _list(parent.c.parent_code, parent.c.parent_code).where(parent.c.child_code == specimen.c.code)
    if which is not None:
        above = specimen.alias("above")
        found = found.join(above, above.c.code == parent.c.parent_code).where(above.c.purpose == "therapeutic")
    return found.correlate(specimen).scalar_subquery()


def _specimens(actor: Actor) -> "Select[Any]":
    """Specimens with what was said of them first, their parents, runs and foreign identifiers: one statement."""
    entry = func.json_build_array(func.encode(event.c.leaf_hash, "hex"), func.convert_from(event.c.entry, "UTF8"))
    told = select(func.json_agg(aggregate_order_by(entry, event.c.seq))).where(
        event.c.stream_kind == "specimen",
        event.c.stream_id == specimen.c.code,
        or_(event.c.seq == 1, event.c.kind == "specimen.amended"),
    )
    went = select(run_input.c.processing_id).where(run_input.c.specimen_code == specimen.c.code, ~run_input.c.consumed)
    went = went.correlate(specimen)
    of_run = func.json_build_array(run.c.process, run.c.procedure_version, run.c.started_at)
    runs = select(func.json_agg(aggregate_order_by(of_run, run.c.started_at, run.c.id))).where(
        or_(run.c.lot_code == specimen.c.lot_code, run.c.id.in_(went))
    )
    other = func.json_build_array(alias.c.issuer, alias.c.value)
    foreign = select(func.json_agg(aggregate_order_by(other, alias.c.issuer, alias.c.value))).where(
        alias.c.specimen_code == specimen.c.code
    )
    return (
        select(
            *specimen.c,
            *(custody.c[name] for name in ("amount", "state", "condition", "quality", "site_code", "container_code")),
            *(custody.c[name] for name in ("reserved_for", "use_by", "head_hash")),
            _parents().label("parents"),
            told.correlate(specimen).scalar_subquery().label("told"),
            runs.correlate(specimen).scalar_subquery().label("runs"),
            foreign.correlate(specimen).scalar_subquery().label("foreign"),
        )
        .select_from(whole())
        .where(specimens_at_sites_of(actor))
    )


_SYSTEMS: Final = {
    ISBT_128: "https://www.isbt128.org/uri/DonationIdentificationNumber",
    SEC: "https://www.isbt128.org/uri/SingleEuropeanCode",
}
"""How HL7's own examples name the two identifiers that are known by their form."""


def status_of(row: "Row[Any]") -> str | None:
    """Return HL7's status of a specimen, where one is true: a tube that nobody released is neither here nor gone."""
    if row.state in TERMINAL or row.state == State.MISSING:
        return "unavailable"
    if row.quality == "rejected":
        return "unsatisfactory"
    return "available" if row.quality in _RELEASED and row.state in HOLDS_A_POSITION else None


def identifiers(say: Saying, row: "Row[Any]") -> list[Resource]:
    """Return the code of a tube, and what others call it."""
    others = [slim(system=_SYSTEMS.get(issuer), value=value, assigner={"display": issuer}) for issuer, value in row.foreign or []]
    return [say.identifier("specimen", row.code), *others]


def _specimen(say: Saying, row: "Row[Any]") -> Resource:
    body = told_at_first((leaf, parse_entry(text.encode())) for leaf, text in row.told or [])
    site = body.get("anatomical_site")
    place = say.reference("Location", row.container_code) or say.site(row.site_code)
    held = say.quantity(row.amount, row.unit)
    if say.r5:
        container = slim(
            device={"type": "Device", "identifier": say.identifier("specimen", row.code)}, location=place, specimenQuantity=held
        )
    else:
        said = [] if place is None else [{"url": _R5_LOCATION, "valueReference": place}]
        container = slim(extension=said, identifier=[say.identifier("specimen", row.code)], specimenQuantity=held)
    where = None if site is None else slim(concept=say.concept("anatomical-site", site, _sided(body)))
    collection = slim(
        collectedDateTime=instant(row.collected_at),
        quantity=say.quantity(body.get("amount"), body.get("unit")) if body.get("method") else None,
        method=say.concept("harvest-method", body.get("method")),
        bodySite=where if say.r5 or where is None else where["concept"],
    )
    return slim(
        resourceType="Specimen",
        id=row.code,
        identifier=identifiers(say, row),
        status=status_of(row),
        type=say.concept("material", row.material, material_of(row.material).title),
        subject=say.reference("Patient", row.donor_code),
        parent=say.references("Specimen", row.parents),
        request=say.references("ServiceRequest", [row.reserved_for] if row.reserved_for else []),
        collection=collection,
        processing=[_processing(say, *one) for one in row.runs or []],
        container=[container],
        condition=[say.concept("condition", row.condition)],
    )


_R5_LOCATION: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Specimen.container.location"
"""HL7's own extension by which R4 says what R5 has a member for."""


def _sided(body: dict[str, Any]) -> str:
    return ", ".join(words(body[name]).lower() for name in ("anatomical_site", "side") if body.get(name))


def _processing(say: Saying, process: str, version: str, started_at: str) -> Resource:
    method = say.concept("process", process, f"{words(process)}, {version}")
    at = started_at.replace("+00:00", "Z")
    return {"description": f"{words(process)}, {version}", "method" if say.r5 else "procedure": method, "timeDateTime": at}


def _by_identifier(text: str) -> ColumnElement[bool]:
    value = text.rpartition("|")[2]
    known = select(alias.c.specimen_code).where(same_identifier.in_(spellings(value)))
    return or_(specimen.c.code == value, specimen.c.code.in_(known))


def _with_parent(text: str) -> ColumnElement[bool]:
    code = text.rpartition("/")[2]
    return specimen.c.code.in_(select(parent.c.child_code).where(parent.c.parent_code == code))


SPECIMENS = Source(
    permissions=(Permission.SPECIMEN_READ,),
    rows=_specimens,
    key=specimen.c.code,
    donor=specimen.c.donor_code,
    build=_specimen,
    has_id=equal(specimen.c.code),
    filters={"identifier": _by_identifier, "type": equal(specimen.c.material), "parent": _with_parent},
)


def _products(actor: Actor) -> "Select[Any]":
    above = _parents(literal_column("true"))
    return (
        _specimens(actor)
        .add_columns(above.label("products_above"))
        .where(specimen.c.purpose == "therapeutic", specimen.c.donor_code.is_not(None))
    )


def _product(say: Saying, row: "Row[Any]") -> Resource:
    category = _CATEGORY.get(MaterialName(row.material))
    status = status_of(row)
    status = status if status in ("available", "unavailable") else None
    amount = say.quantity(row.amount, row.unit)
    expires = expiry_of(row.expires_at, row.use_by)
    same = slim(
        resourceType="BiologicallyDerivedProduct",
        id=row.code,
        identifier=identifiers(say, row),
        request=say.references("ServiceRequest", [row.reserved_for] if row.reserved_for else []),
        parent=say.references("BiologicallyDerivedProduct", row.products_above),
        collection=slim(source=say.reference("Patient", row.donor_code), collectedDateTime=instant(row.collected_at)),
    )
    code = say.concept("material", row.material, material_of(row.material).title)
    if say.r5:
        return same | slim(
            productCategory=None if category is None else {"system": "http://hl7.org/fhir/product-category", "code": category},
            productCode=code,
            productStatus=None
            if status is None
            else {"system": "http://hl7.org/fhir/biologicallyderived-product-status", "code": status},
            expirationDate=instant(expires),
            property=[
                slim(type=say.concept("product-property", "amount"), valueQuantity=amount),
                slim(
                    type=say.concept("product-property", "regulatory_basis"),
                    valueCodeableConcept=say.concept("regulatory-basis", row.regulatory_basis),
                ),
            ],
        )
    extensions = [
        *say.extension("amount", valueQuantity=amount),
        *say.extension("expires", valueDateTime=instant(expires)),
        *say.extension("regulatory-basis", valueCodeableConcept=say.concept("regulatory-basis", row.regulatory_basis)),
    ]
    processing = [
        {"description": one["description"], "procedure": one["procedure"], "timeDateTime": one["timeDateTime"]}
        for one in (_processing(say, *told) for told in row.runs or [])
    ]
    return same | slim(extension=extensions, productCategory=category, productCode=code, status=status, processing=processing)


PRODUCTS = Source(
    permissions=(Permission.SPECIMEN_READ,),
    rows=_products,
    key=specimen.c.code,
    donor=specimen.c.donor_code,
    build=_product,
    has_id=equal(specimen.c.code),
    filters={"identifier": _by_identifier, "code": equal(specimen.c.material)},
)

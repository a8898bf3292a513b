"""Withdrawals as orders; harvests, runs and administrations as procedures; reactions as adverse events."""

from typing import Any, Final

from sqlalchemy import Row, Select, String, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.terms import words
from biobank.interchange.fhir.saying import Resource, Saying, instant, slim
from biobank.interchange.fhir.sources import Source, dated, equal, holds
from biobank.quality.adverse import within
from biobank.quality.deviations import deviation_scope
from biobank.quality.models import adverse_event
from biobank.specimens.harvest_queries import harvests_of
from biobank.specimens.models import harvest
from biobank.specimens.models import processing as run
from biobank.specimens.models import processing_input as run_input
from biobank.specimens.processing_queries import runs_of
from biobank.transparency.models import event
from biobank.withdrawals.case import administration, visible
from biobank.withdrawals.models import withdrawal
from biobank.withdrawals.models import withdrawal_item as item

_ORDER_STATUS: Final = {
    "requested": "draft",
    "approved": "active",
    "picking": "active",
    "issued": "active",
    "delivered": "active",
    "administered": "completed",
    "closed": "completed",
    "returned": "revoked",
    "rejected": "revoked",
    "cancelled": "revoked",
    "expanded": "completed",
}
"""State of a withdrawal → HL7's status of an order. What nobody approved yet is a draft."""


def _withdrawals(actor: Actor) -> "Select[Any]":
    tubes = select(func.array_agg(aggregate_order_by(item.c.specimen_code, item.c.specimen_code)))
    asked = tubes.where(item.c.withdrawal_code == withdrawal.c.code).correlate(withdrawal).scalar_subquery()
    return select(withdrawal, asked.label("tubes")).where(visible(actor))


def _order(say: Saying, row: "Row[Any]") -> Resource:
    return slim(
        resourceType="ServiceRequest",
        id=row.code,
        identifier=[say.identifier("withdrawal", row.code)],
        status=_ORDER_STATUS[row.state],
        intent="order",
        extension=say.extension("state", valueCodeableConcept=say.concept("withdrawal-state", row.state)),
        code=say.codeable("service", "withdrawal"),
        orderDetail=None if say.r5 else [say.concept("route", row.route)],
        subject=say.reference("Patient", row.donor_code),
        occurrenceDateTime=instant(row.needed_at),
        authoredOn=instant(row.requested_at),
        requester=say.person(row.requested_by),
        specimen=say.references("Specimen", row.tubes),
        **{"location" if say.r5 else "locationReference": _places(say, row.clinic_site_code)},
    )


def _places(say: Saying, site: str) -> list[Any]:
    place = say.site(site)
    return [{"reference": place}] if say.r5 else [place]


def _with_tube(text: str) -> Any:
    code = text.rpartition("/")[2]
    return withdrawal.c.code.in_(select(item.c.withdrawal_code).where(item.c.specimen_code == code))


ORDERS = Source(
    permissions=(Permission.WITHDRAWAL_READ,),
    rows=_withdrawals,
    key=withdrawal.c.code,
    donor=withdrawal.c.donor_code,
    build=_order,
    has_id=equal(withdrawal.c.code),
    filters={"identifier": equal(withdrawal.c.code), "specimen": _with_tube, "authored": dated(withdrawal.c.requested_at)},
)


def _done(say: Saying, code: str, row: "Row[Any]", **members: Any) -> Resource:
    """Return what every procedure says. `when`: its time or period."""
    when = members.pop("when")
    moment = "occurrence" if say.r5 else "performed"
    kind = "Period" if isinstance(when, dict) else "DateTime"
    return slim(
        resourceType="Procedure",
        status="completed",
        subject=say.reference("Patient", row.donor_code),
        **{f"{moment}{kind}": when},
        code=say.concept("procedure", code),
        **members,
    )


def _harvest(say: Saying, row: "Row[Any]") -> Resource:
    return _done(
        say,
        "harvest",
        row,
        id=f"harvest-{row.code}",
        identifier=[say.identifier("harvest", row.code)],
        when=instant(row.started_at),
        category=_category(say, "harvest-method", row.method),
        bodySite=[say.concept("anatomical-site", row.anatomical_site)] if row.anatomical_site else None,
        location=say.site(row.site_code),
        recorder=say.person(row.recorded_by),
    )


def _category(say: Saying, table: str, word: str | None) -> Any:
    concept = say.concept(table, word)
    return [concept] if say.r5 and concept is not None else concept


HARVESTS = Source(
    name="harvest",
    permissions=(Permission.SPECIMEN_READ,),
    rows=harvests_of,
    key=harvest.c.code,
    donor=harvest.c.donor_code,
    build=_harvest,
    has_id=equal(harvest.c.code),
    filters={"identifier": equal(harvest.c.code), "date": dated(harvest.c.started_at)},
)


def _runs(actor: Actor) -> "Select[Any]":
    went = select(func.array_agg(aggregate_order_by(run_input.c.specimen_code, run_input.c.specimen_code)))
    inputs = went.where(run_input.c.processing_id == run.c.id).correlate(run).scalar_subquery()
    found: Select[Any] = runs_of(actor).add_columns(inputs.label("inputs"))
    return found


def _run(say: Saying, row: "Row[Any]") -> Resource:
    worked_on = [one for code in row.inputs or [] for one in say.extension("input", valueReference=_tube(code))]
    lot = say.extension("lot", valueIdentifier=None if row.lot_code is None else say.identifier("lot", row.lot_code))
    used = [slim(identifier=say.identifier("equipment", one)) for one in row.equipment]
    return _done(
        say,
        "processing",
        row,
        id=f"run-{row.id}",
        extension=[*worked_on, *lot],
        when=instant(row.started_at),
        category=_category(say, "process", row.process),
        performer=[{"actor": say.person(row.operator)}],
        location=say.site(row.site_code),
        recorder=say.person(row.recorded_by),
        note=[{"text": f"{words(row.process)}, {row.procedure_version}"}],
        **(
            {"used": [{"reference": slim(type="Device", **one)} for one in used]}
            if say.r5
            else {"usedReference": [slim(type="Device", **one) for one in used]}
        ),
    )


def _tube(code: str) -> Resource:
    return {"reference": f"Specimen/{code}"}


RUNS = Source(
    name="run",
    permissions=(Permission.SPECIMEN_READ,),
    rows=_runs,
    key=run.c.id,
    donor=run.c.donor_code,
    build=_run,
    has_id=holds(run.c.id),
    filters={"identifier": lambda text: cast(run.c.id, String) == text, "date": dated(run.c.started_at)},
)


def _givings(actor: Actor) -> "Select[Any]":
    joined = administration.join(withdrawal, withdrawal.c.code == administration.c.withdrawal_code)
    return select(administration, withdrawal.c.clinic_site_code, withdrawal.c.route).select_from(joined).where(visible(actor))


def _giving(say: Saying, row: "Row[Any]") -> Resource:
    product = {"reference": f"BiologicallyDerivedProduct/{row.specimen_code}"}
    return _done(
        say,
        "administration",
        row,
        id=f"administration-{row.release_id}",
        extension=say.extension("given", valueReference=product),
        basedOn=say.references("ServiceRequest", [row.withdrawal_code]),
        when={"start": instant(row.started_at), "end": instant(row.ended_at)},
        category=_category(say, "route", row.route),
        performer=[{"actor": say.person(row.by)}],
        location=say.site(row.clinic_site_code),
    )


ADMINISTRATIONS = Source(
    name="administration",
    permissions=(Permission.WITHDRAWAL_READ,),
    rows=_givings,
    key=administration.c.release_id,
    donor=administration.c.donor_code,
    build=_giving,
    has_id=holds(administration.c.release_id),
    filters={
        "identifier": lambda text: cast(administration.c.release_id, String) == text,
        "date": dated(administration.c.started_at),
    },
)


def _adverse(actor: Actor) -> "Select[Any]":
    given = select(func.array_agg(aggregate_order_by(administration.c.specimen_code, administration.c.specimen_code)))
    suspects = given.where(administration.c.withdrawal_code == adverse_event.c.withdrawal_code)
    return (
        select(adverse_event, event.c.recorded_at, suspects.correlate(adverse_event).scalar_subquery().label("given"))
        .join(event, event.c.leaf_hash == adverse_event.c.event_hash)
        .where(within(deviation_scope(actor)))
    )


def _reaction(say: Saying, row: "Row[Any]") -> Resource:
    cause = say.concept("causality", row.causality)
    known = {"reference": f"ServiceRequest/{row.withdrawal_code}"}
    same = slim(
        resourceType="AdverseEvent",
        id=row.deviation_code,
        actuality="actual",
        subject=say.reference("Patient", row.donor_code),
        detected=instant(row.seen_at),
        recordedDate=instant(row.recorded_at),
        seriousness=say.concept("seriousness", row.seriousness),
        location=say.site(row.site_code),
        recorder=say.person(row.recorded_by),
        extension=say.extension("withdrawal", valueReference=known),
    )
    kind = say.concept("adverse-event", row.kind)
    if say.r5:
        suspects = [
            {"instanceReference": {"reference": f"BiologicallyDerivedProduct/{one}"}, "causality": {"entityRelatedness": cause}}
            for one in row.given or []
        ]
        return same | slim(
            identifier=[say.identifier("deviation", row.deviation_code)], status="completed", code=kind, suspectEntity=suspects
        )
    products = [
        {"instance": {"type": "BiologicallyDerivedProduct", "identifier": say.identifier("specimen", one)}}
        | {"causality": [{"assessment": cause}]}
        for one in row.given or []
    ]
    return same | slim(identifier=say.identifier("deviation", row.deviation_code), event=kind, suspectEntity=products)


REACTIONS = Source(
    permissions=(Permission.DEVIATION_OPEN, Permission.LOG_READ),
    rows=_adverse,
    key=adverse_event.c.deviation_code,
    donor=adverse_event.c.donor_code,
    build=_reaction,
    has_id=equal(adverse_event.c.deviation_code),
    filters={"identifier": equal(adverse_event.c.deviation_code), "seriousness": equal(adverse_event.c.seriousness)},
)

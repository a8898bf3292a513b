"""The log: what happened to a specimen as Provenance, every event of the sites whose log one reads as AuditEvent."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, Text, false, func, select

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.sentences import what_happened
from biobank.custody.states import StreamKind
from biobank.interchange.fhir.saying import Resource, Saying, instant, slim
from biobank.interchange.fhir.sources import Source, dated, equal, referring
from biobank.specimens.models import specimen
from biobank.specimens.queries import whole
from biobank.specimens.scoping import specimens_at_sites_of
from biobank.transparency.models import event

_LEAF = func.encode(event.c.leaf_hash, "hex", type_=Text)
_READING: Final = frozenset({"donor.identity_read", "donor.words_read", "withdrawal.photograph_read"})
_TYPES: Final = {
    StreamKind.SPECIMEN: "Specimen",
    StreamKind.DONOR: "Patient",
    StreamKind.WITHDRAWAL: "ServiceRequest",
    StreamKind.CONTAINER: "Location",
}
_AUTHOR: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def _is(text: str) -> ColumnElement[bool]:
    try:
        return event.c.leaf_hash == bytes.fromhex(text)
    except ValueError:
        return false()


def _columns() -> list[Any]:
    names = ("stream_kind", "stream_id", "seq", "kind", "occurred_at", "recorded_at", "recorded_by", "site_code", "prev_hash")
    return [*(event.c[name] for name in names), _LEAF.label("leaf")]


def _histories(actor: Actor) -> "Select[Any]":
    joined = whole().join(event, event.c.stream_id == specimen.c.code)
    return (
        select(*_columns(), specimen.c.donor_code)
        .select_from(joined)
        .where(event.c.stream_kind == StreamKind.SPECIMEN.value, specimens_at_sites_of(actor))
    )


def _provenance(say: Saying, row: "Row[Any]") -> Resource:
    before = None if row.prev_hash is None else f"Provenance/{bytes(row.prev_hash).hex()}"
    author = {"coding": [{"system": _AUTHOR, "code": "enterer"}]}
    return slim(
        resourceType="Provenance",
        id=row.leaf,
        target=say.references("Specimen", [row.stream_id]),
        occurredDateTime=instant(row.occurred_at),
        recorded=instant(row.recorded_at),
        activity=say.concept("event", row.kind, what_happened(row.kind)),
        location=say.site(row.site_code),
        agent=[{"type": author, "who": say.person(row.recorded_by)}],
        entity=None if before is None else [{"role": "revision", "what": {"reference": before}}],
    )


PROVENANCES = Source(
    permissions=(Permission.SPECIMEN_READ,),
    rows=_histories,
    at=event.c.recorded_at,
    key=_LEAF,
    donor=specimen.c.donor_code,
    build=_provenance,
    has_id=_is,
    filters={"target": referring(event.c.stream_id, "Specimen"), "recorded": dated(event.c.recorded_at)},
)


def _events(actor: Actor) -> "Select[Any]":
    return select(*_columns()).where(actor.scope(Permission.LOG_READ).of(event.c.site_code))


def _about(text: str) -> ColumnElement[bool]:
    return event.c.stream_id == text.rpartition("/")[2]


def _audit(say: Saying, row: "Row[Any]") -> Resource:
    kind = _TYPES.get(StreamKind(row.stream_kind))
    named = {"identifier": say.identifier(row.stream_kind, row.stream_id)}
    entity = [{"what": named if kind is None else {"reference": f"{kind}/{row.stream_id}"}}]
    agent = {"who": say.person(row.recorded_by), "requestor": True}
    source = {"observer": {"type": "Device", "display": say.naming.origin}}
    action = "R" if row.kind in _READING else None
    same = slim(resourceType="AuditEvent", id=row.leaf, action=action, recorded=instant(row.recorded_at), entity=entity)
    if say.r5:
        return same | slim(
            category=[say.concept("stream", row.stream_kind)],
            code=say.concept("event", row.kind, what_happened(row.kind)),
            occurredDateTime=instant(row.occurred_at),
            agent=[agent],
            source=source,
        )
    return same | slim(
        type=say.coding("stream", row.stream_kind),
        subtype=[say.coding("event", row.kind)],
        period={"start": instant(row.occurred_at)},
        agent=[agent | slim(location=say.site(row.site_code))],
        source=source,
    )


AUDIT_EVENTS = Source(
    permissions=(Permission.LOG_READ,),
    rows=_events,
    at=event.c.recorded_at,
    key=_LEAF,
    build=_audit,
    has_id=_is,
    filters={"date": dated(event.c.recorded_at), "subtype": equal(event.c.kind), "entity": _about},
)

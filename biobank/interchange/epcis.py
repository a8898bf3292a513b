"""GS1 EPCIS 2.0: what, when, where, why and how cold, of a specimen, as JSON-LD.

Steps and dispositions are the Core Business Vocabulary's where it means exactly what was recorded, else the bank's own addresses:
its words for reserving and collecting mean something else in trade. No disposition is said that nobody recorded. What was undone
or corrected keeps its identifier and carries an error declaration, as EPCIS asks.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from biobank.foundation.clock import now, rfc3339
from biobank.interchange.life import Entry, Life
from biobank.interchange.naming import Naming

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


class Why(NamedTuple):
    """The action, the step (CBV's, or the bank's own where it begins with `own:`) and the disposition of a kind of event."""

    action: str
    step: str
    disposition: str | None = None


STEPS: Final[Mapping[str, Why]] = {
    "specimen.collected": Why("ADD", "own:harvesting", "in_progress"),
    "specimen.unidentified_found": Why("ADD", "own:finding"),
    "specimen.imported": Why("ADD", "own:importing"),
    "specimen.received": Why("OBSERVE", "receiving", "in_progress"),
    "specimen.stored": Why("OBSERVE", "storing"),
    "specimen.moved": Why("OBSERVE", "storing"),
    "specimen.safeguarded": Why("OBSERVE", "storing"),
    "specimen.sampled": Why("OBSERVE", "sampling"),
    "specimen.inspected": Why("OBSERVE", "inspecting"),
    "specimen.hold_placed": Why("OBSERVE", "holding", "unavailable"),
    "specimen.dispatched": Why("OBSERVE", "shipping", "in_transit"),
    "specimen.delivered": Why("OBSERVE", "receiving"),
    "specimen.administered": Why("DELETE", "dispensing", "dispensed"),
    "specimen.discarded": Why("DELETE", "destroying", "destroyed"),
    "specimen.consumed": Why("DELETE", "own:consuming"),
    "specimen.lost": Why("DELETE", "own:losing"),
    "specimen.transferred_out": Why("DELETE", "shipping"),
}
"""Kind of event → why; every other kind is observed at a step of its own name."""

_TEMPERATURES: Final = ("temperature_mc",)


def document(life: Life, naming: Naming) -> dict[str, Any]:
    """Return the EPCIS document of a specimen's life: an event for each of the log, and one for each excursion it was in."""
    named = ((entry.body.get(name), entry) for entry in life.entries for name in ("reverses", "corrects"))
    wrong = {leaf: entry for leaf, entry in named if isinstance(leaf, str)}
    events = [_event(life, naming, entry, wrong.get(entry.leaf)) for entry in life.entries]
    events += [_excursion(life, naming, one) for one in life.excursions]
    return {
        "@context": [CONTEXT, {"bank": f"{naming.base}/terms/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": rfc3339(now()),
        "epcisBody": {"eventList": sorted(events, key=lambda one: str(one["eventTime"]))},
    }


def epc(naming: Naming, code: str) -> str:
    """Return how a specimen is named: by the address on its label."""
    return f"{naming.base}/S/{code}"


def _place(naming: Naming, kind: str, code: str) -> dict[str, str]:
    return {"id": f"{naming.codes_of(kind)}/{code}"}


def _event(life: Life, naming: Naming, entry: Entry, taken_back: Entry | None) -> dict[str, Any]:
    said, body = entry.said, entry.body
    why = STEPS.get(entry.kind, Why("OBSERVE", f"own:{entry.kind.partition('.')[2]}"))
    step = naming.term("step", why.step.removeprefix("own:")) if why.step.startswith("own:") else why.step
    made: dict[str, Any] = {
        "eventID": f"{naming.base}/events/{entry.leaf}",
        "eventTime": said["occurred_at"],
        "recordTime": said["recorded_at"],
        "eventTimeZoneOffset": life.offset(said["site"], said["occurred_at"]),
        "bizStep": step,
    }
    if entry.kind == "specimen.derived":
        made |= {
            "type": "TransformationEvent",
            "transformationID": f"{naming.codes_of('lot')}/{body['lot']}",
            "inputEPCList": [epc(naming, one) for one in body["parents"]],
            "outputEPCList": [epc(naming, life.code)],
            "bizStep": naming.term("process", body["process"]),
            "disposition": "in_progress",
        }
    else:
        made |= {"type": "ObjectEvent", "action": why.action, "epcList": [epc(naming, life.code)]}
        made |= {} if why.disposition is None else {"disposition": why.disposition}
    if said["site"] is not None:
        made["readPoint"] = _place(naming, "site", said["site"])
    if isinstance(body.get("container"), str):
        made["bizLocation"] = _place(naming, "container", body["container"])
    if isinstance(body.get("withdrawal"), str):
        order = f"{naming.codes_of('withdrawal')}/{body['withdrawal']}"
        made["bizTransactionList"] = [{"type": naming.term("transaction", "withdrawal"), "bizTransaction": order}]
    if isinstance(body.get("to_site"), str):
        made["destinationList"] = [{"type": "location", "destination": _place(naming, "site", body["to_site"])["id"]}]
    cold = [
        {"type": "Temperature", "value": body[name] / 1000, "uom": "CEL"} for name in _TEMPERATURES if body.get(name) is not None
    ]
    if cold:
        made["sensorElementList"] = [{"sensorMetadata": {"time": said["occurred_at"]}, "sensorReport": cold}]
    if taken_back is not None:
        made["errorDeclaration"] = {
            "declarationTime": taken_back.said["recorded_at"],
            "reason": "incorrect_data" if "corrects" in taken_back.body else "did_not_occur",
            "correctiveEventIDs": [f"{naming.base}/events/{taken_back.leaf}"],
        }
    return made | {"bank:recordedBy": f"{naming.codes_of('user')}/{said['by']}"}


def _excursion(life: Life, naming: Naming, one: Any) -> dict[str, Any]:
    began = rfc3339(one.began_at)
    return {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventID": f"{naming.codes_of('excursion')}/{one.code}",
        "eventTime": rfc3339(one.since),
        "eventTimeZoneOffset": life.offset(one.site_code, rfc3339(one.since)),
        "epcList": [epc(naming, life.code)],
        "bizStep": "sensor_reporting",
        "disposition": "non_conformant",
        "readPoint": _place(naming, "container", one.container_code),
        "sensorElementList": [
            {
                "sensorMetadata": {"startTime": began, "endTime": rfc3339(one.last_at)},
                "sensorReport": [_worst(naming, one.by_limit, **worst) for worst in one.worst],
            }
        ],
    }


def _worst(naming: Naming, by_limit: bool, *, measure: str, outside: str, peak: int, **_more: Any) -> dict[str, Any]:
    """Return the worst reading of one way of being outside; no reading where a limit alone began it."""
    report: dict[str, Any] = {"exception": "ALARM_CONDITION"}
    if measure != "temperature_mc":
        return report | {"type": naming.term("measure", measure)} | ({} if by_limit else {"value": peak})
    furthest = {"too_warm": "maxValue", "too_cold": "minValue"}.get(outside, "value")
    said = {} if by_limit else {furthest: peak / 1000}
    return report | {"type": "Temperature", "uom": "CEL"} | said

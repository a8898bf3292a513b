"""Rows about places, benches, cultures, kits and journeys that name the events which made them (`written.py`)."""

from typing import Any

from biobank.benches.models import bench_handling, bench_session
from biobank.donors.models import donor_allergy
from biobank.monitoring.models import excursion, excursion_item, reading, sensor_doubt
from biobank.quality.models import bank_closing
from biobank.reconciliation.written import ANY, Entry, Said, Written, is_written
from biobank.shipping.handover_queries import item as handover_item
from biobank.shipping.models import shipment_item
from biobank.specimens.models import culture_record, kit
from biobank.storage.models import stock_count


def _read_one_by_one(member: str) -> Any:
    """Return the member of an entry of one reading; that of a logger's file names the file, which holds the values."""

    def read(entry: Entry, stored: Any) -> Any:
        return entry["body"][member] if entry["kind"] == "container.reading_recorded" else stored

    return read


def _assessed(entry: Entry, _stored: Any) -> str | None:
    """Return what was decided of a line of an excursion. A line that came in again is undecided, so the log does not miss one."""
    return entry["body"]["decision"] if entry["kind"] == "container.excursion_assessed" else None


def _excursion(entry: Entry, _stored: Any) -> str | None:
    return entry["body"]["excursion"] if entry["kind"] == "container.excursion_assessed" else None


def _counted(entry: Entry, _stored: Any) -> str | None:
    """Return the place of a count. Not every count leaves a row, so the log does not miss one."""
    return entry["id"] if entry["kind"] == "container.counted" else None


_CULTURE = {"specimen_code": "id", "vessels": "body.vessels", "by": "by"}

is_written(
    Written(
        reading,
        (
            Said(
                "event_hash",
                ANY,
                {"container_code": "id", "value": _read_one_by_one("value"), "kind": _read_one_by_one("reading")},
            ),
        ),
    ),
    Written(
        excursion,
        (
            Said(
                "opened_event",
                ("container.excursion_opened",),
                {"code": "body.excursion", "container_code": "id", "site_code": "site"},
            ),
        ),
        site="site_code",
    ),
    Written(
        excursion_item,
        (Said("assessed_event", ANY, {"excursion_code": _excursion, "decision": _assessed}, marks="assessed_at"),),
    ),
    Written(
        sensor_doubt,
        (
            Said(
                "event_hash",
                ("container.sensor_value_doubted",),
                {
                    **{"container_code": "id", "sensor_code": "body.sensor", "measure": "body.reading"},
                    **{"value": "body.value", "doubt": "body.doubt", "at": "occurred_at"},
                },
            ),
        ),
    ),
    Written(
        stock_count,
        (
            Said("counted_event", ANY, {"container_code": _counted, "site_code": "site", "counted_at": "recorded_at"}),
            Said("recounted_event", ANY, {"recounted_at": "recorded_at"}, marks="recounted_at"),
        ),
        site="site_code",
    ),
    Written(
        bench_session,
        (
            Said(
                "opened_event",
                ("system.bench_opened",),
                {
                    **{"code": "id", "workstation": "body.workstation", "site_code": "body.site", "donor_code": "body.donor"},
                    **{"opened_by": "by", "opened_second": "body.second"},
                },
            ),
            Said(
                "closed_event",
                ("system.bench_closed",),
                {"code": "id", "closed_by": "by", "closed_second": "body.second"},
                marks="closed_at",
            ),
        ),
        site="site_code",
    ),
    Written(
        bench_handling,
        (
            Said(
                "event_hash",
                ("system.bench_handled",),
                {"session_code": "id", "what": "body.what", "used_in": "body.used_in", "at": "occurred_at", "by": "by"},
            ),
        ),
    ),
    Written(
        culture_record,
        (
            Said(
                "event_hash",
                ("specimen.culture_seen",),
                {
                    **_CULTURE,
                    **{name: f"body.{name}" for name in ("confluence_percent", "finding", "incubator")},
                    "at": "occurred_at",
                },
                others={
                    "specimen.medium_changed": _CULTURE | {"incubator": "body.incubator"},
                    "specimen.vessels_discarded": _CULTURE,
                },
            ),
        ),
    ),
    Written(
        kit,
        (
            Said(
                "prepared_event",
                ("system.kit_prepared",),
                {"code": "id", "site_code": "body.site", "expires_at": "body.expires_at", "prepared_by": "by"},
            ),
        ),
        site="site_code",
    ),
    Written(
        handover_item,
        (Said("offered_event", ("specimen.handover_offered",), {"handover_id": "body.handover", "specimen_code": "id"}),),
    ),
    Written(
        shipment_item,
        (Said("dispatched_event", ("specimen.dispatched",), {"shipment_code": "body.shipment", "specimen_code": "id"}),),
    ),
    Written(
        donor_allergy,
        (Said("event_hash", ("donor.allergy_recorded",), {"donor_code": "id", "recorded_by": "by"}),),
        may_go=True,  # the entry holds a commitment; which allergy, and whether it was taken back, the vault says
    ),
    Written(
        bank_closing,
        (
            Said(
                "announced_event",
                ("system.closing_announced",),
                {
                    **{"id": "body.closing", "site_code": "body.site", "to_code": "body.to", "announced_by": "by"},
                    **{name: f"body.{name}" for name in ("units", "units_sha256", "not_before")},
                },
            ),
        ),
        site="site_code",
    ),
)

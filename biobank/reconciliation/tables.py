"""Which tables name the events that made their rows, and what a row repeats of its event (`written.py`)."""

from typing import Any

from biobank.auth.models import api_client
from biobank.auth.station_models import station
from biobank.custody.performer_confirmations import named_performer
from biobank.donors.models import consent, donor_agreement, donor_marker, donor_move, identification, wristband
from biobank.quality.models import (
    deviation,
    ending_notice,
    ending_rule,
    recall,
    recall_closing,
    reporting_rule,
    reserve,
    unit_disposition,
    use_up_allowed,
)
from biobank.reconciliation.written import ANY, Entry, Said, Written, is_written
from biobank.specimens.limit_models import material_limit
from biobank.specimens.models import lot_test, viability_assay
from biobank.storage.models import class_limit, split_storage_rule


def repeated(*names: str) -> dict[str, str]:
    """Return the members of columns that are called as in the payload."""
    return {name: f"body.{name}" for name in names}


def _is_among_the_hands(entry: Entry, stored: Any) -> Any:
    return stored if stored in {one["user"] for one in entry["performed"]} else None


def _answered(entry: Entry, _stored: Any) -> str:
    return "confirmed" if entry["kind"] == "user.hands_confirmed" else "disputed"


def _decided(entry: Entry, _stored: Any) -> str:
    return "confirmed" if entry["body"]["confirmed"] else "rejected"


def _nothing(_entry: Entry, _stored: Any) -> None:
    return None


_PLACE_LIMITS = repeated("lowest_mc", "highest_mc", "lowest_level_ppm", "rise_mc_per_min", "fall_ppm_per_h")
_AT = {"site_code": "body.site"}

is_written(
    # What a donor agreed to, and who they are at a bedside.
    Written(
        consent,
        (
            Said(
                "given_event",
                ("donor.consent_given",),
                {
                    **{"id": "body.consent", "donor_code": "id", "kind": "body.consent_kind", "recorded_by": "by"},
                    **repeated("form_version", "document_sha256", "given_at", "witnessed_by", "tissues", "valid_until"),
                    **repeated("on_death", "at_end_of_term"),
                },
            ),
            Said(
                "revoked_event",
                ("donor.consent_revoked",),
                {"id": "body.consent", "revoked_at": "body.revoked_at", "revoked_by": "by"},
                marks="revoked_at",
            ),
        ),
    ),
    Written(
        donor_agreement,
        (
            Said(
                "event_hash",
                ("donor.agreement_made",),
                {
                    **{"id": "body.agreement", "donor_code": "id", "recorded_by": "by"},
                    **repeated("terms", "document_sha256", "begins_on", "ends_on"),
                },
            ),
        ),
    ),
    Written(
        identification,
        (
            Said(
                "first_event",
                ("donor.identification_started",),
                {
                    **{"id": "body.identification", "donor_code": "id", "purpose": "body.purpose", "first_by": "by"},
                    **{"kit_code": "body.kit", "identifier_kinds": "body.identifiers", "document_kind": "body.document_kind"},
                },
                others={"donor.identity_mismatched": {"id": "body.identification", "donor_code": "id", "first_by": "by"}},
            ),
            Said(
                "completed_event",
                ("donor.identified",),
                {
                    **{"id": "body.identification", "second_by": "by", "first_by": "body.first_by"},
                    **repeated("valid_until", "purpose"),
                },
                marks="completed_at",
            ),
        ),
        site="site_code",
    ),
    Written(
        wristband,
        (
            Said(
                "issued_event",
                ("donor.wristband_issued",),
                {
                    **{"code": "body.wristband", "donor_code": "id", "identification_id": "body.identification"},
                    **{"expires_at": "body.expires_at", "issued_by": "by"},
                },
            ),
            Said(
                "voided_event",
                ("donor.wristband_voided",),
                {"code": "body.wristband", "void_reason": "body.reason"},
                marks="voided_at",
            ),
        ),
        site="site_code",
    ),
    Written(
        donor_marker,
        (
            Said(
                "entered_event",
                ("donor.marker_entered",),
                {
                    **{"id": "body.marker", "donor_code": "id", "told_commit": "body.told", "entered_by": "by"},
                    **repeated("report_sha256"),
                },
            ),
            Said(
                "decided_event",
                ("donor.marker_decided",),
                {"id": "body.marker", "decided_by": "by", "state": _decided},
                marks="decided_by",
            ),
        ),
        may_go=True,
    ),
    Written(
        donor_move,
        (
            Said(
                "event_hash",
                ("donor.harvest_left",),
                {"from_donor": "id", "harvest_code": "body.harvest"},
                others={"donor.merged": {"to_donor": "id", "from_donor": "body.duplicate", "harvest_code": _nothing}},
            ),
        ),
    ),
    # Rules, and what two people allowed.
    Written(
        reserve,
        (
            Said(
                "event_hash",
                ("donor.reserve_set",),
                {"donor_code": "id", **repeated("material", "units", "amount", "unit")},
                others={
                    "donor.merged": {"donor_code": "id"},
                    "donor.merged_into": {"donor_code": "id", **dict.fromkeys(("units", "amount", "unit"), _nothing)},
                },
            ),
        ),
        by_key=("donor_code", "material"),
        moves=False,
    ),
    Written(
        use_up_allowed,
        (Said("event_hash", ("specimen.use_up_allowed",), {"specimen_code": "id", **repeated("use", "until")}),),
        by_key=("specimen_code",),
    ),
    Written(
        ending_notice,
        (
            Said(
                "event_hash",
                ("specimen.end_announced",),
                {"specimen_code": "id", "announced_by": "by", **repeated("reason", "not_before")},
            ),
        ),
        by_key=("specimen_code",),
    ),
    Written(
        station,
        (
            Said(
                "enrolled_event",
                ("system.station_enrolled",),
                {"workstation": "id", "id": "body.station", "site_code": "body.site", "enrolled_by": "by"},
            ),
            Said(
                "ended_event",
                ("system.station_ended",),
                {"workstation": "id", "id": "body.station", "site_code": "body.site"},
                marks="ended_at",
            ),
        ),
        site="site_code",
    ),
    Written(
        api_client,
        (
            Said(
                "keyed_event",
                ("system.client_key_drawn",),
                {"code": "id"} | repeated("scopes", "sites", "valid_days", "expires_at"),
            ),
        ),
        by_key=("code",),
    ),
    Written(
        ending_rule,
        (Said("event_hash", ("system.ending_rule_set",), _AT | repeated("cooling_off_days", "usable_rest_percent")),),
        site="site_code",
        by_key=("site_code",),
    ),
    Written(
        material_limit,
        (
            Said(
                "event_hash",
                ("system.limits_set",),
                {
                    **_AT,
                    **repeated("material", "condition", "use_by_s", "warm_amber_s", "warm_red_s", "contact_s", "to_tank_s"),
                    **repeated("highest_passage", "source"),
                    "set_by": "by",
                },
            ),
        ),
        site="site_code",
        by_key=("site_code", "material", "condition"),
    ),
    Written(
        class_limit,
        (
            Said(
                "event_hash",
                ("system.class_limits_set",),
                {**_AT, **repeated("temperature_class"), **_PLACE_LIMITS, "set_by": "by"},
            ),
        ),
        site="site_code",
        by_key=("site_code", "temperature_class"),
    ),
    Written(
        split_storage_rule,
        (Said("event_hash", ("system.split_storage_set",), {**_AT, **repeated("spread"), "set_by": "by"}),),
        site="site_code",
        by_key=("site_code",),
    ),
    Written(
        reporting_rule,
        (Said("event_hash", ("system.reporting_rule_set",), _AT | repeated("seriousness", "days", "authority")),),
        site="site_code",
        by_key=("site_code", "seriousness"),
    ),
    # What was found of units, and what quality said of them.
    Written(
        lot_test,
        (
            Said(
                "event_hash",
                ("lot.tested",),
                {
                    **{"id": "body.test", "lot_code": "id", "kind": "body.test_kind", "recorded_by": "by"},
                    **repeated("sampled_at", "due_at", "result", "method", "laboratory", "endotoxin_milli_eu_per_ml"),
                    **repeated("below_detection", "viable_bp", "organism", "report_sha256", "completes"),
                },
            ),
        ),
    ),
    Written(
        viability_assay,
        (
            Said(
                "event_hash",
                ("specimen.viability_measured",),
                {
                    **{"id": "body.assay", "specimen_code": "id", "recorded_by": "by"},
                    **repeated("method", "live", "dead", "dilution_milli", "volume_nl", "suspension_ul", "minutes_after_thaw"),
                    **repeated("instrument"),
                },
            ),
        ),
    ),
    Written(
        deviation,
        (
            Said(
                "opened_event",
                ("system.deviation_opened",),
                {
                    **{"code": "id", "site_code": "body.site", "opened_by": "by", "description_commit": "body.description"},
                    **repeated("severity", "topic"),
                },
            ),
            Said(
                "closed_event",
                ("system.deviation_closed",),
                {"code": "id", "closed_by": "by", "closed_signature": "body.signature", **repeated("cause", "decision")},
                marks="closed_at",
            ),
        ),
        site="site_code",
    ),
    Written(
        recall,
        (Said("started_event", ("system.recall_started",), {"id": "body.recall", "deviation_code": "id", "started_by": "by"}),),
    ),
    Written(
        recall_closing,
        (Said("event_hash", ("system.recall_closed",), {"recall_id": "body.recall", "closed_by": "by"}),),
    ),
    Written(
        unit_disposition,
        (
            Said(
                "event_hash",
                ("system.units_disposed",),
                {"deviation_code": "id", **repeated("disposition", "reason")},
            ),
        ),
        may_go=True,  # the next word on a unit stands in place of the one before; the entry names a set, not each unit
    ),
    Written(
        named_performer,
        (
            Said("leaf_hash", ANY, {"user_code": _is_among_the_hands}),
            Said(
                "answered_event",
                ("user.hands_confirmed", "user.hands_disputed"),
                {"user_code": "id", "answer": _answered},
                marks="answered_at",
            ),
        ),
    ),
)

"""Which tables follow the events of a stream, and what each kind does to their rows (`following.py`)."""

import hashlib
from datetime import datetime
from typing import Final

from sqlalchemy import or_

from biobank.auth.machine_keys import DRAWN_WITHIN
from biobank.auth.models import api_client, site
from biobank.foundation.clock import rfc3339
from biobank.monitoring.models import sensor, sensor_place
from biobank.reconciliation.following import Follows, Rows, always, changes, follows, sets
from biobank.reconciliation.tables import repeated
from biobank.reconciliation.written import Entry
from biobank.registers.models import register_authorisation, register_entry, register_rule, register_warning
from biobank.shipping.boxes import shipment_box
from biobank.shipping.shipment_queries import shipment
from biobank.storage.models import storage_position
from biobank.webhooks.models import webhook, webhook_secret
from biobank.webhooks.signing import OVERLAP

_THINGS: Final = (
    *("name", "supplier", "supplier_lot", "gtin", "leaves_nothing", "expires_on", "use_within_days", "result_within_days"),
    *("calibration_due_on", "holds_h", "least_charge_g"),
)
_STEPS: Final = ("opened_at", "qualified_at", "recalled_at", "retired_at")


def _entered(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    row = {name: body[name] for name in _THINGS} | {"contains": list(body["contains"]), "recorded_by": entry["by"]}
    rows[()] = row | {"kind": body["entry_kind"], "site_code": body["site"]} | dict.fromkeys(_STEPS)


def _register_changed(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    if body["change"] == "calibrated":
        rows[()]["calibration_due_on"] = body["calibration_due_on"]
    else:
        rows[()][f"{body['change']}_at"] = entry["occurred_at"]


def _authorised(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    row = {"until": body["until"], "recorded_by": entry["by"]}
    # What the first version of the entry left open, the table alone says.
    rows[(body["person"],)] = row if body["since"] is None else row | {"since": body["since"]}


def _at_site(member: str) -> dict[str, str]:
    return {column: f"body.{name}" for column, name in (("timezone", "timezone"), ("name_sha256", member))}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _reads(rows: Rows, entry: Entry) -> None:
    """What a sensor reads: of what it read before, since when stays."""
    body = entry["body"]
    wanted = {(place, measure) for place in body["containers"] for measure in body["measures"]}
    for gone in rows.keys() - wanted:
        del rows[gone]
    for name in wanted - rows.keys():
        rows[name] = {"since": entry["occurred_at"]}


_NONE_TO_DRAW: Final = {"key_for": None, "key_until": None}


def _granted(rows: Rows, entry: Entry) -> None:
    until = datetime.fromisoformat(entry["occurred_at"]) + DRAWN_WITHIN
    rows[()] = rows.get((), {}) | {"key_for": entry["by"], "key_until": rfc3339(until)}


def _drawn(rows: Rows, _entry: Entry) -> None:
    rows[()] = rows.get((), {}) | _NONE_TO_DRAW


def _keyed(rows: Rows, entry: Entry) -> None:
    row = {"keyed_at": entry["occurred_at"]} | _NONE_TO_DRAW
    said = entry["body"]["key_sha256"]
    rows[()] |= row if said is None else row | {"key_sha256": said}


def _secret_made(rows: Rows, entry: Entry) -> None:
    """A new secret signs from now on; those before it until a day later, or they end now."""
    body, at = entry["body"], datetime.fromisoformat(entry["occurred_at"])
    until = at if body["former_ended"] else at + OVERLAP
    for row in rows.values():
        if row["ends_at"] is None or datetime.fromisoformat(row["ends_at"]) > until:
            row["ends_at"] = rfc3339(until)
    salt = {} if body["salt_sha256"] is None else {"salt_sha256": body["salt_sha256"]}
    rows[(str(body["number"]),)] = {"made_at": entry["occurred_at"], "ends_at": None} | salt


def _marked(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    for position in body["positions"]:
        rows.pop((position,), None)
        if body["mark"] != "open":
            rows[(position,)] = {"blocked": body["reason"], "kept_for": body["kept_for"]}


_slot = storage_position.c

follows(
    # What is used at benches, by whom, and what a site does about a problem.
    Follows(
        register_entry,
        "system",
        {"system.register_entered": _entered, "system.register_changed": _register_changed},
        (*_THINGS, *_STEPS, "contains", "recorded_by", "kind", "site_code"),
        of="key",
        site="site_code",
    ),
    Follows(
        register_authorisation,
        "system",
        {"system.register_authorised": _authorised},
        ("since", "until", "recorded_by"),
        of="entry_key",
        key=("user_code",),
    ),
    Follows(
        register_rule,
        "system",
        {"system.register_rule_set": sets(repeated("answer") | {"set_by": "by"}, key=("body.problem",))},
        ("answer", "set_by"),
        of="site_code",
        key=("problem",),
    ),
    Follows(
        register_warning,
        "system",
        {"system.used_despite_warning": sets({"recorded_by": "by"}, key=("body.used_in", "body.problem", "body.person"))},
        ("recorded_by",),
        of="entry_key",
        key=("used_in", "problem", "person"),
    ),
    # What sends values, of what, under which key.
    Follows(
        sensor,
        "system",
        {
            "system.sensor_made": sets(
                {
                    **{"site_code": "body.site", "silent_after_min": "body.silent_after_min", "made_at": "occurred_at"},
                    **dict.fromkeys(("keyed_at", "key_sha256", "withdrawn_at", *_NONE_TO_DRAW), always(None)),
                }
            ),
            "system.sensor_changed": changes(repeated("silent_after_min")),
            "system.sensor_key_granted": _granted,
            "system.sensor_key_drawn": _keyed,
            "system.sensor_withdrawn": changes(
                {"withdrawn_at": "occurred_at", **dict.fromkeys(("keyed_at", "key_sha256", *_NONE_TO_DRAW), always(None))}
            ),
        },
        ("site_code", "silent_after_min", "made_at", "keyed_at", "key_sha256", "withdrawn_at", *_NONE_TO_DRAW),
        of="code",
        site="site_code",
    ),
    Follows(
        sensor_place,
        "system",
        {"system.sensor_made": _reads, "system.sensor_changed": _reads},
        ("since",),
        of="sensor_code",
        key=("container_code", "measure"),
    ),
    Follows(
        api_client,
        "system",
        {
            "system.client_made": sets(dict.fromkeys(_NONE_TO_DRAW, always(None))),
            "system.client_key_granted": _granted,
            "system.client_key_drawn": _drawn,
            "system.client_revoked": _drawn,
        },
        tuple(_NONE_TO_DRAW),
        of="code",
        part="api_client_grants",
    ),
    # Sites; those that were there before the first entry about them are not judged.
    Follows(
        site,
        "system",
        {
            "system.site_created": sets(
                _at_site("name_sha256") | {"kind": "body.site_kind", "active": always(True), "jurisdiction": always(None)},
                key=("body.site",),
            ),
            "system.site_changed": sets(_at_site("name_sha256") | repeated("active"), key=("body.site",)),
            "system.site_jurisdiction_stated": sets(repeated("jurisdiction"), key=("body.site",)),
        },
        ("kind", "timezone", "active", "jurisdiction"),
        prefix="SITES",
        key=("code",),
        unsaid=True,
        read_as={"name": ("name_sha256", _sha256)},
    ),
    # What leaves the bank by itself, to whom, under which secret.
    Follows(
        webhook,
        "system",
        {
            "system.webhook_made": sets(
                {
                    **{"address_sha256": "body.address_sha256", "kinds": "body.kinds", "sites": "body.sites"},
                    **{"from_beginning": "body.from_beginning", "made_by": "by", "made_at": "occurred_at", "owner": always(None)},
                    **{"state": always("not_opened"), "stopped_because": always(None)},
                }
            ),
            "system.webhook_opened": changes({"state": always("open"), "owner": "by", "stopped_because": always(None)}),
            "system.webhook_stopped": changes({"state": always("stopped"), "stopped_because": "body.because"}),
            "system.webhook_resumed": changes({"state": always("open"), "stopped_because": always(None)}),
            "system.webhook_withdrawn": changes({"state": always("withdrawn"), "stopped_because": always(None)}),
        },
        ("kinds", "sites", "from_beginning", "state", "stopped_because", "made_by", "made_at", "owner"),
        of="code",
        read_as={"url": ("address_sha256", _sha256)},
    ),
    Follows(
        webhook_secret,
        "system",
        {"system.webhook_secret_made": _secret_made},
        ("made_at", "ends_at"),
        of="webhook_code",
        key=("number",),
        read_as={"salt": ("salt_sha256", lambda salt: hashlib.sha256(bytes.fromhex(salt)).hexdigest())},
    ),
    # Where something may be put: marks on slots, and the slots themselves.
    Follows(
        storage_position,
        "container",
        {"container.slots_marked": _marked},
        ("blocked", "kept_for"),
        of="container_code",
        key=("code",),
        where=or_(_slot.blocked.is_not(None), _slot.kept_for.is_not(None)),
    ),
    # Journeys.
    Follows(
        shipment,
        "shipment",
        {
            "shipment.created": sets(
                {
                    **repeated("from_site", "to_site", "courier", "temperature_class", "shipper", "logger", "seal", "waybill"),
                    **repeated("qualification", "charge_g", "cold_until", "expected_by"),
                    **{"dispatched_at": "occurred_at", "dispatched_by": "by", "closed_at": always(None)},
                }
            ),
            "shipment.closed": changes({"closed_at": "recorded_at"}),
        },
        (
            *("from_site", "to_site", "courier", "temperature_class", "shipper", "logger", "seal", "waybill", "qualification"),
            *("charge_g", "cold_until", "expected_by", "dispatched_at", "dispatched_by", "closed_at"),
        ),
        of="code",
        site="from_site",
    ),
    Follows(
        shipment_box,
        "shipment",
        {"shipment.box_sealed": sets(repeated("seal"), key=("body.box",))},
        ("seal",),
        of="shipment_code",
        key=("box",),
    ),
)

"""Which tables follow the events of a stream, and what each kind does to their rows (`following.py`)."""

import hashlib
from datetime import datetime
from typing import Any, Final

from sqlalchemy import FromClause, Text, collate, func, literal, or_, select
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import aggregate_order_by

from biobank.auth.models import site
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.monitoring.models import excursion, excursion_item, sensor, sensor_place
from biobank.quality.models import bank_closing_unit, deviation_subject, recall, recall_item
from biobank.reconciliation.following import Follows, Rows, always, changes, follows, sets
from biobank.reconciliation.tables import repeated
from biobank.reconciliation.written import Entry
from biobank.registers.models import register_authorisation, register_entry, register_rule, register_warning
from biobank.shipping.models import ShipmentBox
from biobank.shipping.shipment_queries import shipment
from biobank.storage.models import storage_container, storage_position
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


def _keyed(rows: Rows, entry: Entry) -> None:
    row = {"keyed_at": entry["occurred_at"]}
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


def _slots(rows: Rows, entry: Entry) -> None:
    if entry["body"]["slots_sha256"] is not None:
        rows[()] = {"slots_sha256": entry["body"]["slots_sha256"]}


def _set_of_excursion(rows: Rows, entry: Entry) -> None:
    body = entry["body"]
    rows.pop((body["excursion"],), None)
    if body["specimens"]:
        rows[(body["excursion"],)] = {"sha256": body["specimens_sha256"]}


def _subjects(rows: Rows, entry: Entry) -> None:
    if entry["body"]["subjects"]:
        rows[()] = {"sha256": entry["body"]["subjects_sha256"]}


def _hex_digest(lines: Any, order: Any) -> Any:
    """Return the SHA-256 of lines in an order, as entries quote a set, computed by the database."""
    joined = func.string_agg(lines, aggregate_order_by(literal("\n"), order))
    return func.encode(func.sha256(func.convert_to(joined, "UTF8")), "hex")


def _digests(of: Any, member: Any, *key: Any, where: Any = None, joined: Any = None) -> FromClause:
    """Return a query with one row for each set: what names its stream, its key, and the digest of its members."""
    statement = select(of, *key, _hex_digest(member, collate(member, "C")).label("sha256")).group_by(of, *key)
    if joined is not None:
        statement = statement.select_from(joined)
    return (statement if where is None else statement.where(where)).subquery()


_slot = storage_position.c
_line = _slot.code + " " + cast_to(_slot.row, Text) + " " + cast_to(_slot.col, Text) + " " + _slot.label
_slots_of = (
    select(
        _slot.container_code,
        func.encode(
            func.sha256(func.convert_to(func.string_agg(_line, aggregate_order_by(literal("\n"), _slot.row, _slot.col)), "UTF8")),
            "hex",
        ).label("slots_sha256"),
    )
    .group_by(_slot.container_code)
    .subquery()
)
_item = excursion_item.c
_affected = _digests(
    excursion.c.container_code,
    _item.specimen_code,
    _item.excursion_code,
    where=_item.removed_at.is_(None),
    joined=excursion_item.join(excursion, excursion.c.code == _item.excursion_code),
)
_subject = deviation_subject.c.subject_id
_recalled = _digests(
    recall.c.deviation_code,
    recall_item.c.specimen_code,
    recall_item.c.recall_id,
    joined=recall_item.join(recall, recall.c.id == recall_item.c.recall_id),
)
_closing = cast_to(bank_closing_unit.c.closing_id, Text).label("closing")
_closing_units = _digests(_closing, bank_closing_unit.c.specimen_code)

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
                    **dict.fromkeys(("keyed_at", "key_sha256", "withdrawn_at"), always(None)),
                }
            ),
            "system.sensor_changed": changes(repeated("silent_after_min")),
            "system.sensor_key_drawn": _keyed,
            "system.sensor_withdrawn": changes(
                {"withdrawn_at": "occurred_at", "keyed_at": always(None), "key_sha256": always(None)}
            ),
        },
        ("site_code", "silent_after_min", "made_at", "keyed_at", "key_sha256", "withdrawn_at"),
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
    # Sites; those that were there before the first entry about them are not judged.
    Follows(
        site,
        "system",
        {
            "system.site_created": sets(
                _at_site("name_sha256") | {"kind": "body.site_kind", "active": always(True)}, key=("body.site",)
            ),
            "system.site_changed": sets(_at_site("name_sha256") | repeated("active"), key=("body.site",)),
        },
        ("kind", "timezone", "active"),
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
    Follows(
        _slots_of,
        "container",
        {"container.added": _slots},
        ("slots_sha256",),
        of="container_code",
        unsaid=True,
        part="slots",
        streams=storage_container.c.code,
        share=10,
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
        table_of(ShipmentBox),
        "shipment",
        {"shipment.box_sealed": sets(repeated("seal"), key=("body.box",))},
        ("seal",),
        of="shipment_code",
        key=("box",),
    ),
    # Sets that an entry quotes by their digest.
    Follows(
        _affected,
        "container",
        {"container.excursion_opened": _set_of_excursion, "container.excursion_changed": _set_of_excursion},
        ("sha256",),
        of="container_code",
        key=("excursion_code",),
        part="excursion_item_sets",
        streams=excursion.c.container_code,
    ),
    Follows(
        _digests(deviation_subject.c.deviation_code, _subject),
        "system",
        {"system.deviation_opened": _subjects},
        ("sha256",),
        of="deviation_code",
        part="deviation_subject",
        streams=deviation_subject.c.deviation_code,
    ),
    Follows(
        _recalled,
        "system",
        {"system.recall_started": sets({"sha256": "body.subjects_sha256"}, key=("body.recall",))},
        ("sha256",),
        of="deviation_code",
        key=("recall_id",),
        part="recall_item",
        streams=recall.c.deviation_code,
    ),
    Follows(
        _closing_units,
        "system",
        {"system.closing_announced": sets({"sha256": "body.units_sha256"})},
        ("sha256",),
        of="closing",
        part="bank_closing_unit",
        streams=_closing,
    ),
)

"""Sets that an entry quotes by their SHA-256: the digest of the rows is computed again and compared (`following.py`)."""

from typing import Any

from sqlalchemy import FromClause, Text, collate, func, literal, select
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.postgresql import aggregate_order_by

from biobank.monitoring.models import excursion, excursion_item
from biobank.quality.models import bank_closing_unit, deviation_subject, recall, recall_item
from biobank.reconciliation.following import Follows, Rows, follows, sets
from biobank.reconciliation.written import Entry
from biobank.storage.models import storage_container, storage_position


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


def _hex_digest(lines: Any, *order: Any) -> Any:
    """Return the SHA-256 of lines in an order, as entries quote a set, computed by the database."""
    joined = func.string_agg(lines, aggregate_order_by(literal("\n"), *order))
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
    select(_slot.container_code, _hex_digest(_line, _slot.row, _slot.col).label("slots_sha256"))
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

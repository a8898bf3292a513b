"""Sample data of the style guide: every component in every state it has, with codes that could exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

from biobank.foundation.codes import make_code
from biobank.foundation.terms import LOOKS, TONES
from biobank.pages.ui.filters import code, quantity
from biobank.pages.ui.parts import ActionLink, BoxGrid, BoxPlace, Column, DrawnStep, Entry, Flash, Node, Stat

_T = datetime(2026, 11, 3, 12, 34, 56, tzinfo=UTC)
_TECH, _NURSE, _QUALITY = (make_code("US", None, n).text for n in (1, 2, 3))
_TUBE, _SISTER, _RETAINED, _PASSAGE_1, _SVF, _FAT = (make_code("AD", 2026, n).text for n in range(1, 7))
_HAIR, _UNKNOWN = make_code("HF", 2026, 1).text, make_code("UN", 2026, 1).text
_BOX, _DONOR = make_code("BX", None, 1).text, make_code("DN", None, 123456).text
_LEAF = "9c1f0ab2d4e7783c5561ffb0a3c9d1e2747f60b1cc0d9e8a5b6f7a8091a2b3c4"

COLUMNS = [
    Column("code", "Code", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
    Column("place", "Place"),
    Column("banked_at", "Banked", "when"),
    Column("cells", "Viable cells"),
]
_ROWS: list[dict[str, Any]] = [
    {
        "code": _TUBE,
        "material": "adsc",
        "state": "stored",
        "place": "Tank 2 · Rack 04 · Box 11 · C7",
        "banked_at": _T - timedelta(days=90),
        "cells": quantity(2_400_000, "cells"),
    },
    {
        "code": _HAIR,
        "material": "dermal_papilla_cells",
        "state": "checked_out",
        "place": "Tank 1 · Rack 01 · Box 02 · A1 (kept free)",
        "banked_at": _T - timedelta(days=41),
        "cells": quantity(812_000, "cells"),
    },
    {"code": _UNKNOWN, "material": None, "state": "missing", "place": "–", "banked_at": None, "cells": None},
]

_ENTRIES = [
    Entry(
        "specimen.checked_out",
        _T,
        _T + timedelta(seconds=2),
        _TECH,
        7,
        state_after="checked_out",
        facts=[("From", "Tank 2 · Rack 04 · Box 11 · C7"), ("Out of nitrogen since", "12 s")],
        leaf_hash=_LEAF,
        sealed=False,
        receipt_href="#receipt",
    ),
    Entry(
        "specimen.inspected",
        _T - timedelta(days=1),
        _T - timedelta(hours=2),
        _TECH,
        6,
        performed_by=_NURSE,
        confirmed=False,
        source="paper",
        late=True,
        note="Network down at the tank; copied from the bench sheet.",
        leaf_hash=_LEAF,
        sealed=True,
        receipt_href="#receipt",
    ),
    Entry(
        "specimen.stored",
        _T - timedelta(days=90),
        _T - timedelta(days=90),
        _TECH,
        5,
        state_after="stored",
        facts=[("Place", "Tank 2 · Rack 04 · Box 11 · C7"), ("Volume", quantity(1500, "ul"))],
        leaf_hash=_LEAF,
        sealed=True,
        receipt_href="#receipt",
    ),
]

_STEPS = [
    DrawnStep("Request", "done", (_NURSE,), _T - timedelta(days=3)),
    DrawnStep("Checks: donor, consent, holds, quantity", "done", (), _T - timedelta(days=3), "All seven passed."),
    DrawnStep("Approval by quality", "done", (_QUALITY,), _T - timedelta(days=2)),
    DrawnStep("Pick, scanned by two people", "now", (), None, "Scan rack, box, place, tube; then a second person scans blind."),
    DrawnStep("Issue and transport", "waiting"),
    DrawnStep("Bedside check and administration", "waiting"),
]
_STOPPED = [
    DrawnStep("Request", "done", (_NURSE,), _T - timedelta(days=1)),
    DrawnStep("Checks", "stopped", (), _T, "The consent to treatment was revoked yesterday."),
    DrawnStep("Expansion in culture", "skipped", detail="Not part of this route."),
]

_ACTS = [
    ActionLink("Check out for picking", "#check-out", "hand", "post", "main", {"expected_seq": "7"}),
    ActionLink("Move to another place", "#move", "box"),
    ActionLink("Print a label", "#label", "print"),
    ActionLink("Place a hold", "#hold", "octagon", "get", "grave"),
    ActionLink(
        "Discard",
        "#discard",
        "bin",
        "post",
        "grave",
        confirm=f"Discard {_TUBE}? These cells cannot be collected again.",
    ),
    ActionLink("Issue", "#issue", "arrow", refused="Needs a release: quality has not decided on the lot yet."),
]

_TAKEN = [f"{row}{n}" for row in "ABC" for n in range(1, 10)] + ["D1", "D2", "D3"]


def _sample_slots() -> dict[str, BoxPlace]:
    slots = {label: BoxPlace(label, "taken", make_code("AD", 2026, n).text) for n, label in enumerate(_TAKEN, start=10)}
    slots["B4"] = BoxPlace("B4", "held", _SISTER, words="temperature excursion")
    slots["C7"] = BoxPlace("C7", "reserved", _TUBE, words="checked out, place kept")
    slots["D3"] = BoxPlace("D3", "reserved", _RETAINED)
    slots["I8"] = BoxPlace("I8", "blocked", words="bent divider")
    slots["I9"] = BoxPlace("I9", "blocked", words="bent divider")
    return slots


def sample_context() -> dict[str, Any]:
    """Return what `styleguide.html` draws."""
    return {
        "tones": TONES,
        "status_words": sorted(LOOKS),
        "columns": COLUMNS,
        "rows": _ROWS,
        "log_columns": [
            Column("occurred_at", "Happened", "log_time"),
            Column("recorded_at", "Recorded", "log_time"),
            Column("kind", "Event", "words"),
            Column("subject", "Subject", "code"),
            Column("actor", "By", "plain_code"),
            Column("seq", "#", "number"),
        ],
        "log_rows": [
            {
                "occurred_at": entry.occurred_at,
                "recorded_at": entry.recorded_at,
                "kind": entry.kind,
                "subject": _TUBE,
                "actor": entry.recorded_by,
                "seq": entry.seq,
            }
            for entry in _ENTRIES
        ],
        "entries": _ENTRIES,
        "steps": _STEPS,
        "stopped_steps": _STOPPED,
        "acts": _ACTS,
        "grid": BoxGrid(_BOX, 9, 9, _sample_slots(), lit="C7"),
        "identity": [
            ("Donor", code(_DONOR)),
            ("Material", "ADSC, passage 2"),
            ("Amount", quantity(2_400_000, "cells")),
            ("Volume", quantity(1500, "ul")),
            ("Custodian", "Cryo laboratory, site North"),
            ("Expires", None),
        ],
        "stats": [
            Stat("Waiting for my signature", 3, "#signatures", "care", "oldest since yesterday"),
            Stat("Tubes out of nitrogen", 1, "#out", "stop", f"over its time: {_TUBE}"),
            Stat("Expected deliveries", 2, "#deliveries", "busy", "today before 15:00"),
            Stat("Stored specimens", 2046, "#stored", "good"),
        ],
        "tree": Node(
            _FAT,
            "Lipoaspirate, 120 mL",
            "consumed",
            (
                Node(
                    _SVF,
                    "SVF",
                    "consumed",
                    (
                        Node(
                            _PASSAGE_1,
                            "ADSC, passage 1",
                            "consumed",
                            (
                                Node(_TUBE, "ADSC, passage 2", "checked_out", here=True),
                                Node(_SISTER, "ADSC, passage 2", "stored"),
                            ),
                        ),
                    ),
                ),
                Node(_RETAINED, "Retained sample", "stored"),
            ),
        ),
        "flashes": [Flash("ok", f"Stored 12 tubes in {_BOX}.", "Receipts are on each tube's page.")],
        "errors": {
            "volume_ul": "Enter the volume as a whole number of microlitres, such as 1500.",
            "tube": "AD26-KH0KJQ1 was misread: the check character does not fit. Scan it again.",
        },
        "label_source": "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 254 127'%3E"
        "%3Crect x='12' y='32' width='64' height='64'/%3E%3Ctext x='92' y='58' font-size='26' font-family='monospace' "
        "font-weight='bold'%3EAD26-%3C/text%3E%3Ctext x='92' y='90' font-size='26' font-family='monospace' "
        "font-weight='bold'%3EKH0KJQL%3C/text%3E%3C/svg%3E",
    }

"""Rows of a form for the boxes of a shipment: what was put into each under which seal, and how each arrived."""

from collections.abc import Sequence
from typing import Any

from biobank.pages.ui.forms import Field, FormFault, Rows
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import draw_rows, parse_rows
from biobank.shipping.schemas import BoxPublic

PART = "boxes"
_INTACT = (("true", "Yes"), ("false", "No"))


def rows_to_pack(typed: Form | None) -> Rows:
    """Draw rows for what is packed into boxes with seals of their own."""

    def fields(row: Form | dict[str, str]) -> list[Field]:
        return [
            Field("box", "Number of the box", "text", row.get("box", ""), hint="As it is written on it, such as 2."),
            Field("seal", "Number of its seal", "text", row.get("seal", "")),
            Field("specimens", "Tubes in it", "scans", row.get("specimens", ""), accepts="HF AD UN"),
        ]

    hint = "Only where boxes have seals of their own. Rows left empty do not count."
    return draw_rows(PART, "Boxes with a seal", "Box", fields, typed, at_least=1, hint=hint)


def rows_to_compare(boxes: Sequence[BoxPublic], typed: Form | None) -> Rows:
    """Draw a row for each box that left under a seal of its own."""

    def fields(row: Form | dict[str, str]) -> list[Field]:
        return [
            Field("box", "Number of the box", "text", row.get("box", "")),
            Field("sealnumber", "Number of the seal on it", "text", row.get("sealnumber", "")),
            Field("sealintact", "Its seal is intact", "select", row.get("sealintact", ""), options=_INTACT),
        ]

    hint = "A broken seal, or another than was sent, or a seal that nobody looked at, puts what lies in that box on hold."
    given = [{"box": one.box} for one in boxes]
    return draw_rows(PART, "Boxes with a seal", "Box", fields, typed, at_least=len(boxes), given=given, hint=hint)


def packed(form: Form) -> list[dict[str, Any]]:
    """Return the boxes that were typed, as the API takes them; raise FormFault."""

    def box(row: Form) -> dict[str, Any]:
        for name, say in (("box", "the number of the box"), ("seal", "the number of its seal"), ("specimens", "the tubes in it")):
            if name not in row:
                raise FormFault({name: f"Enter {say}."})
        return {"box": row["box"], "seal": row["seal"], "specimens": row.all_of("specimens")}

    return parse_rows(form, PART, ["box", "seal", "specimens"], box, needed=False)


def compared(form: Form) -> list[dict[str, Any]]:
    """Return how boxes arrived, as the API takes it; raise FormFault."""

    def box(row: Form) -> dict[str, Any]:
        if "box" not in row:
            raise FormFault({"box": "Enter the number of the box."})
        intact = {"true": True, "false": False}.get(row.get("sealintact", ""))
        return {"box": row["box"], "seal": row.get("sealnumber") or None, "seal_intact": intact}

    looked = ["sealnumber", "sealintact"]
    return parse_rows(form, PART, looked, box, drawn=["box"], needed=False)

"""What stands against a label that says which print it is: a newer one of its kind, or that it was destroyed unused.

Labels of quarantine and evacuation places are read whatever stands against them: a tube must always get somewhere cold.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, select, tuple_
from sqlmodel import Session

from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import Code, Prefix, parse_code
from biobank.foundation.errors import Refusal
from biobank.labels.files import prints
from biobank.specimens.scanned_labels import LabelOfNoPrint, LabelSuperseded, prints_against
from biobank.storage.queries import safe_places

_PLACES = (Prefix.CONTAINER, Prefix.POSITION)


def against_print(row: Row[Any], code: Code | None = None) -> LabelSuperseded | None:
    """Return what stands against a print of the ledger; None while it stands. Pure."""
    said = code or parse_code(row.code)
    if row.destroyed_at is not None:
        return LabelSuperseded(
            f"Label #{row.serial} of {row.code} was recorded as destroyed on {row.destroyed_at:%Y-%m-%d}, and here it is. Set"
            " what it is on aside cold and call quality.",
            of=said,
            serial=row.serial,
            ended_at=rfc3339(row.destroyed_at),
        )
    if row.superseded_at is not None:
        return LabelSuperseded(
            f"This label (#{row.serial}) of {row.code} was replaced on {row.superseded_at:%Y-%m-%d}: use the new one. Destroy"
            " it, or set what it is on aside cold and call quality.",
            of=said,
            serial=row.serial,
            ended_at=rfc3339(row.superseded_at),
        )
    return None


@prints_against.give
def labels_against(session: Session, codes: Collection[Code]) -> dict[str, Refusal]:
    """Return, by what each says, what stands against scanned labels; those that stand are absent."""
    wanted = {(code.text, code.print_number): code for code in codes}
    rows = session.execute(select(prints).where(tuple_(prints.c.code, prints.c.print_number).in_(list(wanted))))
    found = {(row.code, row.print_number): row for row in rows}
    answer: dict[str, Refusal] = {}
    for key, code in wanted.items():
        refusal = against_print(found[key], code) if key in found else LabelOfNoPrint(code)
        if refusal is not None:
            answer[code.label] = refusal
    places = [code.text for code in codes if code.prefix in _PLACES and code.label in answer]
    safe = safe_places(session, places) if places else frozenset()
    return {label: refusal for label, refusal in answer.items() if refusal.members["subject"] not in safe}

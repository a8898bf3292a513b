"""From the rows of a run's form to the request of the run: what a person scans and types, and what the record adds.

The record adds the sequence of each specimen, the unit of its amount, and the passage number that follows from the process: a
number nobody types cannot be mistyped.
"""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import get_all_visible
from biobank.foundation.codes import SPECIMENS
from biobank.foundation.config import Settings
from biobank.pages.ui.forms import FormFault, parse
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import parse_rows
from biobank.pages.ui.scanned import scanned_code
from biobank.specimens.amounts import read_amount, read_what
from biobank.specimens.materials import MATERIALS, MaterialName, Unit
from biobank.specimens.processes import PROCESSES, PassageRule, ProcessName
from biobank.specimens.processing_schemas import RunInput, RunOutput, Treated


def known_specimens(session: Session, actor: Actor, codes: Sequence[str]) -> dict[str, Snapshot]:
    """Return the specimens of a form as they stand now, by code; raise NotFound."""
    return {one.code: one for one in get_all_visible(session, actor, list(dict.fromkeys(codes)))}


def input_codes(form: Form, settings: Settings) -> list[str]:
    """Return the codes in the rows `inputs`, in order; raise FormFault."""
    return parse_rows(form, "inputs", ("specimen",), lambda row: scanned_code(row, "specimen", settings, *SPECIMENS))


def run_inputs(form: Form, settings: Settings, known: dict[str, Snapshot], zone: ZoneInfo) -> list[RunInput]:
    """Return what went in; raise FormFault."""

    def build(row: Form) -> RunInput:
        specimen = known[scanned_code(row, "specimen", settings, *SPECIMENS)]
        given: dict[str, Any] = {"specimen": specimen.code, "expected_seq": specimen.seq}
        if "amount" in row:
            given["amount"] = typed_amount(row, specimen.unit)
        return parse(RunInput, row, zone, "consumed", **given)

    return parse_rows(form, "inputs", ("specimen",), build)


def treated(form: Form, settings: Settings, known: dict[str, Snapshot]) -> list[Treated]:
    """Return the specimens that go through a freezing or thawing run; raise FormFault."""
    codes = input_codes(form, settings)
    return [Treated(specimen=code, expected_seq=known[code].seq) for code in codes]


def run_outputs(form: Form, process: ProcessName, known: dict[str, Snapshot], zone: ZoneInfo) -> list[RunOutput]:
    """Return what came out, with the passage number that is due; raise FormFault."""
    passages = {one.passage for one in known.values()}

    def build(row: Form) -> RunOutput:
        material, unit = typed_what(row, "What came out")
        given = {"material": material, "unit": unit, "amount": typed_amount(row, unit)}
        due = passage_due(process, material, passages)
        return parse(
            RunOutput, row, zone, "count", "purpose", "vessel_count", **given, **({} if due is None else {"passage": due})
        )

    return parse_rows(form, "outputs", ("amount",), build)


def passage_due(process: ProcessName, material: MaterialName, passages: set[int | None]) -> int | None:
    """Return the passage number of what comes out: 0 for a first culture, one more for a passage, else that of the inputs.

    None for what is not cultured, and for inputs that do not agree: the run itself refuses those.
    """
    if not MATERIALS[material].passaged:
        return None
    rule = PROCESSES[process].passage
    if rule is PassageRule.FIRST:
        return 0
    if len(passages) != 1 or None in passages:
        return None
    (parent,) = passages
    return (parent or 0) + (1 if rule is PassageRule.NEXT else 0)


def loss_of(form: Form, known: dict[str, Snapshot]) -> int:
    """Return what was lost in splitting, in the unit of the inputs; nothing typed is nothing lost."""
    return typed_amount(form, next(iter(known.values())).unit, "loss") if form.get("loss", "").strip("0., ") else 0


def typed_what(row: Form, label: str) -> tuple[MaterialName, Unit]:
    """Return the material and unit chosen in a row; raise FormFault."""
    try:
        return read_what(row.get("what", ""))
    except ValueError as error:
        raise FormFault({"what": f"{label}: {error}"}) from None


def typed_amount(form: Form, unit: Unit | str, name: str = "amount") -> int:
    """Return what was typed as the kept integer of `unit`; raise FormFault."""
    try:
        return read_amount(form.get(name, ""), unit)
    except ValueError as error:
        raise FormFault({name: f"{name.capitalize()}: {error}"}) from None

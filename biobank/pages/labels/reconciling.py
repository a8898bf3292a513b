"""Batches of labels: which were printed together, and what became of each, as two people counted it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.acts.two_person import pending_about
from biobank.auth.actor import Actor
from biobank.foundation.codes import Code
from biobank.foundation.terms import counted
from biobank.labels import reconciling
from biobank.labels.schemas import LabelBatch, LabelBatchList, ReconcileLabels
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import Field, FormFault, fields_of
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.specimens.scanned_labels import labels_in

router = APIRouter(include_in_schema=False)


def read_batches(session: Session, actor: Actor, asked: Wanted) -> LabelBatchList:
    """Read one page of the batches that the address asks for."""
    open_only = None if asked.of["open"] is None else asked.of["open"] == "true"
    return reconciling.list_batches(session, actor, open_only=open_only, paging=asked.paging)


def row_of(one: LabelBatch) -> Mapping[str, Any]:
    """Return the cells of one batch."""
    number = Markup('<a href="/labels/batches/{}">#{}</a>').format(one.batch, one.batch)
    return one.model_dump() | {"number": number, "became": became_of(one), "counted_by": ", ".join(one.counted_by or [])}


def became_of(one: LabelBatch) -> str:
    """Say in words what became of a batch."""
    if one.reconciled_at is None:
        return "not reconciled"
    return f"{one.printed} printed = {one.applied} applied + {one.destroyed} destroyed + {one.unaccounted} unaccounted"


Listing(
    address="/labels/batches",
    title="Batches of labels",
    lead="Labels that were printed together. Two people count what became of them: printed = applied + destroyed + unaccounted.",
    key="batch",
    columns=[
        Column("number", "Batch (first serial)", sort="batch"),
        Column("template", "Label"),
        Column("printed", "Printed", "number"),
        Column("scanned_back", "Scanned back", "number"),
        Column("became", "What became of them"),
        Column("printed_at", "Printed on", "when", sort="printed_at"),
        Column("printed_by", "By", "plain_code"),
        Column("site", "At", "plain_code"),
        Column("counted_by", "Counted by", usual=False),
        Column("deviation", "Deviation", "code", usual=False),
    ],
    read=read_batches,
    row=row_of,
    default="-batch",
    filters=[Filter("open", "Reconciled", "choice", [("true", "Not yet"), ("false", "Reconciled")])],
    quick=[("Not reconciled", {"open": "true"})],
    empty="No batches",
    hint="A batch begins when labels are printed.",
).on(router)


UNSHOWN = " Somebody counted them before you; what they found is not shown. When you differ, both count again."


@dataclass(frozen=True)
class _Batch:
    one: LabelBatch
    labels: list[tuple[int, str, int]]
    waiting: UUID | None
    """What another counted, for whom this login may be the second person."""


def _read(session: Session, actor: Actor, asked: Asked) -> _Batch:
    number = int(asked.path["batch"])
    one = reconciling.describe_batch(session, actor, number)
    asked.opens(reconciling.reconciling_refusals(actor, one))
    found = pending_about(session, actor, reconciling.RECONCILE, str(number))
    mine = found is None or found.is_first(actor.code)
    return _Batch(one, reconciling.serials_of(session, actor, number), None if found is None or mine else found.id)


def _draw(at: Opened[_Batch]) -> ActForm:
    one, values = at.read.one, at.filled()
    second = at.read.waiting is not None
    labels = "the one label" if one.printed == 1 else f"the {one.printed} labels"
    proposes = f"You propose what became of {labels} of batch {one.batch}. A second person counts them too."
    completes = f"You say, as the second person, what became of {labels} of batch {one.batch}."
    return ActForm(
        title="Say what became of these labels",
        subject=f"Batch {one.batch}",
        submit="Sign as the second person" if second else "Sign and propose",
        icon="pen",
        grave=True,
        lead=(
            f"Printed: {counted(one.printed, 'label')}; scanned back: {one.scanned_back}. Count those that stand on what they"
            " name. Scan every unused label, then destroy it before the eyes of the second person. What is neither is"
            " unaccounted, and"
            " a deviation is opened about it." + (UNSHOWN if second else "")
        ),
        fields=[
            *fields_of(ReconcileLabels, "applied", values=values, labels={"applied": "How many stand on what they name"}),
            Field(
                "unused",
                "Unused labels, destroyed (scan each)",
                "scans",
                values.get("unused", ""),
                False,
                "One a line: the label, or its serial such as #1240.",
            ),
        ],
        statement=completes if second else proposes,
        said="I have counted the labels myself, and held the unused ones in my hand.",
        back="/labels/batches",
        trail=[("Labels", "/labels"), ("Batches", "/labels/batches"), (str(one.batch), None)],
    )


def serial_of(text: str, scanned: Mapping[str, Code], labels: list[tuple[int, str, int]]) -> int | None:
    """Return the serial of an unused label, as printed (`#1240-2`) or by what its symbol says; None for none of the batch."""
    typed = text.removeprefix("#").partition("-")[0]
    if typed.isascii() and typed.isdigit() and len(typed) <= 18:
        return int(typed)
    code = scanned.get(text)
    by_label = {(name, number): serial for serial, name, number in labels}
    return None if code is None else by_label.get((code.text, code.print_number or 0))


def _destroyed(at: Acting[_Batch]) -> Mapping[str, Any]:
    lines = at.form.lines_of("unused")
    scanned = labels_in(lines, at.bank.settings)
    serials = [serial_of(line, scanned, at.read.labels) for line in lines]
    if None in serials:
        raise FormFault(
            {"unused": f"Line {serials.index(None) + 1} is no label of this batch. Scan the label, or type its serial."}
        )
    return {"destroyed": serials, "pending_act": at.read.waiting}


def _done(_at: Opened[_Batch], _body: ReconcileLabels, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "done":
        return Done("/labels/batches?open=false", "Reconciled.", "Two people found the same.")
    return Done("/labels/batches", "Proposed.", "A second person counts the labels and signs under Acts that wait.")


ActPage(
    address="/labels/batches/{batch}",
    params={"batch": Annotated[int, Path(ge=1, le=2**62)]},
    reads=_read,
    form=_draw,
    model=ReconcileLabels,
    names=("applied",),
    given=_destroyed,
    meaning=Meaning.WITNESSED,
    args=lambda at: (at.read.one.batch,),
    use_case=reconciling.reconcile_labels,
    after=_done,
    old_labels="left",
).on(router)

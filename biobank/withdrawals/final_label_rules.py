"""Cells that travel thawed leave under a label that was printed after the thaw: what it says of them then is so.

The amount, the temperature and the day on a label are those of its print: one from before the thaw speaks of nitrogen.
"""

from biobank.foundation.errors import Conflict, Refusal
from biobank.foundation.terms import words
from biobank.labels.files import ACCOMPANYING
from biobank.withdrawals.case import Case
from biobank.withdrawals.step_errors import AnotherRoute
from biobank.withdrawals.workflow import Route


class FinalLabelMissing(Conflict):
    """It travels thawed, and the label on it is from before the thaw, or was replaced since."""

    code = "final_label_missing"
    title = "No final label"


class FinalLabelNotPrinted(Conflict):
    """No label of it was printed since it was thawed."""

    code = "final_label_not_printed"
    title = "Print its final label first"


class NotTheFinalLabel(Conflict):
    """What was scanned is not a label that was printed after the thaw."""

    code = "not_the_final_label"
    title = "Not its final label"


def unlabelled(case: Case) -> list[Refusal]:
    """Return, by tube, that what is to travel thawed has no final label on it. Pure."""
    if case.route is not Route.THAW_AND_SHIP:
        return []
    return [
        FinalLabelMissing(
            f"{code} travels thawed and has no final label on it. Print a label, put it on, and scan it there.",
            where_now=case.tubes[code].where_now,
            subject=code,
        )
        for code in sorted(case.tubes)
        if case.findings[code].final_label is None
    ]


def final_labels(case: Case, code: str) -> dict[int, str]:
    """Return the template of each label that may be the tube's final one, by the number that its symbol says. Pure."""
    printed = case.findings[code].printed_since_thaw
    return {number: template for number, template in printed.items() if template != ACCOMPANYING}


def unprinted(case: Case, code: str) -> list[Refusal]:
    """Return that the tube is not of that route, or that nothing was printed that may be put on it. Pure."""
    tube = case.tubes[code]
    if case.route is not Route.THAW_AND_SHIP:
        said = f"{case.code} goes its way by “{words(case.route)}”: {code} needs no final label."
        return [AnotherRoute(said, where_now=tube.where_now, subject=code)]
    if final_labels(case, code):
        return []
    return [
        FinalLabelNotPrinted(
            f"No label of {code} was printed since it was thawed. Print one on the page of its labels (/labels/{code}).",
            where_now=tube.where_now,
            subject=code,
        )
    ]

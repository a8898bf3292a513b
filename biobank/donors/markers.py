"""Markers of infection: which there are, what a donor's results say, and what follows from them for each container.

Results are entered by the clinic or the laboratory and confirmed by another person of quality (`quality/markers.py`); nobody's
word alone lifts a statement. What follows is on the safe side:

- A reactive result counts from the moment it is entered, for everything of the donor, until quality finds that it was entered
  wrongly. A negative one counts when it is confirmed.
- Material counts as evaluated when history and examination and every required marker are confirmed without a finding, each from a
  sample of its harvest: at most `NEAR` before or after the material was taken. Material of several harvests, and material whose
  harvest nobody recorded, does not count as evaluated.

Which tests are required, and the seven days, are background: 21 CFR 1271.75, .80(b), .85 and 2006/17/EC Annex II were not read.
They only keep a statement on a label, they refuse nothing. 21 CFR 1271.90(a)(1) (read) asks for no test of autologous material.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, delete, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import Session

from biobank.donors.models import donor_marker

NEAR: Final = timedelta(days=7)

MarkerResult = Literal["negative", "reactive", "indeterminate"]
MarkerState = Literal["entered", "confirmed", "rejected"]


class MarkerName(StrEnum):
    """What is looked for. Names are stored; they never change."""

    HISTORY_AND_EXAMINATION = "history_and_examination"
    ANTI_HIV_1_2 = "anti_hiv_1_2"
    HIV_NAT = "hiv_nat"
    HBSAG = "hbsag"
    ANTI_HBC = "anti_hbc"
    HBV_NAT = "hbv_nat"
    ANTI_HCV = "anti_hcv"
    HCV_NAT = "hcv_nat"
    SYPHILIS = "syphilis"
    ANTI_HTLV_1_2 = "anti_htlv_1_2"
    ANTI_CMV = "anti_cmv"
    WEST_NILE_NAT = "west_nile_nat"
    CHAGAS = "chagas"
    MALARIA = "malaria"
    SARS_COV_2 = "sars_cov_2"


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: in words, the agent it speaks of, and whether a complete evaluation needs it."""

    title: str
    agent: str
    required: bool = False


M = MarkerName
MARKERS: Final[Mapping[MarkerName, Marker]] = {
    M.HISTORY_AND_EXAMINATION: Marker("History and examination", "a risk found in history or examination", required=True),
    M.ANTI_HIV_1_2: Marker("Antibodies to HIV 1 and 2", "HIV", required=True),
    M.HIV_NAT: Marker("HIV, nucleic acid", "HIV", required=True),
    M.HBSAG: Marker("Hepatitis B surface antigen", "hepatitis B", required=True),
    M.ANTI_HBC: Marker("Antibodies to hepatitis B core", "hepatitis B", required=True),
    M.HBV_NAT: Marker("Hepatitis B, nucleic acid", "hepatitis B", required=True),
    M.ANTI_HCV: Marker("Antibodies to hepatitis C", "hepatitis C", required=True),
    M.HCV_NAT: Marker("Hepatitis C, nucleic acid", "hepatitis C", required=True),
    M.SYPHILIS: Marker("Syphilis", "syphilis", required=True),
    M.ANTI_HTLV_1_2: Marker("Antibodies to HTLV 1 and 2", "HTLV"),
    M.ANTI_CMV: Marker("Antibodies to cytomegalovirus", "cytomegalovirus"),
    M.WEST_NILE_NAT: Marker("West Nile virus, nucleic acid", "West Nile virus"),
    M.CHAGAS: Marker("Chagas disease", "Chagas disease"),
    M.MALARIA: Marker("Malaria", "malaria"),
    M.SARS_COV_2: Marker("SARS-CoV-2", "SARS-CoV-2"),
}
"""Every marker that the bank records."""


class Extent(StrEnum):
    """How much of what is otherwise required was done."""

    NOT_DONE = "not_done"
    PARTIAL = "partial"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known about communicable disease in the donor, for one container.

    :ivar screening: medical history and examination
    :ivar testing: laboratory tests
    :ivar risk_found: screening or testing shows an agent, a risk factor or clinical evidence
    :ivar positive_marker: a test for an infectious marker is positive
    :ivar reactive_for: names of the agents with reactive results
    """

    screening: Extent = Extent.NOT_DONE
    testing: Extent = Extent.NOT_DONE
    risk_found: bool = False
    positive_marker: bool = False
    reactive_for: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether both screening and testing were done in full; partial work counts as none."""
        return self.screening is Extent.COMPLETE and self.testing is Extent.COMPLETE


@dataclass(frozen=True, slots=True)
class Told:
    """One result as the evaluation reads it."""

    marker: MarkerName
    result: str
    state: str
    sampled_at: datetime


def evaluate(results: Iterable[Told], taken_at: datetime | None) -> Evaluation:
    """Return what a donor's results say about material taken at an instant (None: not known, or of several harvests). Pure."""
    standing = [one for one in results if one.state != "rejected"]
    reactive = [one for one in standing if one.result == "reactive"]
    tested = [one for one in reactive if one.marker is not M.HISTORY_AND_EXAMINATION]
    near = {one.marker for one in standing if _counts(one, taken_at)} - {
        one.marker for one in standing if one.result == "indeterminate" and _near(one, taken_at)
    }
    screened = M.HISTORY_AND_EXAMINATION in near
    wanted = {name for name, marker in MARKERS.items() if marker.required} - {M.HISTORY_AND_EXAMINATION}
    done = wanted & near
    return Evaluation(
        screening=Extent.COMPLETE if screened else Extent.NOT_DONE,
        testing=Extent.COMPLETE if done == wanted else Extent.PARTIAL if done else Extent.NOT_DONE,
        risk_found=bool(reactive),
        positive_marker=bool(tested),
        reactive_for=tuple(sorted({MARKERS[one.marker].agent for one in tested})),
    )


def _near(one: Told, taken_at: datetime | None) -> bool:
    return taken_at is not None and abs(one.sampled_at - taken_at) <= NEAR


def _counts(one: Told, taken_at: datetime | None) -> bool:
    """A reactive result is a result: that it was found is said by another statement."""
    return one.state == "confirmed" and one.result != "indeterminate" and _near(one, taken_at)


def results_column(donor_code: ColumnElement[str]) -> ColumnElement[Any]:
    """Return a column with the results of a row's donor, oldest sample first, for `results_of`."""
    m = donor_marker.c
    whole = func.json_build_array(m.marker, m.result, m.state, m.sampled_at, m.entered_at, m.decided_at)
    found = select(func.json_agg(aggregate_order_by(whole, m.sampled_at, m.id))).where(m.donor_code == donor_code)
    return found.scalar_subquery().label("results")


def results_of(column: Sequence[Sequence[str]] | None, by: datetime | None = None) -> list[Told]:
    """Return what `results_column` read; `by`: only what was entered by then, confirmed or rejected where that was by then."""
    found = []
    for marker, result, state, sampled_at, entered_at, decided_at in column or ():
        if by is not None and datetime.fromisoformat(entered_at) > by:
            continue
        undecided = by is not None and (decided_at is None or datetime.fromisoformat(decided_at) > by)
        told = Told(MarkerName(marker), result, "entered" if undecided else state, datetime.fromisoformat(sampled_at))
        found.append(told)
    return found


def reactive_stands(session: Session, donor_code: str) -> bool:
    """Say whether a reactive result of the donor stands: entered or confirmed, and not found to be entered wrongly."""
    m = donor_marker.c
    asked = select(m.id).where(m.donor_code == donor_code, m.result == "reactive", m.state != "rejected").limit(1)
    return session.execute(asked).first() is not None


def keep_result(session: Session, values: Mapping[str, Any]) -> None:
    """Write a result that another package's use case recorded."""
    session.execute(donor_marker.insert().values(**values))


def decide_result(session: Session, row: "Row[Any]", values: Mapping[str, Any]) -> None:
    """Write what quality decided about a result that only was entered."""
    session.execute(donor_marker.update().where(donor_marker.c.id == row.id).values(**values))


def forget_results(session: Session, donor_code: str) -> None:
    """Delete the results of a person who is forgotten: nothing of theirs is kept that could need a statement."""
    session.execute(delete(donor_marker).where(donor_marker.c.donor_code == donor_code))

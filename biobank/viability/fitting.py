"""The worker's part: look at new counts, judge the forecast that had not seen them, fit again. Needs numpy and scipy.

Counts are taken in the order in which they were recorded, the first ten of a stratum one by one, then five at a time: each is
judged by the newest fit that had not seen any of them, then the stratum is fitted again. A fit is named by its stratum, its
parameter file and the number of the newest thaw it saw; its seed follows from parameters and inputs, so making it again gives
the same draws on the same numpy and scipy (`made_with`).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np
import scipy
from sqlalchemy import Row, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlmodel import Session

from biobank.foundation.errors import NotFound
from biobank.specimens.models import specimen
from biobank.specimens.models import viability_assay as assay
from biobank.viability import model, predictive
from biobank.viability.history import History
from biobank.viability.history_queries import histories
from biobank.viability.parameters import Parameters, parse
from biobank.viability.rules import assays_for, history_refusal
from biobank.viability.strata import PRIOR, Stratum, draws_stored, fit_table, newest_fit, parameters_table, thaw_table

AT_ONCE: Final = 60
"""Counts looked at in one transaction."""
BATCH: Final = 5
ONE_BY_ONE: Final = 10
"""So many thaws of a stratum are judged one at a time: while the prior rules, five judged together would all miss together."""
MADE_WITH: Final = f"numpy {np.__version__}, scipy {scipy.__version__}"


@dataclass(frozen=True)
class Candidate:
    """A count that the worker has not looked at, with what the model would take from it."""

    row: "Row[Any]"
    stratum: Stratum
    stored_days: float
    late_hours: float
    excluded: str | None


def look_at_new_counts(session: Session, parameters: Parameters, at: datetime) -> int:
    """Look at the oldest new counts; return how many. Makes the priors' fits first, and the fits a new file lacks."""
    _keep_parameters(session, parameters, at)
    _make_missing_fits(session, parameters, at)
    candidates = [_candidate(row, history, parameters) for row, history in _pending(session, parameters, at)]
    by_stratum: dict[Stratum, list[Candidate]] = defaultdict(list)
    seen = _counted_before(session, candidates)
    for one in candidates:
        key = (one.row.specimen_code, one.row.method)
        again = one.excluded is None and key in seen
        if one.excluded is None:
            seen.add(key)
        by_stratum[one.stratum].append(
            Candidate(one.row, one.stratum, one.stored_days, one.late_hours, "counted_before") if again else one
        )
    for stratum, found in by_stratum.items():
        for batch in _batches(session, stratum, found):
            if _score(session, stratum, batch, parameters, at):
                make_fit(session, stratum, parameters, at)
    return len(candidates)


def _batches(session: Session, stratum: Stratum, found: Sequence[Candidate]) -> Iterable[Sequence[Candidate]]:
    statement = select(func.count()).select_from(thaw_table).where(*stratum.conditions(thaw_table))
    early = max(0, ONE_BY_ONE - int(session.execute(statement).scalar_one()))
    yield from ([one] for one in found[:early])
    rest = found[early:]
    yield from (rest[start : start + BATCH] for start in range(0, len(rest), BATCH))


def _pending(session: Session, parameters: Parameters, at: datetime) -> list[tuple["Row[Any]", History]]:
    looked = select(thaw_table.c.number).where(thaw_table.c.assay_id == assay.c.id)
    rows = session.execute(
        select(assay, specimen.c.material, specimen.c.donor_code)
        .join(specimen, specimen.c.code == assay.c.specimen_code)
        .where(
            ~looked.exists(),
            specimen.c.material.in_(sorted(parameters.materials)),
            assay.c.method.in_([*parameters.cell_assays, *parameters.follicle_assays]),
        )
        .order_by(assay.c.recorded_at, assay.c.id)
        .limit(AT_ONCE)
    ).all()
    found_histories = histories(session, {row.specimen_code for row in rows}, at, parameters.limits)
    return [(row, found_histories[row.specimen_code]) for row in rows]


def _candidate(row: "Row[Any]", history: History, parameters: Parameters) -> Candidate:
    stratum = Stratum(row.material, history.procedure_version or PRIOR, row.method, history.storage)
    free = parameters.limits.warm_hours_without_loss
    days = history.nitrogen_days + history.minus_80_days
    return Candidate(row, stratum, days, history.late_hours(free), _why_not(row, history, parameters))


def _why_not(row: "Row[Any]", history: History, parameters: Parameters) -> str | None:
    """Return the coded reason for leaving a count out, or None."""
    if row.method not in assays_for(row.material, parameters):
        return "another_assay"
    if history.thawed_at is None or row.measured_at < history.thawed_at:
        return "not_after_thaw"
    minutes = row.minutes_after_thaw
    if minutes is None:
        minutes = (row.measured_at - history.thawed_at).total_seconds() / 60
    if row.method in parameters.cell_assays and minutes > parameters.limits.within_minutes_after_thaw:
        return "late_after_thaw"
    refusal = history_refusal(row.specimen_code, history, parameters.limits)
    return None if refusal is None else refusal.code


def _counted_before(session: Session, candidates: Sequence[Candidate]) -> set[tuple[str, str]]:
    """Return (specimen, assay) of thaws that were counted: a second count of a vial is no second thaw."""
    rows = session.execute(
        select(thaw_table.c.specimen_code, thaw_table.c.assay).where(
            thaw_table.c.specimen_code.in_({one.row.specimen_code for one in candidates}), thaw_table.c.excluded.is_(None)
        )
    )
    return {(row.specimen_code, row.assay) for row in rows}


def _score(session: Session, stratum: Stratum, batch: Sequence[Candidate], parameters: Parameters, at: datetime) -> int:
    """Write down a batch, each thaw with where it fell in the newest forecast; return how many the fit will take in."""
    before = newest_fit(session, stratum, parameters.sha256)
    assert before is not None, "the prior's fit is made first"
    draws = draws_of(draws_stored(session, before.id))
    for one in batch:
        place = None if one.excluded is not None else _place(draws, one)
        session.execute(
            insert(thaw_table).values(
                assay_id=one.row.id,
                specimen_code=one.row.specimen_code,
                donor_code=one.row.donor_code,
                **stratum.columns(),
                live=one.row.live,
                counted=one.row.live + one.row.dead,
                stored_days=one.stored_days,
                late_hours=one.late_hours,
                excluded=one.excluded,
                forecast_by=None if place is None else before.id,
                place_ppm=place,
                looked_at=at,
            )
        )
    return sum(one.excluded is None for one in batch)


def _place(draws: model.Array, one: Candidate) -> int:
    # The dice are the event's own hash: nobody can choose them, and the same count always falls at the same place.
    dice = int.from_bytes(hashlib.sha256(bytes(one.row.event_hash)).digest()[:6]) / 2**48
    years = one.stored_days / 365.25
    where = predictive.place_of_count(draws, one.row.live, one.row.live + one.row.dead, years, one.late_hours, dice)
    return min(round(where * 1_000_000), 1_000_000)


def make_fit(session: Session, stratum: Stratum, parameters: Parameters, at: datetime, through: int | None = None) -> UUID:
    """Fit a stratum to its thaws up to number `through` (None: all) and keep the fit; return its id."""
    made = compute_fit(session, stratum, parameters, through)
    fit_id = uuid4()
    session.execute(insert(fit_table).values(id=fit_id, **stratum.columns(), **made, made_at=at))
    return fit_id


def compute_fit(session: Session, stratum: Stratum, parameters: Parameters, through: int | None) -> dict[str, Any]:
    """Return the columns of a fit: the same thaws and parameters give the same ones."""
    statement = (
        select(thaw_table)
        .where(*stratum.conditions(thaw_table), thaw_table.c.excluded.is_(None))
        .order_by(thaw_table.c.number.desc())
        .limit(parameters.newest_thaws)
    )
    if through is not None:
        statement = statement.where(thaw_table.c.number <= through)
    rows = [] if stratum.is_prior else session.execute(statement).all()[::-1]
    inputs = [(row.live, row.counted, row.stored_days / 365.25, row.late_hours) for row in rows]
    inputs_sha256 = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    seed = model.seed_of(parameters.sha256, inputs_sha256)
    prior = parameters.prior_of(stratum.material, stratum.storage)
    draws = model.fit(prior, model.Thaws.of(inputs), seed=seed, particles=parameters.particles, moves=parameters.moves)
    longest = max((row.stored_days for row in rows), default=0.0)
    reach = parameters.limits.extrapolation * max(prior.longest_years, longest / 365.25, 0.5)
    return {
        "parameters_sha256": parameters.sha256,
        "through": max((row.number for row in rows), default=0),
        "inputs_sha256": inputs_sha256,
        "seed": str(seed),
        "thaws": len(rows),
        "donors": len({row.donor_code for row in rows}),
        "longest_days": longest,
        "draws": draws.astype("<f8").tobytes(),
        "reading": predictive.reading_of(draws, reach),
        "made_with": MADE_WITH,
    }


def draws_of(stored: bytes) -> model.Array:
    """Return the draws of a stored fit, shape (N, 4)."""
    return np.frombuffer(bytes(stored), dtype="<f8").reshape(-1, 4)


def same_again(session: Session, fit_id: UUID) -> bool:
    """Make a stored fit again from its thaws and its parameter file; say whether the draws are the same. Raises NotFound."""
    row = session.execute(select(fit_table).where(fit_table.c.id == fit_id)).first()
    if row is None:
        raise NotFound(f"There is no fit {fit_id}.")
    content = session.execute(
        select(parameters_table.c.content).where(parameters_table.c.sha256 == row.parameters_sha256)
    ).scalar_one()
    stratum = Stratum(row.material, row.procedure_version, row.assay, row.storage)
    again = compute_fit(session, stratum, parse(bytes(content)), row.through)
    return all(
        (
            bytes(row.draws) == again["draws"],
            row.inputs_sha256 == again["inputs_sha256"],
            row.reading == again["reading"],
        )
    )


def _keep_parameters(session: Session, parameters: Parameters, at: datetime) -> None:
    session.execute(
        insert_unless_there(parameters_table)
        .values(sha256=parameters.sha256, version=parameters.version, content=parameters.content, first_used_at=at)
        .on_conflict_do_nothing()
    )


def _make_missing_fits(session: Session, parameters: Parameters, at: datetime) -> None:
    """Fit what has no fit under this parameter file: every prior, and every stratum that was counted."""
    there = {
        tuple(row)
        for row in session.execute(
            select(*(fit_table.c[name] for name in Stratum.names()))
            .where(fit_table.c.parameters_sha256 == parameters.sha256)
            .distinct()
        )
    }
    wanted = [Stratum(material, PRIOR, PRIOR, kept) for material in parameters.materials for kept in ("nitrogen", "minus_80")]
    counted = session.execute(
        select(*(thaw_table.c[name] for name in Stratum.names())).where(thaw_table.c.excluded.is_(None)).distinct()
    )
    for stratum in [*wanted, *(Stratum(*names) for names in counted)]:
        if stratum.names_of() not in there:
            make_fit(session, stratum, parameters, at)

"""Making estimates: the log's history, the rules, a stored fit, and plain arithmetic. Reading costs no fit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import projection_of
from biobank.custody.states import Condition
from biobank.foundation import clock
from biobank.foundation.errors import NotFound
from biobank.specimens.materials import Unit
from biobank.viability import refusals, rules
from biobank.viability.dose import Dose, Vial, dose_of_vial
from biobank.viability.forecast import Band, Forecast, Table, forecast_at
from biobank.viability.fresh_follicles import Fresh, fresh_follicles
from biobank.viability.history import History
from biobank.viability.history_queries import Streams, histories
from biobank.viability.parameters import Parameters, current, parse
from biobank.viability.refusals import NoEstimate
from biobank.viability.rules import Own
from biobank.viability.schemas import BandPublic, DosePublic, EstimateInputs, EstimatePublic, ParametersPublic
from biobank.viability.strata import PRIOR, Stratum, fit_columns, fit_table, newest_fit, parameters_table, reading_of

BANDS: Final = (50, 80, 90)
Answer = tuple[EstimatePublic, Vial | None] | NoEstimate
"""An estimate, with what the dose of a set needs when the vial's amount is counted in cells; or the reason for none."""


def answers(
    session: Session,
    specimens: Sequence[Snapshot],
    *,
    assay: str | None = None,
    fit: UUID | None = None,
    as_known_at: datetime | None = None,
    told: Mapping[str, Streams] | None = None,
) -> dict[str, Answer]:
    """Return for each specimen its estimate or the reason for none, as known at an instant (default now).

    `assay`: in terms of which assay (default: the usual one of the material). `fit`: read from this fit and no newer one.
    `told`: what the log says of each, where it was read.
    Raises NotFound for a fit that does not exist.
    """
    at = as_known_at or clock.now()
    pinned = None if fit is None else _fit_by_id(session, fit)
    parameters = _parameters(session, None if pinned is None else pinned.parameters_sha256, as_known_at)
    known = [one.code for one in specimens if one.material in parameters.materials]
    found_histories = histories(session, known, at, parameters.limits, known=as_known_at, told=told) if known else {}
    fits: dict[Stratum, Any] = {}

    def fit_of(stratum: Stratum) -> Any:
        if pinned is not None:
            return pinned
        if stratum not in fits:
            fits[stratum] = newest_fit(session, stratum, parameters.sha256, as_known_at)
        return fits[stratum]

    found: dict[str, Answer] = {}
    for one in specimens:
        asked = assay or rules.usual_assay(one.material, parameters)
        history = found_histories.get(one.code, History())
        refusal = rules.refusal_before_fit(one.code, one.material, asked, history, parameters)
        if refusal is not None:
            found[one.code] = refusal
        elif history.condition == Condition.FRESH:
            found[one.code] = _fresh_answer(one, history, asked, parameters, at)
        else:
            amount = _amount(session, one, as_known_at)
            stratum = Stratum(one.material, history.procedure_version or PRIOR, asked, history.storage)
            found[one.code] = _answer(session, one, history, stratum, fit_of(stratum), parameters, at, amount)
    return found


def _answer(
    session: Session,
    one: Snapshot,
    history: History,
    stratum: Stratum,
    row: Any,
    parameters: Parameters,
    at: datetime,
    amount: int,
) -> Answer:
    if row is None:
        return refusals.NotFittedYet(
            "The worker has not prepared the estimates yet; it does so within a minute of its start. Ask again then.",
            subject=one.code,
        )
    if (row.material, row.storage) != (stratum.material, stratum.storage) or (
        row.procedure_version != PRIOR and (row.procedure_version, row.assay) != (stratum.procedure_version, stratum.assay)
    ):
        return refusals.FitOfAnother(
            f"The fit {row.id} is of other vials than {one.code}. Ask with the one it quoted.", fit=str(row.id)
        )
    own = Own(row.thaws, row.donors, row.longest_days / 365.25)
    refusal = rules.own_data_refusal(one.code, one.material, history, own, parameters)
    if refusal is not None:
        return refusal
    forecast = _read(session, row.id, history, parameters)
    strength = parameters.prior_of(one.material, history.storage).strength
    vial = Vial(one.code, amount, one.lot_code, forecast) if one.unit == Unit.CELLS else None
    public = EstimatePublic(
        specimen=one.code,
        question="follicle_outgrowth" if stratum.assay in parameters.follicle_assays else "membrane_integrity",
        assay=stratum.assay,
        evidence=evidence_of(strength, own, parameters),
        own_thaws=own.thaws,
        own_donors=own.donors,
        median_bp=forecast.median_bp,
        expected_bp=forecast.expected_bp,
        next_vial=[_band(percent, forecast.unit_band(percent)) for percent in BANDS],
        mean=[_band(90, forecast.mean_band(90))],
        dose=None if vial is None else dose_public(dose_of_vial(vial, parameters.count_cv)),
        inputs=_inputs(history, history.storage),
        parameters=ParametersPublic(version=parameters.version, sha256=parameters.sha256),
        fit=row.id,
        as_known_at=at,
        quantiles=[round(value) for value in forecast.unit],
    )
    return public, vial


def evidence_of(strength: str, own: Own, parameters: Parameters) -> str:
    """Name what an estimate rests on: own counts once there are enough, else what was read, updated or not."""
    if strength == "own_data_only":
        return strength
    if own.enough(parameters.limits):
        return "own_data"
    return "literature_updated" if own.thaws else strength


def _read(session: Session, fit: UUID, history: History, parameters: Parameters) -> Forecast:
    table = _tables.get(fit)
    if table is None:
        # Fits never change, so a process reads each once; the newest few are enough.
        if len(_tables) >= MOST_TABLES:
            _tables.pop(next(iter(_tables)))
        table = _tables[fit] = Table.of(reading_of(session, fit))
    return forecast_at(table, min(history.years, table.years[-1]), history.late_hours(parameters.limits.warm_hours_without_loss))


_tables: dict[UUID, Table] = {}
MOST_TABLES: Final = 100


def _fresh_answer(one: Snapshot, history: History, assay: str, parameters: Parameters, at: datetime) -> Answer:
    found = fresh_follicles(one.code, history, parameters.fresh_follicles, parameters.limits.extrapolation)
    if not isinstance(found, Fresh):
        return found
    return (
        EstimatePublic(
            specimen=one.code,
            question="follicle_outgrowth",
            assay=assay,
            evidence="literature_weak",
            own_thaws=0,
            own_donors=0,
            median_bp=found.centre_bp,
            expected_bp=found.centre_bp,
            next_vial=[],
            mean=[BandPublic(percent=90, lower_bp=found.lower_bp, upper_bp=found.upper_bp)],
            dose=None,
            inputs=_inputs(history, "fresh"),
            parameters=ParametersPublic(version=parameters.version, sha256=parameters.sha256),
            fit=None,
            as_known_at=at,
            quantiles=[],
        ),
        None,
    )


def _inputs(history: History, storage: str) -> EstimateInputs:
    return EstimateInputs(
        storage=storage,
        procedure_version=history.procedure_version,
        frozen_at=history.frozen_at,
        stored_days=round(history.nitrogen_days + history.minus_80_days, 3),
        warm_hours_before_processing=round(history.warm_hours or 0.0, 3),
        cold_hours_before_processing=round(history.cold_hours or 0.0, 3),
    )


def _band(percent: int, band: Band) -> BandPublic:
    return BandPublic(percent=percent, lower_bp=band.lower_bp, upper_bp=band.upper_bp)


def dose_public(dose: Dose) -> DosePublic:
    """Return a dose in its wire shape."""
    return DosePublic(expected=dose.expected, lower=dose.lower, upper=dose.upper)


def _amount(session: Session, one: Snapshot, known: datetime | None) -> int:
    """Return what is in the vial, as known at an instant."""
    then = None if known is None else projection_of(session, one.code, as_known_at=known)
    return (one.projection if then is None else then.projection).amount


def _fit_by_id(session: Session, fit: UUID) -> "Row[Any]":
    row = session.execute(select(*fit_columns).where(fit_table.c.id == fit)).first()
    if row is None:
        raise NotFound(f"There is no fit {fit}.")
    return row


def _parameters(session: Session, sha256: str | None, known: datetime | None) -> Parameters:
    """Return the parameter file of a fit, or the one that was in use at an instant; else this installation's."""
    if sha256 is None and known is None:
        return current()
    statement = select(parameters_table.c.content)
    if sha256 is not None:
        statement = statement.where(parameters_table.c.sha256 == sha256)
    else:
        statement = statement.where(parameters_table.c.first_used_at <= known)
    content = session.execute(statement.order_by(parameters_table.c.first_used_at.desc()).limit(1)).scalar()
    return current() if content is None else _parsed(bytes(content))


@lru_cache(maxsize=8)
def _parsed(content: bytes) -> Parameters:
    return parse(content)

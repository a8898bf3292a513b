"""What the worker has kept: fits, parameter files, and how good the forecasts were."""

from collections import Counter, defaultdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.errors import MalformedRequest, NotFound
from biobank.viability.calibration import ALARM_BAND, ALARM_BELOW_PERCENT, PPM, WINDOW, calibration_of
from biobank.viability.parameters import current
from biobank.viability.schemas import CalibrationPublic, CoveragePublic, FitList, FitSummary, ParametersDetail, StratumCalibration
from biobank.viability.strata import Stratum, fit_columns, fit_table, parameters_table, thaw_table

MOST_THAWS = 20_000
"""The newest thaws that calibration looks at; a page has to end somewhere."""


def list_fits(
    session: Session, actor: Actor, *, material: str | None = None, after: UUID | None = None, limit: int = 100
) -> FitList:
    """Answer GET /viability/fits: newest first."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    order = (fit_table.c.made_at.desc(), fit_table.c.through.desc(), fit_table.c.id.desc())
    statement = select(*fit_columns).order_by(*order).limit(limit + 1)
    if material is not None:
        statement = statement.where(fit_table.c.material == material)
    if after is not None:
        mark = session.execute(select(fit_table.c.made_at, fit_table.c.through).where(fit_table.c.id == after)).first()
        if mark is None:
            raise MalformedRequest("This is no next page of this list. Begin at its first page.")
        here = text("(made_at, through, id) < (:made_at, :through, :after)").bindparams(
            made_at=mark.made_at, through=mark.through, after=after
        )
        statement = statement.where(here)
    rows = session.execute(statement).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return FitList(items=[_summary(row) for row in rows[:limit]], next=None if last is None else str(last.id))


def describe_fit(session: Session, actor: Actor, fit: UUID) -> FitSummary:
    """Answer GET /viability/fits/{id}."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    row = session.execute(select(*fit_columns).where(fit_table.c.id == fit)).first()
    if row is None:
        raise NotFound(f"There is no fit {fit}.")
    return _summary(row)


def _summary(row: "Row[tuple[object, ...]]") -> FitSummary:
    return FitSummary(**{name: getattr(row, name) for name in FitSummary.model_fields})


def describe_parameters(session: Session, actor: Actor, sha256: str | None = None) -> ParametersDetail:
    """Answer GET /viability/parameters: this installation's file, or one that an estimate quoted."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    here = current()
    if sha256 is None or sha256 == here.sha256:
        return ParametersDetail(version=here.version, sha256=here.sha256, content=here.content.decode())
    row = session.execute(select(parameters_table).where(parameters_table.c.sha256 == sha256)).first()
    if row is None:
        raise NotFound("No estimate was ever made from a parameter file with this SHA-256.")
    return ParametersDetail(version=row.version, sha256=row.sha256, content=bytes(row.content).decode())


def calibration(session: Session, actor: Actor) -> CalibrationPublic:
    """Answer GET /viability/calibration: every stratum, by name. Counts are not personal, so it covers the whole bank."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    names = Stratum.names()
    rows = session.execute(
        select(*(thaw_table.c[name] for name in names), thaw_table.c.place_ppm, thaw_table.c.excluded)
        .order_by(thaw_table.c.number.desc())
        .limit(MOST_THAWS)
    ).all()
    places: dict[Stratum, list[int]] = defaultdict(list)
    for row in reversed(rows):
        if row.excluded is None:
            places[Stratum(*row[: len(names)])].append(row.place_ppm)
    strata = [_stratum(stratum, places[stratum]) for stratum in sorted(places, key=Stratum.names_of)]
    return CalibrationPublic(
        strata=strata,
        alarms=sum(one.alarm for one in strata),
        excluded=dict(sorted(Counter(row.excluded for row in rows if row.excluded is not None).items())),
    )


def _stratum(stratum: Stratum, places: list[int]) -> StratumCalibration:
    found = calibration_of(places)
    coverage = [CoveragePublic(percent=c.percent, held=c.held, of=c.of) for c in found.coverage]
    whole = [CoveragePublic(percent=c.percent, held=c.held, of=c.of) for c in found.whole]
    return StratumCalibration(
        **stratum.columns(),
        thaws=found.thaws,
        coverage=coverage,
        whole=whole,
        pit=found.pit,
        rolling=found.rolling,
        alarm=found.alarm,
    )


_ALARMS = text(
    """
    SELECT count(*) FROM (
        SELECT count(*) AS thaws, count(*) FILTER (WHERE place_ppm BETWEEN :low AND :high) AS held
        FROM (SELECT material, procedure_version, assay, storage, place_ppm,
                     row_number() OVER (PARTITION BY material, procedure_version, assay, storage ORDER BY number DESC) AS nth
              FROM viability_thaw WHERE excluded IS NULL) AS newest
        WHERE nth <= :window GROUP BY material, procedure_version, assay, storage
    ) AS stratum WHERE thaws = :window AND held * 100 < :percent * thaws
    """
)


def count_alarms(session: Session) -> int:
    """Return in how many strata the 90 % interval held fewer than 80 % of the newest thirty thaws."""
    edge = (100 - ALARM_BAND) * PPM // 200
    values = {"low": edge, "high": PPM - edge, "window": WINDOW, "percent": ALARM_BELOW_PERCENT}
    return int(session.execute(_ALARMS, values).scalar_one())


def count_waiting(session: Session, before: datetime) -> int:
    """Return how many counts that the model reads were recorded before an instant and not looked at yet."""
    parameters = current()
    return int(
        session.execute(
            _WAITING,
            {
                "materials": sorted(parameters.materials),
                "methods": [*parameters.cell_assays, *parameters.follicle_assays],
                "before": before,
            },
        ).scalar_one()
    )


_WAITING = text(
    """
    SELECT count(*) FROM viability_assay a JOIN specimen s ON s.code = a.specimen_code
    WHERE s.material = ANY(:materials) AND a.method = ANY(:methods) AND a.recorded_at < :before
      AND NOT EXISTS (SELECT 1 FROM viability_thaw t WHERE t.assay_id = a.id)
    """
)

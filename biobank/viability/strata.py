"""A stratum: what is counted together. Its tables, and the newest fit of it."""

from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Table, and_, or_, select
from sqlmodel import Session

from biobank.foundation.db import table_of
from biobank.viability.models import ViabilityFit, ViabilityParameters, ViabilityThaw

fit_table = table_of(ViabilityFit)
thaw_table = table_of(ViabilityThaw)
parameters_table = table_of(ViabilityParameters)

fit_columns = tuple(column for column in fit_table.c if column.name not in {"draws", "reading"})
"""A fit without what is large: its draws and its tabulated quantiles."""

PRIOR: Final = "*"
"""Stands for procedure and assay of the fit that has seen no thaw."""


@dataclass(frozen=True)
class Stratum:
    """Material, version of the freezing procedure, assay, and whether it stood in nitrogen or at −80 °C."""

    material: str
    procedure_version: str
    assay: str
    storage: str

    @classmethod
    def names(cls) -> list[str]:
        """The columns that name a stratum."""
        return [one.name for one in fields(cls)]

    @property
    def is_prior(self) -> bool:
        """Whether it stands for what was known before any thaw."""
        return self.procedure_version == PRIOR

    def names_of(self) -> tuple[str, ...]:
        """The stratum as a plain tuple."""
        return astuple(self)

    def columns(self) -> dict[str, str]:
        """The stratum as column values."""
        return dict(zip(self.names(), astuple(self), strict=True))

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """Conditions that pick its rows of a table."""
        return [table.c[name] == value for name, value in self.columns().items()]


def newest_fit(session: Session, stratum: Stratum, parameters_sha256: str, known: datetime | None = None) -> "Row[Any] | None":
    """Return the newest fit of a stratum made by `known`, or its material's prior; None when the worker made neither."""
    own = and_(fit_table.c.procedure_version == stratum.procedure_version, fit_table.c.assay == stratum.assay)
    statement = (
        select(*fit_columns)
        .where(
            fit_table.c.material == stratum.material,
            fit_table.c.storage == stratum.storage,
            fit_table.c.parameters_sha256 == parameters_sha256,
            or_(own, fit_table.c.procedure_version == PRIOR),
        )
        .order_by((fit_table.c.procedure_version == PRIOR), fit_table.c.made_at.desc(), fit_table.c.through.desc())
        .limit(1)
    )
    if known is not None:
        statement = statement.where(fit_table.c.made_at <= known)
    return session.execute(statement).first()


def reading_of(session: Session, fit: UUID) -> dict[str, Any]:
    """Return the tabulated quantiles of a fit (`forecast.Table`)."""
    reading: dict[str, Any] = session.execute(select(fit_table.c.reading).where(fit_table.c.id == fit)).scalar_one()
    return reading


def draws_stored(session: Session, fit: UUID) -> bytes:
    """Return the draws of a fit as they are stored."""
    return bytes(session.execute(select(fit_table.c.draws).where(fit_table.c.id == fit)).scalar_one())

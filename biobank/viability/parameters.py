"""The parameter file: priors and limits as data, named by version and SHA-256 in every estimate. Pure."""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("parameters.toml")

Normal = tuple[float, float]
"""Mean and standard deviation."""


@dataclass(frozen=True)
class Prior:
    """What is known of one kind of product before its own counts, on the logit scale.

    `level`: logit of the mean living share; `log_dispersion`: log phi; `per_year`: slope per year below −135 °C;
    `per_late_hour`: scale of the half-normal fall per hour at room temperature beyond 24. `strength`: literature ·
    literature_weak · own_data_only. `longest_years`: the longest storage that the sources saw.
    """

    level: Normal
    log_dispersion: Normal
    per_year: Normal
    per_late_hour: float
    strength: str
    longest_years: float


@dataclass(frozen=True)
class Limits:
    """Where the model stops speaking; see the file for units and sources."""

    within_minutes_after_thaw: int
    warm_hours_before_processing: float
    warm_hours_without_loss: float
    highest_mc: int
    minus_80_days: float
    extrapolation: float
    own_thaws: int
    own_donors: int
    uncontrolled_minutes: float
    vitrification: str


@dataclass(frozen=True)
class FreshFollicles:
    """Survival of follicles out of the body, not yet frozen."""

    cold_level: Normal
    cold_per_hour: float
    cold_log_per_hour_se: float
    cold_longest_hours: float
    warm_hours_negligible: float
    warm_hours_near: float
    warm_near: tuple[float, float, float]
    warm_hours_far: float
    warm_far: tuple[float, float]


@dataclass(frozen=True)
class Parameters:
    """A whole parameter file."""

    version: str
    sha256: str
    content: bytes
    priors: dict[str, Prior]
    materials: dict[str, str]
    cell_assays: tuple[str, ...]
    follicle_assays: tuple[str, ...]
    limits: Limits
    count_cv: float
    fresh_follicles: FreshFollicles
    particles: int
    moves: int
    newest_thaws: int

    def prior_of(self, material: str, storage: str) -> Prior:
        """Return the prior of a known material; at −80 °C no source counts and the bank's own data alone speak."""
        name = self.materials[material] if storage == "nitrogen" else "own_data_only"
        return self.priors[name]


def parse(data: bytes) -> Parameters:
    """Read a parameter file. Raises KeyError or TypeError for one that is not whole, tomllib.TOMLDecodeError for none."""
    raw = tomllib.loads(data.decode())
    common = raw["priors"].pop("common")
    priors = {
        name: Prior(
            level=_pair(one["level"]),
            log_dispersion=_pair(common["log_dispersion"]),
            per_year=_pair(common["per_year"]),
            per_late_hour=float(common["per_late_hour"]),
            strength=one["strength"],
            longest_years=float(one["longest_years"]),
        )
        for name, one in raw["priors"].items()
    }
    follicles: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in raw["fresh_follicles"].items()}
    return Parameters(
        version=raw["version"],
        sha256=hashlib.sha256(data).hexdigest(),
        content=data,
        priors=priors,
        materials=raw["materials"],
        cell_assays=tuple(raw["assays"]["cells"]),
        follicle_assays=tuple(raw["assays"]["follicles"]),
        limits=Limits(**raw["limits"]),
        count_cv=float(raw["cells"]["count_cv"]),
        fresh_follicles=FreshFollicles(**follicles),
        **raw["sampler"],
    )


def _pair(values: list[Any]) -> Normal:
    mean, deviation = values
    return float(mean), float(deviation)


@cache
def current() -> Parameters:
    """Return the parameters of this installation."""
    return parse(FILE.read_bytes())

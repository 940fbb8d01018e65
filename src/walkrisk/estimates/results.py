"""What a run computed: rows only, from which every table, figure and report is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.rows import CurvePoint, Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPoint:
    """A cut point of an exposure in an analysis, or a knot of its spline (`cut` is then knot_p10, ...)."""

    analysis: str
    exposure: str
    cut: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """A cell of a descriptive table: `statistic` is n, mean, sd, count or percent (of the known); `known` people have
    a value of the variable."""

    table: str
    variable: str
    level: str
    group: str
    statistic: str
    value: float | None
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """A model fit."""

    analysis: str
    exposure: str
    stratum: str
    model: str
    method: str
    n: int
    events: int
    parameters: int
    converged: bool
    iterations: int
    boundary: bool
    max_fitted_risk: float | None
    log_likelihood: float | None
    warnings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBin:
    """People of the analytic sample with an exposure in [low, high) (the last bin includes its upper limit)."""

    exposure: str
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a sensitivity analysis' figure: of a trace, a scan, a distribution, a grid.

    `series` is what is drawn, `item` the variable, group or line it is of; `n` the people behind it, where it has any.
    """

    analysis: str
    exposure: str = ""
    stratum: str = ""
    level: str = ""
    series: str
    item: str = ""
    x: float | None = None
    y: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """One specification of a multiverse; `choices` says which option each decision took ("decision=option; ...")."""

    analysis: str
    exposure: str
    level: str
    reference: str
    specification: int
    choices: str
    n: int | None = None
    events: int | None = None
    estimate: float | None = None
    std_error: float | None = None
    conf_low: float | None = None
    conf_high: float | None = None
    p_value: float | None = None
    warnings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Every row a run computed, by kind."""

    estimates: tuple[Estimate, ...]
    curves: tuple[CurvePoint, ...]
    flow: tuple[FlowStep, ...]
    cutpoints: tuple[CutPoint, ...]
    characteristics: tuple[Characteristic, ...]
    diagnostics: tuple[Diagnostic, ...]
    histograms: tuple[HistogramBin, ...]
    points: tuple[Point, ...] = ()
    specifications: tuple[Specification, ...] = ()


OUTCOME_TABLE = "outcome"  # the descriptive table every run has: people with each outcome

ROW_TYPES: Mapping[str, type] = {
    "estimates": Estimate,
    "curves": CurvePoint,
    "flow": FlowStep,
    "cutpoints": CutPoint,
    "characteristics": Characteristic,
    "diagnostics": Diagnostic,
    "histograms": HistogramBin,
    "points": Point,
    "specifications": Specification,
}


def columns_of(kind: str) -> tuple[str, ...]:
    """Column names of one kind of row, in file order."""
    return tuple(f.name for f in fields(ROW_TYPES[kind]))

"""What a run computed: rows only, from which every table, figure and report is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.rows import (
    CurvePoint,
    Estimate,
    OfAnalysis,
    OfExposure,
    OfLevel,
    OfModel,
    OfReference,
    OfStratum,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPoint:
    """A cut point of an exposure in an analysis, or a knot of its spline (`cut` is then knot_p10, ...)."""

    analysis: OfAnalysis
    exposure: OfExposure
    cut: Annotated[str, "p25, p50, p75 of quartiles; limit1, ... of fixed limits; knot_p10, ... of a spline"]
    value: Annotated[float, "the cut point, in the unit of the exposure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """A cell of a descriptive table: `statistic` is n, mean, sd, count or percent (of the known), or smd, the
    standardised difference between the groups; `known` people have a value of the variable."""

    table: Annotated[str, "id of the descriptive table"]
    variable: Annotated[str, "column or variable described; empty for the size of a group"]
    level: Annotated[str, "level of a factor; empty for a number"]
    group: Annotated[str, "group of people; empty for smd"]
    statistic: Annotated[
        str, "n, mean, sd, count, percent of the known, or smd (standardised difference between groups)"
    ]
    value: Annotated[float | None, "the number"]
    known: Annotated[int | None, "people of the group with a value of the variable; empty where not published"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """A model fit."""

    analysis: OfAnalysis
    exposure: OfExposure
    stratum: OfStratum
    model: OfModel
    method: Annotated[str, "estimator"]
    n: Annotated[int | None, "people in the model; empty where not published"]
    events: Annotated[int | None, "of these, people with the event; empty where not published"]
    parameters: Annotated[int, "coefficients that were estimated"]
    converged: Annotated[bool, "whether the maximum was found and certified"]
    iterations: Annotated[int, "steps it took"]
    boundary: Annotated[bool, "whether some fitted risk is exactly 0 or 1 at the maximum"]
    max_fitted_risk: Annotated[float | None, "largest fitted risk; above 1 the model does not describe everyone"]
    log_likelihood: Annotated[float | None, "log likelihood at the maximum, where there is one"]
    warnings: Annotated[str, "sentences on what a reader must know of the fit"]


def unfitted(
    *, analysis: str, exposure: str, stratum: str, model: str, method: str, why: str, n: int = 0, events: int = 0
) -> Diagnostic:
    """The row of a model that was not fitted, with the sentence that says why."""
    return Diagnostic(
        analysis=analysis,
        exposure=exposure,
        stratum=stratum,
        model=model,
        method=method,
        n=n,
        events=events,
        parameters=0,
        converged=False,
        iterations=0,
        boundary=False,
        max_fitted_risk=None,
        log_likelihood=None,
        warnings=why,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBin:
    """People of the analytic sample with an exposure in [low, high) (the last bin includes its upper limit)."""

    exposure: OfExposure
    low: Annotated[float, "lower edge"]
    high: Annotated[float, "upper edge"]
    n: Annotated[int, "people in the bin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a sensitivity analysis' figure: of a trace, a scan, a distribution, a grid.

    `series` is what is drawn, `item` the variable, group or line it is of; `n` the people behind it, where it has any.
    """

    analysis: OfAnalysis
    exposure: OfExposure = ""
    stratum: OfStratum = ""
    level: OfLevel = ""
    series: Annotated[str, "what is drawn"]
    item: Annotated[str, "variable, group or line it is of"] = ""
    x: Annotated[float | None, "place along the horizontal axis"] = None
    y: Annotated[float | None, "height"] = None
    low: Annotated[float | None, "lower limit or edge"] = None
    high: Annotated[float | None, "upper limit or edge"] = None
    n: Annotated[int | None, "people behind it, where it has any"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """One specification of a multiverse; `choices` says which option each decision took ("decision=option; ...")."""

    analysis: OfAnalysis
    exposure: OfExposure
    level: OfLevel
    reference: OfReference
    specification: Annotated[int, "its number, the study's own included"]
    choices: Annotated[str, "the option that each decision took"]
    n: Annotated[int | None, "people analysed"] = None
    events: Annotated[int | None, "of these, people with the event"] = None
    estimate: Annotated[float | None, "ratio"] = None
    std_error: Annotated[float | None, "standard error of the log ratio"] = None
    conf_low: Annotated[float | None, "lower limit"] = None
    conf_high: Annotated[float | None, "upper limit"] = None
    p_value: Annotated[float | None, "two-sided P value of a ratio of 1"] = None
    warnings: Annotated[str, "sentences on the fit"] = ""


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

"""The analytic sample of a study, ready to be analysed, and what every request to fit has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import winsorise_upper
from walkrisk.cohorts.cohort import Cohort, Variable
from walkrisk.cohorts.samples import CategoryRule, Sample, categorise, cut_names
from walkrisk.estimates.results import Characteristic, CutPoint, Diagnostic, Point, Specification
from walkrisk.estimates.rows import CurvePoint, Estimate, critical_value
from walkrisk.studies.fitting import Request
from walkrisk.studies.kinds import has_levels
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import base_of

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """What one analysis yields."""

    estimates: tuple[Estimate, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    cutpoints: tuple[CutPoint, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    points: tuple[Point, ...] = ()
    specifications: tuple[Specification, ...] = ()
    characteristics: tuple[Characteristic, ...] = ()


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of every kind one after the other."""
    return Rows(**{f.name: tuple(row for part in parts for row in getattr(part, f.name)) for f in fields(Rows)})


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A study with its analytic sample, ready to be analysed."""

    study: Study
    cohort: Cohort
    rules: Mapping[str, CategoryRule]
    sample: Sample
    z: float

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Category names by exposure."""
        return {name: rule.labels(self.rules) for name, rule in self.rules.items()}


def make_bench(study: Study, cohort: Cohort) -> Bench:
    """The analytic sample with every exposure cut on it (and winsorised first where declared)."""
    rules = {name: category_rule(study, name, cohort.variables) for name in study.exposures}
    columns = {name: values[cohort.included] for name, values in cohort.everyone.items()}
    for name, exposure in study.exposures.items():
        if exposure.variable and exposure.winsorise_percentile:
            capped = winsorise_upper(columns[exposure.variable], exposure.winsorise_percentile)
            columns[variable_of(study, name)] = capped
    cut = {name: rule for name, rule in rules.items() if rule.cross or rule.codes or rule.quantiles or rule.cuts}
    return Bench(study, cohort, cut, categorise(columns, cut, cohort.n), critical_value(study.settings.conf_level))


def variable_of(study: Study, exposure: str) -> str:
    """The column of a sample that holds an exposure's values; a winsorised one has a column of its own."""
    declared = study.exposures[exposure]
    assert declared.variable
    return f"{exposure} winsorised" if declared.winsorise_percentile else declared.variable


def category_rule(study: Study, name: str, variables: Mapping[str, Variable]) -> CategoryRule:
    """How a declared exposure becomes categories."""
    e = study.exposures[name]
    variable = variable_of(study, name) if e.variable else ""
    codes = tuple((variables[e.variable].levels or {}).items()) if e.variable and has_levels(study, name) else ()
    return CategoryRule(
        variable=variable, quantiles=e.quantiles, cuts=e.cuts, codes=codes, cross=e.cross, prefix=e.prefix
    )


def fitted_to(study: Study, method: str, outcome: str) -> dict[str, Any]:
    """Method and outcome of a request; a Cox model takes the event and its time."""
    declared = study.outcomes[outcome]
    if method == "cox":
        return {"method": method, "outcome": declared.event, "time": declared.time}
    return {"method": method, "outcome": declared.variable}


def common(study: Study, *, weighted: bool) -> dict[str, Any]:
    """Sampling design and engine of a request."""
    d = study.design
    return {
        "weights": d.weights if weighted else None,
        "strata": d.strata,
        "psu": d.psu,
        "cluster": d.cluster,
        "engine": study.settings.engine,
        "replicates": study.settings.replicates,
        "seed": study.settings.seed,
    }


def everyone(bench: Bench, request: Request) -> Sample | None:
    """Everyone with a place in the survey design, whose PSUs count even where nobody is analysed."""
    if not any(base_of(v) == "survey" for v in request.variances):
        return None
    columns = {n: bench.cohort.everyone[n] for n in (request.strata, request.psu) if n}
    return Sample(columns, {}, {}, bench.cohort.n_all)


def cutpoints_of(
    analysis: str, exposure: str, sample: Sample, rules: Mapping[str, CategoryRule]
) -> tuple[CutPoint, ...]:
    """The cut points of an exposure, or of both that are crossed in it, as rows of an analysis."""
    rule = rules.get(exposure)
    parts = [part for part in rule.cross or (exposure,) if part in sample.cuts] if rule else []
    return tuple(
        CutPoint(analysis=analysis, exposure=part, cut=name, value=float(value))
        for part in parts
        for name, value in zip(cut_names(rules[part]), sample.cuts[part], strict=True)
    )

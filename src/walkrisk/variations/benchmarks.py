"""Measured covariates as a yardstick: the main model without each of them, and how each is related to both ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.samples import Sample
from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor, Linear, Term, factor
from walkrisk.sensitivity.confounding import (
    exposure_association,
    fifths,
    is_rare,
    observed_covariate,
    outcome_association,
)
from walkrisk.sensitivity.evalue import bias_factor
from walkrisk.studies.bench import Bench, Rows, everyone, variable_of
from walkrisk.studies.confounding import Benchmarks
from walkrisk.studies.fitting import NoEstimate, fit_terms, with_warning
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import ON_LOG_SCALE
from walkrisk.variations.contrasts import emptied
from walkrisk.variations.ground import MainModel, main_analysis, main_model, main_rows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

MEASURES = {"risk_ratio": "RR", "odds_ratio": "OR", "hazard_ratio": "HR"}


@dataclass(frozen=True, slots=True, eq=False)
class _Here:
    """The people of the main model, and their rows with every covariate."""

    bench: Bench
    analysis: RatioAnalysis
    model: MainModel
    main: tuple[Estimate, ...]
    fit: Diagnostic


def covariates_of(study: Study, analysis: RatioAnalysis, exposure: str) -> list[str]:
    """The covariates of the main model of an exposure, by the names they are declared under."""
    model = analysis.models[0]
    names = [analysis.replace_covariates.get(c, c) for c in study.models[model].covariates]
    for addition in analysis.add:
        if model in addition.models and (not addition.exposures or exposure in addition.exposures):
            names += addition.covariates
    return list(dict.fromkeys(names))


def benchmark_rows(bench: Bench, declared: Benchmarks, exposure: str) -> Rows:
    """The main ratios without each covariate and each group, on the people of the main model, and associations.

    `stratum` of a row is what was left out.
    """
    here = _here(bench, exposure)
    covariates = covariates_of(bench.study, here.analysis, exposure)
    out: list[tuple[str, tuple[str, ...]]] = [(c, (c,)) for c in covariates]
    out += [(name, group) for name, group in declared.groups.items() if set(group) & set(covariates)]
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for name, gone in out:
        found = _without(here, exposure, gone)
        estimates += [replace(e, analysis=declared.id, stratum=name) for e in found.estimates]
        estimates += _shifts(here, declared, name, found)
        diagnostics += [replace(d, analysis=declared.id, stratum=name) for d in found.diagnostics]
    if here.model.asked.request.method in ON_LOG_SCALE:
        for name in covariates:
            made, sentences = _associations(here, declared, exposure, name)
            estimates += made
            at = next(i for i, d in enumerate(diagnostics) if d.stratum == name)
            for said in sentences:
                diagnostics[at] = with_warning(diagnostics[at], said)
    return Rows(estimates=tuple(estimates), diagnostics=tuple(diagnostics))


def _here(bench: Bench, exposure: str) -> _Here:
    analysis = main_analysis(bench.study)
    model = main_model(bench, exposure, analysis=analysis)
    same = replace(bench, sample=model.asked.people.where(model.assembled.frame.rows))
    plain = replace(analysis, restrict=(), recut=False)
    found = main_rows(same, exposure, analysis=plain)
    return _Here(same, plain, model, found.estimates, found.diagnostics[0])


def _without(here: _Here, exposure: str, gone: Sequence[str]) -> Rows:
    study, analysis = here.bench.study, here.analysis
    model = study.models[analysis.models[0]]
    left = tuple(c for c in model.covariates if analysis.replace_covariates.get(c, c) not in gone)
    added = tuple(replace(a, covariates=tuple(c for c in a.covariates if c not in gone)) for a in analysis.add)
    kept = {k: v for k, v in analysis.replace_covariates.items() if k in left}
    fewer = replace(study, models={**study.models, analysis.models[0]: replace(model, covariates=left)})
    variant = replace(analysis, add=added, replace_covariates=kept)
    return main_rows(replace(here.bench, study=fewer), exposure, analysis=variant)


def _shifts(here: _Here, declared: Benchmarks, name: str, found: Rows) -> Iterator[Estimate]:
    """What leaving a covariate out did to each ratio, and its observed-covariate E-values."""
    rare = is_rare(here.fit.events or 0, here.fit.n or 0) if declared.rare is None else declared.rare
    without = {(e.level, e.variance): e for e in found.estimates}
    for e in here.main:
        less = without.get((e.level, e.variance))
        full_limits, less_limits = _limits(e), _limits(less)
        if e.level == e.reference or full_limits is None or less_limits is None:
            continue
        made = observed_covariate(full_limits, less_limits, measure=MEASURES[e.estimand], rare=rare)
        base = emptied(e, analysis=declared.id, stratum=name, n=here.fit.n, events=here.fit.events)
        yield replace(base, estimand="log_ratio_shift", estimate=made.log_shift)
        yield replace(base, estimand="observed_bias_factor", estimate=made.bias_factor)
        yield replace(base, estimand="observed_e_value", estimate=made.e_value)
        if not math.isnan(made.e_value_limit):
            yield replace(base, estimand="observed_e_value_ci", estimate=made.e_value_limit)


def _limits(e: Estimate | None) -> tuple[float, float, float] | None:
    if e is None or e.estimate is None or e.conf_low is None or e.conf_high is None or e.conf_low <= 0:
        return None
    return e.estimate, e.conf_low, e.conf_high


def _associations(here: _Here, declared: Benchmarks, exposure: str, name: str) -> tuple[list[Estimate], list[str]]:
    """A covariate's largest ratios with exposure (for each category) and with the outcome, and its bias factor."""
    request = here.model.asked.request
    frame = here.model.assembled.frame
    column = variable_of(here.bench.study, name) if name in here.bench.study.exposures else name
    codes, sample, terms = _as_categories(here, declared, column)
    try:
        fitted, made = fit_terms(
            request,
            sample,
            terms,
            here.bench.cohort.variables,
            labels=here.model.asked.labels,
            design_sample=everyone(here.bench, request),
        )
    except NoEstimate as none:
        return [], [str(none)]
    term = next((t for t in made if isinstance(t, Factor) and t.name in (column, _cut(column))), None)
    if term is None or not fitted.fit.converged:
        return [], [f"{name}: its ratio with the outcome could not be estimated."]
    log_ratios = fitted.fit.coefficients[list(fitted.fit.design.columns_of[term])]
    outcome = outcome_association(log_ratios)
    levels = frame.columns[exposure]
    numbers = {label: i for i, label in enumerate(here.model.asked.labels[exposure], start=1)}
    first = here.main[0].variance if here.main else ""
    estimates: list[Estimate] = []
    sentences: list[str] = []
    for e in here.main:
        if e.level == e.reference or e.estimate is None or e.variance != first:
            continue
        exposed, reference = levels == numbers[e.level], levels == numbers[e.reference]
        ratio, _ = exposure_association(codes, exposed, reference, inverse=e.estimate < 1, weights=frame.weights)
        base = emptied(e, analysis=declared.id, stratum=name, n=here.fit.n, events=here.fit.events)
        if math.isinf(ratio):
            sentences.append(f"{name}: a category is met in one of {e.level} and {e.reference} alone.")
            continue
        estimates.append(replace(base, estimand="exposure_association", estimate=ratio))
        estimates.append(replace(base, estimand="outcome_association", estimate=outcome))
        estimates.append(replace(base, estimand="bias_factor", estimate=bias_factor(max(ratio, 1.0), outcome)))
    return estimates, sentences


def _as_categories(here: _Here, declared: Benchmarks, column: str) -> tuple[IntArray, Sample, list[Term | str]]:
    """A covariate's category numbers, and the model's people and terms with it as a factor."""
    sample, terms = here.bench.sample, list(here.model.asked.terms)
    if not any(isinstance(t, Linear) and t.name == column for t in terms):
        codes = np.unique(_column(sample, column), return_inverse=True)[1]
        return np.asarray(codes, dtype=np.intp), sample, terms
    codes = fifths(sample.columns[column], declared.parts, weights=here.model.assembled.frame.weights)
    values = codes.astype(np.float64)
    columns: Mapping[str, FloatArray] = {**sample.columns, _cut(column): values}
    cut = factor(_cut(column), values)
    swapped = [cut if isinstance(t, Linear) and t.name == column else t for t in terms]
    return codes, Sample(columns, sample.categories, sample.cuts, sample.n), swapped


def _column(sample: Sample, name: str) -> FloatArray:
    return sample.columns[name] if name in sample.columns else sample.categories[name]


def _cut(column: str) -> str:
    return f"{column} in groups"

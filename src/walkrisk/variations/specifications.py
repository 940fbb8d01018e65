"""A specification of a multiverse as a study of its own, and that study analysed alone by the ordinary machinery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import cut_fixed, cut_up, quantile_cuts
from walkrisk.cohorts.eligibility import Condition, Exclusion, holds
from walkrisk.cohorts.samples import Sample
from walkrisk.cohorts.variables import Derivation
from walkrisk.errors import WalkriskError
from walkrisk.estimates.rows import Estimate, two_sided_p
from walkrisk.estimates.standardisation import risk_covariance, standardise
from walkrisk.models.design import Design, Linear, Spline, Term, build_design
from walkrisk.models.fit import fit_model
from walkrisk.models.splines import harrell_knots, knots_at_percentiles
from walkrisk.studies.analyse import asked_of, ratio_rows
from walkrisk.studies.bench import Bench, everyone, variable_of
from walkrisk.studies.fitting import NoEstimate, Request, assemble, choice_of, fit_terms
from walkrisk.studies.multiverse import (
    CategoriesOption,
    CovariatesOption,
    DerivationOption,
    MethodOption,
    MissingDataOption,
    Multiverse,
    Option,
    OutcomeOption,
    PerUnitOption,
    RestrictOption,
    SplineOption,
    ValidDaysOption,
)
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import COX, REGRESSIONS
from walkrisk.variations.ground import main_analysis

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Form = CategoriesOption | PerUnitOption | SplineOption | None
STANDARDISED = {
    "standardisation_logistic": "logistic",
    "standardisation_poisson": "modified_poisson",
    "standardisation_log_binomial": "log_binomial",
}
UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Specified:
    """One specification: its place among all, the options taken, the study they make, and its main analysis.

    `data` are the places of the options that change variables or how missing ones are dealt with, `people` of those
    that change who is analysed: specifications that agree in them share what is made of them.
    """

    number: int
    places: tuple[int, ...]
    study: Study
    analysis: RatioAnalysis
    form: Form
    missing: MissingDataOption | None
    data: tuple[int, ...]
    people: tuple[int, ...]

    @property
    def method(self) -> str:
        """The estimator."""
        return self.analysis.method or self.study.settings.method

    @property
    def outcome(self) -> str:
        """The outcome's name."""
        return self.analysis.outcome or self.study.settings.outcome

    @property
    def variance(self) -> str:
        """The variance of its interval: the first declared."""
        return (self.analysis.variances or self.study.settings.variances)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a specification gives: the log ratio, its standard error, and what there is to say; None where nothing."""

    n: int = 0
    events: int = 0
    log_ratio: float | None = None
    std_error: float | None = None
    conf_low: float | None = None
    conf_high: float | None = None
    p_value: float | None = None
    level: str = ""
    reference: str = ""
    warnings: str = ""


def specified(study: Study, declared: Multiverse, number: int, places: tuple[int, ...]) -> Specified:
    """The study that a combination of options makes."""
    options = declared.chosen(places)
    changed, analysis = study, main_analysis(study)
    form: Form = None
    missing: MissingDataOption | None = None
    for o in options:
        changed = _changed(changed, o, analysis.models[0])
        match o:
            case MethodOption():
                analysis = replace(analysis, method=o.method, estimand=None)
            case OutcomeOption():
                analysis = replace(analysis, outcome=o.outcome)
            case CategoriesOption() | PerUnitOption() | SplineOption():
                form = o
                analysis = replace(analysis, fixed_cuts={})
            case MissingDataOption():
                missing = o
            case _:
                pass
    kept = tuple(analysis if a.id == analysis.id else a for a in changed.analyses)
    data = tuple(
        i if isinstance(o, ValidDaysOption | DerivationOption | MissingDataOption) else -1
        for i, o in zip(places, options, strict=True)
    )
    people = tuple(
        i if isinstance(o, ValidDaysOption | RestrictOption | MissingDataOption) else -1
        for i, o in zip(places, options, strict=True)
    )
    return Specified(number, places, replace(changed, analyses=kept), analysis, form, missing, data, people)


def _changed(study: Study, o: Option, model: str) -> Study:
    match o:
        case ValidDaysOption():
            if o.valid is not None and study.days is not None:
                study = replace(study, days=replace(study.days, valid=o.valid))
            if o.fewest is not None:
                study = _narrowed(study, o.id, (Condition(variable=o.count, at_least=o.fewest),))
        case RestrictOption():
            study = replace(study, exclusions=tuple(s for s in study.exclusions if s.id not in o.without))
            study = _narrowed(study, o.id, o.require) if o.require else study
        case MissingDataOption():
            levels = {n: study.variables[n].levels for n in o.variables}
            more = {n: {**v, max(v) + 1: UNKNOWN} for n, v in levels.items()}
            variables = {n: replace(d, levels=more[n]) if n in more else d for n, d in study.variables.items()}
            kept = tuple(s for s in study.exclusions if s.id not in o.without)
            study = replace(study, variables=variables, exclusions=kept)
        case CovariatesOption():
            names = study.models[o.model or model].covariates
            names = tuple(o.replace.get(n, n) for n in names if n not in o.drop)
            names += tuple(n for n in o.add if n not in names)
            study = replace(study, models={**study.models, model: replace(study.models[model], covariates=names)})
        case DerivationOption():
            study = replace(study, variables={**study.variables, **_described(study, o)})
        case CategoriesOption():
            exposures = {
                n: replace(e, quantiles=o.quantiles, cuts=() if o.quantiles else o.cuts[n])
                if e.variable and (o.quantiles or n in o.cuts)
                else e
                for n, e in study.exposures.items()
            }
            study = replace(study, exposures=exposures)
        case _:
            pass
    return study


def _narrowed(study: Study, step: str, require: tuple[Condition, ...]) -> Study:
    more = Exclusion(id=f"multiverse_{step}", reason=step, require=require)
    return replace(study, exclusions=(*study.exclusions, more))


def _described(study: Study, o: DerivationOption) -> dict[str, Derivation]:
    """Other derivations under the labels, units and levels of the study's own."""
    out: dict[str, Derivation] = {}
    for name, d in o.variables.items():
        own = study.variables[name]
        out[name] = replace(
            d,
            label=d.label or own.label,
            unit=d.unit or own.unit,
            levels=d.levels or own.levels,
            decimals=own.decimals,
        )
    return out


def filled_indicators(
    missing: MissingDataOption, study: Study, known: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Factors (n,) of which unknown is a level of its own, the last; `study` is the specification's."""
    return {
        name: np.where(np.isnan(known[name]), float(max(study.variables[name].levels)), known[name])
        for name in missing.variables
    }


# ---------------------------------------------------------------- two values of an exposure


def two_values(study: Study, exposure: str, values: FloatArray) -> tuple[float, float]:
    """The medians of the lowest and the highest category that the STUDY's own rule cuts of values (n,)."""
    declared = study.exposures[exposure]
    if declared.quantiles:
        groups = cut_up(values, quantile_cuts(values, declared.quantiles))
        last = declared.quantiles
    else:
        fixed = main_analysis(study).fixed_cuts.get(exposure, declared.cuts)
        groups, last = cut_fixed(values, np.asarray(fixed)), len(fixed) + 1
    ends = [values[groups == g] for g in (1, last)]
    if not all(len(e) for e in ends):
        return float("nan"), float("nan")
    return float(np.median(ends[0])), float(np.median(ends[1]))


def knots_of(form: SplineOption, values: FloatArray) -> tuple[float, ...]:
    """The knots of a spline among values (n,). Raises ValueError where they coincide."""
    return harrell_knots(values, form.knots) if form.knots else knots_at_percentiles(values, form.knot_percentiles)


# ---------------------------------------------------------------- alone


def alone(study: Study, spec: Specified, bench: Bench, exposure: str, *, scale: str) -> Found:
    """A specification on its bench by the ordinary machinery: categories as every ratio analysis has them, a linear
    term or a spline by the same fit and covariance. `study` is the study as declared. What cannot be is a sentence."""
    try:
        if isinstance(spec.form, PerUnitOption | SplineOption):
            return _between_values(study, spec, bench, exposure)
        return _between_groups(study, spec, bench, exposure, scale)
    except (NoEstimate, WalkriskError) as fault:
        said = fault.diagnostic.warnings if isinstance(fault, NoEstimate) else " ".join(fault.faults)
        known = fault.diagnostic if isinstance(fault, NoEstimate) else None
        return Found(n=(known.n if known else 0) or 0, events=(known.events if known else 0) or 0, warnings=said)
    except (ValueError, np.linalg.LinAlgError) as error:
        return Found(warnings=f"{str(error)[:1].upper()}{str(error)[1:]}".rstrip(".") + ".")


def _between_groups(study: Study, spec: Specified, bench: Bench, exposure: str, scale: str) -> Found:
    rows = ratio_rows(bench, spec.analysis, exposure)
    diagnostic = rows.diagnostics[0]
    shown = [e for e in rows.estimates if e.variance in (spec.variance, "")] or list(rows.estimates)
    if not shown:
        return Found(n=diagnostic.n or 0, events=diagnostic.events or 0, warnings=diagnostic.warnings)
    names = bench.labels()[exposure] if exposure not in spec.analysis.fixed_cuts else [e.level for e in shown]
    high = next((e for e in shown if e.level == names[-1]), None)
    if high is None or high.estimate is None or high.reference != names[0]:
        said = diagnostic.warnings or f"Nobody is in {names[0] if high else names[-1]} here."
        return Found(n=diagnostic.n or 0, events=diagnostic.events or 0, warnings=said)
    factor = 1.0
    if scale == "distance":
        factor = distance_factor(study, bench.sample, bench, exposure)
    return _of_row(high, diagnostic.n or 0, diagnostic.events or 0, diagnostic.warnings, factor)


def distance_factor(study: Study, sample: Sample, bench: Bench, exposure: str) -> float:
    """What brings a log ratio of outer categories to the distance between the study's own two values."""
    values, groups = sample.columns[variable_of(bench.study, exposure)], sample.categories[exposure]
    low, high = two_values(study, exposure, values)
    last = len(bench.labels()[exposure])
    own = [float(np.median(values[groups == g])) for g in (1, last)]
    return (high - low) / (own[1] - own[0])


def _of_row(e: Estimate, n: int, events: int, warnings: str, factor: float) -> Found:
    assert e.estimate is not None

    def moved(value: float | None) -> float | None:
        return None if value is None or value <= 0 else float(np.exp(factor * np.log(value)))

    return Found(
        n=n,
        events=events,
        log_ratio=float(factor * np.log(e.estimate)),
        std_error=None if e.std_error is None else abs(factor) * e.std_error,
        conf_low=moved(e.conf_low),
        conf_high=moved(e.conf_high),
        p_value=e.p_value,
        level=e.level,
        reference=e.reference,
        warnings=warnings,
    )


def _between_values(study: Study, spec: Specified, bench: Bench, exposure: str) -> Found:
    analysis = spec.analysis
    asked = asked_of(bench, analysis, exposure, analysis.models[0])
    variable = variable_of(bench.study, exposure)
    values = bench.sample.columns[variable]
    low, high = two_values(study, exposure, values)
    if not high > low:
        return Found(warnings="The two values of the exposure coincide here, so there is no contrast.")
    term: Linear | Spline = Linear(variable)
    if isinstance(spec.form, SplineOption):
        inside = np.ones(len(values), dtype=bool)
        for condition in analysis.restrict:
            inside &= holds(condition, bench.sample.columns)
        term = Spline(variable, knots_of(spec.form, values[inside]))
    terms: list[Term | str] = [term, *asked.terms[1:]]
    request = replace(asked.request, variances=(spec.variance,))
    if request.method in STANDARDISED:
        return _standardised(bench, asked.people, terms, request, term, (low, high))
    if request.method not in (*REGRESSIONS, COX):
        return Found(warnings=f"{request.method} compares categories, so it gives no ratio between two values.")
    fitted, made = fit_terms(
        request,
        asked.people,
        terms,
        bench.cohort.variables,
        labels=asked.labels,
        design_sample=everyone(bench, request),
    )
    fit, base = fitted.fit, fitted.diagnostic
    positions = fit.design.columns_of[made[0]]
    if not fit.converged or not all(fit.estimable[c] for c in positions) or not fit.wald:
        said = base.warnings or "The exposure's term is not estimable here."
        return Found(n=fit.n, events=fit.events, warnings=said)
    contrast = _values(term, high) - _values(term, low)
    at = fit.position(positions)
    v = fitted.covariances[spec.variance][np.ix_(at, at)]
    value, se = float(contrast @ fit.coefficients[list(positions)]), float(np.sqrt(contrast @ v @ contrast))
    return with_limits(
        Found(n=fit.n, events=fit.events, level=f"{high:.6g}", reference=f"{low:.6g}", warnings=base.warnings),
        value,
        se,
        bench.z,
    )


def _values(term: Linear | Spline, x: float) -> FloatArray:
    made = term.eval({term.name: np.array([x])})
    return np.atleast_1d(made[0] if made.ndim == 2 else made)


def _standardised(
    bench: Bench,
    people: Sample,
    terms: Sequence[Term | str],
    request: Request,
    term: Linear | Spline,
    ends: tuple[float, float],
) -> Found:
    made = assemble(
        request,
        people,
        terms,
        bench.cohort.variables,
        labels=bench.labels(),
        design_sample=everyone(bench, request),
    )
    frame = made.frame
    fit = fit_model(STANDARDISED[request.method], frame.design(), frame.y, weights=frame.weights, engine=request.engine)
    scenarios: dict[str, Design] = {
        name: build_design({**frame.columns, term.name: np.full(frame.n, x)}, frame.terms(), frame.n)
        for name, x in zip(("low", "high"), ends, strict=True)
    }
    risks = standardise(fit, scenarios, y=frame.y, weights=frame.weights)
    choice = choice_of(request, made, request.variances[0])
    v = risk_covariance(risks, fit, choice.name, cluster=choice.cluster, design=choice.survey)
    slope = np.array([-1 / risks.risks[0], 1 / risks.risks[1]])
    value, se = float(np.log(risks.risks[1] / risks.risks[0])), float(np.sqrt(slope @ v @ slope))
    said = " ".join((*fit.warnings, *risks.warnings))
    base = Found(n=fit.n, events=fit.events, level=f"{ends[1]:.6g}", reference=f"{ends[0]:.6g}", warnings=said)
    return with_limits(base, value, se, bench.z) if np.isfinite([value, se]).all() else base


def with_limits(base: Found, value: float, se: float, z: float) -> Found:
    """A log ratio with its normal limits and P value."""
    with np.errstate(over="ignore"):
        low, high = float(np.exp(value - z * se)), float(np.exp(value + z * se))
    return replace(
        base,
        log_ratio=value,
        std_error=se,
        conf_low=low,
        conf_high=high,
        p_value=two_sided_p(value / se) if se > 0 else None,
    )

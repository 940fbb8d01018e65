"""The rows of absolute risks, methods side by side, attributable fractions, moved time and horizons of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.doors.follow_up import risks_at_horizon
from walkrisk.doors.impact import attributable_fractions
from walkrisk.doors.methods import Options, answer
from walkrisk.doors.regression import Asking
from walkrisk.doors.results import Estimates
from walkrisk.doors.standardised import Standard, standardised
from walkrisk.doors.substitutions import time_substitution
from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Linear, Term
from walkrisk.studies.answers import (
    TIME,
    Answer,
    answered,
    category_counts,
    collected,
    counted,
    given,
    people_of,
    without_losses,
)
from walkrisk.studies.bench import Bench, Rows, common, cutpoints_of, fitted_to, variable_of
from walkrisk.studies.fitting import NoEstimate, Request, terms_of
from walkrisk.studies.sections import Attributable, Comparison, Horizon, Intervals, Standardised, Substitution
from walkrisk.studies.vocabulary import BOOTSTRAP

FloatArray = npt.NDArray[np.float64]

EVERYONE = "everyone"
TIME_EXPOSURE = "time"  # the exposure of rows about time moved between parts of the day


def options_for(variance: str, bench: Bench) -> Options:
    """What marginal methods are told: limits by bootstrap where the variance is."""
    s = bench.study.settings
    intervals: Intervals = "percentile" if variance == BOOTSTRAP else "delta"
    standard = Standard(intervals=intervals, replicates=s.replicates, seed=s.seed)
    return Options(standard=standard)


def answers_of(method: str, estimand: str, bench: Bench) -> Callable[[Asking], Estimates]:
    """The function that puts a question to one method."""

    def ask(asking: Asking) -> Estimates:
        options = options_for(asking.choice.name, bench)
        return answer(without_refits(asking, method), method, estimand, options)

    return ask


def without_refits(asking: Asking, method: str) -> Asking:
    """A question whose limits are by bootstrap of risks: the covariance of the coefficients behind them is any."""
    if asking.choice.name != BOOTSTRAP or not method.startswith("standardisation"):
        return asking
    return replace(asking, choice=replace(asking.choice, name="HC0", cluster=None))


def standardised_rows(bench: Bench, declared: Standardised, exposure: str) -> Rows:
    """Standardised risks of one exposure and their contrasts under each model."""
    study = bench.study
    method = f"standardisation_{declared.method}"
    values = declared.at.get(exposure, ())
    term: Term | str = Linear(variable_of(study, exposure)) if values else exposure
    bootstrap = declared.intervals if declared.intervals != "delta" else None

    def ask(asking: Asking) -> Estimates:
        resampled = bootstrap or ("percentile" if asking.choice.name == BOOTSTRAP else None)
        standard = Standard(
            population=_population(asking, declared.population, bench.labels().get(exposure, ())),
            at=values,
            intervals=resampled or "delta",
            replicates=study.settings.replicates,
            seed=study.settings.seed,
        )
        return standardised(without_refits(asking, method), method, standard, estimands=declared.estimands)

    def make(model: str) -> Answer:
        request = _request(bench, declared, exposure, model, method)
        if bootstrap:  # the limits are those of resampling, whatever the variances of the study
            request = replace(request, variances=(BOOTSTRAP,))
        terms = [term, *_covariates(bench, model)]
        found = answered(bench, request, bench.sample, terms, ask)
        return replace(found, rows=counted(found.rows, () if values else category_counts(bench, bench.sample, request)))

    return _over(bench, (declared.analysis, exposure), declared.models, make)


def _population(asking: Asking, population: str, labels: Sequence[str]) -> FloatArray | None:
    """The people over whom risks are standardised, as 0/1 (n,); None for everyone."""
    if population == EVERYONE:
        return None
    frame = asking.frame
    return np.asarray(frame.columns[frame.exposure.name] == labels.index(population) + 1, dtype=np.float64)


def comparison_rows(bench: Bench, declared: Comparison, exposure: str) -> Rows:
    """The same question by several methods, a diagnostics row each."""
    variance = declared.variance or bench.study.settings.variances[0]

    def make(method: str) -> Answer:
        request = replace(_request(bench, declared, exposure, declared.model, method), variances=(variance,))
        terms = [exposure, *_covariates(bench, declared.model)]
        ask = answers_of(method, declared.estimand, bench)
        found = answered(bench, request, bench.sample, terms, ask)
        rows = found.rows
        if method == "auto":  # beside the methods it chose from, it needs a name of its own
            rows = tuple(replace(row, method=f"auto_{row.method}") for row in rows)
        diagnostic = replace(found.diagnostic, method=method)
        return Answer(counted(rows, category_counts(bench, bench.sample, request)), diagnostic)

    return _over(bench, (declared.analysis, exposure), declared.methods, make)


def attributable_rows(bench: Bench, declared: Attributable, exposure: str) -> Rows:
    """Attributable fractions of one exposure under each model."""
    method = declared.method or ("logistic" if declared.formula == "standardised" else "modified_poisson")

    def make(model: str) -> Answer:
        request = _request(bench, declared, exposure, model, method)
        made = people_of(bench, request, bench.sample, [exposure, *_covariates(bench, model)])
        there = given(bench, request, made)

        def call(variance: str) -> Estimates:
            found = attributable_fractions(
                there.data,
                outcome=there.outcome,
                exposure=exposure,
                covariates=there.covariates,
                formula=declared.formula,
                reference=declared.reference or None,
                method=method,
                conf_level=bench.study.settings.conf_level,
                **there.choices(variance),
            )
            return without_losses(found, there, made.frame.n)

        found = collected(request, made, call, request.variances)
        return replace(found, rows=counted(found.rows, category_counts(bench, bench.sample, request)))

    return _over(bench, (declared.analysis, exposure), declared.models, make)


def substitution_rows(bench: Bench, declared: Substitution) -> Rows:
    """Ratios for time moved between the parts of the day."""

    def make(model: str) -> Answer:
        method = declared.method or bench.study.settings.method
        request = _request(bench, declared, TIME_EXPOSURE, model, method)
        made = people_of(bench, request, bench.sample, [*map(Linear, declared.parts), *_covariates(bench, model)])
        there = given(bench, request, made)

        def call(variance: str) -> Estimates:
            found = time_substitution(
                there.data,
                outcome=there.outcome,
                parts=declared.parts,
                amounts=declared.amounts,
                covariates=there.covariates[len(declared.parts) - 1 :],
                model=declared.kind,
                method=method,
                conf_level=bench.study.settings.conf_level,
                **there.choices(variance),
            )
            return without_losses(found, there, made.frame.n)

        return collected(request, made, call, request.variances)

    return _over(bench, (declared.analysis, TIME_EXPOSURE), (declared.model,), make)


def horizon_rows(bench: Bench, declared: Horizon, exposure: str) -> Rows:
    """Risks by a time of follow-up, and their contrasts, under each model."""

    def make(model: str) -> Answer:
        request = _request(bench, declared, exposure, model, "cox")
        made = people_of(bench, request, bench.sample, [exposure, *_covariates(bench, model)])
        there = given(bench, request, made)

        def call(variance: str) -> Estimates:
            found = risks_at_horizon(
                there.data,
                time=TIME,
                event=there.outcome,
                horizon=declared.horizon,
                exposure=exposure,
                covariates=there.covariates,
                method=declared.method,
                conf_level=bench.study.settings.conf_level,
                **there.choices(variance),
            )
            rows = tuple(r for r in found.rows if r.estimand in declared.estimands)
            return without_losses(replace(found, rows=rows), there, made.frame.n)

        return collected(request, made, call, request.variances)

    return _over(bench, (declared.analysis, exposure), declared.models, make)


# ---------------------------------------------------------------- parts


def _over(bench: Bench, place: tuple[str, str], names: Sequence[str], make: Callable[[str], Answer]) -> Rows:
    """The answers for each model (or method) of an analysis and exposure; one without an estimate leaves its
    diagnostics row."""
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for name in names:
        try:
            found = make(name)
        except NoEstimate as none:
            diagnostics.append(none.diagnostic)
            continue
        estimates += found.rows
        diagnostics.append(found.diagnostic)
    cutpoints = cutpoints_of(*place, bench.sample, bench.rules)
    return Rows(estimates=tuple(estimates), cutpoints=cutpoints, diagnostics=tuple(diagnostics))


def _covariates(bench: Bench, model: str) -> list[Linear | str]:
    return terms_of(bench.study.models[model].covariates, bench.cohort.variables)


def _request(
    bench: Bench,
    declared: Standardised | Comparison | Attributable | Substitution | Horizon,
    exposure: str,
    model: str,
    method: str,
) -> Request:
    study = bench.study
    own: Sequence[str] = () if isinstance(declared, Comparison) else declared.variances
    return Request(
        analysis=declared.analysis,
        exposure=exposure,
        model=model,
        variances=tuple(own or study.settings.variances),
        **fitted_to(study, method, declared.outcome or study.settings.outcome),
        **common(study, weighted=declared.weighted),
    )

"""Tests for trend and tests of interaction of a study, and joint effects from the one model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.doors.effects import joint_estimates
from walkrisk.estimates.interaction import likelihood_ratio, wald
from walkrisk.estimates.ratios import median_scores, per_unit
from walkrisk.estimates.results import CutPoint, Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor, Linear, Product, Term
from walkrisk.studies.answers import answered
from walkrisk.studies.bench import Bench, Rows, common, cutpoints_of, everyone, fitted_to, variable_of
from walkrisk.studies.fitting import NoEstimate, Request, fit_terms, terms_of
from walkrisk.studies.study import Interaction, Study, Trend

FloatArray = npt.NDArray[np.float64]


def trend_rows(bench: Bench, trend: Trend, exposure: str) -> Rows:
    """The log ratio per unit of each score of one exposure, with its P value, for each model."""
    study, variables = bench.study, bench.cohort.variables
    variable = variable_of(study, exposure)
    values, categories = bench.sample.columns[variable], bench.sample.categories[exposure]
    scores = {"quartile_median": median_scores(values, categories), "quartile_score": categories, "continuous": values}
    term = Linear("_score")
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for score in trend.scores:
        sample = replace(bench.sample, columns={**bench.sample.columns, term.name: scores[score]})
        for model in trend.models:
            request = _test_request(study, trend, exposure, model)
            terms = [term, *terms_of(study.models[model].covariates, variables)]
            try:
                fitted, _ = fit_terms(
                    request, sample, terms, variables, labels={}, design_sample=everyone(bench, request)
                )
            except NoEstimate as none:
                diagnostics.append(none.diagnostic)
                continue
            row = Estimate(
                analysis=trend.analysis,
                exposure=exposure,
                level=score,
                model=model,
                estimand="p_trend",
                method=request.method,
            )
            rows = per_unit(fitted.fit, term, fitted.covariances, row=row, z=bench.z, log_scale=True)
            column = fitted.fit.design.columns_of[term][0]
            estimates += (fitted.with_t(r, column, study.settings.conf_level) for r in rows)
            diagnostics.append(fitted.diagnostic)
    return Rows(tuple(estimates), (), (), tuple(diagnostics))


def interaction_rows(bench: Bench, declared: Interaction) -> Rows:
    """Likelihood-ratio and robust Wald tests of the product of an exposure's categories with a modifier.

    Where declared, also the joint effects of both, from the same model, and interaction on the additive scale.
    """
    study, variables, labels = bench.study, bench.cohort.variables, bench.labels()
    request = _test_request(study, declared, declared.exposure, declared.model, stratum=declared.modifier)
    covariates = [
        c for c in study.models[declared.model].covariates if c not in declared.drop and c != declared.modifier
    ]
    main: list[Term | str] = [declared.exposure, declared.modifier]
    others = terms_of(covariates, variables)
    empty = Factor("", (), ())
    product = Product(replace(empty, name=declared.exposure), replace(empty, name=declared.modifier))
    whole = everyone(bench, request)
    without, _ = fit_terms(request, bench.sample, [*main, *others], variables, labels=labels, design_sample=whole)
    added, made = fit_terms(
        request, bench.sample, [*main, *others, product], variables, labels=labels, design_sample=whole
    )
    row = Estimate(
        analysis=declared.analysis,
        exposure=declared.exposure,
        stratum=declared.modifier,
        model=declared.model,
        estimand="p_interaction",
    )
    assert isinstance(made[-1], Product)
    rows = [likelihood_ratio(without.fit, added.fit, row=row), *wald(added.fit, made[-1], added.covariances, row=row)]
    diagnostics = [without.diagnostic, added.diagnostic]
    cutpoints: tuple[CutPoint, ...] = ()
    if declared.additive:
        asked = replace(request, stratum="")
        try:
            found = answered(
                bench, asked, bench.sample, [*main, product, *others], lambda q: joint_estimates(q, request.method)
            )
        except NoEstimate as none:
            return Rows(tuple(rows), (), (), (*diagnostics, none.diagnostic))
        joint = [r for r in found.rows if r.estimand != "p_interaction"]
        rows += _joint_counted(bench, declared, request.outcome, joint)
        diagnostics.append(found.diagnostic)
        both = (declared.exposure, declared.modifier)
        cutpoints = tuple(c for e in both for c in cutpoints_of(declared.analysis, e, bench.sample, bench.rules))
    return Rows(tuple(rows), (), cutpoints, tuple(diagnostics))


def _joint_counted(bench: Bench, declared: Interaction, outcome: str, rows: list[Estimate]) -> list[Estimate]:
    """Rows of joint groups with everyone in the group, whatever the model lost to missing covariates."""
    sample, variables = bench.sample, bench.cohort.variables
    first, second = sample.categories[declared.exposure], sample.categories.get(declared.modifier)
    names = dict(enumerate(bench.labels().get(declared.modifier, ()), start=1))
    if second is None:
        second, names = sample.columns[declared.modifier], dict(variables[declared.modifier].levels or {})
    y = sample.columns[outcome]
    counts = {}
    for i, a in enumerate(bench.labels()[declared.exposure], start=1):
        for code, b in names.items():
            here = (first == i) & (second == code) & ~np.isnan(y)
            counts[f"{a}/{b}"] = (int(here.sum()), int(y[here].sum()))
    return [
        replace(r, n=counts[r.level][0], events=counts[r.level][1]) if r.n is not None and r.level in counts else r
        for r in rows
    ]


def _test_request(study: Study, declared: Trend | Interaction, exposure: str, model: str, stratum: str = "") -> Request:
    return Request(
        analysis=declared.analysis,
        exposure=exposure,
        stratum=stratum,
        model=model,
        **fitted_to(study, declared.method or study.settings.method, study.settings.outcome),
        variances=study.settings.variances,
        **common(study, weighted=False),
    )

"""Every estimator of marginal risks, with every interval, applied to one data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from coverage_intervals import REPLICATES, TERMS, Columns, FloatArray, Found, X, Z, attempt, by_variance, risk_intervals
from coverage_people import HORIZON

from walkrisk.estimates.attributable import case_based_fraction, standardised_fraction
from walkrisk.estimates.bootstrap import bootstrap_intervals
from walkrisk.estimates.counterfactuals import level_designs
from walkrisk.estimates.doubly_robust import aipw_risks, outcome_model, tmle_risks
from walkrisk.estimates.horizon import observed_risks, risk_limits, standardised_risks
from walkrisk.estimates.population_impact import fraction_covariance, fraction_intervals
from walkrisk.estimates.resampled_risks import bootstrap_risks, differences, jackknife_risks, log_ratios
from walkrisk.estimates.risk_contrasts import level_risks, logit_limits
from walkrisk.estimates.risk_influence import risk_covariance as influence_risks
from walkrisk.estimates.standardisation import risk_covariance, standardise
from walkrisk.estimates.stratified import mantel_haenszel_levels
from walkrisk.estimates.two_by_two import two_by_two
from walkrisk.estimates.weighting import exposure_weights, hajek_risks
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Design, Factor, Linear, Term, build_design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.propensity import fit_propensity
from walkrisk.models.resampling import jackknife_influence


def marginal_methods(data: Columns, number: int) -> Found:
    """Standardisation, weighting, doubly robust risks, and attributable fractions."""
    out: Found = {}
    y, n = data["y"], len(data["y"])
    design = build_design(data, TERMS, n)
    fit = fit_model("logistic", design, y)
    if fit.converged:
        designs = level_designs(data, TERMS, n, X)
        attempt(out, lambda: _standardised(fit, designs, y))
        attempt(out, lambda: _weighted(data, fit, list(designs.values())))
        attempt(out, lambda: _fractions(data, fit, designs["0"], standardised_fraction, "standardised"))
    return out


def _standardised(fit: Fit, designs: Mapping[str, Design], y: FloatArray) -> Found:
    out: Found = {}
    risks = standardise(fit, designs, y=y)
    for label, variance, unconditional in (
        ("delta HC0, covariates sampled", "HC0", True),
        ("delta HC0, covariates fixed", "HC0", False),
        ("delta HC3, covariates sampled", "HC3", True),
        ("delta model, covariates sampled", "model", True),
    ):
        v = risk_covariance(risks, fit, variance, unconditional=unconditional)
        risk_intervals(out, "standardisation_logistic", label, risks.risks, v)
        if label == "delta HC0, covariates sampled":
            for scale in ("identity", "logit", "log"):
                q = level_risks(risks, v, scale=scale)[2]
                key = "standardisation_logistic", f"delta HC0, {scale} scale", "risk of level 2"
                out[key] = q.estimate, q.std_error, q.conf_low, q.conf_high
    return out


def _weighted(
    data: Columns, fit: Fit, designs: list[Design], confounders: tuple[Term, ...] = TERMS[1:], wrong: str = ""
) -> Found:
    out: Found = {}
    y, codes = data["y"], data["x"]
    propensity = fit_propensity(build_design(data, confounders, len(y)), codes, X)
    weights = exposure_weights(propensity)
    hajek = hajek_risks(y, propensity.index, X.labels, weights)
    risk_intervals(out, "iptw", "weights estimated", hajek.risks, influence_risks(hajek.influence))
    risk_intervals(out, "iptw", "weights taken as known", hajek.risks, influence_risks(hajek.fixed_influence))
    model = outcome_model(fit, designs, y=y)
    augmented = aipw_risks(y, propensity.index, X.labels, weights, model)
    targeted = tmle_risks(y, propensity.index, X.labels, weights, model, scores=propensity.scores)
    for name, both in (("aipw", augmented), ("tmle", targeted)):
        risk_intervals(out, name, "models taken as known", both.risks, influence_risks(both.influence))
        if both.stacked_influence is not None:
            risk_intervals(out, name, "models estimated", both.risks, influence_risks(both.stacked_influence))
    return {(name + wrong, label, target): values for (name, label, target), values in out.items()}


def misspecified_methods(data: Columns, number: int) -> Found:
    """Weighting and doubly robust risks where z is missing from the outcome model, or from that of the exposure."""
    out: Found = {}
    n, y = len(data["y"]), data["y"]
    for terms, confounders, wrong in (
        ((X, Linear("b")), TERMS[1:], ", no z in the outcome model"),
        (TERMS, (Linear("b"),), ", no z in the exposure model"),
    ):
        fit = fit_model("logistic", build_design(data, terms, n), y)
        if not fit.converged:
            continue
        designs = level_designs(data, terms, n, X)
        attempt(out, lambda f=fit, d=designs, c=confounders, w=wrong: _weighted(data, f, list(d.values()), c, w))
        risks = standardise(fit, designs, y=y)
        risk_intervals(
            out, f"standardisation_logistic{wrong}", "delta HC0", risks.risks, risk_covariance(risks, fit, "HC0")
        )
    return {k: v for k, v in out.items() if not (k[0] == "iptw, no z in the outcome model" or k[0] == WRONG_ONLY)}


WRONG_ONLY = "standardisation_logistic, no z in the exposure model"  # these two do not use the model that is wrong


def _fractions(data: Columns, fit: Fit, unexposed: Design, by: Any, name: str) -> Found:
    out: Found = {}
    fractions = by(fit, unexposed, y=data["y"])
    v = fraction_covariance(fractions, fit, "HC0")

    def limits(transform: str) -> Found:
        q = fraction_intervals(fractions, v, transform=transform)[-1]
        key = f"attributable fraction, {name}", f"delta, {transform}", "PAF"
        return {key: (q.estimate, q.std_error, q.conf_low, q.conf_high)}

    for transform in ("complementary_log", "identity", "logit"):
        attempt(out, lambda t=transform: limits(t))
    return out


def case_based_methods(data: Columns, number: int) -> Found:
    """Attributable fractions from the exposure of cases, and by standardisation, of one log-linear model."""
    out: Found = {}
    n = len(data["y"])
    fit = fit_model("modified_poisson", build_design(data, TERMS, n), data["y"])
    if fit.converged and X not in fit.no_reference:
        designs = level_designs(data, TERMS, n, X)
        unexposed = designs["0"]
        attempt(out, lambda: _fractions(data, fit, unexposed, case_based_fraction, "miettinen"))
        attempt(out, lambda: _fractions(data, fit, unexposed, standardised_fraction, "standardised after Poisson"))

        def standardised() -> Found:
            made: Found = {}
            risks = standardise(fit, designs, y=data["y"])
            risk_intervals(
                made, "standardisation_poisson", "delta HC0", risks.risks, risk_covariance(risks, fit, "HC0")
            )
            return made

        attempt(out, standardised)
    return out


def bootstrap_methods(data: Columns, number: int) -> Found:
    """Standardised risks with percentile and BCa limits of one set of resamples, beside the delta method."""
    out: Found = {}
    y, n = data["y"], len(data["y"])
    design = build_design(data, TERMS, n)
    fit = fit_model("logistic", design, y)
    if not fit.converged or not fit.rows.all():
        return out
    designs = level_designs(data, TERMS, n, X)
    risks = standardise(fit, designs, y=y)
    label = "delta HC0, covariates sampled"
    risk_intervals(out, "standardisation_logistic", label, risks.risks, risk_covariance(risks, fit, "HC0"))
    counterfactuals = [d.matrix for d in designs.values()]
    made = bootstrap_risks("logistic", design.matrix, y, counterfactuals, replicates=REPLICATES, seed=1000 * n + number)
    left = jackknife_risks("logistic", design.matrix, y, counterfactuals).risks
    for target, of in (("log RR", log_ratios), ("RD", differences)):
        estimate = of(made.estimate)[-1:]
        around = jackknife_influence(of(left)[:, -1:], estimate)
        for kind in ("percentile", "bca", "basic", "normal"):
            found = bootstrap_intervals(of(made.risks)[:, -1:], estimate, kind=kind, influence=around)
            out["standardisation_logistic", f"bootstrap, {kind}", target] = (
                float(estimate[0]),
                float(found.std_error[0]),
                float(found.conf_low[0]),
                float(found.conf_high[0]),
            )
    return out


def table_methods(data: Columns, number: int) -> Found:
    """Every interval of a two-by-two table."""
    out: Found = {}
    x, y = data["x"] == 1, data["y"] == 1
    made = two_by_two(int((x & y).sum()), int(x.sum()), int((~x & y).sum()), int((~x).sum()))
    q = made.risk_exposed
    if q.estimate is not None and q.low is not None and q.high is not None:
        out["two_by_two", q.method, "risk of exposed"] = q.estimate, q.std_error or np.nan, q.low, q.high
    for target, found in (("log RR", made.risk_ratio), ("RD", made.risk_difference), ("log OR", made.odds_ratio)):
        for name, i in found.items():
            if i.estimate is None or i.low is None or i.high is None:
                continue
            values = i.estimate, i.low, i.high
            if target != "RD":
                with np.errstate(divide="ignore"):
                    values = tuple(float(v) for v in np.log(values))  # a limit of 0 is -inf
            out["two_by_two", name, target] = values[0], i.std_error or np.nan, values[1], values[2]
    return out


def stratified_methods(data: Columns, number: int) -> Found:
    """Mantel-Haenszel over six strata, beside the regression of the same strata."""
    out: Found = {}
    made = mantel_haenszel_levels(data["x"], data["y"], [data["age"], data["b"]], levels=X.levels, labels=X.labels)[-1]
    ratio = made.risk_ratio
    if ratio.estimate and ratio.low and ratio.high and ratio.std_error:
        key = "mantel_haenszel", "greenland_robins", "log RR"
        out[key] = math.log(ratio.estimate), ratio.std_error, math.log(ratio.low), math.log(ratio.high)
    for name, found in made.risk_difference.items():
        if found.estimate is not None and found.low is not None and found.high is not None:
            out["mantel_haenszel", name, "RD"] = found.estimate, found.std_error or np.nan, found.low, found.high
    return out


def _risk_of_exposed(name: str, risks: FloatArray, v: FloatArray) -> Found:
    m, se = float(risks[1]), math.sqrt(v[1, 1])
    low, high = risk_limits(risks[1:], np.array([se]))
    return {
        (name, "log-log scale", "risk of exposed"): (m, se, float(low[0]), float(high[0])),
        (name, "logit scale", "risk of exposed"): (m, se, *logit_limits(m, Z * se)),
    }


def follow_up_methods(data: Columns, number: int) -> Found:
    """Kaplan-Meier, a standardised Cox model and its hazard ratio."""
    out: Found = {}
    exposure = Factor("x", (0.0, 1.0), ("0", "1"))
    terms, n = (exposure, Linear("z")), len(data["y"])
    codes = data["x"].astype(np.intp)

    def observed() -> Found:
        made: Found = {}
        risks = observed_risks(data["time"], data["y"], codes, exposure.labels, horizon=HORIZON)
        v = influence_risks(risks.influence)
        risk_intervals(made, "kaplan_meier", "influence", risks.risks, v)
        made.update(_risk_of_exposed("kaplan_meier", risks.risks, v))
        return made

    def modelled() -> Found:
        made: Found = {}
        fit = fit_cox(build_design(data, terms, n), data["time"], data["y"])
        designs = list(level_designs(data, terms, n, exposure).values())
        risks = standardised_risks(fit, data["time"], data["y"], codes, exposure.labels, designs, horizon=HORIZON)
        v = influence_risks(risks.influence)
        risk_intervals(made, "cox, standardised", "influence", risks.risks, v)
        made.update(_risk_of_exposed("cox, standardised", risks.risks, v))
        column = fit.design.columns_of[exposure][0]
        by_variance(made, fit, column, "log HR", ("model", "HC0"), name="cox")
        return made

    attempt(out, observed)
    attempt(out, modelled)
    return out

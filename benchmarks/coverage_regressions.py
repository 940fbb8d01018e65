"""Every estimator that is a regression, with every interval, applied to one data set."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from coverage_intervals import REPLICATES, TERMS, Columns, FloatArray, Found, X, Z, attempt, by_profile, by_variance
from coverage_people import KNOTS, MIDDLE, POINTS

from walkrisk.doors.ratios import risk_ratios
from walkrisk.estimates.additive_interaction import (
    additive_interaction,
    percentile_limits,
    replicated_measures,
    replicated_ratios,
)
from walkrisk.estimates.dose_response import ratio_curve
from walkrisk.estimates.joint_effects import joint_effects
from walkrisk.models.batch import fit_batch
from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Factor, Linear, Product, Spline, Term, build_design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.resampling import resampling
from walkrisk.models.small_samples import bias_reduced

POISSON_VARIANCES = ("HC0", "stata", "HC1", "HC2", "HC3", "MBN", "FG", "HC1, t", "HC3, t", "model")


def ratio_methods(data: Columns, number: int) -> Found:
    """Every regression that gives a conditional risk ratio."""
    out: Found = {}
    design, y = build_design(data, TERMS, len(data["y"])), data["y"]
    by_variance(out, fit_model("modified_poisson", design, y), 2, "log RR", POISSON_VARIANCES, exposure=X)
    binomial = fit_model("log_binomial", design, y)
    for kind, label in (("model", "Wald, observed"), ("model_expected", "Wald, expected"), ("HC0", "HC0")):
        made: Found = {}
        by_variance(made, binomial, 2, "log RR", (kind,), exposure=X)
        out.update({(name, label, target): values for (name, _, target), values in made.items()})
    by_profile(out, binomial, 2, "log RR")
    by_variance(out, case_duplication(design, y), 2, "log RR", ("HC0",), exposure=X)
    attempt(out, lambda: _reduced(design, y))
    return out


def reduced_methods(data: Columns, number: int) -> Found:
    """Bias-reduced Poisson alone, which has an estimate where a level has no events."""
    out: Found = {}
    attempt(out, lambda: _reduced(build_design(data, TERMS, len(data["y"])), data["y"]))
    return out


def _reduced(design: Design, y: FloatArray) -> Found:
    out: Found = {}
    fit = bias_reduced("modified_poisson", design, y)
    by_variance(out, fit, 2, "log RR", ("HC0", "HC3", "MBN", "model"), name="bias_reduced_poisson")
    return out


def odds_methods(data: Columns, number: int) -> Found:
    """Odds ratios, for comparison: logistic regression, and Firth's."""
    out: Found = {}
    design, y = build_design(data, TERMS, len(data["y"])), data["y"]
    fit = fit_model("logistic", design, y)
    by_variance(out, fit, 2, "log OR", ("model", "HC0", "HC3"))
    by_profile(out, fit, 2, "log OR")

    def reduced() -> Found:
        made: Found = {}
        by_variance(made, bias_reduced("logistic", design, y), 2, "log OR", ("model", "HC0"), name="firth_logistic")
        return made

    attempt(out, reduced)
    return out


def difference_methods(data: Columns, number: int) -> Found:
    """Every regression that gives a conditional risk difference."""
    out: Found = {}
    design, y = build_design(data, TERMS, len(data["y"])), data["y"]
    binomial = fit_model("identity_binomial", design, y)
    by_variance(out, binomial, 2, "RD", ("model", "model_expected", "HC0"))
    by_profile(out, binomial, 2, "RD")
    by_variance(out, fit_model("identity_poisson", design, y), 2, "RD", ("HC0", "HC3"))
    by_variance(out, fit_model("linear", design, y), 2, "RD", ("model", "HC0", "HC1", "HC3", "HC3, t"))
    return out


def boundary_methods(data: Columns, number: int) -> Found:
    """Where some risks are near 1: maxima inside and on the boundary, and what `auto` makes of them."""
    out: Found = {}
    design, y = build_design(data, TERMS, len(data["y"])), data["y"]
    by_variance(out, fit_model("modified_poisson", design, y), 2, "log RR", ("HC0", "HC3"), exposure=X)
    by_variance(out, case_duplication(design, y), 2, "log RR", ("HC0",), exposure=X)
    binomial = fit_model("log_binomial", design, y)
    inside: Found = {}
    by_variance(inside, binomial, 2, "log RR", ("model", "model_expected", "HC0"), exposure=X)
    if binomial.wald:
        out.update({(f"{k[0]}, maximum inside", k[1], k[2]): v for k, v in inside.items()})
    by_profile(out, binomial, 2, "log RR")
    if not binomial.wald:
        by_profile(on_edge := {}, binomial, 2, "log RR")
        out.update({(f"{k[0]}, maximum on the boundary", k[1], k[2]): v for k, v in on_edge.items()})
    attempt(out, lambda: _automatic(data))
    return out


def _automatic(data: Columns) -> Found:
    frame = {**data, "x": np.array(["a", "b", "c"])[data["x"].astype(int)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = risk_ratios(frame, outcome="y", exposure="x", covariates=["z", "b"]).rows[2]
    if row.estimate is None or row.conf_low is None or row.conf_high is None:
        return {}
    value, low, high = math.log(row.estimate), math.log(row.conf_low), math.log(row.conf_high)
    return {("auto", "its own", "log RR"): (value, (high - low) / (2 * Z), low, high)}


def clustered_methods(data: Columns, number: int) -> Found:
    """Modified Poisson with and without regard to clusters."""
    out: Found = {}
    design = build_design(data, [Linear("x"), Linear("z")], len(data["y"]))
    fit = fit_model("modified_poisson", design, data["y"])
    cluster = data["cluster"]
    by_variance(out, fit, 1, "log RR", ("HC0", "CR0", "CR1", "CR1, t", "CR3", "CR3, t", "KC, t"), cluster=cluster)
    if len(cluster) <= 1000 or cluster.max() > 50:  # a fit of clusters of 550 takes half a second
        by_variance(out, fit, 1, "log RR", ("CR2", "CR2, t"), cluster=cluster)
    return out


A2, B2 = Factor("a", (0.0, 1.0), ("0", "1")), Factor("m", (0.0, 1.0), ("0", "1"))
JOINT: tuple[Term, ...] = (A2, B2, Product(A2, B2), Linear("z"))


def interaction_methods(data: Columns, number: int, *, resampled: bool = False) -> Found:
    """RERI, AP and S after modified Poisson: delta, MOVER, and percentiles of resamples."""
    out: Found = {}
    n, y = len(data["y"]), data["y"]
    fit = fit_model("modified_poisson", build_design(data, JOINT, n), y)
    if not fit.converged or not fit.estimable.all():
        return out
    joint = joint_effects(fit, A2, B2, covariance(fit, "HC0"))
    made = additive_interaction(joint)[0]
    for target, intervals in (("RERI", made.reri), ("AP", made.ap)):
        for kind, i in intervals.items():
            if i.estimate is not None and i.low is not None and i.high is not None:
                out["modified_poisson", kind, target] = (i.estimate, i.std_error or np.nan, i.low, i.high)
    s = made.synergy["delta"]
    if s.estimate and s.low and s.high and s.std_error:
        out["modified_poisson", "delta", "log S"] = (
            math.log(s.estimate),
            s.std_error,
            math.log(s.low),
            math.log(s.high),
        )
    if resampled:
        attempt(out, lambda: _resampled(fit, joint, y, n, number))
    return out


def _resampled(fit: Fit, joint: Any, y: FloatArray, n: int, number: int) -> Found:
    out: Found = {}
    found = fit_batch("modified_poisson", fit.design.matrix, y, resampling(n, 1000 * n + number).weights(0, REPLICATES))
    coefficients = np.where(found.converged[:, None], found.coefficients, np.nan)
    measures = replicated_measures(replicated_ratios(joint, coefficients, (1, 1)))
    made = additive_interaction(joint)[0]
    of = (made.reri["delta"].estimate, made.ap["delta"].estimate, made.synergy["delta"].estimate)
    limits, _ = percentile_limits(measures, of)
    for i, target in zip(limits.values(), ("RERI", "AP", "log S"), strict=True):
        if i.estimate is None or i.low is None or i.high is None:
            continue
        values = i.estimate, i.std_error or np.nan, i.low, i.high
        if target == "log S":
            values = math.log(i.estimate), np.nan, math.log(i.low), math.log(i.high)
        out["modified_poisson", "bootstrap, percentile", target] = values
    return out


CURVE = Spline("x", KNOTS)


def curve_methods(data: Columns, number: int) -> Found:
    """The curve of a restricted cubic spline at three points against 4."""
    out: Found = {}
    fit = fit_model("modified_poisson", build_design(data, [CURVE, Linear("z")], len(data["y"])), data["y"])
    if not fit.converged:
        return out
    for variance in ("HC0", "HC1", "HC3"):
        found = ratio_curve(fit, "x", covariance(fit, variance), np.array(POINTS), reference=MIDDLE)
        for k, x in enumerate(POINTS):
            out["dose_response, spline", variance, f"log RR at {x:g}"] = (
                float(found.values.log_ratio[k]),
                float(found.values.std_error[k]),
                float(found.values.log_low[k]),
                float(found.values.log_high[k]),
            )
    return out

"""Simulated populations whose true contrasts are known without a fit, and every estimator and interval applied to them.

A scenario draws a data set and hands its contrasts to the estimators; truths are closed forms or sums over the exact
distribution of the covariates (`STANDARD`), never the result of a fit. All limits are for 95 %, on the scale on which
they are symmetric (ratios: logarithms), where bias is measured too.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.doors.ratios import risk_ratios
from walkrisk.errors import WalkriskError
from walkrisk.estimates.additive_interaction import (
    additive_interaction,
    percentile_limits,
    replicated_measures,
    replicated_ratios,
)
from walkrisk.estimates.attributable import case_based_fraction, standardised_fraction
from walkrisk.estimates.bootstrap import bootstrap_intervals
from walkrisk.estimates.counterfactuals import level_designs
from walkrisk.estimates.dose_response import ratio_curve
from walkrisk.estimates.doubly_robust import aipw_risks, outcome_model, tmle_risks
from walkrisk.estimates.horizon import observed_risks, risk_limits, standardised_risks
from walkrisk.estimates.joint_effects import joint_effects
from walkrisk.estimates.population_impact import fraction_covariance, fraction_intervals
from walkrisk.estimates.resampled_risks import bootstrap_risks, differences, jackknife_risks, log_ratios
from walkrisk.estimates.risk_contrasts import level_risks, logit_limits
from walkrisk.estimates.risk_influence import level_contrasts
from walkrisk.estimates.risk_influence import risk_covariance as influence_risks
from walkrisk.estimates.rows import critical_value
from walkrisk.estimates.standardisation import risk_covariance, standardise
from walkrisk.estimates.stratified import mantel_haenszel_levels
from walkrisk.estimates.weighting import exposure_weights, hajek_risks
from walkrisk.models.batch import fit_batch
from walkrisk.models.case_duplication import case_duplication
from walkrisk.models.covariance import covariance, degrees_of_freedom
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Design, Factor, Linear, Product, Spline, Term, build_design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.profile import profile_interval
from walkrisk.models.propensity import fit_propensity
from walkrisk.models.resampling import jackknife_influence, resampling
from walkrisk.models.small_samples import bias_reduced
from walkrisk.models.splines import restricted_cubic_basis

FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, FloatArray]
Found = dict[tuple[str, str, str], tuple[float, float, float, float]]  # estimator, interval, target: value, SE, limits

Z = critical_value(0.95)
X = Factor("x", (0.0, 1.0, 2.0), ("0", "1", "2"))
B = Factor("b", (0.0, 1.0), ("0", "1"))
AGE = Factor("age", (0.0, 1.0, 2.0), ("0", "1", "2"))
TERMS: tuple[Term, ...] = (X, Linear("z"), Linear("b"))
REPLICATES = 1000
REFUSED: Counter[str] = Counter()  # what estimators said when they gave no estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A population: `draw` (generator, n) gives columns, `analyse` (columns, number of the data set) the estimates.

    `truth` by target; `sets` data sets at each of `sizes`; `about` in one sentence.
    """

    about: str
    truth: Mapping[str, float]
    draw: Callable[[np.random.Generator, int], dict[str, FloatArray]]
    analyse: Callable[[Columns, int], Found]
    sizes: tuple[int, ...] = (200, 1000, 11000)
    sets: int = 2000


# ---------------------------------------------------------------- people


def _grid() -> tuple[FloatArray, FloatArray, FloatArray]:
    """z and b and their probabilities: z is one of 41 equally likely values from -2 to 2, b is 1 in 40 %."""
    z, b = np.meshgrid(np.linspace(-2, 2, 41), [0.0, 1.0], indexing="ij")
    return z.ravel(), b.ravel(), (np.where(b == 1, 0.4, 0.6) / 41).ravel()


STANDARD = _grid()


def shares(z: FloatArray, b: FloatArray) -> FloatArray:
    """The probabilities (n, 3) of the levels of x given the covariates: confounding by both."""
    weight = np.column_stack([np.ones(len(z)), np.exp(-0.2 + 0.3 * z - 0.3 * b), np.exp(-0.5 - 0.4 * z + 0.5 * b)])
    return weight / weight.sum(axis=1, keepdims=True)


def people(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Covariates z and b, and an exposure x of three levels that depends on them."""
    z, b = np.linspace(-2, 2, 41)[random.integers(0, 41, n)], (random.random(n) < 0.4).astype(np.float64)
    x = (random.random(n)[:, None] > np.cumsum(shares(z, b), axis=1)[:, :2]).sum(axis=1).astype(np.float64)
    return {"x": x, "z": z, "b": b}


def _outcome(random: np.random.Generator, risk: FloatArray) -> FloatArray:
    if risk.min() < 0 or risk.max() > 1:
        raise AssertionError(f"A risk of this scenario is {risk.max()}.")
    return (random.random(len(risk)) < risk).astype(np.float64)


Risk = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]  # of level, z and b


def drawn(risk: Risk) -> Callable[[np.random.Generator, int], dict[str, FloatArray]]:
    """How data sets are drawn whose people have the risk of their level, z and b."""

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        out = people(random, n)
        return {**out, "y": _outcome(random, risk(out["x"], out["z"], out["b"]))}

    return draw


def log_linear(base: float, ratios: tuple[float, float], slopes: tuple[float, float]) -> Risk:
    """A risk of `base` times the ratio of the level, exp(slope z) and exp(slope b)."""
    by_level = np.log([1.0, *ratios])
    return lambda x, z, b: base * np.exp(by_level[x.astype(int)] + slopes[0] * z + slopes[1] * b)


def logistic(intercept: float, log_odds: tuple[float, float]) -> Risk:
    """A logistic risk of the level, z and b."""
    by_level = np.array([0.0, *log_odds])
    return lambda x, z, b: 1 / (1 + np.exp(-(intercept + by_level[x.astype(int)] + 0.5 * z + 0.6 * b)))


def standard_risks(risk: Risk) -> FloatArray:
    """The risks (3,) were everyone at each level: sums over the distribution of z and b."""
    z, b, share = STANDARD
    return np.array([float(share @ risk(np.full(len(z), level), z, b)) for level in (0.0, 1.0, 2.0)])


def population_fraction(risk: Risk) -> float:
    """The fraction of cases there would not be with everyone at level 0."""
    z, b, share = STANDARD
    by_level = np.column_stack([risk(np.full(len(z), level), z, b) for level in (0.0, 1.0, 2.0)])
    observed = float(share @ (shares(z, b) * by_level).sum(axis=1))
    return 1 - float(share @ by_level[:, 0]) / observed


# ---------------------------------------------------------------- intervals


def wald(value: float, se: float, quantile: float = Z) -> tuple[float, float, float, float]:
    """Value, standard error and limits."""
    return float(value), float(se), float(value - quantile * se), float(value + quantile * se)


def student(df: float) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def attempt(out: Found, make: Callable[[], Found]) -> None:
    """Add what `make` finds; a refusal in words is no estimate."""
    try:
        out.update(make())
    except (ValueError, OverflowError, WalkriskError) as why:
        REFUSED[re.sub(r"[0-9][0-9.e+-]*", "#", str(why))[:160]] += 1


def by_variance(
    out: Found,
    fit: Fit,
    column: int,
    target: str,
    variances: tuple[str, ...],
    *,
    cluster: FloatArray | None = None,
    name: str = "",
    exposure: Term | None = None,
) -> None:
    """A coefficient with its Wald limits under each variance; ", t" after its name asks for Student's t."""
    if not fit.converged or not fit.estimable[column] or (exposure in fit.no_reference):
        return
    value, at = float(fit.coefficients[column]), fit.position((column,))[0]
    for variance in variances:
        kind, _, limits = variance.partition(", ")

        def make(kind: str = kind, limits: str = limits, variance: str = variance) -> Found:
            clusters = cluster if kind[:2] == "CR" else None
            v = covariance(fit, kind, cluster=clusters)[at, at] if fit.wald else np.nan
            quantile = Z
            if limits == "t" and fit.wald:
                contrast = np.zeros((1, fit.parameters))
                contrast[0, at] = 1.0
                df = degrees_of_freedom(fit, kind, contrasts=contrast, cluster=clusters, residual=True)
                quantile = student(float(df[0]))
            return {(name or fit.method, variance, target): wald(value, math.sqrt(v), quantile)}

        attempt(out, make)


def by_profile(out: Found, fit: Fit, column: int, target: str, label: str = "profile likelihood") -> None:
    """The same coefficient with limits by profile likelihood."""
    if not fit.converged or not fit.estimable[column]:
        return

    def make() -> Found:
        contrast = np.zeros(len(fit.names))
        contrast[column] = 1.0
        found = profile_interval(fit, contrast)
        return {(fit.method, label, target): (float(fit.coefficients[column]), np.nan, found.low, found.high)}

    attempt(out, make)


def risk_intervals(out: Found, name: str, label: str, risks: FloatArray, v: FloatArray) -> None:
    """Ratio and difference of level 2 against 0 from risks and their covariance."""
    made = level_contrasts(risks, v)
    out[name, label, "log RR"] = wald(made.log_rr[-1], made.log_rr_se[-1])
    out[name, label, "RD"] = wald(made.rd[-1], made.rd_se[-1])


# ---------------------------------------------------------------- conditional ratios and differences

POISSON_VARIANCES = ("HC0", "stata", "HC1", "HC2", "HC3", "MBN", "FG", "HC1, t", "HC3, t")
DEAR = 500  # data sets for what is dear at n = 11,000: profile likelihood, and CR2 and CR3 of large clusters


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
    if number < DEAR or len(y) <= 1000:
        by_profile(out, binomial, 2, "log RR")
    by_variance(out, case_duplication(design, y), 2, "log RR", ("HC0",), exposure=X)
    attempt(out, lambda: _reduced(design, y))
    return out


def _reduced(design: Design, y: FloatArray) -> Found:
    out: Found = {}
    fit = bias_reduced("modified_poisson", design, y)
    by_variance(out, fit, 2, "log RR", ("HC0", "HC3", "MBN"), name="bias_reduced_poisson")
    return out


def difference_methods(data: Columns, number: int) -> Found:
    """Every regression that gives a conditional risk difference."""
    out: Found = {}
    design, y = build_design(data, TERMS, len(data["y"])), data["y"]
    binomial = fit_model("identity_binomial", design, y)
    by_variance(out, binomial, 2, "RD", ("model", "model_expected", "HC0"))
    if number < DEAR or len(y) <= 1000:
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
    if number < DEAR or len(y) <= 1000:
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


# ---------------------------------------------------------------- marginal risks


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
        unexposed = level_designs(data, TERMS, n, X)["0"]
        attempt(out, lambda: _fractions(data, fit, unexposed, case_based_fraction, "miettinen"))
        attempt(out, lambda: _fractions(data, fit, unexposed, standardised_fraction, "standardised after Poisson"))
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


# ---------------------------------------------------------------- strata


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


def stratified_draw(scale: str) -> Callable[[np.random.Generator, int], dict[str, FloatArray]]:
    """Three age groups and b, with a common ratio of 0.6 or a common difference of -0.08 of level 2."""

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        out = people(random, n)
        age = np.digitize(out["z"], [-0.71, 0.71]).astype(np.float64)
        base = 0.18 + 0.05 * age + 0.06 * out["b"]
        x = out["x"].astype(int)
        effect = np.array([1.0, 0.8, 0.6])[x] * base if scale == "ratio" else base + np.array([0.0, -0.04, -0.08])[x]
        return {"x": out["x"], "b": out["b"], "age": age, "y": _outcome(random, effect)}

    return draw


# ---------------------------------------------------------------- clusters


def clustered_draw(clusters: int) -> Callable[[np.random.Generator, int], dict[str, FloatArray]]:
    """Half of the clusters exposed; a cluster multiplies its people's risk by u, of mean 1 and variance 0.4.

    With a risk near 0.2 the intracluster correlation is 0.4 * 0.2 / 0.8 = 0.1. u = 2.5 Beta(1.1, 1.65) is 2.5 at most.
    """

    def draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
        cluster = np.arange(n) % clusters
        u = 2.5 * random.beta(1.1, 1.65, clusters)
        x, z = (cluster % 2).astype(np.float64), np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
        y = _outcome(random, 0.22 * np.exp(math.log(0.7) * x + 0.15 * z) * u[cluster])
        return {"x": x, "z": z, "cluster": cluster.astype(np.float64), "y": y}

    return draw


def clustered_methods(data: Columns, number: int) -> Found:
    """Modified Poisson with and without regard to clusters."""
    out: Found = {}
    design = build_design(data, [Linear("x"), Linear("z")], len(data["y"]))
    fit = fit_model("modified_poisson", design, data["y"])
    by_variance(out, fit, 1, "log RR", ("HC0", "CR0", "CR1", "CR1, t"), cluster=data["cluster"])
    if len(data["y"]) <= 1000 or (number < DEAR and data["cluster"].max() > 50):
        by_variance(out, fit, 1, "log RR", ("CR2", "CR2, t", "CR3", "CR3, t"), cluster=data["cluster"])
    return out


# ---------------------------------------------------------------- interaction

A2, B2 = Factor("a", (0.0, 1.0), ("0", "1")), Factor("m", (0.0, 1.0), ("0", "1"))
JOINT: tuple[Term, ...] = (A2, B2, Product(A2, B2), Linear("z"))
R10, R01, R11 = 1.5, 1.4, 2.5


def interaction_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Two binary exposures with joint ratios 1.5, 1.4 and 2.5, one of them confounded by z."""
    z = np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
    a = (random.random(n) < 1 / (1 + np.exp(-0.4 * z))).astype(np.float64)
    m = (random.random(n) < 0.45).astype(np.float64)
    ratio = np.where(a * m == 1, R11, np.where(a == 1, R10, np.where(m == 1, R01, 1.0)))
    return {"a": a, "m": m, "z": z, "y": _outcome(random, 0.13 * ratio * np.exp(0.2 * z))}


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


# ---------------------------------------------------------------- curves

KNOTS = (1.0, 3.0, 5.0, 9.0)
CURVE = Spline("x", KNOTS)
SLOPES = np.array([-0.12, 0.5, -0.9])
POINTS = (1.0, 6.0, 9.0)
MIDDLE = 4.0


def curve_at(x: FloatArray) -> FloatArray:
    """The true log risk along x, a restricted cubic spline of declared knots."""
    return restricted_cubic_basis(x, KNOTS) @ SLOPES


def curve_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """A skewed exposure from 0.2 to 12, correlated with the covariate z."""
    z = np.linspace(-2, 2, 41)[random.integers(0, 41, n)]
    x = np.clip(random.gamma(3.0, 1.5, n) * np.exp(-0.1 * z), 0.2, 12.0)
    return {"x": x, "z": z, "y": _outcome(random, 0.22 * np.exp(curve_at(x) + 0.15 * z))}


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


# ---------------------------------------------------------------- follow-up

HORIZON = 5.0
HAZARD = 0.045


def _hazard(x: FloatArray, z: FloatArray) -> FloatArray:
    return HAZARD * np.exp(math.log(0.6) * x + 0.3 * z)


def follow_up_draw(random: np.random.Generator, n: int) -> dict[str, FloatArray]:
    """Randomised x, exponential events with proportional hazards, a fifth lost before the horizon."""
    z, x = np.linspace(-2, 2, 41)[random.integers(0, 41, n)], (random.random(n) < 0.5).astype(np.float64)
    event_time, lost = random.exponential(1 / _hazard(x, z)), random.exponential(22.0, n)
    end = np.minimum(lost, 8.0)
    return {"x": x, "z": z, "time": np.minimum(event_time, end), "y": (event_time <= end).astype(np.float64)}


def follow_up_truth() -> dict[str, float]:
    """Risks by the horizon, summed over the distribution of z."""
    z = np.linspace(-2, 2, 41)
    r0, r1 = (float(np.mean(1 - np.exp(-HORIZON * _hazard(np.full(41, x), z)))) for x in (0.0, 1.0))
    return {"log RR": math.log(r1 / r0), "RD": r1 - r0, "risk of exposed": r1, "log HR": math.log(0.6)}


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


# ---------------------------------------------------------------- all of them

COMMON = log_linear(0.22, (0.8, 0.6), (0.2, 0.25))
RARE = log_linear(0.044, (0.8, 0.6), (0.2, 0.25))
HARMFUL = log_linear(0.035, (1.3, 1.8), (0.2, 0.25))
NEAR_ONE = log_linear(0.36, (1.1, 1.25), (0.27, 0.2))
FRACTION = log_linear(0.16, (1.3, 1.8), (0.2, 0.25))
MARGINAL = logistic(-1.6, (0.4, 0.8))


def _additive(x: FloatArray, z: FloatArray, b: FloatArray) -> FloatArray:
    return 0.24 + np.array([0.0, -0.04, -0.08])[x.astype(int)] + 0.04 * z + 0.05 * b


def _marginal_truth() -> dict[str, float]:
    risks = standard_risks(MARGINAL)
    return {
        "log RR": math.log(risks[2] / risks[0]),
        "RD": float(risks[2] - risks[0]),
        "risk of level 2": float(risks[2]),
        "PAF": population_fraction(MARGINAL),
    }


def _interaction_truth() -> dict[str, float]:
    reri = R11 - R10 - R01 + 1
    return {"RERI": reri, "AP": reri / R11, "log S": math.log((R11 - 1) / (R10 + R01 - 2))}


def _curve_truth() -> dict[str, float]:
    log_risk = curve_at(np.array([*POINTS, MIDDLE]))
    return {f"log RR at {x:g}": float(log_risk[k] - log_risk[-1]) for k, x in enumerate(POINTS)}


SCENARIOS: Mapping[str, Scenario] = {
    "common": Scenario(
        about="log-linear risk of about 20 %, true RR 0.6 of level 2 of three (a quarter of the people)",
        truth={"log RR": math.log(0.6)},
        draw=drawn(COMMON),
        analyse=ratio_methods,
    ),
    "rare": Scenario(
        about="the same with a risk of about 4 %",
        truth={"log RR": math.log(0.6)},
        draw=drawn(RARE),
        analyse=ratio_methods,
    ),
    "rare, harmful": Scenario(
        about="log-linear risk of about 5 %, true RR 1.8",
        truth={"log RR": math.log(1.8)},
        draw=drawn(HARMFUL),
        analyse=ratio_methods,
    ),
    "near 1": Scenario(
        about=f"log-linear risks up to {float(NEAR_ONE(np.full(1, 2.0), np.full(1, 2.0), np.ones(1))[0]):.2f}",
        truth={"log RR": math.log(1.25)},
        draw=drawn(NEAR_ONE),
        analyse=boundary_methods,
    ),
    "additive": Scenario(
        about="risk linear in all, about 20 %, true RD -0.08",
        truth={"RD": -0.08},
        draw=drawn(_additive),
        analyse=difference_methods,
    ),
    "logistic": Scenario(
        about="logistic risk of about 30 %, marginal contrasts of level 2 of three, confounded",
        truth=_marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=marginal_methods,
    ),
    "logistic, one model wrong": Scenario(
        about="the same; z left out of one of the two models",
        truth=_marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=misspecified_methods,
    ),
    "attributable": Scenario(
        about="log-linear risk of about 23 %, true RR 1.3 and 1.8, confounded",
        truth={"PAF": population_fraction(FRACTION)},
        draw=drawn(FRACTION),
        analyse=case_based_methods,
    ),
    "logistic, resampled": Scenario(
        about=f"the same; bootstrap of {REPLICATES} resamples",
        truth=_marginal_truth(),
        draw=drawn(MARGINAL),
        analyse=bootstrap_methods,
        sizes=(200, 1000),
        sets=500,
    ),
    "strata, ratio": Scenario(
        about="six strata, common RR 0.6",
        truth={"log RR": math.log(0.6)},
        draw=stratified_draw("ratio"),
        analyse=lambda data, k: {key: v for key, v in stratified_methods(data, k).items() if key[2] == "log RR"},
    ),
    "strata, difference": Scenario(
        about="six strata, common RD -0.08",
        truth={"RD": -0.08},
        draw=stratified_draw("difference"),
        analyse=lambda data, k: {key: v for key, v in stratified_methods(data, k).items() if key[2] == "RD"},
    ),
    "20 clusters": Scenario(
        about="exposure of whole clusters, intracluster correlation 0.1, true RR 0.7",
        truth={"log RR": math.log(0.7)},
        draw=clustered_draw(20),
        analyse=clustered_methods,
    ),
    "100 clusters": Scenario(
        about="the same with 100 clusters",
        truth={"log RR": math.log(0.7)},
        draw=clustered_draw(100),
        analyse=clustered_methods,
    ),
    "interaction": Scenario(
        about="joint ratios 1.5, 1.4 and 2.5, risk of about 22 %",
        truth=_interaction_truth(),
        draw=interaction_draw,
        analyse=interaction_methods,
    ),
    "interaction, resampled": Scenario(
        about=f"the same; bootstrap of {REPLICATES} resamples",
        truth=_interaction_truth(),
        draw=interaction_draw,
        analyse=lambda data, k: interaction_methods(data, k, resampled=True),
        sizes=(200, 1000),
        sets=500,
    ),
    "curve": Scenario(
        about="log risk a restricted cubic spline of four declared knots, risk of about 18 %",
        truth=_curve_truth(),
        draw=curve_draw,
        analyse=curve_methods,
    ),
    "follow-up": Scenario(
        about="proportional hazards, risk of about 20 % by the horizon, a fifth lost before it",
        truth=follow_up_truth(),
        draw=follow_up_draw,
        analyse=follow_up_methods,
    ),
}

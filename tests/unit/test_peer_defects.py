"""Defects found in other programs that estimate the same things: none of them through the public doors.

The witnesses are closed forms, brute force or another way to the same number, on data made here.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk import (
    Estimates,
    categories,
    dose_response,
    interaction,
    pool,
    risk_ratios,
    spline,
    standardised_risks,
)

pytestmark = pytest.mark.filterwarnings("ignore::walkrisk.doors.results.WalkriskWarning")
FloatArray = npt.NDArray[np.float64]


def cohort(n: int = 300, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = np.round(rng.normal(50, 12, n), 1)
    age[0] = 130.0  # one person far from all others, whose leverage tells the variances apart
    risk = np.minimum(np.exp(-1.6 + 0.012 * (age - 50)), 0.9)
    return pd.DataFrame(
        {
            "y": (rng.random(n) < risk).astype(int),
            "e": rng.integers(0, 2, n),
            "f": rng.integers(0, 2, n),
            "age": age,
            "g": rng.choice(["a", "b", "c"], n),
            "id": rng.integers(0, 40, n),
        }
    )


def poisson(frame: pd.DataFrame, **named: Any) -> Estimates:
    return risk_ratios(frame, outcome="y", exposure="e", covariates=["age"], **{"method": "modified_poisson", **named})


def pieces(frame: pd.DataFrame, b: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scores, inverse information and leverages of a Poisson model of the terms of `poisson`."""
    x = np.column_stack([np.ones(len(frame)), frame["e"], frame["age"]])
    mu = np.exp(x @ b)
    bread = np.linalg.inv(x.T @ (mu[:, None] * x))
    return x * (frame["y"].to_numpy() - mu)[:, None], bread, mu * np.einsum("ij,jk,ik->i", x, bread, x)


def test_1_the_hc_variances_differ_and_use_the_hat_matrix_of_the_model() -> None:
    """statsmodels returns HC0 under the names HC1, HC2 and HC3."""
    frame = cohort()
    fits = {v: poisson(frame, variance=v).fit for v in ("HC0", "HC1", "HC2", "HC3")}
    scores, bread, h = pieces(frame, fits["HC0"].coefficients.to_numpy())
    n, k = len(frame), 3
    powers = {"HC0": 0.0, "HC2": 0.5, "HC3": 1.0}
    for name, fit in fits.items():
        u = scores / (1 - h[:, None]) ** powers.get(name, 0.0)
        brute = bread @ (u.T @ u) @ bread * (n / (n - k) if name == "HC1" else 1.0)
        np.testing.assert_allclose(fit.covariance.to_numpy(), brute, rtol=1e-8)
    ages = [fits[v].std_errors["age"] for v in ("HC0", "HC1", "HC2", "HC3")]
    assert len({round(s, 6) for s in ages}) == 4
    assert fits["HC3"].std_errors["age"] > 1.01 * fits["HC0"].std_errors["age"]


BOUNDARY = pd.DataFrame({"x": np.arange(1.0, 11), "y": [0, 0, 0, 0, 1, 0, 1, 1, 1, 1]})


def test_2_and_3_a_log_binomial_maximum_on_the_boundary_is_found_and_has_no_wald_interval() -> None:
    """statsmodels says converged below the maximum, or fails; R's glm finds no start."""
    made = risk_ratios(BOUNDARY, outcome="y", exposure="x", method="log_binomial")
    fit = made.fit
    assert fit.converged
    assert fit.boundary
    best = max(  # on the edge a + 10 b = 0 the likelihood has one parameter: a fine grid
        sum(math.log(p) if y else math.log1p(-p) for x, y in BOUNDARY.to_numpy() if (p := math.exp(b * (x - 10))) < 1)
        for b in np.linspace(0.05, 0.8, 15001)
    )
    assert fit.log_likelihood >= best - 1e-9
    row = made.rows[0]
    assert row.variance == "profile"
    assert row.std_error is None
    assert row.conf_low < row.estimate < row.conf_high
    assert fit.covariance.isna().all().all()


def test_4_the_maximum_does_not_depend_on_how_covariates_are_coded() -> None:
    """logbin's EM maximises over the rectangle of the covariates only, so its answer depends on the coding."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.integers(0, 2, 200), "b": rng.integers(0, 2, 200), "c": rng.integers(0, 2, 200)})
    frame["y"] = (rng.random(200) < np.where(frame["a"] + frame["b"] == 2, 0.97, 0.35)).astype(int)
    ask = {"outcome": "y", "exposure": "a", "covariates": ["b", "c"], "method": "log_binomial"}
    one = risk_ratios(frame, **ask)
    other = risk_ratios(frame.assign(a=1 - frame["a"], b=1 - frame["b"], c=5 - 3 * frame["c"]), **ask)
    assert math.isclose(one.fit.log_likelihood, other.fit.log_likelihood, abs_tol=1e-8)
    assert math.isclose(one.rows[0].estimate, 1 / other.rows[0].estimate, rel_tol=1e-6)


def test_5_hc2_and_hc3_carry_no_further_factor() -> None:
    """pyfixest multiplies them by n/(n - k)."""
    frame = cohort(60)
    fit = poisson(frame, variance="HC3").fit
    scores, bread, h = pieces(frame, fit.coefficients.to_numpy())
    u = scores / (1 - h)[:, None]
    np.testing.assert_allclose(fit.covariance.to_numpy(), bread @ (u.T @ u) @ bread, rtol=1e-9)


def test_6_standardised_risks_rest_on_a_converged_fit_and_take_weights_clusters_and_interactions() -> None:
    """risks stops at glm's default tolerance, knows HC0 only, and no weights or clusters."""
    frame = cohort().assign(w=lambda d: 1.0 + (d["id"] % 3))
    crude = standardised_risks(frame, outcome="y", exposure="e")
    a, b = (frame[frame["e"] == e]["y"] for e in (0, 1))
    row = crude.row("risk_ratio", "1")
    assert math.isclose(row.estimate, b.mean() / a.mean(), rel_tol=1e-12)
    exact = (1 - a.mean()) / (a.mean() * len(a)) + (1 - b.mean()) / (b.mean() * len(b))
    assert math.isclose(row.std_error, math.sqrt(exact), rel_tol=1e-10)
    twice = frame.loc[frame.index.repeat(frame["w"].astype(int))]
    weighted = standardised_risks(frame, outcome="y", exposure="e", covariates=["age"], weights="w")
    repeated = standardised_risks(
        twice.assign(person=twice.index),
        outcome="y",
        exposure="e",
        covariates=["age"],
        cluster="person",
        variance="CR0",
    )
    for level in "01":
        assert math.isclose(weighted.row("risk", level).estimate, repeated.row("risk", level).estimate, rel_tol=1e-9)
        assert math.isclose(weighted.row("risk", level).std_error, repeated.row("risk", level).std_error, rel_tol=1e-8)


def test_7_corrected_variances_are_no_smaller_than_the_plain_sandwich() -> None:
    """rqlm's GST and WL gave standard errors down to 0.73 of HC0."""
    frame = cohort(80)
    plain = poisson(frame, variance="HC0").fit.std_errors
    for variance in ("HC1", "HC2", "HC3", "stata", "MBN", "FG", "KC"):
        assert (poisson(frame, variance=variance).fit.std_errors >= plain * (1 - 1e-12)).all(), variance


def test_8_the_number_needed_never_has_a_finite_interval_around_no_effect() -> None:
    """epiR's Mantel-Haenszel NNT had upper = lower, and one interval for all strata."""
    made = standardised_risks(cohort(), outcome="y", exposure="g", covariates=["age"])
    for level in ("b", "c"):
        difference, needed = made.row("risk_difference", level), made.row("nnt", level)
        assert math.isclose(needed.estimate, 1 / abs(difference.estimate), rel_tol=1e-9)
        if difference.conf_low < 0 < difference.conf_high:
            assert needed.conf_low is None
            assert needed.conf_high is None
        else:
            assert needed.conf_low < needed.estimate < needed.conf_high


def test_9_p_values_of_additive_interaction_are_two_sided() -> None:
    """interactionR's are one-sided, and that of S is of a log-normal."""
    for seed in range(4):
        frame = cohort(seed=seed)
        made = interaction(frame, outcome="y", exposure="e", modifier="f", covariates=["age"])
        normal = statistics.NormalDist()
        for estimand in ("reri", "ap", "synergy"):
            rows = [r for r in made.rows if r.estimand == estimand and r.method == "modified_poisson" and not r.stratum]
            for row in rows:
                if row.p_value is None:
                    continue
                value = math.log(row.estimate) if estimand == "synergy" else row.estimate
                z = value / row.std_error
                assert math.isclose(row.p_value, 2 * normal.cdf(-abs(z)), rel_tol=1e-6)
    swapped = interaction(frame, outcome="y", exposure="f", modifier="e", covariates=["age"])
    one, other = (m.row("reri", stratum="") for m in (made, swapped))
    assert math.isclose(one.p_value, other.p_value, rel_tol=1e-8)


def test_10_a_restricted_spline_is_linear_in_both_tails_and_holds_its_linear_term() -> None:
    """zEpid's keeps a quadratic upper tail and lacks the linear term."""
    frame = cohort().assign(age=lambda d: d["age"].clip(20, 90))
    knots = [35.0, 45, 55, 65]
    made = dose_response(
        frame, outcome="y", exposure=spline("age", knots=knots), reference=50, at=[70, 75, 80, 85, 22, 26, 30, 34]
    )
    logs = np.log([p.estimate for p in made.curve])
    np.testing.assert_allclose(np.diff(logs[:4], 2), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(logs[4:], 2), 0, atol=1e-12)
    assert len([n for n in made.fit.coefficients.index if n.startswith("age")]) == len(knots) - 1
    outer = {3: (10, 50, 90), 4: (5, 35, 65, 95), 5: (5, 27.5, 50, 72.5, 95)}  # Harrell's percentiles
    for k, percent in outer.items():
        found = dose_response(frame, outcome="y", exposure=spline("age", knots=k)).details["knots"]
        np.testing.assert_allclose(found, np.percentile(frame["age"], percent), rtol=1e-12)


def test_10_pooled_estimates_carry_degrees_of_freedom() -> None:
    """zEpid's rubins_rules returns none."""
    sets = [poisson(cohort(seed=s)) for s in range(4)]
    made = pool(sets)
    b = np.log([s.rows[0].estimate for s in sets])
    within, between = np.mean([s.rows[0].std_error ** 2 for s in sets]), np.var(b, ddof=1)
    total = within + 1.25 * between
    share = 1.25 * between / total
    complete = 300 - 3
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    df = 1 / (1 / (3 / share**2) + 1 / observed)
    assert math.isclose(made.details["pooling"]["df"].iloc[0], df, rel_tol=1e-9)
    assert math.isclose(made.rows[0].std_error, math.sqrt(total), rel_tol=1e-12)


def test_11_data_frames_are_taken_as_mappings_of_arrays_too() -> None:
    """Other packages broke with a newer data frame or array library; a mapping of arrays needs neither."""
    frame = cohort()
    plain: dict[str, Any] = {name: frame[name].to_numpy() for name in frame}
    lists: dict[str, Any] = {name: frame[name].tolist() for name in frame}
    wanted = poisson(frame).rows[0].estimate
    assert poisson(plain).rows[0].estimate == wanted  # type: ignore[arg-type]
    assert poisson(lists).rows[0].estimate == wanted  # type: ignore[arg-type]


def test_12_the_default_variance_of_a_ratio_is_robust() -> None:
    """specification_curve has no robust standard errors and no generalised linear models."""
    row = poisson(cohort()).rows[0]
    assert row.variance == "HC0"
    assert poisson(cohort(), variance="model").rows[0].std_error > row.std_error  # Poisson's own is too wide for 0/1


def test_13_the_factors_of_clustered_variances_are_named_and_right() -> None:
    """Programs multiply by G/(G-1), by (n-1)/(n-k) too, or by nothing, under one name."""
    frame = cohort()
    made = {v: poisson(frame, cluster="id", variance=v).fit for v in ("CR0", "cluster", "CR1", "CR1S")}
    scores, bread, _ = pieces(frame, made["CR0"].coefficients.to_numpy())
    totals = pd.DataFrame(scores).groupby(frame["id"]).sum().to_numpy()
    brute = bread @ (totals.T @ totals) @ bread
    g, n, k = frame["id"].nunique(), len(frame), 3
    for name, factor in (
        ("CR0", 1.0),
        ("cluster", g / (g - 1)),
        ("CR1", g / (g - 1)),
        ("CR1S", g / (g - 1) * (n - 1) / (n - k)),
    ):
        np.testing.assert_allclose(made[name].covariance.to_numpy(), factor * brute, rtol=1e-8)


def test_14_limits_are_normal_unless_students_t_is_asked_for() -> None:
    """Programs differ silently between z, t on n - k and t on design degrees of freedom."""
    from scipy.stats import t

    frame = cohort(40)
    normal, student = poisson(frame).rows[0], poisson(frame, limits="t").rows[0]
    half = math.log(normal.conf_high / normal.estimate) / normal.std_error
    assert math.isclose(half, 1.959963984540054, rel_tol=1e-9)
    half = math.log(student.conf_high / student.estimate) / student.std_error
    assert math.isclose(half, t.ppf(0.975, 40 - 3), rel_tol=1e-9)


def test_a_category_without_cases_leaves_the_others_as_they_are() -> None:
    """Elsewhere its coefficient runs to -20 and prints RR 0.00, and robust errors of other terms suffer."""
    frame = cohort()
    frame["y"] = np.where(frame["g"] == "c", 0, frame["y"])
    ask = {"outcome": "y", "exposure": "g", "covariates": ["age"], "method": "modified_poisson"}
    whole, without = risk_ratios(frame, **ask), risk_ratios(frame[frame["g"] != "c"], **ask)
    assert whole.rows[2].estimate is None
    assert math.isclose(whole.rows[1].estimate, without.rows[1].estimate, rel_tol=1e-9)
    assert math.isclose(whole.rows[1].std_error, without.rows[1].std_error, rel_tol=1e-7)
    assert "c has no" in " ".join(whole.warnings)


def test_quantile_groups_and_reference_stay_those_of_the_analysed_rows() -> None:
    frame = cohort().assign(z=lambda d: np.where(d.index < 30, np.nan, 1.0 * d["f"]))
    made = risk_ratios(
        frame, outcome="y", exposure=categories("age", quantiles=4), covariates=["z"], method="modified_poisson"
    )
    known = frame[frame["z"].notna()]
    assert sum(r.n for r in made.rows) == len(known)
    assert max(r.n for r in made.rows) - min(r.n for r in made.rows) <= 4

"""Rubin's rules and the joint tests, against hand sums, closed forms and published formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Factor, Linear, Spline, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.pooled_tests import (
    f_tail,
    joint_wald,
    pooled_chi_squares,
    pooled_deviances,
    pooled_likelihood_ratio,
)
from walkrisk.sensitivity.pooling import pool_coefficients, pool_contrasts, pool_fits, pool_scalar

FloatArray = npt.NDArray[np.float64]


def test_a_scalar_by_hand() -> None:
    """Values 1, 2, 3 with variance 0.5: B = 1, T = 0.5 + 4/3, lambda = 8/11, nu_old = 2 (11/8)^2."""
    got = pool_scalar([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(
        [got.estimate, got.within, got.between, got.total, got.riv, got.lambda_, got.df, got.df_rubin1987],
        [2, 0.5, 1, 11 / 6, 8 / 3, 8 / 11, 2 * (11 / 8) ** 2, 2 * (11 / 8) ** 2],
    )
    np.testing.assert_allclose(got.fmi, (8 / 3 + 2 / (121 / 32 + 3)) / (11 / 3))
    np.testing.assert_allclose(got.p_value, 2 * stats.t.sf(2 / math.sqrt(11 / 6), 121 / 32), rtol=1e-12)
    np.testing.assert_allclose(
        [got.conf_low, got.conf_high], stats.t.interval(0.95, 121 / 32, 2, math.sqrt(11 / 6)), rtol=1e-10
    )


def test_barnard_and_rubin_degrees_of_freedom() -> None:
    got = pool_scalar([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], dfcom=10)
    old, observed = 2 * (11 / 8) ** 2, 3 / 11 * 10 * 11 / 13
    np.testing.assert_allclose(got.df, old * observed / (old + observed))
    np.testing.assert_allclose(got.fmi, (got.riv + 2 / (got.df + 3)) / (got.riv + 1))
    assert got.df < min(10, got.df_rubin1987)
    assert pool_scalar([1.0, 2.0], [0.5, 0.5], dfcom=math.inf).df == pool_scalar([1.0, 2.0], [0.5, 0.5]).df


def test_sets_that_agree_have_the_inference_of_one() -> None:
    got = pool_scalar([0.7] * 5, [0.04] * 5, dfcom=30)
    assert (got.between, got.riv, got.lambda_, got.df_rubin1987) == (0, 0, 0, math.inf)
    np.testing.assert_allclose([got.std_error, got.df], [0.2, 30 * 31 / 33])
    normal = pool_scalar([0.7] * 5, [0.04] * 5)
    np.testing.assert_allclose([normal.p_value, normal.fmi], [2 * stats.norm.sf(3.5), 0], atol=1e-15)
    np.testing.assert_allclose(normal.conf_high, 0.7 + stats.norm.ppf(0.975) * 0.2, rtol=1e-12)


def test_coverage_of_a_mean_with_missing_values() -> None:
    """Proper imputation of a normal mean, 40 % missing: the pooled 95 % interval covers about 95 %."""
    rng = np.random.default_rng(3)
    covered, runs, n, m = 0, 600, 30, 10
    for _ in range(runs):
        seen = rng.normal(1, 2, int(n * 0.6))
        q, u = [], []
        for _ in range(m):
            sigma2 = (len(seen) - 1) * seen.var(ddof=1) / rng.chisquare(len(seen) - 1)
            mu = rng.normal(seen.mean(), math.sqrt(sigma2 / len(seen)))
            full = np.concatenate([seen, rng.normal(mu, math.sqrt(sigma2), n - len(seen))])
            q.append(full.mean())
            u.append(full.var(ddof=1) / n)
        got = pool_scalar(q, u, dfcom=n - 1)
        covered += got.conf_low <= 1 <= got.conf_high
    assert 0.925 < covered / runs < 0.975


def sets(m: int = 4, k: int = 3, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(m, k, k))
    return rng.normal(size=(m, k)), a @ np.swapaxes(a, 1, 2) + np.eye(k)


def test_vectors_are_pooled_as_their_scalars_and_contrasts() -> None:
    q, u = sets()
    pooled = pool_coefficients(("a", "b", "c"), q, u, dfcom=50)
    for i, name in enumerate(pooled.names):
        assert pooled.scalar(name) == replace(pool_scalar(q[:, i], u[:, i, i], dfcom=50), name=name)
    contrast = np.array([[0, 1.0, -1], [0, 0, 0], [1, 0, 0]])
    points = pool_contrasts(q, u, contrast, dfcom=50)
    difference = u[:, 1, 1] + u[:, 2, 2] - 2 * u[:, 1, 2]
    expected = pool_scalar(q[:, 1] - q[:, 2], difference, dfcom=50)
    np.testing.assert_allclose(
        [points.estimates[0], points.std_errors[0], points.df[0], points.conf_low[0], points.fmi[0]],
        [expected.estimate, expected.std_error, expected.df, expected.conf_low, expected.fmi],
    )
    assert (points.estimates[1], points.std_errors[1], points.conf_low[1], points.conf_high[1]) == (0, 0, 0, 0)
    assert math.isnan(points.p_values[1])
    np.testing.assert_allclose(points.conf_high[2], pooled.conf_high[0])
    own = pool_contrasts(q, u, np.stack([contrast] * 3 + [2 * contrast]))
    np.testing.assert_allclose(own.estimates[2], (q[:3, 0].sum() + 2 * q[3, 0]) / 4)
    np.testing.assert_allclose(own.within[2, 2], (u[:3, 0, 0].sum() + 4 * u[3, 0, 0]) / 4)


def test_joint_wald_is_li_raghunathan_and_rubin() -> None:
    q, u = sets(m=6)
    pooled = pool_coefficients(("a", "b", "c"), q, u)
    got = joint_wald(pooled, ("a", "c"))
    at = [0, 2]
    ubar = u.mean(axis=0)[np.ix_(at, at)]
    r = (1 + 1 / 6) * np.trace(np.cov(q[:, at].T) @ np.linalg.inv(ubar)) / 2
    d1 = q[:, at].mean(axis=0) @ np.linalg.inv(ubar) @ q[:, at].mean(axis=0) / (2 * (1 + r))
    df2 = 4 + (10 - 4) * (1 + (1 - 2 / 10) / r) ** 2
    np.testing.assert_allclose([got.statistic, got.riv, got.df1, got.df2], [d1, r, 2, df2])
    np.testing.assert_allclose(got.p_value, stats.f.sf(d1, 2, df2), rtol=1e-10)
    assert joint_wald(pooled, [0, 2]) == got
    assert joint_wald(pooled, [0, 2], value=pooled.estimates[at]).p_value == 1


def test_few_sets_and_few_degrees_of_freedom_of_a_joint_test() -> None:
    q, u = sets(m=3)
    pooled = pool_coefficients(("a", "b", "c"), q, u)
    got = joint_wald(pooled, ["a"])
    r = got.riv
    np.testing.assert_allclose(got.df2, 2 * 2 * (1 + 1 / r) ** 2 / 2)
    np.testing.assert_allclose(joint_wald(pooled, ["a"], dfcom=1e12).df2, got.df2, rtol=1e-6)
    for columns, dfcom in ((["a"], 20.0), (["a", "b", "c"], 3.0), (["a", "b", "c"], 100.0)):
        small, large = joint_wald(pooled, columns, dfcom=dfcom), joint_wald(pooled, columns)
        assert 0 < small.df2 < min(large.df2, dfcom)


def test_reiters_degrees_of_freedom_without_missing_data_are_those_of_the_complete_data() -> None:
    q, u = sets(m=6)
    same = pool_coefficients(("a", "b", "c"), np.repeat(q[:1], 6, axis=0), np.repeat(u[:1], 6, axis=0))
    got = joint_wald(same, [0, 1, 2], dfcom=40)
    np.testing.assert_allclose(got.df2, 40 * 41 / 43)
    chi2 = q[0] @ np.linalg.solve(u[0], q[0])
    np.testing.assert_allclose(joint_wald(same, [0, 1, 2]).p_value, stats.chi2.sf(chi2, 3), rtol=1e-10)


def test_pooled_chi_squares_are_li_meng_raghunathan_and_rubin() -> None:
    d = np.array([12.0, 15.0, 9.0, 14.0])
    got = pooled_chi_squares(d, 2)
    r = 1.25 * np.var(np.sqrt(d), ddof=1)
    expected = (12.5 / 2 - 5 / 3 * r) / (1 + r)
    df2 = 2 ** (-3 / 4) * 3 * (1 + 1 / r) ** 2
    np.testing.assert_allclose([got.statistic, got.df2, got.riv], [expected, df2, r])
    assert pooled_chi_squares([0.0, 0.1, 9.0], 3).p_value == 1
    same = pooled_chi_squares([7.0, 7.0], 2)
    np.testing.assert_allclose([same.statistic, same.p_value], [3.5, math.exp(-3.5)])


def test_pooled_deviances_are_meng_and_rubin() -> None:
    got = pooled_deviances([12.0, 15.0, 9.0, 14.0], [11.0, 13.0, 8.0, 12.0], 2)
    r = 5 / (2 * 3) * 1.5
    np.testing.assert_allclose(
        [got.statistic, got.riv, got.df2], [11 / (2 * (1 + r)), r, 4 + 2 * (1 + (1 - 1 / 3) / r) ** 2]
    )
    assert pooled_deviances([5.0, 5.0], [5.0, 5.1], 1).riv == 0


def people(seed: int = 1, n: int = 400) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(1, 4, n).astype(float)
    y = (rng.random(n) < 0.2 * np.exp(0.3 * (x > 0) + 0.2 * (g == 2))).astype(float)
    return {"x": x, "g": g, "y": y}


def imputed(seed: int, m: int = 4) -> list[dict[str, FloatArray]]:
    base, rng = people(), np.random.default_rng(seed)
    holes = rng.random(len(base["x"])) < 0.2
    return [base | {"x": np.where(holes, base["x"] + rng.normal(0, 0.4, len(holes)), base["x"])} for _ in range(m)]


def fit_of(data: dict[str, FloatArray], *names: str, method: str = "modified_poisson") -> Fit:
    terms = [factor("g", data["g"]) if name == "g" else Linear(name) for name in names]
    return fit_model(method, build_design(data, terms, len(data["y"])), data["y"])


@pytest.mark.parametrize("variance", ["HC0", "HC1", "HC3", "model", "stata"])
def test_fits_are_pooled_with_the_variance_that_was_asked_for(variance: str) -> None:
    fits = [fit_of(data, "x", "g") for data in imputed(5)]
    got = pool_fits(fits, variance)
    by_hand = pool_coefficients(
        fits[0].names, [f.coefficients for f in fits], [covariance(f, variance) for f in fits], dfcom=400 - 4
    )
    np.testing.assert_array_equal(got.std_errors, by_hand.std_errors)
    np.testing.assert_array_equal(got.df, by_hand.df)
    assert (got.names, got.dfcom) == (fits[0].names, 396)
    assert pool_fits(fits, variance, dfcom=None).dfcom == math.inf


def test_clusters_of_the_people_are_used_in_every_set() -> None:
    fits = [fit_of(data, "x") for data in imputed(5)]
    cluster = np.repeat(np.arange(40.0), 10)
    got = pool_fits(fits, "cluster", cluster=cluster, dfcom=39)
    u = np.mean([covariance(f, "cluster", cluster=cluster) for f in fits], axis=0)
    np.testing.assert_allclose(got.within, u)


def test_a_likelihood_ratio_of_fits() -> None:
    data = imputed(5)
    larger, smaller = [fit_of(d, "x", "g") for d in data], [fit_of(d, "x") for d in data]
    got = pooled_likelihood_ratio(larger, smaller, [d["y"] for d in data])
    own = np.array([2 * (a.log_likelihood - b.log_likelihood) for a, b in zip(larger, smaller, strict=True)])

    def at(fits: list[Fit]) -> FloatArray:
        b = np.mean([f.coefficients for f in fits], axis=0)
        etas = [f.design.matrix @ b for f in fits]
        return np.array([d["y"] @ e - np.exp(e).sum() for d, e in zip(data, etas, strict=True)])

    expected = pooled_deviances(own, 2 * (at(larger) - at(smaller)), 2)
    np.testing.assert_allclose([got.statistic, got.df2, got.riv], [expected.statistic, expected.df2, expected.riv])
    wald = joint_wald(pool_fits(larger, "model"), [2, 3])
    np.testing.assert_allclose(got.statistic, wald.statistic, rtol=0.1)


def test_a_likelihood_ratio_of_weighted_fits_is_that_of_the_people_repeated() -> None:
    data, weights = imputed(5), np.tile([1.0, 2.0], 200)
    again = np.repeat(np.arange(400), weights.astype(int))
    pairs = []
    for names in (("x", "g"), ("x",)):
        designs = [fit_of(d, *names).design for d in data]
        weighted = [fit_model("logistic", x, d["y"], weights=weights) for x, d in zip(designs, data, strict=True)]
        repeated = [fit_of({k: v[again] for k, v in d.items()}, *names, method="logistic") for d in data]
        pairs.append((weighted, repeated))
    got = pooled_likelihood_ratio(pairs[0][0], pairs[1][0], [d["y"] for d in data])
    expected = pooled_likelihood_ratio(pairs[0][1], pairs[1][1], [d["y"][again] for d in data])
    np.testing.assert_allclose([got.statistic, got.riv], [expected.statistic, expected.riv], rtol=1e-8)


def test_sets_that_are_not_of_one_model_are_refused() -> None:
    data = imputed(5, m=3)
    fits = [fit_of(d, "x", "g") for d in data]
    with pytest.raises(ValueError, match="at least 2 imputed data sets, not 1"):
        pool_fits(fits[:1], "HC0")
    with pytest.raises(ValueError, match=r"Imputed set 2 \(of 3\) did not converge"):
        pool_fits([fits[0], replace(fits[1], converged=False), fits[2]], "HC0")
    with pytest.raises(ValueError, match=r"Imputed set 3 \(of 3\) has no valid Wald interval"):
        pool_fits([*fits[:2], replace(fits[2], wald=False)], "HC0")
    with pytest.raises(ValueError, match=r"Each of imputed sets 2, 3 \(of 3\) was fitted by another method"):
        pool_fits([fits[0], *(fit_of(d, "x", "g", method="logistic") for d in data[1:])], "HC0")
    with pytest.raises(ValueError, match="other columns"):
        pool_fits([*fits[:2], fit_of(data[2], "x")], "HC0")
    one_level_less = data[2] | {"g": np.where(data[2]["g"] == 3, 2, data[2]["g"])}
    with pytest.raises(ValueError, match="other columns"):
        pool_fits([*fits[:2], fit_of(one_level_less, "x", "g")], "HC0")
    fewer = {name: values[:-1] for name, values in data[2].items()}
    with pytest.raises(ValueError, match="another number of people"):
        pool_fits([*fits[:2], fit_of(fewer, "x", "g")], "HC0")
    with pytest.raises(ValueError, match="dfcom is 'residual'"):
        pool_fits(fits, "HC0", dfcom="all")
    with pytest.raises(ValueError, match="unknown variance"):
        pool_fits(fits, "HC9")


def test_knots_that_differ_between_sets_are_refused() -> None:
    fits = []
    for i, d in enumerate(imputed(5, m=3)):
        spline = Spline("x", (-1.0, 0.0 + 0.1 * i, 1.0))
        fits.append(fit_model("modified_poisson", build_design(d, [spline], 400), d["y"]))
    with pytest.raises(ValueError, match="other levels, units or knots"):
        pool_fits(fits, "HC0")


def test_a_level_without_events_in_some_sets_only_is_refused_and_in_all_is_left_out() -> None:
    data = imputed(5, m=2)
    empty = [d | {"y": np.where(d["g"] == 3, 0.0, d["y"])} for d in data]
    with pytest.raises(ValueError, match=r"g\[3\] could be estimated in some imputed sets but not in all"):
        pool_fits([fit_of(data[0], "x", "g"), fit_of(empty[1], "x", "g")], "HC0")
    got = pool_fits([fit_of(d, "x", "g") for d in empty], "HC0")
    assert not any("g[3]" in name for name in got.names)
    assert got.warnings[0] == "g[3]: not estimable in any imputed set, so left out."
    assert got.warnings[1].startswith("In 2 of 2 imputed sets, e.g.: ")


@pytest.mark.parametrize(
    ("values", "variances", "said"),
    [
        ([1.0], [1.0], "at least 2 imputed data sets"),
        ([1.0, math.nan], [1.0, 1.0], r"imputed set 2 \(of 2\) are not finite"),
        ([1.0, 2.0], [1.0, math.inf], "not finite"),
        ([1.0, 2.0], [1.0, 0.0], "0 or negative"),
        ([1.0, 2.0], [1.0, -1.0], "0 or negative"),
        ([1.0, 2.0], [1.0], "one value and one variance"),
    ],
)
def test_no_pooling_of_what_is_no_estimate(values: list[float], variances: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pool_scalar(values, variances)


def test_other_misuse_has_a_sentence() -> None:
    q, u = sets()
    pooled = pool_coefficients(("a", "b", "c"), q, u)
    with pytest.raises(ValueError, match="different numbers of coefficients"):
        pool_coefficients(("a", "b"), [[1.0, 2.0], [1.0]], [np.eye(2), np.eye(1)])
    with pytest.raises(ValueError, match="do not fit each other"):
        pool_coefficients(("a", "b", "c"), q, u[:, :2, :2])
    with pytest.raises(ValueError, match="2 names were given for 3"):
        pool_coefficients(("a", "b"), q, u)
    with pytest.raises(ValueError, match="do not fit 4 imputed sets"):
        pool_contrasts(q, u, np.eye(2))
    with pytest.raises(ValueError, match="must be positive"):
        pool_scalar([1.0, 2.0], [1.0, 1.0], dfcom=0)
    with pytest.raises(ValueError, match="must be positive"):
        joint_wald(pooled, ["a"], dfcom=-1)
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        pool_scalar([1.0, 2.0], [1.0, 1.0], conf_level=95)
    with pytest.raises(ValueError, match="at least one coefficient, each named once"):
        joint_wald(pooled, ["a", "a"])
    with pytest.raises(KeyError, match="nothing pooled is named 'z'"):
        joint_wald(pooled, ["z"])
    twice = np.repeat(np.repeat(u[:, :1, :1], 2, axis=1), 2, axis=2)
    with pytest.raises(ValueError, match="collinear"):
        joint_wald(pool_coefficients(("a", "b"), q[:, [0, 0]], twice), [0, 1])
    for d in ([1.0], [1.0, -1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match="at least 2 imputed sets"):
            pooled_chi_squares(d, 1)
    with pytest.raises(ValueError, match="at least 1 degree of freedom"):
        pooled_deviances([1.0, 2.0], [1.0, 2.0], 0)


def test_likelihood_ratios_that_are_none_are_refused() -> None:
    data = imputed(5, m=2)
    ys = [d["y"] for d in data]
    larger, smaller = [fit_of(d, "x", "g") for d in data], [fit_of(d, "x") for d in data]
    with pytest.raises(ValueError, match="more coefficients"):
        pooled_likelihood_ratio(smaller, larger, ys)
    with pytest.raises(ValueError, match="each of at least 2"):
        pooled_likelihood_ratio(larger[:1], smaller[:1], ys[:1])
    with pytest.raises(ValueError, match="imputed set 2 did not converge"):
        pooled_likelihood_ratio([larger[0], replace(larger[1], converged=False)], smaller, ys)
    empty = [d | {"y": np.where(d["g"] == 3, 0.0, d["y"])} for d in data]
    with pytest.raises(ValueError, match="set aside"):
        pooled_likelihood_ratio(
            [fit_of(d, "x", "g") for d in empty], [fit_of(d, "x") for d in empty], [d["y"] for d in empty]
        )


def test_inputs_are_left_as_they_were() -> None:
    q, u = sets()
    before = q.copy(), u.copy()
    joint_wald(pool_coefficients(("a", "b", "c"), q, u), [0, 1], dfcom=20)
    pool_contrasts(q, u, np.eye(3))
    np.testing.assert_array_equal(q, before[0])
    np.testing.assert_array_equal(u, before[1])


@pytest.mark.parametrize(("x", "df1", "df2"), [(3.0, 2, 10.0), (40.0, 3, 760.9), (0.5, 1, 3.2), (2.0, 4, math.inf)])
def test_the_tail_of_f(x: float, df1: int, df2: float) -> None:
    expected = stats.chi2.sf(df1 * x, df1) if math.isinf(df2) else stats.f.sf(x, df1, df2)
    np.testing.assert_allclose(f_tail(x, df1, df2), expected, rtol=1e-10)


def test_levels_are_part_of_what_must_agree() -> None:
    data = imputed(5, m=2)
    relabelled = Factor("g", (1.0, 2.0, 3.0), ("low", "mid", "high"))
    other = fit_model("modified_poisson", build_design(data[1], [relabelled], 400), data[1]["y"])
    with pytest.raises(ValueError, match="other columns"):
        pool_fits([fit_of(data[0], "g"), other], "HC0")

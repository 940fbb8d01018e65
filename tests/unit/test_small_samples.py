"""Bias-reduced fits and corrected sandwiches: closed forms, brute force, separation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.models.covariance import covariance, influence, influence_covariance
from walkrisk.models.design import Design, Linear, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.models.small_samples import bias_reduced, mbn_extra

FloatArray = npt.NDArray[np.float64]


def constant(n: int) -> Design:
    return build_design({"x": np.zeros(n)}, [], n)


def test_an_intercept_alone() -> None:
    """Logistic mean: (e + 1/2)/(n + 1). Poisson: mean (e + 1/2)/n, median (e + 1/2 - 1/3)/n = (e + 1/6)/n."""
    y = np.array([1.0, 1, 0, 0, 0, 0, 0])
    assert 1 / (1 + np.exp(-bias_reduced("logistic", constant(7), y).coefficients[0])) == pytest.approx(2.5 / 8)
    assert np.exp(bias_reduced("modified_poisson", constant(7), y).coefficients[0]) == pytest.approx(2.5 / 7)
    median = bias_reduced("modified_poisson", constant(7), y, kind="median")
    assert np.exp(median.coefficients[0]) == pytest.approx((2 + 1 / 6) / 7)


def penalised(x: FloatArray, y: FloatArray, w: FloatArray, beta: FloatArray) -> float:
    eta = x @ beta
    mean = 1 / (1 + np.exp(-eta))
    information = x.T @ ((w * mean * (1 - mean))[:, None] * x)
    return float(w @ (y * eta - np.logaddexp(0, eta)) + np.linalg.slogdet(information)[1] / 2)


def test_firth_is_the_maximum_of_the_penalised_likelihood() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=40), rng.integers(1, 4, 40).astype(float)
    y = (rng.random(40) < 0.2).astype(float)
    design = build_design({"x": x}, [Linear("x")], 40)
    fit = bias_reduced("logistic", design, y, weights=w)
    top = penalised(design.matrix, y, w, fit.coefficients)
    for move in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert penalised(design.matrix, y, w, fit.coefficients + move) < top


@pytest.mark.parametrize("kind", ["mean", "median"])
@pytest.mark.parametrize("method", ["modified_poisson", "logistic"])
def test_the_adjusted_score_is_zero(method: str, kind: str) -> None:
    """The adjustment written out by loops over rows and coefficients."""
    rng = np.random.default_rng(4)
    columns = {"x": rng.normal(size=50), "z": rng.normal(size=50)}
    y, w = (rng.random(50) < 0.25).astype(float), rng.uniform(0.5, 2, 50)
    fit = bias_reduced(method, build_design(columns, [Linear("x"), Linear("z")], 50), y, weights=w, kind=kind)  # type: ignore[arg-type]
    assert fit.converged
    x, eta = fit.x, fit.x @ fit.coefficients
    mean = np.exp(eta) if method == "modified_poisson" else 1 / (1 + np.exp(-eta))
    v = mean if method == "modified_poisson" else mean * (1 - mean)
    c = np.ones(50) if method == "modified_poisson" else 1 - 2 * mean
    information = x.T @ ((w * v)[:, None] * x)
    inverse = np.linalg.inv(information)
    score = x.T @ (w * (y - mean))
    for i in range(50):
        score += x[i] * w[i] * v[i] * (x[i] @ inverse @ x[i]) * c[i] / 2
    if kind == "median":
        b = np.zeros(3)
        for r in range(3):
            outer = np.outer(inverse[r], inverse[r]) / inverse[r, r]
            for i in range(50):
                b[r] += inverse[r] @ x[i] * (x[i] @ outer @ x[i]) * w[i] * v[i] * c[i]
        score -= information @ b / 3
    np.testing.assert_allclose(score, 0, atol=1e-8)
    np.testing.assert_allclose(fit.bread, inverse, rtol=1e-9)


def test_estimates_stay_finite_where_the_likelihood_has_no_maximum() -> None:
    g, y = np.repeat([1.0, 2, 3], 20), np.r_[np.zeros(20), np.tile([1.0, 0, 0, 0], 5), np.tile([1.0, 0], 10)]
    design = build_design({"g": g}, [factor("g", g)], 60)
    assert not fit_model("logistic", design, y).estimated.all()
    for method in ("modified_poisson", "logistic"):
        for kind in ("mean", "median"):
            fit = bias_reduced(method, design, y, kind=kind)
            assert fit.converged
            assert fit.estimated.all()
            assert fit.rows.all()
            assert np.isnan(fit.log_likelihood)  # no likelihood-ratio test may be made of it
            assert np.isfinite(covariance(fit, "HC3")).all()
    # saturated logistic: half an event and half a non-event in each cell
    fit = bias_reduced("logistic", design, y)
    odds = np.log([0.5 / 20.5, 5.5 / 15.5, 10.5 / 10.5])
    np.testing.assert_allclose(fit.coefficients, [odds[0], odds[1] - odds[0], odds[2] - odds[0]], atol=1e-9)
    separated = (np.arange(20) > 9).astype(float)
    x = build_design({"x": np.arange(20.0)}, [Linear("x")], 20)
    assert bias_reduced("logistic", x, separated).converged


def test_bias_is_smaller_than_that_of_maximum_likelihood() -> None:
    rng = np.random.default_rng(9)
    x = np.tile([0.0, 1.0], 30)
    design, plain, reduced = build_design({"x": x}, [Linear("x")], 60), [], []
    for _ in range(300):
        y = (rng.random(60) < np.where(x == 1, 0.45, 0.2)).astype(float)
        reduced.append(bias_reduced("modified_poisson", design, y).coefficients[0])
        if y[x == 0].any() and y[x == 1].any():
            plain.append(fit_model("modified_poisson", design, y).coefficients[0])
    assert abs(np.mean(reduced) - np.log(0.2)) < 0.05 < abs(np.mean(plain) - np.log(0.2))


def test_what_cannot_be_fitted_is_said() -> None:
    y = np.array([1.0, 0, 1, 0])
    with pytest.raises(ValueError, match="no bias-reduced fit"):
        bias_reduced("log_binomial", constant(4), y)
    for bad in ([-1.0, 1, 1, 1], [0.0, 0, 0, 0], [np.inf, 1, 1, 1]):
        with pytest.raises(ValueError, match="weights must be finite"):
            bias_reduced("logistic", constant(4), y, weights=np.array(bad))
    with pytest.raises(ValueError, match="outcome 0 or 1"):
        bias_reduced("logistic", constant(4), np.array([1.0, 2, 0, 0]))
    with pytest.raises(ValueError, match="finite"):
        bias_reduced("logistic", build_design({"x": np.array([1, np.inf, 2, 3])}, [Linear("x")], 4), y)
    nobody = bias_reduced("logistic", constant(4), np.zeros(4))
    assert not nobody.converged
    assert "Nobody" in nobody.warnings[0]
    assert "Everyone" in bias_reduced("modified_poisson", constant(4), np.ones(4)).warnings[0]
    x = np.array([1.0, 2, 3, 5])
    twice = bias_reduced("logistic", build_design({"x": x, "z": 2 * x}, [Linear("x"), Linear("z")], 4), y)
    assert twice.estimated.tolist() == [True, True, False]
    assert "z" in twice.warnings[0]


# ---------------------------------------------------------------- sandwiches


def small() -> tuple[Design, FloatArray]:
    rng = np.random.default_rng(1)
    columns = {"x": rng.normal(size=60), "z": rng.normal(size=60)}
    return build_design(columns, [Linear("x"), Linear("z")], 60), (rng.random(60) < 0.3).astype(float)


def test_mbn_by_its_formula() -> None:
    fit = fit_model("modified_poisson", *small())
    hc0 = covariance(fit, "HC0")
    d, g = 3 / 57, max(1, np.trace(hc0 @ np.linalg.inv(fit.bread)) / 3)
    np.testing.assert_allclose(covariance(fit, "MBN"), 59 / 57 * 60 / 59 * hc0 + d * g * fit.bread, rtol=1e-10)
    cluster = np.arange(60) // 8
    cr0 = covariance(fit, "CR0", cluster=cluster)
    d, g = 0.5, max(1, np.trace(cr0 @ np.linalg.inv(fit.bread)) / 3)  # 8 clusters are fewer than 9
    np.testing.assert_allclose(
        covariance(fit, "MBN", cluster=cluster), 59 / 57 * 8 / 7 * cr0 + d * g * fit.bread, rtol=1e-10
    )
    assert mbn_extra(np.diag([9.0, 9.0]), np.eye(2), 2, 100) == pytest.approx(2 / 98 * 9)


def test_mbn_of_least_squares_takes_the_residual_variance_in() -> None:
    fit = fit_model("linear", small()[0], (np.arange(60) // 5 % 3 == 0).astype(float))
    cluster = np.arange(60) // 5
    own, v = covariance(fit, "model"), covariance(fit, "CR0", cluster=cluster)
    g = np.trace(v @ np.linalg.inv(own)) / 3
    assert g > 1.2
    np.testing.assert_allclose(
        covariance(fit, "MBN", cluster=cluster), 59 / 57 * 12 / 11 * v + 3 / 9 * g * own, rtol=1e-10
    )


def test_fay_graubard_by_its_formula() -> None:
    fit = fit_model("modified_poisson", *small())
    cluster = np.arange(60) // 5
    mean, meat = np.exp(fit.x @ fit.coefficients), np.zeros((3, 3))
    for j in range(12):
        i = cluster == j
        share = np.diag(fit.x[i].T @ (mean[i][:, None] * fit.x[i]) @ fit.bread)
        u = fit.scores[i].sum(axis=0) / np.sqrt(1 - np.minimum(0.75, share))
        meat += np.outer(u, u)
    np.testing.assert_allclose(covariance(fit, "FG", cluster=cluster), fit.bread @ meat @ fit.bread, rtol=1e-10)


def test_mbn_needs_more_rows_than_coefficients() -> None:
    x, y = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    fit = fit_model("linear", build_design({"x": x}, [Linear("x")], 2), y)
    with pytest.raises(ValueError, match="more rows than coefficients"):
        covariance(fit, "MBN")


def test_mbn_of_functions_of_the_coefficients() -> None:
    fit = fit_model("modified_poisson", *small())
    j = np.array([[1.0, 2, 0]])
    got = influence_covariance(influence(fit, "MBN") @ j.T, fit, "MBN", gradient=j)
    np.testing.assert_allclose(got, j @ covariance(fit, "MBN") @ j.T, rtol=1e-10)

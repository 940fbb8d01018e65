"""Contrasts of a fit: limits, Wald, F and likelihood-ratio tests, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from walkrisk.estimates.contrasts import (
    contrasts,
    curved_columns,
    likelihood_ratio_test,
    likelihood_ratio_without,
    nonlinearity_test,
    overall_columns,
    overall_test,
    quantile_of,
    rows_at,
    wald_test,
)
from walkrisk.models.covariance import covariance
from walkrisk.models.design import (
    Composition,
    FractionalPolynomial,
    Linear,
    Power,
    Product,
    Spline,
    Term,
    build_design,
    factor,
)
from walkrisk.models.fit import Fit, fit_model

N = 900
RNG = np.random.default_rng(11)
DATA = {"x": RNG.gamma(4, 10, N), "z": RNG.normal(size=N), "g": RNG.integers(1, 4, N).astype(float)}
RISK = np.exp(-1.4 + 0.4 * np.cos(DATA["x"] / 20) + 0.1 * DATA["z"] - 0.1 * DATA["g"])
DATA["y"] = (RNG.random(N) < RISK).astype(float)
G, SPLINE = factor("g", DATA["g"]), Spline("x", (15.0, 35.0, 70.0))


def fitted(terms: list[Term], method: str = "modified_poisson", **options: Any) -> Fit:
    return fit_model(method, build_design(DATA, terms, N), DATA["y"], **options)


def test_a_contrast_is_a_weighted_sum_with_its_variance() -> None:
    fit = fitted([Linear("x"), Linear("z")])
    v = covariance(fit, "HC0")
    c = np.array([[0.0, 10.0, 1.0], [0.0, 0.0, -2.0]])
    made = contrasts(fit, c, v, conf_level=0.9)
    se = np.sqrt(np.diag(c @ v @ c.T))
    np.testing.assert_allclose(made.log_ratio, c @ fit.coefficients)
    np.testing.assert_allclose(made.std_error, se)
    np.testing.assert_allclose(np.log(made.high) - made.log_ratio, stats.norm.ppf(0.95) * se)
    np.testing.assert_allclose(made.p_value, 2 * stats.norm.sf(np.abs(made.log_ratio) / se))
    t = contrasts(fit, c, v, df=12.5)
    np.testing.assert_allclose(t.log_ratio - t.log_low, stats.t.ppf(0.975, 12.5) * se)
    np.testing.assert_allclose(t.p_value, 2 * stats.t.sf(np.abs(t.log_ratio) / se, 12.5))


def test_a_contrast_of_nothing_is_one_without_a_p_value() -> None:
    made = contrasts(fitted([Linear("x")]), np.zeros((1, 2)), np.eye(2))
    assert (made.ratio[0], made.low[0], made.high[0]) == (1.0, 1.0, 1.0)
    assert np.isnan(made.p_value[0])


def test_wald_and_f_by_hand() -> None:
    fit = fitted([Linear("z"), SPLINE])
    v = covariance(fit, "HC3")
    b = fit.coefficients[2:4]
    chi2 = float(b @ np.linalg.inv(v[2:4, 2:4]) @ b)
    got = overall_test(fit, "x", v, residual_df=895.0)
    np.testing.assert_allclose([got.chi2, got.f], [chi2, chi2 / 2], rtol=1e-9)
    np.testing.assert_allclose(
        [got.p_value, got.p_f], [stats.chi2.sf(chi2, 2), stats.f.sf(chi2 / 2, 2, 895)], rtol=1e-8
    )
    np.testing.assert_allclose(nonlinearity_test(fit, "x", v).chi2, b[1] ** 2 / v[3, 3], rtol=1e-9)
    assert overall_test(fit, "x", v).p_f is None


def test_tests_do_not_depend_on_the_unit_of_the_exposure() -> None:
    """Seconds or years: a column of 1e7 beside one of 1e-7 is no singular covariance."""
    base = overall_test(fitted([SPLINE]), "x", covariance(fitted([SPLINE]), "HC0")).chi2
    for unit in (1e-7, 1e7):
        term = Spline("x", tuple(k * unit for k in SPLINE.knots))
        fit = fit_model("modified_poisson", build_design({"x": DATA["x"] * unit}, [term], N), DATA["y"])
        np.testing.assert_allclose(overall_test(fit, "x", covariance(fit, "HC0")).chi2, base, rtol=1e-5)


@pytest.mark.parametrize(
    ("terms", "curved"),
    [
        ([SPLINE, G], (2,)),
        ([Linear("x"), Power("x", 2.0)], (2,)),
        ([Power("x", 2.0), Power("x", 1.0)], (1,)),
        ([FractionalPolynomial("x", (1.0, 2.0), scale=10.0)], (2,)),
        ([SPLINE, G, Product(SPLINE, G)], (2, 6, 8)),
        ([SPLINE, G, Product(G, SPLINE)], (2, 7, 8)),
        ([Linear("x"), Linear("z"), Power("x", 2.0), Product(Linear("x"), Linear("z"))], (3,)),
    ],
)
def test_which_columns_are_curved(terms: list[Term], curved: tuple[int, ...]) -> None:
    """Moving along a straight line of x changes none of them by more than a line would: by second differences."""
    design = build_design(DATA, terms, N)
    assert curved_columns(design, "x") == curved
    x = np.linspace(10, 90, 9)
    rows = rows_at(design, "x", x, given={"g": 2.0, "z": 0.5})
    bent = np.flatnonzero(np.abs(np.diff(rows, n=2, axis=0)).max(axis=0) > 1e-9)
    assert set(bent) <= set(curved)


@pytest.mark.parametrize(
    "terms", [[Linear("x")], [factor("x", np.array([1.0, 2.0]))], [FractionalPolynomial("x", (0.0,))]]
)
def test_no_test_of_nonlinearity_without_a_line_and_more(terms: list[Term]) -> None:
    design = build_design({"x": np.array([1.0, 2.0])}, terms, 2)
    with pytest.raises(ValueError, match="straight line"):
        curved_columns(design, "x")


def test_the_likelihood_ratio_is_that_of_two_fits() -> None:
    big, small = fitted([Linear("z"), SPLINE], "logistic"), fitted([Linear("z")], "logistic")
    got = likelihood_ratio_without(big, overall_columns(big.design, "x"))
    np.testing.assert_allclose(got.chi2, 2 * (big.log_likelihood - small.log_likelihood), rtol=1e-9)
    assert got.df == 2
    np.testing.assert_allclose(got.p_value, stats.chi2.sf(got.chi2, 2), rtol=1e-9)
    weights = np.round(np.linspace(1, 3, N))
    heavy = fitted([Linear("z"), SPLINE], "logistic", weights=weights)
    other = likelihood_ratio_without(heavy, overall_columns(big.design, "x"))
    light = fitted([Linear("z")], "logistic", weights=weights)
    np.testing.assert_allclose(other.chi2, 2 * (heavy.log_likelihood - light.log_likelihood), rtol=1e-9)


def no_cases_in_one_level() -> Fit:
    y = np.where(DATA["g"] == 3, 0.0, DATA["y"])
    return fit_model("modified_poisson", build_design(DATA, [G, Linear("z")], N), y)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda f: overall_test(f, "nothing", np.eye(4)), "nothing is in no term"),
        (lambda f: wald_test(f, (), np.eye(4)), "no coefficient to test"),
        (lambda f: overall_test(f, "x", np.ones((4, 4))), "singular, as with fewer clusters"),
        (lambda f: overall_test(f, "x", np.zeros((4, 4))), "singular, as with fewer clusters"),
        (lambda f: overall_test(f, "x", np.eye(4), residual_df=0.0), "residual degrees of freedom above 0"),
        (lambda f: contrasts(f, np.eye(4), np.eye(4), df=-1.0), "degrees of freedom above 0"),
        (lambda f: contrasts(f, np.eye(4), np.eye(4), conf_level=95), "between 0 and 1"),
        (lambda f: overall_test(no_cases_in_one_level(), "g", np.eye(3)), "could not be estimated"),
        (lambda f: likelihood_ratio_test(f, f), "nothing to test"),
        (lambda f: likelihood_ratio_test(fitted([Linear("z")], "logistic"), f), "one method on the same people"),
        (
            lambda f: likelihood_ratio_without(no_cases_in_one_level(), (1, 2)),
            "different people",
        ),
    ],
)
def test_what_cannot_be_said_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(fitted([Linear("z"), SPLINE]))


def test_nothing_from_a_fit_that_did_not_converge() -> None:
    fit = fit_model("modified_poisson", build_design(DATA, [Linear("x")], N), np.zeros(N))
    with pytest.raises(ValueError, match="did not converge"):
        contrasts(fit, np.array([[0.0, 1.0]]), np.eye(2))


def test_fewer_clusters_than_coefficients_give_no_joint_test() -> None:
    fit = fitted([Linear("z"), G, SPLINE])
    two = np.arange(N) % 2.0
    with pytest.raises(ValueError, match=r"2 clusters for|fewer clusters"):
        overall_test(fit, "x", covariance(fit, "cluster", cluster=two))


def test_rows_of_a_variable_in_a_product_need_the_other() -> None:
    design = build_design(DATA, [SPLINE, G, Product(SPLINE, G)], N)
    with pytest.raises(ValueError, match="depends on g"):
        rows_at(design, "x", np.array([20.0]))
    at = rows_at(design, "x", np.array([20.0, 30.0]), given={"g": 3.0})
    full = build_design({"x": np.array([20.0, 30.0]), "g": np.array([3.0, 3.0])}, [SPLINE, G, Product(SPLINE, G)], 2)
    np.testing.assert_allclose(at[1] - at[0], full.matrix[1] - full.matrix[0])


def test_a_part_of_a_composition_does_not_change_alone() -> None:
    design = build_design({"a": np.ones(2), "b": np.ones(2)}, [Composition(("a", "b"))], 2)
    with pytest.raises(ValueError, match="part of a composition"):
        rows_at(design, "a", np.array([1.0]))


def test_the_quantiles() -> None:
    np.testing.assert_allclose(
        [quantile_of(0.95, None), quantile_of(0.9, 7.0)], [1.959963984540054, stats.t.ppf(0.95, 7)]
    )


def test_no_wald_limits_on_the_boundary() -> None:
    """The maximum of these ten has a fitted risk of 1 at x = 10."""
    x, y = np.arange(1.0, 11.0), np.array([0.0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    fit = fit_model("log_binomial", build_design({"x": x}, [Linear("x")], 10), y)
    assert fit.boundary
    for call in (contrasts, wald_test):
        with pytest.raises(ValueError, match="on the boundary"):
            call(fit, np.array([[0.0, 1.0]]) if call is contrasts else (1,), np.eye(2))  # type: ignore[operator]

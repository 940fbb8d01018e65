"""Curves: the grid, the reference, the interval, the test."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.estimates.dose_response import (
    category_curve,
    curve,
    grid,
    lowest_risk,
    nonlinearity,
    ratio_curve,
    ratio_per,
    slopes,
    spread,
)
from walkrisk.estimates.rows import CurvePoint, Estimate, chi_square_p
from walkrisk.models.covariance import covariance
from walkrisk.models.design import (
    Factor,
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

POINT = CurvePoint(
    analysis="a", exposure="e", stratum="", model="m", x=0, estimate=1, conf_low=1, conf_high=1, reference=0
)
KNOTS = (20.0, 60.0, 110.0)


@pytest.mark.parametrize(
    ("values", "step", "expected"),
    [
        ([1.0, 2.0], 0.25, [1, 1.25, 1.5, 1.75, 2]),
        ([1.0, 1.9], 0.25, [1, 1.25, 1.5, 1.75]),
        ([0.0, 0.3], 0.1, [0, 0.1, 0.2, 0.3]),  # 0.3/0.1 is 2.9999999999999996
        ([5.0, 5.0], 1.0, [5]),
        ([np.nan, 2.0, 0.0], 1.0, [0, 1, 2]),
    ],
)
def test_the_grid_runs_from_the_smallest_to_the_largest(
    values: list[float], step: float, expected: list[float]
) -> None:
    np.testing.assert_allclose(grid(np.array(values), step), expected, rtol=1e-12)


def spline_fit(unit: float = 1.0) -> tuple[Fit, Spline]:
    rng = np.random.default_rng(1)
    x = rng.gamma(3, 25, 400) / unit
    z = rng.normal(size=400)
    y = (rng.random(400) < np.exp(-1 - 0.4 * np.minimum(x * unit, 90) / 90 + 0.1 * z)).astype(float)
    spline = Spline("x", tuple(k / unit for k in KNOTS))
    return fit_model("modified_poisson", build_design({"x": x, "z": z}, [Linear("z"), spline], 400), y), spline


def test_the_ratio_at_the_reference_is_one_without_uncertainty() -> None:
    fit, spline = spline_fit()
    (at,) = curve(fit, spline, covariance(fit, "HC0"), np.array([37.0]), reference=37.0, row=POINT, z=1.96)
    assert (at.estimate, at.conf_low, at.conf_high, at.x, at.reference) == (1.0, 1.0, 1.0, 37.0, 37.0)


def test_the_curve_is_the_ratio_of_fitted_risks() -> None:
    fit, spline = spline_fit()
    x = np.array([10.0, 50.0, 100.0, 200.0])
    points = curve(fit, spline, covariance(fit, "HC0"), x, reference=37.0, row=POINT, z=1.96)
    at = {"x": np.append(x, 37.0), "z": np.zeros(5)}
    eta = build_design(at, [Linear("z"), spline], 5).matrix @ fit.coefficients
    np.testing.assert_allclose([p.estimate for p in points], np.exp(eta[:4] - eta[4]), rtol=1e-10)
    assert all(p.conf_low < p.estimate < p.conf_high for p in points)


def test_the_curve_does_not_depend_on_the_unit_of_the_exposure() -> None:
    x = np.array([10.0, 50.0, 100.0, 200.0])
    curves = []
    for unit in (1.0, 60.0):
        fit, spline = spline_fit(unit)
        points = curve(fit, spline, covariance(fit, "stata"), x / unit, reference=37 / unit, row=POINT, z=1.96)
        curves.append([(p.estimate, p.conf_low, p.conf_high) for p in points])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-8)


def test_nonlinearity_tests_the_curved_columns_only() -> None:
    fit, spline = spline_fit()
    v = covariance(fit, "HC0")
    (row,) = nonlinearity(fit, spline, {"HC0": v}, row=Estimate(analysis="a", estimand="p_nonlinearity"))
    column = fit.design.columns_of[spline][1]
    chi2 = fit.coefficients[column] ** 2 / v[column, column]
    np.testing.assert_allclose([row.estimate, row.p_value], [chi2, chi_square_p(float(chi2), 1)], rtol=1e-10)
    assert (row.method, row.variance, row.n, row.events) == ("wald", "HC0", 400, fit.events)


def test_no_curve_where_a_column_of_the_spline_is_not_estimated() -> None:
    """Nobody beyond the first knot: the curved column is 0 everywhere."""
    x = np.linspace(0, 10, 80)
    spline = Spline("x", (50.0, 60.0, 70.0))
    y = (np.arange(80) % 3 == 0).astype(float)
    fit = fit_model("modified_poisson", build_design({"x": x}, [spline], 80), y)
    v = {"HC0": covariance(fit, "HC0")}
    assert curve(fit, spline, v["HC0"], x, reference=5.0, row=POINT, z=1.96) == []
    (row,) = nonlinearity(fit, spline, v, row=Estimate(analysis="a", estimand="p_nonlinearity"))
    assert row.estimate is None


def quadratic(sign: float = 1.0, n: int = 3000) -> Fit:
    """Risk lowest (sign 1) or highest (-1) at 4."""
    rng = np.random.default_rng(5)
    x, z = rng.uniform(0, 10, n), rng.integers(0, 2, n).astype(float)
    y = (rng.random(n) < np.exp(-1.6 + sign * (0.05 * (x - 4) ** 2 - 0.5))).astype(float)
    return fit_model(
        "modified_poisson", build_design({"x": x, "z": z}, [Linear("x"), Power("x", 2.0), factor("z", z)], n), y
    )


def test_a_curve_of_rows_and_a_curve_of_arrays_agree() -> None:
    fit, spline = spline_fit()
    v, x = covariance(fit, "HC0"), np.array([5.0, 37.0, 120.0])
    points = curve(fit, spline, v, x, reference=37.0, row=POINT, z=1.959963984540054)
    made = ratio_curve(fit, "x", v, x, reference=37.0)
    np.testing.assert_allclose(made.values.ratio, [p.estimate for p in points])
    np.testing.assert_allclose(made.values.low, [p.conf_low for p in points])
    assert (made.values.ratio[1], made.values.std_error[1]) == (1.0, 0.0)


@pytest.mark.parametrize("term", [Linear("x", per=7.0), FractionalPolynomial("x", (0.0,)), Power("x", 2.0)])
def test_a_curve_of_one_column_has_the_same_z_everywhere(term: Term) -> None:
    fit, _ = spline_fit()
    columns = {"x": fit.design.matrix[:, 2]}
    y = (np.random.default_rng(2).random(400) < 0.3).astype(float)
    made = fit_model("modified_poisson", build_design(columns, [term], 400), y)
    values = ratio_curve(made, "x", covariance(made, "HC0"), np.array([10.0, 60.0]), reference=30.0).values
    z = values.log_ratio / values.std_error
    np.testing.assert_allclose(np.abs(z), np.abs(made.coefficients[1]) / np.sqrt(covariance(made, "HC0")[1, 1]))


def test_the_ratio_per_doubling_of_a_logarithm_is_the_same_everywhere() -> None:
    fit = quadratic()
    x = np.exp(fit.design.matrix[:, 1] / 5)
    y = (np.random.default_rng(2).random(len(x)) < 0.3).astype(float)
    made = fit_model("modified_poisson", build_design({"x": x}, [FractionalPolynomial("x", (0.0,))], len(x)), y)
    v = covariance(made, "HC0")
    a = ratio_curve(made, "x", v, np.array([2.0]), reference=1.0).values
    b = ratio_curve(made, "x", v, np.array([6.0]), reference=3.0).values
    np.testing.assert_allclose([a.ratio[0], a.high[0]], [b.ratio[0], b.high[0]])


def test_a_curve_within_a_group_of_a_product() -> None:
    """The curve among z = 1 is that of a model of these people alone."""
    rng = np.random.default_rng(3)
    x, z = rng.uniform(0, 10, 600), rng.integers(0, 2, 600).astype(float)
    y = (rng.random(600) < 0.2 + 0.02 * x).astype(float)
    g = factor("z", z)
    terms: list[Term] = [Linear("x"), g, Product(Linear("x"), g)]
    fit = fit_model("modified_poisson", build_design({"x": x, "z": z}, terms, 600), y)
    at = np.array([1.0, 9.0])
    got = ratio_curve(fit, "x", covariance(fit, "HC0"), at, reference=5.0, given={"z": 1.0}).values
    alone = fit_model("modified_poisson", build_design({"x": x[z == 1]}, [Linear("x")], int(z.sum())), y[z == 1])
    want = ratio_curve(alone, "x", covariance(alone, "HC0"), at, reference=5.0).values
    np.testing.assert_allclose(got.ratio, want.ratio, rtol=1e-8)
    np.testing.assert_allclose(got.std_error, want.std_error, rtol=1e-8)
    with pytest.raises(ValueError, match="depends on z"):
        ratio_curve(fit, "x", covariance(fit, "HC0"), at, reference=5.0)


def test_categories_stand_at_their_medians() -> None:
    fit = quadratic()
    z = next(t for t in fit.design.columns_of if isinstance(t, Factor))
    made = category_curve(fit, z, covariance(fit, "HC0"), [2.5, 7.0])
    assert (list(made.x), made.reference) == ([2.5, 7.0], 2.5)
    np.testing.assert_allclose(made.values.log_ratio, [0.0, fit.coefficients[3]])
    with pytest.raises(ValueError, match="2 categories, but 3 medians"):
        category_curve(fit, z, covariance(fit, "HC0"), [1.0, 2.0, 3.0])


def test_the_slope_of_a_quadratic() -> None:
    fit = quadratic()
    v, b = covariance(fit, "HC0"), fit.coefficients
    made = slopes(fit, "x", v, np.array([3.0, 5.0]), per=2.0)
    c = np.array([[0, 2, 12, 0], [0, 2, 20, 0]], dtype=float)
    np.testing.assert_allclose(made.log_ratio, c @ b)
    np.testing.assert_allclose(made.std_error, np.sqrt(np.diag(c @ v @ c.T)))


def test_the_ratio_per_amount_of_a_line_only() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(50, 8, 500)
    y = (rng.random(500) < 0.3).astype(float)
    for per in (1.0, 10.0):
        fit = fit_model("modified_poisson", build_design({"x": x}, [Linear("x", per)], 500), y)
        v = covariance(fit, "HC0")
        got = ratio_per(fit, "x", v, 8.0)
        np.testing.assert_allclose(
            got.ratio[0], ratio_curve(fit, "x", v, np.array([18.0]), reference=10.0).values.ratio[0]
        )
    with pytest.raises(ValueError, match="does not enter linearly"):
        ratio_per(quadratic(), "x", np.eye(4), 1.0)
    with pytest.raises(ValueError, match="a constant has no spread"):
        ratio_per(fit, "x", v, 0.0)


def test_the_lowest_risk_of_a_quadratic_by_the_delta_method() -> None:
    fit = quadratic()
    v, (_, b, c, _) = covariance(fit, "HC0"), fit.coefficients
    made = lowest_risk(fit, "x", v, low=0.0, high=10.0)
    gradient = np.array([-1 / (2 * c), b / (2 * c**2)])
    np.testing.assert_allclose(made.x, -b / (2 * c), rtol=1e-12)
    np.testing.assert_allclose(made.std_error, np.sqrt(gradient @ v[1:3, 1:3] @ gradient), rtol=1e-9)
    assert made.low is not None
    assert made.high is not None
    assert made.low < 4 < made.high
    assert (made.at_edge, made.turning_points, made.sentence) == ("", (made.x,), "")


def test_the_highest_risk_is_the_lowest_upside_down() -> None:
    made = lowest_risk(quadratic(-1.0), "x", covariance(quadratic(-1.0), "HC0"), low=0.0, high=10.0, highest=True)
    assert made.at_edge == ""
    assert abs(made.x - 4) < 1
    low = lowest_risk(quadratic(-1.0), "x", covariance(quadratic(-1.0), "HC0"), low=0.0, high=10.0)
    assert low.at_edge == "high"


def test_an_extreme_at_an_edge_has_no_delta_limits() -> None:
    fit = quadratic()
    made = lowest_risk(fit, "x", covariance(fit, "HC0"), low=6.0, high=10.0)
    assert (made.x, made.at_edge, made.low, made.std_error) == (6.0, "low", None, None)
    assert "at an edge" in made.sentence


def test_limits_that_reach_an_edge_are_cut_and_say_so() -> None:
    fit = quadratic()
    made = lowest_risk(fit, "x", 400 * covariance(fit, "HC0"), low=0.0, high=10.0)
    assert (made.low, made.high) == (0.0, 10.0)
    assert "cut there" in made.sentence


def test_limits_by_draws_are_percentiles_of_each_draws_own_extreme() -> None:
    fit = quadratic()
    v = covariance(fit, "HC0")
    draws = np.random.default_rng(1).multivariate_normal(fit.coefficients, v, 4000)
    made = lowest_risk(fit, "x", v, low=0.0, high=10.0, draws=draws)
    delta = lowest_risk(fit, "x", v, low=0.0, high=10.0)
    places = -draws[:, 1] / (2 * draws[:, 2])
    np.testing.assert_allclose([made.low, made.high], np.quantile(places, [0.025, 0.975]), atol=0.01)
    assert made.std_error == pytest.approx(delta.std_error, rel=0.1)
    assert made.draws_at_edge == 0
    edge = lowest_risk(fit, "x", v, low=3.9, high=10.0, draws=draws)
    assert edge.draws_at_edge is not None
    assert edge.draws_at_edge > 0
    assert "at an edge" in edge.sentence
    with pytest.raises(ValueError, match="two or more bootstrap samples"):
        lowest_risk(fit, "x", v, low=0.0, high=10.0, draws=draws * np.nan)


def test_more_than_one_turning_point_is_said() -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 10, 4000)
    y = (rng.random(4000) < np.exp(-1.2 + 0.5 * np.sin(x * 1.2))).astype(float)
    fit = fit_model("modified_poisson", build_design({"x": x}, [Spline("x", (0.5, 2.5, 5.0, 7.5, 9.5))], 4000), y)
    made = lowest_risk(fit, "x", covariance(fit, "HC0"), low=0.0, high=10.0)
    assert len(made.turning_points) > 1
    assert "turns at" in made.sentence
    values = ratio_curve(fit, "x", covariance(fit, "HC0"), np.linspace(0, 10, 5001), reference=made.x).values
    assert values.ratio.min() >= 1 - 1e-12


@pytest.mark.parametrize(
    ("name", "low", "high", "sentence"),
    [("x", 3.0, 3.0, "increasing, finite"), ("x", 0.0, np.inf, "increasing, finite"), ("w", 0.0, 1.0, "in no term")],
)
def test_a_range_without_extent_is_a_sentence(name: str, low: float, high: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        lowest_risk(quadratic(), name, np.eye(4), low=low, high=high)


def test_points_that_are_unknown_are_a_sentence() -> None:
    with pytest.raises(ValueError, match="known and finite"):
        ratio_curve(quadratic(), "x", np.eye(4), np.array([1.0, np.nan]), reference=1.0)


def test_spreads() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 5.0, 6.0, 7.0, 8.0])
    assert spread(x, "iqr") == 4.0
    assert spread(x, "sd") == pytest.approx(np.sqrt(6))
    with pytest.raises(ValueError, match="two or more known"):
        spread(np.array([1.0, np.nan]), "sd")

"""Curves: the grid, the reference, the interval, the test."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.estimates.dose_response import curve, grid, nonlinearity
from walkrisk.estimates.rows import CurvePoint, Estimate, chi_square_p
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, Spline, build_design
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

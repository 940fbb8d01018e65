"""Regression calibration: what it is where a closed form exists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.models.covariance import covariance
from walkrisk.models.design import Design, Linear, build_design
from walkrisk.models.fit import fit_model
from walkrisk.models.resampling import resampling
from walkrisk.sensitivity.calibration import (
    NOT_POSITIVE,
    Measured,
    bootstrap_calibrated,
    calibrate,
    expected_spline_basis,
    fit_calibrated,
    measured_by_days,
    measured_with_reliability,
)

N = 1500


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    z = rng.standard_normal(N)
    usual = 0.5 * z + rng.standard_normal(N)
    days = usual[:, None] + 1.5 * rng.standard_normal((N, 4))
    other = (0.3 * usual + rng.standard_normal(N))[:, None] + rng.standard_normal((N, 4))
    y = (rng.random(N) < np.exp(-1.5 - 0.3 * usual + 0.1 * z)).astype(float)
    return {"z": z, "days": days, "other": other, "y": y, "usual": usual}


def design_of(people: dict[str, np.ndarray], *days: np.ndarray) -> tuple[Design, np.ndarray]:
    columns = {f"w{i}": np.nanmean(d, axis=1) for i, d in enumerate(days)} | {"z": people["z"]}
    return build_design(columns, [Linear(c) for c in columns], N), np.column_stack([np.ones(N), people["z"]])


def test_with_equal_days_it_is_the_naive_slope_divided_by_what_is_kept(people: dict[str, np.ndarray]) -> None:
    design, z = design_of(people, people["days"])
    c = calibrate(measured_by_days([people["days"]]), z)
    kept = float((c.between / (c.between + c.within / 4))[0, 0])
    np.testing.assert_allclose(c.kept[:, 0, 0], kept)
    naive = fit_model("modified_poisson", design, people["y"])
    found = fit_calibrated("modified_poisson", design, people["y"], c, (1,))
    assert found.coefficients()[0] == pytest.approx(naive.coefficients[1] / kept, rel=1e-9)
    assert found.fit.log_likelihood == pytest.approx(naive.log_likelihood, rel=1e-12)
    fixed = math.sqrt(covariance(naive, "HC0")[1, 1]) / kept
    assert fixed < math.sqrt(found.covariance("HC0")[0, 0]) < 1.1 * fixed


def test_two_exposures_are_divided_by_a_matrix(people: dict[str, np.ndarray]) -> None:
    design, z = design_of(people, people["days"], people["other"])
    c = calibrate(measured_by_days([people["days"], people["other"]]), z)
    kept = c.between @ np.linalg.inv(c.between + c.within / 4)
    naive = fit_model("modified_poisson", design, people["y"])
    found = fit_calibrated("modified_poisson", design, people["y"], c, (1, 2))
    np.testing.assert_allclose(found.coefficients(), np.linalg.inv(kept).T @ naive.coefficients[1:3], rtol=1e-8)


def test_without_error_nothing_changes(people: dict[str, np.ndarray]) -> None:
    design, z = design_of(people, people["days"])
    c = calibrate(measured_with_reliability(design.matrix[:, [1]], 1.0), z)
    naive = fit_model("modified_poisson", design, people["y"])
    found = fit_calibrated("modified_poisson", design, people["y"], c, (1,))
    assert found.coefficients()[0] == pytest.approx(naive.coefficients[1], rel=1e-12)
    np.testing.assert_allclose(found.covariance("HC0")[0, 0], covariance(naive, "HC0")[1, 1], rtol=1e-6)


def test_a_declared_reliability_stands_for_days(people: dict[str, np.ndarray]) -> None:
    design, _ = design_of(people, people["days"])
    mean, ones = design.matrix[:, [1]], np.ones((N, 1))
    c = calibrate(measured_with_reliability(mean, 0.7), ones)
    np.testing.assert_allclose(c.kept[:, 0, 0], 0.7, rtol=1e-3)
    assert c.expected.var() == pytest.approx(0.49 * mean.var(), rel=2e-3)


def test_whoever_has_fewer_days_is_drawn_closer(people: dict[str, np.ndarray]) -> None:
    days = people["days"].copy()
    days[::2, 1:] = np.nan
    c = calibrate(measured_by_days([days]), np.ones((N, 1)))
    s, e = float(c.between[0, 0]), float(c.within[0, 0])
    assert c.kept[0, 0, 0] == pytest.approx(s / (s + e))
    assert c.kept[1, 0, 0] == pytest.approx(s / (s + e / 4))
    assert c.left[0, 0, 0] == pytest.approx(s * (1 - s / (s + e)))


def test_the_bootstrap_agrees_with_the_stacked_variance(people: dict[str, np.ndarray]) -> None:
    days = people["days"].copy()
    days[::2, 2:] = np.nan
    design, z = design_of(people, days)
    measured = measured_by_days([days])
    found = fit_calibrated("modified_poisson", design, people["y"], calibrate(measured, z), (1,))
    draw = resampling(N, 5)

    def replicates(first: int, stop: int) -> np.ndarray:
        start = found.fit.coefficients
        return bootstrap_calibrated(
            "modified_poisson", design, people["y"], measured, z, (1,), draw, first=first, stop=stop, start=start
        )

    values = replicates(0, 300)
    stacked = math.sqrt(found.covariance("HC0")[0, 0])
    assert values.std() == pytest.approx(stacked, rel=4 / math.sqrt(600))
    np.testing.assert_array_equal(replicates(40, 50), values[40:50])  # whichever part makes it


def test_an_expected_basis_without_spread_is_the_basis() -> None:
    from walkrisk.models.splines import restricted_cubic_basis

    x = np.linspace(0, 10, 21)
    got = expected_spline_basis(x, np.zeros(21), (2, 5, 8))
    np.testing.assert_allclose(got, restricted_cubic_basis(x, (2, 5, 8)), atol=1e-12)


def test_a_calibrated_curve_is_the_line_where_the_truth_is_one(people: dict[str, np.ndarray]) -> None:
    columns = {"w": people["days"].mean(axis=1), "v": people["days"].mean(axis=1) ** 2, "z": people["z"]}
    design = build_design(columns, [Linear(c) for c in columns], N)
    c = calibrate(measured_by_days([people["days"]]), np.column_stack([np.ones(N), people["z"]]))
    found = fit_calibrated("modified_poisson", design, people["y"], c, (1, 2), knots=(-1.0, 0.0, 1.0))
    v = found.covariance("HC0")
    b = found.coefficients()
    assert abs(b[1]) < 4 * math.sqrt(v[1, 1])
    assert abs(b[0] + 0.3) < 4 * math.sqrt(v[0, 0])


def test_what_cannot_be_calibrated_is_said(people: dict[str, np.ndarray]) -> None:
    ones = np.ones((N, 1))
    with pytest.raises(ValueError, match="no day with every exposure"):
        measured_by_days([np.full((3, 2), np.nan)])
    with pytest.raises(ValueError, match="declare the reliability"):
        calibrate(measured_by_days([people["days"][:, :1]]), ones)
    noise = np.random.default_rng(1).standard_normal((200, 2))
    noise -= noise.mean(axis=1, keepdims=True)
    with pytest.raises(ValueError, match="persons differ no more") as said:
        calibrate(measured_by_days([noise]), np.ones((200, 1)))
    assert str(said.value) == NOT_POSITIVE
    with pytest.raises(ValueError, match="up to 1, not at"):
        measured_with_reliability(noise, 1.2)
    design, z = design_of(people, people["days"])
    measured = Measured(mean=people["z"][:, None], share=np.ones(N), error=np.zeros((1, 1)))
    with pytest.raises(ValueError, match="at 0 or below"):
        calibrate(measured, z)
    assert design.matrix.shape == (N, 3)

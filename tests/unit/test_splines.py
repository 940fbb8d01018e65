"""Restricted cubic splines: their definition, linear tails, and a curve that no scaling changes."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.splines import restricted_cubic_basis


def test_three_knots_by_hand() -> None:
    """Knots 0, 1, 3 and gap 2: at x = 2 the curved column is (8 - 1 x 3/2 + 0) / 9."""
    got = restricted_cubic_basis(np.array([-1.0, 0.0, 1.0, 2.0, 4.0]), [0, 1, 3])
    np.testing.assert_array_equal(got[:, 0], [-1, 0, 1, 2, 4])
    np.testing.assert_allclose(got[:, 1], [0, 0, 1 / 9, 6.5 / 9, (64 - (27 * 3 - 1) / 2) / 9])


@pytest.mark.parametrize("knots", [(10, 50, 90), (5, 35, 65, 95), (5, 27.5, 50, 72.5, 95)])
def test_linear_beyond_the_outer_knots_and_smooth_within(knots: tuple[float, ...]) -> None:
    for x in (np.linspace(knots[-1], 300, 50), np.linspace(-100, knots[0], 50)):
        basis = restricted_cubic_basis(x, knots)
        assert basis.shape == (50, len(knots) - 1)
        np.testing.assert_allclose(np.diff(basis, n=2, axis=0), 0, atol=1e-9)
    fine = np.linspace(knots[0] - 5, knots[-1] + 5, 20_001)
    step = fine[1] - fine[0]
    second = np.diff(restricted_cubic_basis(fine, knots), n=2, axis=0) / step**2
    assert np.abs(np.diff(second, axis=0)).max() < 10 * step  # the second derivative has no jump


def test_the_scaling_of_the_exposure_does_not_change_the_curve() -> None:
    """Minutes or hours: fitted values of a least-squares spline are the same."""
    rng = np.random.default_rng(3)
    x = rng.gamma(3, 30, 200)
    y = np.sin(x / 40) + rng.normal(0, 0.1, 200)
    fitted = []
    for unit in (1.0, 60.0):
        basis = restricted_cubic_basis(x / unit, np.array([20, 80, 160]) / unit)
        design = np.column_stack([np.ones(200), basis])
        fitted.append(design @ np.linalg.lstsq(design, y, rcond=None)[0])
    np.testing.assert_allclose(fitted[0], fitted[1], rtol=1e-9)


@pytest.mark.parametrize("knots", [(1, 2), (1, 1, 2), (3, 2, 1), (1, 2, float("nan")), ()])
def test_knots_must_be_three_or_more_and_increasing(knots: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three or more knots in increasing order"):
        restricted_cubic_basis(np.array([1.0]), knots)

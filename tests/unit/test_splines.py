"""Restricted cubic splines: their definition, linear tails, and a curve that no scaling changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.models.splines import (
    STATA_PERCENTILES,
    harrell_knots,
    knots_at_percentiles,
    restricted_cubic_basis,
    restricted_cubic_derivative,
    stata_knots,
)


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


def test_no_quadratic_tail_and_a_linear_column() -> None:
    """A basis (x - ti)+^3 - (x - tk)+^3 is quadratic above tk and has no column of x itself; this one is neither."""
    knots = (10.0, 50.0, 90.0)
    x = np.linspace(100, 1000, 50)
    wrong = np.maximum(x - 10, 0) ** 3 - np.maximum(x - 90, 0) ** 3
    assert np.abs(np.diff(wrong, n=2)).min() > 1
    basis = restricted_cubic_basis(x, knots)
    np.testing.assert_allclose(np.diff(basis, n=2, axis=0), 0, atol=1e-8)
    np.testing.assert_array_equal(basis[:, 0], x)
    np.testing.assert_allclose(restricted_cubic_derivative(x, knots, order=2), 0, atol=1e-12)


@pytest.mark.parametrize(("norm", "scale"), [(0, 1.0), (1, 40.0**3), (2, 80.0**2)])
def test_the_norms_scale_the_curved_columns_only(norm: int, scale: float) -> None:
    x = np.linspace(0, 120, 30)
    raw = restricted_cubic_basis(x, (10, 50, 90), norm=0)
    made = restricted_cubic_basis(x, (10, 50, 90), norm=norm)  # type: ignore[arg-type]
    np.testing.assert_allclose(made, raw / [1.0, scale], rtol=1e-13)


def test_an_unknown_norm_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="must be 0, 1 or 2"):
        restricted_cubic_basis(np.arange(3.0), (0, 1, 2), norm=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [3, 4, 5, 6, 7])
def test_knots_of_an_even_spread_stand_at_the_percentiles(k: int) -> None:
    """Of 0 .. 1000 the percentile p is 10 p by type 7, and 1002 p/100 - 1 by centile."""
    x = np.random.default_rng(0).permutation(np.arange(1001.0))
    outer = {3: 10.0, 7: 2.5}.get(k, 5.0)
    np.testing.assert_allclose(harrell_knots(x, k), 10 * np.linspace(outer, 100 - outer, k), rtol=1e-12)
    np.testing.assert_allclose(stata_knots(x, k), np.array(STATA_PERCENTILES[k]) * 10.02 - 1, rtol=1e-12)


def test_percentiles_between_two_values() -> None:
    x = np.append(np.arange(1.0, 9.0), np.nan)
    assert knots_at_percentiles(x, (25, 50, 75)) == (2.5, 4.5, 6.5)
    assert knots_at_percentiles(x, (25, 50, 75), quantile="centile") == (2.25, 4.5, 6.75)
    assert knots_at_percentiles(x, (25, 50, 75), quantile="linear") == (2.75, 4.5, 6.25)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda x: knots_at_percentiles(x * 0, (10, 50, 90)), "not distinct"),
        (lambda x: knots_at_percentiles(x, (10, 50)), "three or more increasing percentiles"),
        (lambda x: knots_at_percentiles(x, (0, 50, 100)), "three or more increasing percentiles"),
        (lambda x: knots_at_percentiles(x, (50, 10, 90)), "three or more increasing percentiles"),
        (lambda x: knots_at_percentiles(x * np.nan, (10, 50, 90)), "No value is known"),
        (lambda x: knots_at_percentiles(x + np.inf, (10, 50, 90)), "30 values are infinite"),
        (lambda x: knots_at_percentiles(x, (10, 50, 90), quantile="guess"), "not 'guess'"),
        (lambda x: harrell_knots(x, 2), "3 to 7 knots, not for 2"),
        (lambda x: stata_knots(x, 8), "3 to 7 knots, not for 8"),
        (lambda x: harrell_knots(x[:5], 3), "6 or more people, got 5"),
        (lambda x: harrell_knots(np.round(x / 10), 3), "asked for and the default rule gives 2"),
        (lambda x: harrell_knots(np.round(x / 5), 6), "asked for and the default rule gives 5"),
    ],
)
def test_knots_that_cannot_be_placed_are_a_sentence(made: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(np.arange(30.0))  # type: ignore[operator]


def test_fewer_knots_only_where_allowed() -> None:
    assert harrell_knots(np.round(np.arange(30.0) / 5), 6, fewer=True) == (1, 2, 3, 4, 5)


def test_harrells_knots_where_values_are_tied() -> None:
    """Against Hmisc's `rcspline.eval` (tests/reference/dose_response.R): ties at the ends, few people, few values."""
    folder = Path(__file__).resolve().parents[1] / "reference"
    table = pd.read_csv(folder / "models_data.csv")
    dose, x = table["dose"].to_numpy(dtype=float), table["x"].to_numpy(dtype=float)
    tied = {
        "zeros": np.maximum(dose - 50, 0),
        "capped": np.minimum(dose, 90),
        "both": np.minimum(np.maximum(dose - 45, 0), 60),
        "inner": np.round(dose / 20),
        "small": dose[:60],
        "small_zeros": np.maximum(dose[:80] - 50, 0),
        "few": np.round(x / 8),
        "whole": np.round(x),
        "heavy": np.maximum(dose - 75, 0),
    }
    r = pd.read_csv(folder / "dose_response.csv", dtype={"term": str}, keep_default_na=False)
    expected = {key: rows["value"].to_numpy() for key, rows in r[r["statistic"] == "knot"].groupby(["model", "term"])}
    assert len(expected) == 45
    for (name, k), knots in expected.items():
        np.testing.assert_allclose(
            harrell_knots(tied[name], int(k), fewer=True), knots, rtol=1e-12, err_msg=f"{name} {k}"
        )

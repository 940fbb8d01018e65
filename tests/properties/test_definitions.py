"""Properties of E-values, splines, day rules and exclusions that hold for any input."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from walkrisk.cohorts.eligibility import Condition, Exclusion, apply_exclusions
from walkrisk.exposures.daily_seconds import days_known, invalid_days, mean_day
from walkrisk.models.splines import restricted_cubic_basis
from walkrisk.sensitivity.evalue import evalue

MANY = settings(max_examples=150)
RATIO = st.floats(0.01, 100)
SECONDS = arrays(
    np.float64, (5, 7), elements=st.one_of(st.just(np.nan), st.just(0.0), st.integers(1, 86_400).map(float))
)


@MANY
@given(RATIO, st.floats(0.01, 3))
def test_an_evalue_is_the_confounding_that_explains_the_ratio(rr: float, width: float) -> None:
    """Bias of two ratios of strength E is E^2/(2E - 1), which is the ratio itself."""
    low, high = rr / math.exp(width), rr * math.exp(width)
    got = evalue(rr, low, high)
    assert math.isclose(got.point**2 / (2 * got.point - 1), max(rr, 1 / rr), rel_tol=1e-9)
    assert 1 <= got.limit <= got.point
    if low > 1 or high < 1:
        assert math.isclose(got.limit**2 / (2 * got.limit - 1), max(low, 1 / high), rel_tol=1e-9)
    else:
        assert got.limit == 1
    inverse = evalue(1 / rr, 1 / high, 1 / low)
    assert math.isclose(inverse.point, got.point, rel_tol=1e-9)


@MANY
@given(st.lists(st.integers(0, 200), min_size=3, max_size=6, unique=True), st.floats(0.01, 100))
def test_a_spline_basis_scales_with_its_exposure(knots: list[int], unit: float) -> None:
    t = np.sort(np.array(knots, dtype=float))
    x = np.linspace(-50, 250, 61)
    np.testing.assert_allclose(
        restricted_cubic_basis(x * unit, t * unit), restricted_cubic_basis(x, t) * unit, rtol=1e-6, atol=1e-6 * unit
    )


@MANY
@given(SECONDS, SECONDS)
def test_an_invalid_day_changes_nothing_about_the_mean_of_the_others(walking: np.ndarray, lying: np.ndarray) -> None:
    invalid = invalid_days({"w": walking, "l": lying}, zero_invalidates=("w", "l"))
    np.testing.assert_array_equal(invalid, (walking == 0) | (lying == 0))
    blanked = np.where(invalid, np.nan, walking)
    np.testing.assert_array_equal(mean_day(walking, excluded=invalid) / 60, mean_day(blanked) / 60)
    np.testing.assert_array_equal(days_known(walking, excluded=invalid), days_known(blanked))
    mean = mean_day(walking, excluded=invalid) / 60
    known = days_known(walking, excluded=invalid)
    np.testing.assert_array_equal(np.isnan(mean), known == 0)
    for i in range(5):
        days = blanked[i][~np.isnan(blanked[i])]
        assert known[i] == len(days)
        if len(days):
            assert math.isclose(mean[i], days.sum() / len(days) / 60, rel_tol=1e-12)


@MANY
@given(arrays(np.float64, (3, 20), elements=st.one_of(st.just(np.nan), st.integers(0, 3).map(float))))
def test_a_flow_adds_up_and_its_order_does_not_change_who_stays(values: np.ndarray) -> None:
    columns = {"a": values[0], "b": values[1], "c": values[2]}
    steps = (
        Exclusion(id="a", reason="", known=("a",)),
        Exclusion(id="b", reason="", require=(Condition(variable="b", above=0),)),
        Exclusion(id="c", reason="", require=(Condition(variable="c", not_equals=1, missing="keep"),)),
    )
    keep, flow = apply_exclusions(steps, columns, 20)
    other, _ = apply_exclusions(steps[::-1], columns, 20)
    np.testing.assert_array_equal(keep, other)
    assert flow[0].n_before == 20
    assert flow[-1].n_after == keep.sum()
    for step, following in itertools.pairwise(flow):
        assert step.n_after == following.n_before
    assert all(s.n_before - s.n_excluded == s.n_after for s in flow)
